//! Requests through hyper: it reads their heads and writes their answers, and here it is driven from the first request that is left
//! to it to the end of the connection, or to a tunnel.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1 as server;
use hyper::service::HttpService;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio::time::timeout;

use crate::http1;
use crate::listener::Phase;
use crate::listener::between_requests::next_request;
use crate::listener::client_socket::ClientSocket;
use crate::listener::client_socket::CountedBody;
use crate::listener::closing::LINGER_IDLE;
use crate::listener::closing::close;
use crate::listener::closing::linger;
use crate::listener::handover::Handover;
use crate::listener::hyper_requests::HyperRequests;
use crate::listener::phase::drain_begins;
use crate::listener::presence::Presence;
use crate::listener::promised::PromisedTunnel;
use crate::proxy::AnswerBody;
use crate::proxy::ClientConnection;
use crate::stream::Stream;
use crate::tunnel::End;

/// The largest head of a request; more than nginx's 4 × 8 KiB, which long cookies are known to exceed.
const MAX_HEAD: usize = 64 * 1024;

/// What a client is told whose head did not come in time. It is written when hyper has read no request and nothing is left of an
/// answer: then nobody can take it for the answer to another request.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 53\r\n\
    Connection: close\r\n\r\n\
    wsgate: the head of the request did not come in time\n";

type Http<S> = server::Connection<TokioIo<ClientSocket>, S>;

/// Serves a connection through hyper, to its end or to a tunnel whose 101 is out.
///
/// Hyper lives for as long as there are requests: between two of them it is taken apart, so that an idle connection has none of its
/// buffers, and begins anew with the first byte of the next head.
pub(super) async fn drive(
    mut handover: Handover,
    connection: Rc<ClientConnection>,
    phase: watch::Receiver<Phase>,
) -> Option<PromisedTunnel> {
    loop {
        let mut deadline = handover.deadline();
        // Boxed, so that an idle connection does not carry the room for it.
        let requests = Box::pin(serve_requests(handover, &connection, &phase));
        let End {
            mut stream,
            early: mut read,
        } = match requests.await {
            Served::Idle(client) => client,
            Served::Tunnel(tunnel) => return Some(tunnel),
            Served::Over => return None,
        };
        if read.is_empty() {
            let mut draining = phase.clone();
            let draining = pin!(drain_begins(&mut draining));
            let late = pin!(sleep_until(deadline.idle_until()));
            match next_request(&mut stream, &connection, draining, late).await {
                Some(Ok(next)) if !next.is_empty() => read = next,
                Some(Err(_)) => return None,
                Some(Ok(_)) | None => {
                    connection.end_lease();
                    close(stream, phase).await;
                    return None;
                }
            }
        }
        deadline.renew();
        handover = Handover::undecided(stream, read, deadline);
    }
}

/// What the requests of a connection leave behind that hyper has served.
enum Served {
    /// A connection that is idle; a part of the next head may have come.
    Idle(End<Stream>),
    /// A tunnel whose 101 is out.
    Tunnel(PromisedTunnel),
    /// Nothing.
    Over,
}

