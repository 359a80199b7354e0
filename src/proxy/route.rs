//! Where a location passes requests on to, and what they obey on the way.

use std::sync::Arc;
use std::time::Duration;

use crate::access::Networks;
use crate::affinity::Sessions;
use crate::decision;
use crate::headers::spelling::Spelling;
use crate::limits::AddressLimits;
use crate::observe::Observer;
use crate::routing::Sites;
use crate::tunnel;
use crate::upstream::Server;
use crate::upstream::Upstream;

/// How long a request waits on its way to an upstream and back.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeTimeouts {
    /// Longest time to be connected to the upstream: `connect_timeout`.
    pub connect: Duration,
    /// Longest wait for the head of an answer to an upgrade request: `handshake_timeout`.
    pub handshake: Duration,
    /// Longest wait for the head of an answer to any other request, counted from the last byte of its body:
    /// `response_timeout`.
    pub response: Duration,
    /// Longest silence of a client that has to send more of a body: `body_timeout`.
    pub body: Duration,
}

/// Where a location passes requests on to.
#[derive(Debug)]
pub struct Route {
    /// Who answers.
    pub upstream: Upstream,
    /// How the fields are spelled that the route sets.
    pub spelling: Spelling,
    /// What a request obeys until it is answered.
    pub timeouts: ExchangeTimeouts,
    /// What a tunnel obeys.
    pub tunnel_timeouts: tunnel::TunnelTimeouts,
}

/// One entry of the table that serves.
pub type ServedRule = decision::Rule<Route>;

/// Everything that decides about a request.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Finds the rule of a request.
    pub sites: Arc<Sites<Arc<ServedRule>>>,
    /// The proxies in front whose word counts about who their client is.
    pub trusted: Networks,
    /// What each address has and may have.
    pub addresses: AddressLimits,
    /// Whose sessions are told apart.
    pub sessions: &'static dyn Sessions,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
}

/// Where one request goes: a route, and the server of its upstream that was chosen for it. Chosen once, when the request is
/// decided; the connection, the errors and the log all take it from here.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) route: Arc<Route>,
    pub(super) server: Arc<Server>,
}

impl Hop {
    /// The server as errors name it: `host:port` or `unix:/path`, as in `proxy_pass`.
    pub(super) fn authority(&self) -> String {
        self.server.authority()
    }
}
