//! Requests through hyper: it reads their heads and writes their answers, and here it is driven from the first request that is left
//! to it to the end of the connection, or to a tunnel.

use std::cell::Cell;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1 as server;
use hyper::service::HttpService;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio::time::timeout;

use crate::headers::lists::has_member;
use crate::http1;
use crate::http1::NextHead;
use crate::http1::Respelled;
use crate::listener::Phase;
use crate::listener::closing::LINGER_IDLE;
use crate::listener::closing::linger;
use crate::listener::handover::Handover;
use crate::listener::head_deadline::HeadDeadline;
use crate::listener::phase::drain_begins;
use crate::listener::promised::PromisedTunnel;
use crate::proxy;
use crate::proxy::AnswerBody;
use crate::proxy::ClientConnection;
use crate::proxy::ReadyAnswer;
use crate::proxy::Switch;
use crate::stream::Stream;
use crate::tunnel::End;

/// The largest head of a request; more than nginx's 4 × 8 KiB, which long cookies are known to exceed.
const MAX_HEAD: usize = 64 * 1024;

/// What a client is told whose head did not come in time. It is written when the first head is late and hyper has read no request:
/// then nobody can take it for the answer to another request.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 53\r\n\
    Connection: close\r\n\r\n\
    wsgate: the head of the request did not come in time\n";

type Http<S> = server::Connection<TokioIo<Respelled>, S>;

/// Serves a connection through hyper, to its end or to a tunnel whose 101 is out.
pub(super) async fn drive(
    handover: Handover,
    connection: Rc<ClientConnection>,
    phase: watch::Receiver<Phase>,
) -> Option<PromisedTunnel> {
    let (stream, deadline, ready) = handover.into_parts();
    let mut builder = server::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(deadline.limit())
        .max_buf_size(MAX_HEAD)
        .max_headers(http1::MAX_LINES)
        .auto_date_header(false)
        .preserve_header_case(true)
        .title_case_headers(true);
    // An answer that is ready goes out at once, before what follows could make it the last one.
    let is_answered = ready.as_ref().is_some_and(|ready| !ready.is_switch());
    if is_answered && *phase.borrow() > Phase::Running {
        builder.keep_alive(false);
    }
    let requests = HyperRequests::new(connection, deadline, ready, phase.clone());
    let service = service_fn(|request| requests.answer(request));
    let stream = Respelled::new(stream, Rc::clone(&requests.next));
    let mut http = builder.serve_connection(TokioIo::new(stream), service);
    let ended = run(&mut http, &requests, phase.clone()).await;
    let server::Parts { io, read_buf, .. } = http.into_parts();
    let (stream, early) = io.into_inner().into_inner().unwind(read_buf);
    let client = End { stream, early };
    match (ended, requests.switch.take()) {
        (Some(HttpEnd::Hyper(Ok(()))), Some(switch)) => Some(PromisedTunnel { client, switch }),
        // The client left in the middle of an exchange, or the socket is broken.
        (Some(HttpEnd::Hyper(Err(error))), _) if error.is_incomplete_message() => None,
        // An answer broke off that an end in order would make whole.
        (Some(HttpEnd::Hyper(Err(error))), _)
            if error.is_user() && requests.ends_with_connection.get() =>
        {
            client.stream.break_off();
            None
        }
        // The process is over, in the middle of such an answer perhaps.
        (None, _) => {
            if requests.ends_with_connection.get() {
                client.stream.break_off();
            }
            None
        }
        (Some(ended), _) => {
            finish(client, ended, &requests, phase).await;
            None
        }
    }
}

/// What the requests of one connection leave behind for its end. Hyper asks for a response and nothing else, so that what becomes
/// of the connection behind the response is noted here, by its driver and for its driver.
struct HyperRequests {
    connection: Rc<ClientConnection>,
    /// Until when the first head must be there.
    deadline: HeadDeadline,
    phase: watch::Receiver<Phase>,
    turn: RefCell<RequestTurn>,
    /// Is told how the next answer is spelled.
    next: Rc<NextHead>,
    /// Only the end of the connection ends the answer that is under way.
    ends_with_connection: Cell<bool>,
    /// The tunnel that a 101 has promised.
    switch: Cell<Option<Box<Switch>>>,
    /// Hyper ends as if an upgrade had happened, though none has.
    refused_upgrade: Cell<bool>,
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
    fn new(
        connection: Rc<ClientConnection>,
        deadline: HeadDeadline,
        ready: Option<Box<ReadyAnswer>>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self {
            connection,
            deadline,
            phase,
            turn: RefCell::new(RequestTurn::First(ready)),
            next: Rc::default(),
            ends_with_connection: Cell::default(),
            switch: Cell::default(),
            refused_upgrade: Cell::default(),
            upgrading: Cell::default(),
            upgraded: Notify::default(),
        }
    }

