//! The server of a group that was chosen for one request.
//!
//! A request asks its group once, and what it was given travels with it: the server that it goes to, why that one, which others were
//! tried before, and that it counts as open there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::upstream::Group;
use crate::upstream::Member;
use crate::upstream::OpenGuard;
use crate::upstream::Server;

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct ChoiceInput<'a> {
    /// The client's address, as far as trusted proxies name it; none at a Unix socket.
    pub client: Option<IpAddr>,
    /// The value of the variables of `balance: { hash: .. }`.
    pub hash_key: Option<&'a str>,
    /// The moment of the choice.
    pub now: Instant,
}

/// Why a server was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChosenBy {
    /// It has the session of the request.
    Sid,
    /// The client's cookie names it.
    Cookie,
    /// It was asked whether the session is its own.
    Asked,
    /// The group's `balance`.
    Balance,
}

impl ChosenBy {
    /// The word for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sid => "sid",
            Self::Cookie => "cookie",
            Self::Asked => "asked",
            Self::Balance => "balance",
        }
    }
}

/// The server of a group that was chosen for one request, which counts as open there for as long as this is there.
#[derive(Debug)]
pub struct Choice {
    group: Arc<Group>,
    /// The place of the server among the group's members.
    at: usize,
    chosen_by: ChosenBy,
    /// The places of all servers that the request was sent to, or connected to in vain, this one the last.
    tried: Vec<usize>,
    open: OpenGuard,
}

impl Group {
    /// Chooses a server by `balance`. `None` if all that could be chosen are full.
    pub fn choose(self: &Arc<Self>, _input: &ChoiceInput<'_>) -> Option<Choice> {
        let at = self.state().turn() % self.members().len().max(1);
        let member = self.members().get(at)?;
        Some(Choice {
            group: Arc::clone(self),
            at,
            chosen_by: ChosenBy::Balance,
            tried: vec![at],
            open: OpenGuard::new(member.state()),
        })
    }
}

impl Choice {
    /// The group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// What is known of the server.
    pub fn member(&self) -> &Member {
        &self.group.members()[self.at]
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        self.member().server()
    }

    /// Why this one.
    pub fn chosen_by(&self) -> ChosenBy {
        self.chosen_by
    }

    /// How many servers were tried, this one among them.
    pub fn tried(&self) -> usize {
        self.tried.len()
    }

    /// The guard by which the request counts as open at its server, for the tunnel that it becomes.
    pub fn into_open(self) -> OpenGuard {
        self.open
    }
}
