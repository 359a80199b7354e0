//! What the log says of the rule that took a request.

use std::sync::Arc;

/// What the log says of a rule. There is one for each rule of a configuration, which all of its requests share, so that a request
/// takes one count and not one for each text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleLabel {
    /// Its location, as written.
    pub location: Arc<str>,
    /// Where it is written: `routes.yaml:9`.
    pub route: Arc<str>,
    /// The group of servers that it passes requests on to, if there are several.
    pub group: Option<GroupLabel>,
}

impl RuleLabel {
    /// A rule that leads to no group.
    pub fn new(location: impl Into<Arc<str>>, route: impl Into<Arc<str>>) -> Self {
        Self {
            location: location.into(),
            route: route.into(),
            group: None,
        }
    }
}

/// What the log says of a group of servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupLabel {
    /// Its name.
    pub name: Box<str>,
    /// By what a client comes back to its server.
    pub sticky: StickyBy,
}

/// By what the requests of a client come to the same server of a group: the key `sticky`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StickyBy {
    /// The session that the server has given to the client.
    Sid,
    /// A cookie alone.
    Cookie,
    /// Nothing: `sticky: off`.
    Nothing,
}
