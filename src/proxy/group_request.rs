//! A request to a group of servers: which server it goes to, and whether it goes on to another one after what came of it there.
//!
//! Two things lead to another server. What was not done by the first may be done by the second: a connection that did not stand, a
//! server that was gone before it answered, or that cannot take a new client now. And the server that has a session is found by
//! asking: one that does not know the session says so before it does anything else, and the request goes on to the next.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use http::StatusCode;

use crate::affinity::OpenedSession;
use crate::affinity::ServerId;
use crate::affinity::SessionKey;
use crate::proxy::error::ProxyError;
use crate::proxy::group_facts::GroupFacts;
use crate::proxy::group_facts::RepeatKind;
use crate::upstream::Blame;
use crate::upstream::Choice;
use crate::upstream::ChosenBy;
use crate::upstream::ConnectAttempt;
use crate::upstream::Group;
use crate::upstream::Member;

/// How many servers a request is connected to in vain. All of them share `connect_timeout`.
const MOST_CONNECTS: usize = 3;

/// How many servers are asked for a session. In a larger group one that is not remembered is found by luck.
const MOST_ASKED: usize = 32;

/// A request to a group of servers.
#[derive(Debug)]
pub(super) struct GroupRequest {
    pub(super) choice: Choice,
    facts: GroupFacts,
    /// How many servers could not be connected to.
    unconnected: usize,
    /// How many servers were asked for the session, and have not answered as one that knows it.
    refused_by: usize,
    /// Whether what one of them said otherwise is held, for the case that all the others say that they do not know the session.
    holds: bool,
    /// Whether one of them may know it all the same: it was not reached, or refused without saying why.
    is_doubtful: bool,
    /// Whether another server was asked because the first gave no answer, or one that it cannot do this now.
    is_repeated: bool,
    /// Whether the body goes on as it comes, so that it cannot be sent again.
    pub(super) is_streamed: bool,
}

/// What came of a request at one server.
#[derive(Clone, Copy, Debug)]
pub(super) enum AttemptOutcome<'a> {
    /// It agreed to the upgrade.
    Switched,
    /// It answered an upgrade request otherwise; the body is here as a whole, if it is short.
    Refused(StatusCode, Option<&'a [u8]>),
    /// It answered; the body is here as a whole, if it is short.
    Answered(StatusCode, Option<&'a [u8]>),
    /// It was gone before its answer.
    BrokeOff,
    /// Something else went wrong, after which nobody knows what it did.
    Failed,
}

impl AttemptOutcome<'_> {
    /// What this error means.
    pub(super) fn failed(error: &ProxyError) -> Self {
        if error.broke_off() {
            Self::BrokeOff
        } else {
            Self::Failed
        }
    }
}

/// What a server that was asked for a session says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SessionAnswer {
    /// It knows the session, or its word ends the search: it is the one that is remembered for the session.
    Known,
    /// It says in words that it does not know the session.
    Unknown,
    /// It said something else, or nothing. It may know the session, or be of no use to anybody.
    Unclear,
}

/// What becomes of a request after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// What came of it is passed on.
    Done,
    /// It goes to the server that is the choice now.
    Elsewhere,
    /// It goes to the server that is the choice now, and what came of it is held: it is passed on if no other server has the session.
    Hold,
    /// What is held is passed on.
    Held,
}

impl GroupRequest {
    /// Chooses the first server: the one that has the session, or that the cookie names, or one by the group's `balance`.
    ///
    /// # Errors
    /// All servers have as many as they may, or the server that has the session is down.
    pub(super) fn choose(
        group: &Arc<Group>,
        facts: GroupFacts,
        now: Instant,
    ) -> Result<Self, ProxyError> {
        let choice = match remembered(group, &facts, now) {
            Some(choice) if choice.chosen_by() == ChosenBy::Sid && choice.is_down() => {
                return Err(ProxyError::SessionDown {
                    upstream: choice.server().authority(),
                });
            }
            Some(choice) => choice,
            None => {
                let input = facts.input(now);
                let choice = match facts.session {
                    Some(_) => group.choose_for_session(&input),
                    None => group.choose(&input),
                };
                choice.ok_or(ProxyError::NoServer)?
            }
        };
        Ok(Self {
            choice,
            facts,
            unconnected: 0,
            refused_by: 0,
            holds: false,
            is_doubtful: false,
            is_repeated: false,
            is_streamed: false,
        })
    }

