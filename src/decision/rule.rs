//! One entry of the table of routes: which requests it takes, and what it makes of them.

use std::sync::Arc;

use crate::access::Access;
use crate::answer_fields::AnswerFields;
use crate::headers::spelling::WrittenName;
use crate::observe::RuleLabel;
use crate::returns::Return;
use crate::routing::Location;
use crate::routing::Rewrite;
use crate::routing::When;
use crate::template::Template;

/// One entry of the table: when it answers, who may ask it, and what it leads to. `T` is where it passes requests on to.
#[derive(Debug)]
pub struct Rule<T> {
    /// What the log says of it.
    pub label: Arc<RuleLabel>,
    /// Conditions beside host and location.
    pub when: When,
    /// Who may ask it.
    pub access: Access,
    /// What is changed in the fields of its answers; `None` if nothing is.
    pub answer_fields: Option<Arc<AnswerFields>>,
    /// What it leads to.
    pub to: Action<T>,
}

/// What a rule leads to.
#[derive(Debug)]
pub enum Action<T> {
    /// The request is passed on.
    Forward(Forward<T>),
    /// An answer that is written in the configuration.
    Return(Return),
}

impl<T> Rule<T> {
    /// Whether the location of this rule also answers a path that lacks only its last slash: as in nginx where requests are passed on,
    /// and not for a regex.
    pub fn adds_slash(&self, location: &Location) -> bool {
        matches!(self.to, Action::Forward(_)) && !location.kind().is_regex()
    }
}

/// How requests of a location are passed on, and where to.
#[derive(Debug)]
pub struct Forward<T> {
    /// As written, for nginx's replacement rule.
    pub location: Location,
    /// Other paths to ask for, of which the first that matches is taken; `uri` does nothing then.
    pub rewrites: Vec<Rewrite>,
    /// The path of `proxy_pass`, which replaces the location; `None` if it has none, and the target goes on as it is.
    pub uri: Option<String>,
    /// `Host` for the upstream where the client names none, as only a request in HTTP/1.0 may: nginx's `$proxy_host`.
    pub own_host: String,
    /// Fields written over the client's and wsgate's own; an empty one is taken out.
    pub set_headers: Vec<(WrittenName, Template)>,
    /// Where to.
    pub to: Arc<T>,
}
