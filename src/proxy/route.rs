//! What decides about requests: the table of routes, and what each route says.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::access::Access;
use crate::access::Networks;
use crate::limits::Addresses;
use crate::observe::Observer;
use crate::returns::Return;
use crate::routing::Location;
use crate::routing::Sites;
use crate::routing::When;
use crate::template::Template;
use crate::tunnel;
use crate::upstream;
use crate::upstream::Upstream;

/// What a request obeys while it waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest wait for the head of an answer to an upgrade request.
    pub handshake: Duration,
    /// Longest wait for the head of an answer to any other request, counted from the last byte of its body.
    pub response: Duration,
    /// Longest silence of a client that has to send more of a body.
    pub body: Duration,
}

/// One entry of the table: when it answers, and what it leads to.
#[derive(Debug)]
pub struct Rule {
    /// Its location as written, for the log.
    pub shown: Arc<str>,
    /// Where it is written: `routes.yaml:9`.
    pub place: Arc<str>,
    /// Conditions beside host and location.
    pub when: When,
    /// Who may ask it.
    pub access: Access,
    /// What it leads to.
    pub to: Action,
}

/// What a rule leads to.
#[derive(Debug)]
pub enum Action {
    /// An upstream.
    Pass(Arc<Route>),
    /// An answer that is written in the configuration.
    Return(Return),
}

/// What a location leads to.
#[derive(Debug)]
pub struct Route {
    /// As written, for nginx's replacement rule.
    pub location: Location,
    /// Who answers.
    pub upstream: Upstream,
    /// Fields written over the client's and ours; an empty one is taken out.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`upstream::Limits`].
    pub upstream_limits: upstream::Limits,
    /// See [`tunnel::Limits`].
    pub tunnel_limits: tunnel::Limits,
}

/// Everything that decides about a request.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Finds the rule of a request.
    pub sites: Arc<Sites<Arc<Rule>>>,
    /// The proxies in front that are believed who their client is.
    pub trusted: Networks,
    /// What each address has and may have.
    pub addresses: Addresses,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
}
