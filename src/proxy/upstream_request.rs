//! A request to an upstream on its way: what it asks for, by which its answer is judged, and where it goes.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::request;

use crate::affinity::SessionNeed;
use crate::answer_fields::AnswerChanges;
use crate::decision::response;
use crate::headers::upgrade;
use crate::headers::upgrade::Asked;
use crate::proxy::error::ProxyError;
use crate::proxy::group_request::AttemptOutcome;
use crate::proxy::group_request::GroupRequest;
use crate::proxy::group_request::NewSessions;
use crate::proxy::group_request::Next;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::route::Hop;
use crate::upstream::Server;

/// A request to an upstream: what it asks for, by which its answer is judged, and where it goes.
#[derive(Debug)]
pub(super) struct UpstreamRequest {
    pub(super) asked: Asked,
    pub(super) hop: Hop,
    /// What decides about the hop's server, if its route has a group of them. Boxed, since most routes have one server.
    pub(super) in_group: Option<Box<GroupRequest>>,
    /// By which session the connection is chosen that it goes over.
    pub(super) session: SessionNeed,
    /// Whether the server may hold it back until there is something to say to its client: a poll of a session. A client that ends
    /// such a request has left.
    pub(super) is_poll: bool,
}

impl UpstreamRequest {
    /// The same request, which goes to the server that is its group's choice now.
    pub(super) fn follow_choice(&mut self) {
        if let Some(in_group) = &self.in_group {
            self.hop.server = Arc::clone(in_group.choice.server());
        }
    }

    /// What becomes of the request after this attempt, at a group.
    pub(super) fn after(&mut self, attempt: AttemptOutcome<'_>, report: &mut Report) -> Next {
        let Some(in_group) = &mut self.in_group else {
            return Next::Done;
        };
        let next = in_group.after(attempt, Instant::now());
        report.goes_in_group(in_group.chosen_by().word());
        match next {
            Next::Elsewhere | Next::Hold => self.follow_choice(),
            Next::Done | Next::Held => report.counts_at_server(in_group.choice.take_open()),
        }
        next
    }

    /// Whether it is not known which server has the session of the request, so that one after the other may be asked.
    pub(super) fn asks_for_session(&self) -> bool {
        let in_group = self.in_group.as_ref();
        in_group.is_some_and(|in_group| in_group.asks_for_session())
    }

    /// The body of the request is sent as it comes, so that the request cannot go to another server after this one.
    pub(super) fn goes_once(&mut self) {
        if let Some(in_group) = &mut self.in_group {
            in_group.is_streamed = true;
        }
    }

    /// Where a session is remembered that the answer opens, if it has this status.
    pub(super) fn new_sessions(&self, status: StatusCode) -> Option<Box<NewSessions>> {
        let in_group = self.in_group.as_ref()?;
        let opens = status.is_success() && matches!(self.session, SessionNeed::New(_));
        in_group.new_sessions().filter(|_| opens).map(Box::new)
    }

    /// The head of the request, for its last use, unless it may go to another server.
    pub(super) fn last_use_of(&self, head: &mut request::Parts) -> request::Parts {
        if self.in_group.is_some() {
            return head.clone();
        }
        std::mem::replace(head, Request::new(()).into_parts().0)
    }

    /// The cookie that a 101 gets, by which its client comes back to this server.
    pub(super) fn cookie(&self) -> Option<HeaderValue> {
        self.in_group.as_ref()?.cookie()
    }

    /// Puts the cookie among what is changed in the answer, by which its client comes back to this server.
    pub(super) fn set_cookie(&self, changes: Option<&mut AnswerChanges>) {
        if let (Some(changes), Some(cookie)) = (changes, self.cookie()) {
            changes.set_cookie(cookie);
        }
    }

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

/// What came of a request at one server, while the others are asked.
#[derive(Debug)]
pub(super) struct HeldOutcome<T>(Option<(Arc<Server>, T)>);

impl<T> Default for HeldOutcome<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> HeldOutcome<T> {
    /// What is passed on now, after this came of the request at this server: that, what was held, or nothing yet, since the request goes on.
    pub(super) fn settle(
        &mut self,
        next: Next,
        server: Arc<Server>,
        outcome: T,
        to: &mut UpstreamRequest,
    ) -> Option<T> {
        match next {
            Next::Done => return Some(outcome),
            Next::Elsewhere => {}
            Next::Hold => self.0 = Some((server, outcome)),
            Next::Held => {
                let Some((server, held)) = self.0.take() else {
                    return Some(outcome);
                };
                to.hop.server = server;
                return Some(held);
            }
        }
        None
    }
}
