//! Requests through hyper: it reads their heads and writes their answers, and here it is driven from the first request that is left
//! to it to the end of the connection, or to a tunnel.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

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

use crate::http1;
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
use crate::stream::Rewound;
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

type Http<S> = server::Connection<TokioIo<Rewound>, S>;

/// Serves a connection through hyper, to its end or to a tunnel whose 101 is out.
pub(super) async fn drive(
    handover: Handover,
    connection: Rc<ClientConnection>,
    phase: watch::Receiver<Phase>,
) -> Option<PromisedTunnel> {
    let Handover {
        stream,
        deadline,
        ready,
    } = handover;
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
    let requests = HyperRequests::new(connection, deadline, ready);
    let service = service_fn(|request| requests.answer(request));
    let mut http = builder.serve_connection(TokioIo::new(stream), service);
    let ended = run(&mut http, &requests, phase.clone()).await;
    let server::Parts { io, read_buf, .. } = http.into_parts();
    let (stream, early) = io.into_inner().unwind(read_buf);
    let client = End { stream, early };
    match (ended, requests.switch.take()) {
        (DriverEnd::Hyper(Ok(())), Some(switch)) => Some(PromisedTunnel { client, switch }),
        // The client left in the middle of an exchange, or the socket is broken.
        (DriverEnd::Hyper(Err(error)), _) if error.is_incomplete_message() => None,
        // An answer broke off that an end in order would make whole.
        (DriverEnd::Hyper(Err(error)), _) if error.is_user() && requests.ends_with_connection() => {
            client.stream.break_off();
            None
        }
        (DriverEnd::ProcessOver, _) => {
            if requests.ends_with_connection() {
                client.stream.break_off();
            }
            None
        }
        (ended, _) => {
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
    /// The answer to the first request that hyper reads, whose very bytes the socket begins with.
    ready: Cell<Option<ReadyAnswer>>,
    /// A head has come whole.
    has_head: Cell<bool>,
    /// Only the end of the connection ends the answer that is under way.
    ends_with_connection: Cell<bool>,
    /// The tunnel that a 101 has promised.
    switch: Cell<Option<Box<Switch>>>,
    /// A request had an Upgrade line or was a CONNECT, which makes hyper end as if an upgrade had happened.
    has_upgrade: Cell<bool>,
    /// Requests with an Upgrade line that are under way.
    upgrading: Cell<usize>,
    upgraded: Notify,
}

impl HyperRequests {
    fn new(
        connection: Rc<ClientConnection>,
        deadline: HeadDeadline,
        ready: Option<ReadyAnswer>,
    ) -> Self {
        Self {
            connection,
            deadline,
            ready: Cell::new(ready),
            has_head: Cell::default(),
            ends_with_connection: Cell::default(),
            switch: Cell::default(),
            has_upgrade: Cell::default(),
            upgrading: Cell::default(),
            upgraded: Notify::default(),
        }
    }

    /// Hyper's service.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Infallible> {
        self.has_head.set(true);
        let under_way = asks_upgrade(&request).then(|| UpgradeUnderWay::begin(self));
        let connection = Rc::clone(&self.connection);
        let answered = match self.ready.take() {
            Some(ready) => proxy::answer_ready(connection, request, ready).await,
            None => proxy::answer(connection, request).await,
        };
        self.ends_with_connection.set(answered.ends_with_connection);
        if let Some(switch) = answered.switch {
            self.switch.set(Some(switch));
            if let Some(under_way) = under_way {
                under_way.agreed();
            }
        }
        Ok(answered.response)
    }

    /// Waits until no request that asks for an upgrade is under way. One that was agreed to stays under way.
    async fn not_upgrading(&self) {
        while self.upgrading.get() > 0 {
            self.upgraded.notified().await;
        }
    }

    /// Whether a request asked for an upgrade and nothing came of it; once.
    fn take_refused_upgrade(&self) -> bool {
        let switch = self.switch.take();
        let is_refused = switch.is_none() && self.has_upgrade.take();
        self.switch.set(switch);
        is_refused
    }

    fn ends_with_connection(&self) -> bool {
        self.ends_with_connection.get()
    }
}

fn asks_upgrade(request: &Request<Incoming>) -> bool {
    request.headers().contains_key(header::UPGRADE) || request.method() == Method::CONNECT
}

/// A request with an Upgrade line without its answer.
struct UpgradeUnderWay<'e>(&'e HyperRequests);

impl<'e> UpgradeUnderWay<'e> {
    fn begin(requests: &'e HyperRequests) -> Self {
        requests.has_upgrade.set(true);
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

/// How hyper's part ends.
enum DriverEnd {
    /// As hyper says.
    Hyper(Result<(), hyper::Error>),
    /// The first head did not come in time.
    Late,
    /// The process ends what is under way.
    ProcessOver,
}

/// Drives hyper until it is done, its first head is late, or the process is over. In a drain the next answer is the last.
async fn run<S>(
    http: &mut Http<S>,
    requests: &HyperRequests,
    mut phase: watch::Receiver<Phase>,
) -> DriverEnd
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
                if outcome.is_ok() && requests.take_refused_upgrade() {
                    continue;
                }
                return DriverEnd::Hyper(outcome);
            }
            () = &mut late, if is_first => {
                is_first = false;
                if !requests.has_head.get() {
                    return DriverEnd::Late;
                }
            }
            () = last_answer, if !is_draining => {
                is_draining = true;
                Pin::new(&mut *http).graceful_shutdown();
            }
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {
                connection.cut();
                return DriverEnd::ProcessOver;
            }
        }
    }
}

/// Says what went wrong, to the log and to the client, and closes the connection.
async fn finish(
    client: End<Stream>,
    ended: DriverEnd,
    requests: &HyperRequests,
    phase: watch::Receiver<Phase>,
) {
    let End { mut stream, early } = client;
    let connection = &requests.connection;
    let is_late = match &ended {
        DriverEnd::Hyper(Err(error)) => error.is_timeout(),
        DriverEnd::Hyper(Ok(())) | DriverEnd::ProcessOver => false,
        DriverEnd::Late => true,
    };
    // An idle connection, of which there is nothing to read, has no line in the log.
    if is_late && !early.is_empty() {
        connection.late(requests.deadline.limit());
    }
    if let DriverEnd::Hyper(Err(error)) = &ended
        && error.is_parse()
    {
        connection.unreadable(error);
    }
    if !matches!(ended, DriverEnd::Hyper(Ok(()))) {
        // Hyper may have left the socket open: after an error, or since it was not driven to its end.
        let _ = timeout(LINGER_IDLE, async {
            if is_late && !requests.has_head.get() {
                stream.write_all(LATE).await?;
            }
            stream.shutdown().await
        })
        .await;
    }
    // The upstream connection that was kept goes now, not when the client has read its answer. The client is counted until it
    // has: the permit is taken out, so that it ends with this function, whoever else still holds the connection.
    let _permit = connection.take_permit();
    connection.end_lease();
    drop(early);
    linger(stream, phase).await;
}