    /// Why the server was chosen. The first one of those that are asked for a session was chosen to be asked.
    pub(super) fn chosen_by(&self) -> ChosenBy {
        match self.choice.chosen_by() {
            ChosenBy::Balance if self.facts.session.is_some() => ChosenBy::Asked,
            chosen_by => chosen_by,
        }
    }

    /// Whether it is not remembered which server has the request's session, so that one after the other may be asked.
    pub(super) fn asks_for_session(&self) -> bool {
        self.facts.session.is_some() && self.choice.chosen_by() != ChosenBy::Sid
    }

    /// How many more servers a request may be connected to, this one among them, if it is in vain.
    pub(super) fn connects_left(&self) -> usize {
        if self.choice.chosen_by() == ChosenBy::Sid {
            return 1;
        }
        let is_session = self.facts.session.is_some();
        let is_all_down = self.choice.group().is_all_down();
        let may_be_next = |member: &&Member| {
            let settings = member.settings();
            let takes = !settings.down && (is_session || !settings.drain);
            takes && (is_all_down || !member.state().is_down())
        };
        let others = self.choice.untried().filter(may_be_next).count();
        (1 + others).min(MOST_CONNECTS.saturating_sub(self.unconnected))
    }

    /// The server was not connected to. Nothing was sent, so that any request may go elsewhere, but for one whose session is there.
    pub(super) fn not_connected(&mut self, attempt: ConnectAttempt, blame: Blame) -> Next {
        if blame == Blame::Server {
            self.choice.failed(attempt);
        }
        self.unconnected += 1;
        self.is_doubtful = true;
        if self.unconnected >= MOST_CONNECTS || self.choice.chosen_by() == ChosenBy::Sid {
            return Next::Done;
        }
        let input = self.facts.input(attempt.ended);
        let is_another = match self.facts.session {
            Some(_) => self.choice.ask_another(&input),
            None => self.choice.elsewhere(&input),
        };
        if is_another {
            Next::Elsewhere
        } else {
            Next::Done
        }
    }

    /// Whether the body of an answer with this status may say that the session is unknown.
    pub(super) fn looks_into(&self, status: StatusCode) -> bool {
        self.facts.session.is_some() && status.is_client_error()
    }

    /// What becomes of the request after this.
    pub(super) fn after(&mut self, attempt: AttemptOutcome<'_>, now: Instant) -> Next {
        if let Some(session) = self.facts.session {
            let answer = self.session_answer(attempt);
            if answer == SessionAnswer::Known || self.is_streamed {
                self.remember(attempt, now);
                return Next::Done;
            }
            return self.ask_another(session, answer, now);
        }
        if self.is_for_another(attempt)
            && !self.is_repeated
            && !self.is_streamed
            && self.choice.elsewhere(&self.facts.input(now))
        {
            self.is_repeated = true;
            return Next::Elsewhere;
        }
        self.remember(attempt, now);
        Next::Done
    }

    /// Goes on to the next server that has not been asked for the session. Those that do not know it have done nothing, so that whatever
    /// the request is may be sent to all of them.
    fn ask_another(&mut self, session: SessionKey, answer: SessionAnswer, now: Instant) -> Next {
        let group = Arc::clone(self.choice.group());
        let affinity = group.state().affinity();
        let client = self.facts.client();
        let is_unclear = answer == SessionAnswer::Unclear;
        self.is_doubtful |= is_unclear;
        if self.refused_by == 0 && !affinity.may_ask(session, client, now) {
            return Next::Done;
        }
        self.refused_by += 1;
        let asks_on = self.refused_by < MOST_ASKED && self.unconnected < MOST_CONNECTS;
        if asks_on && self.choice.ask_another(&self.facts.input(now)) {
            if is_unclear && !self.holds {
                self.holds = true;
                return Next::Hold;
            }
            return Next::Elsewhere;
        }
        let members = group.members().iter();
        let askable = members.filter(|member| !member.settings().down);
        if self.refused_by >= askable.count() && !self.is_doubtful {
            affinity.refused_by_all(session, client, now);
        } else {
            affinity.asked_in_vain(client, now);
        }
        if self.holds { Next::Held } else { Next::Done }
    }