/// Serves requests for as long as one follows the other without a pause.
async fn serve_requests(
    handover: Handover,
    connection: &Rc<ClientConnection>,
    phase: &watch::Receiver<Phase>,
) -> Served {
    // An answer that is ready goes out at once, before what follows could make it the last one.
    let is_answered = handover.has_answer();
    let requests = HyperRequests::new(Rc::clone(connection), handover, phase.clone());
    let mut builder = server::Builder::new();
    builder
        .timer(requests.timer.clone())
        // Whether a client has left that sends no more is not hyper's to say: see `Presence`.
        .half_close(true)
        .header_read_timeout(requests.deadline.limit())
        .max_buf_size(MAX_HEAD)
        .max_headers(http1::MAX_LINES)
        .auto_date_header(false)
        .preserve_header_case(true)
        .title_case_headers(true);
    if is_answered && *phase.borrow() > Phase::Running {
        builder.keep_alive(false);
    }
    let socket = TokioIo::new(requests.socket.clone());
    let service = service_fn(|request| requests.answer(request));
    let mut http = builder.serve_connection(socket, service);
    let ended = run(&mut http, &requests, phase.clone()).await;
    let server::Parts { io, read_buf, .. } = http.into_parts();
    let Some((stream, early)) = io.into_inner().unwind(read_buf) else {
        return Served::Over;
    };
    let client = End { stream, early };
    match (ended, requests.switch.take()) {
        (Some(HttpEnd::Idle), _) => Served::Idle(client),
        (Some(HttpEnd::Hyper(Ok(()))), Some(switch)) => {
            Served::Tunnel(PromisedTunnel { client, switch })
        }
        // The client left in the middle of a request, or the socket is broken.
        (Some(HttpEnd::Hyper(Err(error))), _) if error.is_incomplete_message() => Served::Over,
        // An answer broke off that an end in order would make whole.
        (Some(HttpEnd::Hyper(Err(error))), _)
            if error.is_user() && requests.ends_with_connection.get() =>
        {
            client.stream.break_off();
            Served::Over
        }
        // The client left or the process is over, in the middle of such an answer perhaps.
        (Some(HttpEnd::ClientLeft) | None, _) => {
            if requests.ends_with_connection.get() {
                client.stream.break_off();
            }
            Served::Over
        }
        (Some(ended), _) => {
            finish(client, ended, &requests, phase.clone()).await;
            Served::Over
        }
    }
}

/// How hyper's part ends, but for the end of the process.
enum HttpEnd {
    /// As hyper says.
    Hyper(Result<(), hyper::Error>),
    /// Between two requests.
    Idle,
    /// The client left before its answer was over.
    ClientLeft,
    /// The first head did not come in time.
    Late,
}

/// Drives hyper until it is done, it has answered everything, its first head is late, or the process is over, which is `None`. In a
/// drain the next answer is the last.
async fn run<S>(
    http: &mut Http<S>,
    requests: &HyperRequests,
    mut phase: watch::Receiver<Phase>,
) -> Option<HttpEnd>
where
    S: HttpService<Incoming, ResBody = CountedBody<AnswerBody>, Error = Infallible>,
{
    let connection = &requests.connection;
    let (mut socket, mut presence) = (requests.socket.clone(), Presence::default());
    let mut drain_phase = phase.clone();
    // A later head is one that had come as a whole before the answer to the one before it was out: anything else ends in being idle.
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
                match Pin::new(&mut *http).poll(cx) {
                    Poll::Pending if requests.are_over() => Poll::Ready(HttpEnd::Idle),
                    Poll::Pending if requests.is_answering() => presence
                        .poll_left(cx, &mut socket, connection)
                        .map(|()| HttpEnd::ClientLeft),
                    outcome => outcome.map(HttpEnd::Hyper),
                }
            }) => {
                // Once it has seen an Upgrade, hyper ends as if one had happened: the end of an answer that a slow reader
                // has not taken is still in its buffer. Asked again, it writes that and closes.
                if matches!(outcome, HttpEnd::Hyper(Ok(()))) && requests.refused_upgrade.take() {
                    continue;
                }
                return Some(outcome);
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
    let mut own_words = None;
    if matches!(ended, HttpEnd::Late) {
        connection.late(requests.deadline.limit());
        own_words = Some(Bytes::from_static(LATE));
    }
    if let HttpEnd::Hyper(Err(error)) = &ended
        && error.is_parse()
    {
        let told = connection.unreadable(error, &requests.socket.beginning());
        // To HTTP/2 hyper says nothing.
        let is_silent = requests.socket.is_silent() && error.is_parse_version_h2();
        own_words = (requests.socket.has_refused() || is_silent).then_some(told);
    }
    if !matches!(ended, HttpEnd::Hyper(Ok(()))) {
        // Hyper may have left the socket open: after an error, or since it was not driven to its end.
        let _ = timeout(LINGER_IDLE, async {
            if let Some(words) = own_words {
                stream.write_all(&words).await?;
            }
            stream.shutdown().await
        })
        .await;
    }
    // The upstream connection that was kept goes now, and an answer that hyper never came to. The client is counted until it has
    // read its own.
    connection.end_lease();
    requests.end();
    drop(early);
    linger(stream, phase).await;
}
