//! What decides about requests: the table of routes, and what each route says.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::Observer;
use crate::routing::Location;
use crate::routing::Router;
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
}

/// What a location leads to.
#[derive(Debug)]
pub struct Route {
    /// As written, for the log and for nginx's replacement rule.
    pub location: Location,
    /// Where it is written: `routes.yaml:9`.
    pub place: String,
    /// Who answers.
    pub upstream: Upstream,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`upstream::Limits`].
    pub upstream_limits: upstream::Limits,
    /// See [`tunnel::Limits`].
    pub tunnel_limits: tunnel::Limits,
}

/// Everything that decides about a request.
#[derive(Debug)]
pub struct Proxy {
    /// Finds the route of a path.
    pub router: Router<Arc<Route>>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
}