    /// Hyper's service.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Infallible> {
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
        self.next.is_spelled(answered.spelling);
        let mut response = answered.response;
        match (answered.switch, upgrading) {
            (Some(switch), upgrading) => {
                self.switch.set(Some(switch));
                self.refused_upgrade.set(false);
                if let Some(upgrading) = upgrading {
                    upgrading.agreed();
                }
            }
            // Hyper closes the connection behind it and does not say so; outside of a drain the client finds out by itself.
            (None, _) if has_upgrade && *self.phase.borrow() > Phase::Running => {
                let close = HeaderValue::from_static("close");
                response.headers_mut().append(header::CONNECTION, close);
            }
            (None, _) => {}
        }
        Ok(response)
    }

    /// Whether hyper has read a head: until then no answer is under way.
    fn has_head(&self) -> bool {
        matches!(*self.turn.borrow(), RequestTurn::Later)
    }

    /// Waits until no request for a WebSocket is under way. One that was agreed to stays under way.
    async fn not_upgrading(&self) {
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

/// How hyper's part ends, but for the end of the process.
enum HttpEnd {
    /// As hyper says.
    Hyper(Result<(), hyper::Error>),
    /// The first head did not come in time.
    Late,
}

/// Drives hyper until it is done, its first head is late, or the process is over, which is `None`. In a drain the next answer is
/// the last.
async fn run<S>(
    http: &mut Http<S>,
    requests: &HyperRequests,
    mut phase: watch::Receiver<Phase>,
) -> Option<HttpEnd>
where
    S: HttpService<Incoming, ResBody = AnswerBody, Error = Infallible>,
{
    let connection = &requests.connection;
    let mut drain_phase = phase.clone();
    // Hyper's own limit begins at the handover, so that of the first head is kept here.
    let mut late = pin!(sleep_until(requests.deadline.until()));
    let (mut is_first, mut is_draining) = (true, false);
    loop {
        let last_answer = async {
            drain_begins(&mut drain_phase).await;
            // Hyper would write `close` into a 101.
            requests.not_upgrading().await;
        };
        tokio::select! {
            biased;
            outcome = poll_fn(|cx| {
                connection.poll_lease(cx);
                Pin::new(&mut *http).poll(cx)
            }) => {
                // Once it has seen an Upgrade, hyper ends as if one had happened: the end of an answer that a slow reader
                // has not taken is still in its buffer. Asked again, it writes that and closes.
                if outcome.is_ok() && requests.refused_upgrade.take() {
                    continue;
                }
                return Some(HttpEnd::Hyper(outcome));
            }
            () = &mut late, if is_first => {
                is_first = false;
                if !requests.has_head() {
                    return Some(HttpEnd::Late);
                }
            }
            () = last_answer, if !is_draining => {
                is_draining = true;
                Pin::new(&mut *http).graceful_shutdown();
            }
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {
                connection.cut();
                return None;
            }
        }
    }
}

/// Says what went wrong, to the log and to the client, and closes the connection.
async fn finish(
    client: End<Stream>,
    ended: HttpEnd,
    requests: &HyperRequests,
    phase: watch::Receiver<Phase>,
) {
    let End { mut stream, early } = client;
    let connection = &requests.connection;
    let is_late = match &ended {
        HttpEnd::Hyper(Err(error)) => error.is_timeout(),
        HttpEnd::Hyper(Ok(())) => false,
        HttpEnd::Late => true,
    };
    // An idle connection, of which there is nothing to read, has no line in the log.
    if is_late && !early.is_empty() {
        connection.late(requests.deadline.limit());
    }
    if let HttpEnd::Hyper(Err(error)) = &ended
        && error.is_parse()
    {
        connection.unreadable(error);
    }
    if !matches!(ended, HttpEnd::Hyper(Ok(()))) {
        // Hyper may have left the socket open: after an error, or since it was not driven to its end.
        let _ = timeout(LINGER_IDLE, async {
            if is_late && !requests.has_head() {
                stream.write_all(LATE).await?;
            }
            stream.shutdown().await
        })
        .await;
    }
    // The upstream connection that was kept goes now, and an answer that hyper never came to. The client is counted until it has
    // read its own.
    connection.end_lease();
    requests.turn.replace(RequestTurn::Later);
    drop(early);
    linger(stream, phase).await;
}
