//! The server of a group that was chosen for one request.
//!
//! A request asks its group once, and what it was given travels with it: the server that it goes to, why that one, which others were
//! tried before, and that it counts as open there.
//!
//! A choice in which no server is down costs up to three relaxed read-modify-write operations that threads share: the turn, unless a
//! hash or the counts decide alone (`balance/cursor`); the count of what is open, raised; and the same, lowered when the request or
//! its tunnel has ended. A turn that falls to a server that cannot be chosen costs one more. The choice also counts as one that
//! refers to its group. No lock is taken and nothing is allocated.

use std::sync::Arc;
use std::time::Instant;

use crate::affinity::ServerId;
use crate::upstream::ChoiceInput;
use crate::upstream::ConnectAttempt;
use crate::upstream::Group;
use crate::upstream::Member;
use crate::upstream::OpenGuard;
use crate::upstream::Server;
use crate::upstream::balance::search::Found;
use crate::upstream::balance::search::Search;

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
    /// The places of the servers that the request was sent to, or connected to in vain, before this one.
    before: Vec<usize>,
    /// Taken by the tunnel that the request becomes.
    open: Option<OpenGuard>,
}

impl Group {
    /// Chooses a server by `balance`. `None` if all that could be chosen are full.
    pub fn choose(self: &Arc<Self>, input: &ChoiceInput<'_>) -> Option<Choice> {
        let found = Search::new(self, input, &[]).by_balance()?;
        Some(Choice::new(self, found, ChosenBy::Balance))
    }

    /// Chooses the first server for a request of a session of which nothing is known: by `balance`, and if all that could be chosen so are
    /// full, one that is full or drained, since it may have the session nevertheless. `None` if there is none but servers that are
    /// marked `down`, or are down while others are not.
    pub fn choose_for_session(self: &Arc<Self>, input: &ChoiceInput<'_>) -> Option<Choice> {
        self.choose(input).or_else(|| {
            let found = Search::new(self, input, &[]).for_session()?;
            Some(Choice::new(self, found, ChosenBy::Asked))
        })
    }

    /// Chooses the server of a session or a cookie, also if it is full or drained; whether it is down, [`Choice::is_down`] says. `None`
    /// if there is no such server, or it is marked `down`.
    pub fn choose_member(self: &Arc<Self>, id: ServerId, by: ChosenBy) -> Option<Choice> {
        let mut members = self.members().iter();
        let at = members.position(|member| member.id() == id)?;
        let member = &self.members()[at];
        if member.settings().down {
            return None;
        }
        let found = Found {
            at,
            open: member.state().raise(),
        };
        Some(Choice::new(self, found, by))
    }
}

impl Choice {
    fn new(group: &Arc<Group>, found: Found, chosen_by: ChosenBy) -> Self {
        Self {
            group: Arc::clone(group),
            at: found.at,
            chosen_by,
            before: Vec::new(),
            open: Some(found.open),
        }
    }

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

    /// Whether the server is down, and that is a reason not to ask it: not while all of the group are.
    pub fn is_down(&self) -> bool {
        self.member().state().is_down() && !self.group.is_all_down()
    }

    /// How many servers were tried, this one among them.
    pub fn tried(&self) -> usize {
        self.before.len() + 1
    }

    /// The servers that were tried, this one the last.
    pub fn tried_servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        let tried = self.before.iter().chain([&self.at]);
        tried.map(|at| self.group.members()[*at].server())
    }

    /// The servers that were not tried.
    pub fn untried(&self) -> impl Iterator<Item = &Member> {
        let members = self.group.members().iter().enumerate();
        let is_untried = |at: usize| at != self.at && !self.before.contains(&at);
        members.filter_map(move |(at, member)| is_untried(at).then_some(member))
    }

    /// A connection to the server stands: failures in a row end.
    pub fn connected(&self, now: Instant) {
        self.member().state().has_connected(now);
    }

    /// The server could not be reached: it refused, was unreachable, did not answer in time, or TLS failed. Nothing else may be told
    /// here, above all nothing that a client can bring about. `max_fails` of these in a row within `fail_timeout`, and it is down;
    /// but for the only server of a group, which is asked anyway. An attempt during which another one was connected does not count.
    pub fn failed(&self, attempt: ConnectAttempt) {
        let mut others = self.group.members().iter().enumerate();
        let has_others = others.any(|(at, other)| at != self.at && !other.settings().down);
        let member = self.member();
        if has_others && member.state().has_failed(attempt, member.settings()) {
            member.state().set_down(attempt.ended);
        }
    }

    /// Goes to another server for the same request, which `balance` chooses of those that were not tried. Returns whether there is one;
    /// if not, nothing changes.
    pub fn elsewhere(&mut self, input: &ChoiceInput<'_>) -> bool {
        let found = Search::new(&self.group, input, &self.all_tried()).by_balance();
        self.moves_to(found, ChosenBy::Balance)
    }

    /// Goes to the next server that may have the request's session, of which nothing is known; one that is full, drained or a backup too,
    /// but none that is down, unless all of the group are. Returns whether there is one; if not, nothing changes.
    pub fn ask_another(&mut self, input: &ChoiceInput<'_>) -> bool {
        let found = Search::new(&self.group, input, &self.all_tried()).for_session();
        self.moves_to(found, ChosenBy::Asked)
    }

    /// By what the request counts as open at its server, for the tunnel that it becomes. There is one until it is taken.
    pub fn take_open(&mut self) -> Option<OpenGuard> {
        self.open.take()
    }

    fn all_tried(&self) -> Vec<usize> {
        let mut tried = self.before.clone();
        tried.push(self.at);
        tried
    }

    fn moves_to(&mut self, found: Option<Found>, by: ChosenBy) -> bool {
        let Some(Found { at, open }) = found else {
            return false;
        };
        self.before.push(self.at);
        self.at = at;
        self.chosen_by = by;
        self.open = Some(open);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