    /// What this says of the session. The word of the server that is remembered for it counts, whatever it is, but that the session is
    /// unknown.
    fn session_answer(&self, attempt: AttemptOutcome<'_>) -> SessionAnswer {
        let sessions = self.facts.sessions;
        match attempt {
            AttemptOutcome::Answered(status, Some(body))
            | AttemptOutcome::Refused(status, Some(body))
                if sessions.is_unknown(status, body) =>
            {
                SessionAnswer::Unknown
            }
            _ if self.choice.chosen_by() == ChosenBy::Sid => SessionAnswer::Known,
            AttemptOutcome::Switched => SessionAnswer::Known,
            AttemptOutcome::Answered(status, _) if status.is_success() => SessionAnswer::Known,
            _ => SessionAnswer::Unclear,
        }
    }

    /// Whether the server has done nothing, or cannot now, and another one may.
    fn is_for_another(&self, attempt: AttemptOutcome<'_>) -> bool {
        match (self.facts.kind, attempt) {
            (RepeatKind::Opening | RepeatKind::Get, AttemptOutcome::BrokeOff) => true,
            (
                RepeatKind::Opening,
                AttemptOutcome::Refused(status, _) | AttemptOutcome::Answered(status, _),
            ) => matches!(
                status,
                StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            _ => false,
        }
    }

    /// Remembers that the server has the session.
    fn remember(&self, attempt: AttemptOutcome<'_>, now: Instant) {
        // A 101 says nothing: socketioxide agrees to any upgrade, and closes the tunnels of sessions that it does not know.
        if let Some(session) = self.facts.session
            && let AttemptOutcome::Answered(status, _) = attempt
            && status.is_success()
            && self.facts.kind != RepeatKind::Options
        {
            let affinity = self.choice.group().state().affinity();
            affinity.accepted(session, self.choice.member().id(), now);
        }
    }

    /// The cookie that the answer to the client gets, by which it comes back to this server; `None` if it has that already.
    pub(super) fn cookie(&self) -> Option<HeaderValue> {
        if self.facts.kind == RepeatKind::Options {
            return None;
        }
        self.choice.set_cookie(self.facts.cookie.as_ref())
    }

    /// Where a session is remembered that the answer opens.
    pub(super) fn new_sessions(&self) -> Option<NewSessions> {
        let group = self.choice.group();
        group.settings().sticky.sid.then(|| NewSessions {
            group: Arc::clone(group),
            server: self.choice.member().id(),
        })
    }
}

/// The server that has the request's session, or that the client's cookie names.
fn remembered(group: &Arc<Group>, facts: &GroupFacts, now: Instant) -> Option<Choice> {
    if let Some(session) = facts.session
        && let Some(server) = group.state().affinity().find(session, now)
        && let Some(choice) = group.choose_member(server, ChosenBy::Sid)
    {
        return Some(choice);
    }
    let cookie = facts.cookie.as_ref()?;
    let member = group.member_of_cookie(cookie)?;
    // A new session would keep a server that is to become empty from ever being so, and go beyond what a full one may have.
    let most = member.settings().max_conns;
    let is_full = most.is_some_and(|most| member.state().open() >= most);
    if (member.settings().drain || is_full) && facts.kind == RepeatKind::Opening {
        return None;
    }
    let choice = group.choose_member(member.id(), ChosenBy::Cookie)?;
    (!choice.is_down()).then_some(choice)
}

/// Where a session is remembered that a server opens.
#[derive(Debug)]
pub(super) struct NewSessions {
    group: Arc<Group>,
    server: ServerId,
}

impl NewSessions {
    /// The server has opened this session.
    pub(super) fn remember(&self, opened: OpenedSession) {
        let affinity = self.group.state().affinity();
        affinity.learned(opened, self.server, Instant::now());
    }
}
