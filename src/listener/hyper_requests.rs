//! The requests that hyper reads from one connection, and what they leave behind for its end.

use std::cell::Cell;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::headers::lists::has_member;
use crate::listener::Phase;
use crate::listener::client_socket::ClientSocket;
use crate::listener::client_socket::CountedBody;
use crate::listener::handover::Handover;
use crate::listener::head_deadline::HeadDeadline;
use crate::listener::head_timer::HeadTimer;
use crate::proxy;
use crate::proxy::AnswerBody;
use crate::proxy::ClientConnection;
use crate::proxy::ReadyAnswer;
use crate::proxy::Switch;

/// What the requests of one connection leave behind for its end. Hyper asks for a response and nothing else, so that what becomes
/// of the connection behind the response is noted here, by its driver and for its driver.
pub(super) struct HyperRequests {
    pub(super) connection: Rc<ClientConnection>,
    /// The socket that hyper has.
    pub(super) socket: ClientSocket,
    /// Knows whether hyper waits for a request.
    pub(super) timer: HeadTimer,
    /// Until when the first head must be there.
    pub(super) deadline: HeadDeadline,
    phase: watch::Receiver<Phase>,
    turn: RefCell<RequestTurn>,
    /// Only the end of the connection ends the answer that is under way.
    pub(super) ends_with_connection: Cell<bool>,
    /// The tunnel that a 101 has promised.
    pub(super) switch: Cell<Option<Box<Switch>>>,
    /// Hyper ends as if an upgrade had happened, though none has.
    pub(super) refused_upgrade: Cell<bool>,
    /// Requests for a WebSocket that are under way.
    upgrading: Cell<usize>,
    upgraded: Notify,
}

/// Which request hyper reads next.
enum RequestTurn {
    /// The one with which the socket began, whose answer may be ready.
    First(Option<Box<ReadyAnswer>>),
    /// Another one, about which nothing is decided.
    Later,
}

impl HyperRequests {
    pub(super) fn new(
        connection: Rc<ClientConnection>,
        handover: Handover,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let (stream, deadline, ready) = handover.into_parts();
        Self {
            connection,
            socket: ClientSocket::new(stream),
            timer: HeadTimer::default(),
            deadline,
            phase,
            turn: RefCell::new(RequestTurn::First(ready)),
            ends_with_connection: Cell::default(),
            switch: Cell::default(),
            refused_upgrade: Cell::default(),
            upgrading: Cell::default(),
            upgraded: Notify::default(),
        }
    }

    /// Hyper's service.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<CountedBody<AnswerBody>>, Infallible> {
        let under_way = self.socket.answer();
        let turn = self.turn.replace(RequestTurn::Later);
        let has_upgrade =
            request.headers().contains_key(header::UPGRADE) || request.method() == Method::CONNECT;
        if has_upgrade {
            self.refused_upgrade.set(true);
        }
        let upgrading = has_member(request.headers(), header::UPGRADE, "websocket")
            .then(|| UpgradeUnderWay::begin(self));
        let connection = Rc::clone(&self.connection);
        let answered = match turn {
            RequestTurn::First(Some(ready)) => {
                proxy::answer_ready(connection, request, *ready).await
            }
            RequestTurn::First(None) | RequestTurn::Later => {
                proxy::answer(connection, request).await
            }
        };
        self.ends_with_connection.set(answered.ends_with_connection);
        self.socket.next_head().is_spelled(answered.spelling);
        let mut response = answered.response;
        match (answered.switch, upgrading) {
            (Some(switch), upgrading) => {
                self.switch.set(Some(switch));
                self.refused_upgrade.set(false);
                if let Some(upgrading) = upgrading {
                    upgrading.agreed();
                }
            }
            (None, _) if self.must_say_close(has_upgrade) => {
                let close = HeaderValue::from_static("close");
                response.headers_mut().append(header::CONNECTION, close);
            }
            (None, _) => {}
        }
        Ok(response.map(|body| under_way.with(body)))
    }

    /// Whether a request was read whose answer is not out.
    pub(super) fn is_answering(&self) -> bool {
        !self.socket.is_silent()
    }

    /// Whether the client has to be told that this answer, which is no 101, is the last one, and hyper would not. In a drain it does,
    /// but not behind an Upgrade, although it closes; outside of a drain the client finds out about that by itself.
    fn must_say_close(&self, has_upgrade: bool) -> bool {
        match *self.phase.borrow() {
            Phase::Running => !self.deadline.keeps_alive(),
            Phase::Draining | Phase::Over => has_upgrade,
        }
    }

    /// Drops the answer that was ready, if hyper never came to it.
    pub(super) fn end(&self) {
        self.turn.replace(RequestTurn::Later);
    }

    /// Whether hyper has read a head: until then no answer is under way.
    pub(super) fn has_head(&self) -> bool {
        matches!(*self.turn.borrow(), RequestTurn::Later)
    }

    /// Whether hyper has answered all it has read, and waits for another request.
    pub(super) fn are_over(&self) -> bool {
        self.has_head() && self.timer.is_waited_for() && self.socket.next_head().is_flushed()
    }

    /// Waits until no request for a WebSocket is under way. One that was agreed to stays under way.
    pub(super) async fn not_upgrading(&self) {
        while self.upgrading.get() > 0 {
            self.upgraded.notified().await;
        }
    }
}

/// A request for a WebSocket without its answer.
struct UpgradeUnderWay<'e>(&'e HyperRequests);

impl<'e> UpgradeUnderWay<'e> {
    fn begin(requests: &'e HyperRequests) -> Self {
        requests.upgrading.set(requests.upgrading.get() + 1);
        Self(requests)
    }

    /// HTTP ends here, and what a drain would do to it must not happen any more: the request stays under way.
    fn agreed(self) {
        std::mem::forget(self);
    }
}

impl Drop for UpgradeUnderWay<'_> {
    fn drop(&mut self) {
        self.0.upgrading.set(self.0.upgrading.get() - 1);
        self.0.upgraded.notify_waiters();
    }
}
