//! Where a location passes requests on to, and what they obey on the way.

use std::sync::Arc;
use std::time::Duration;

use crate::access::Networks;
use crate::affinity::SessionNeed;
use crate::affinity::Sessions;
use crate::decision;
use crate::decision::response;
use crate::headers::spelling::Spelling;
use crate::headers::upgrade;
use crate::headers::upgrade::Asked;
use crate::limits::AddressLimits;
use crate::observe::Observer;
use crate::proxy::error::ProxyError;
use crate::proxy::request_body::AnswerClock;
use crate::routing::Sites;
use crate::tunnel;
use crate::upstream::Choice;
use crate::upstream::ChoiceInput;
use crate::upstream::Server;
use crate::upstream::Servers;
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

/// Where a request goes, and why to that server, if there are several.
#[derive(Debug)]
pub(super) struct ChosenHop {
    pub(super) hop: Hop,
    /// Boxed, since most routes have one server.
    pub(super) choice: Option<Box<Choice>>,
}

impl Hop {
    /// Chooses the server.
    ///
    /// # Errors
    /// All servers of the route's group have as much as they may.
    pub(super) fn choose(
        route: &Arc<Route>,
        input: &ChoiceInput<'_>,
    ) -> Result<ChosenHop, ProxyError> {
        let (server, choice) = match route.upstream.servers() {
            Servers::One(server) => (Arc::clone(server), None),
            Servers::Group(group) => {
                let choice = group.choose(input).ok_or(ProxyError::NoServer)?;
                (Arc::clone(choice.server()), Some(Box::new(choice)))
            }
        };
        let route = Arc::clone(route);
        let hop = Self { route, server };
        Ok(ChosenHop { hop, choice })
    }

    /// The server as errors name it: `host:port` or `unix:/path`, as in `proxy_pass`.
    pub(super) fn authority(&self) -> String {
        self.server.authority()
    }
}

/// A request to an upstream: what it asks for, by which its answer is judged, and where it goes.
#[derive(Debug)]
pub(super) struct UpstreamRequest {
    pub(super) asked: Asked,
    pub(super) hop: Hop,
    /// Why the hop's server was chosen, if its route has a group of them. Boxed, since most routes have one server.
    #[expect(
        dead_code,
        reason = "requests to a group do not try another server yet"
    )]
    pub(super) choice: Option<Box<Choice>>,
    /// By which session the connection is chosen that it goes over.
    pub(super) session: SessionNeed,
    /// Whether the server may hold it back until there is something to say to its client: a poll of a session. A client that ends
    /// such a request has left.
    pub(super) is_poll: bool,
}

impl UpstreamRequest {
    /// Longest wait for the head of its answer, and the key that says so.
    fn answer_timeout(&self) -> (Duration, &'static str) {
        let timeouts = &self.hop.route.timeouts;
        match self.asked {
            Asked::WebSocket(_) => (timeouts.handshake, "handshake_timeout"),
            Asked::Nothing => (timeouts.response, "response_timeout"),
        }
    }

    /// Longest wait for the head of its answer.
    pub(super) fn longest_wait(&self) -> Duration {
        self.answer_timeout().0
    }

    /// Checks that a 101 agrees to what was asked, and turns its head into the client's.
    pub(super) fn agreed(&self, head: &mut http::response::Parts) -> Result<(), ProxyError> {
        upgrade::agreed(&self.asked, &head.headers).map_err(|source| ProxyError::Disagreed {
            upstream: self.hop.authority(),
            source,
        })?;
        response::rewrite_switch(head);
        Ok(())
    }

    /// The connection stands over which the request goes out. `response_timeout` counts from here, `handshake_timeout` from when the
    /// request came: a client that asks for a WebSocket waits for the connection and the 101 together.
    pub(super) fn is_connected(&self, clock: &AnswerClock) {
        if self.asked == Asked::Nothing {
            clock.touch();
        }
    }

    /// There was no head of an answer in time.
    pub(super) fn timed_out(&self) -> ProxyError {
        let (limit, key) = self.answer_timeout();
        ProxyError::AnswerTimeout {
            upstream: self.hop.authority(),
            limit,
            key,
        }
    }

    /// There was none at all.
    pub(super) fn no_answer(&self, source: hyper::Error) -> ProxyError {
        ProxyError::NoAnswer {
            upstream: self.hop.authority(),
            source,
        }
    }
}
