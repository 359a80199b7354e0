//! One client connection: TLS, then HTTP/1.1, then perhaps a tunnel.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::headers::forwarded::Scheme;
use crate::http1::MAX_LINES;
use crate::listener::Context;
use crate::listener::Door;
use crate::listener::Phase;
use crate::listener::admitted::admitted;
use crate::listener::announced::client_of;
use crate::listener::phase::drained;
use crate::listener::phase::leaving;
use crate::listener::whole;
use crate::listener::whole::Became;
use crate::proxy;
use crate::proxy::Client;
use crate::proxy::Session;
use crate::proxy::Switch;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::tls;
use crate::tls::HandshakeError;
use crate::tunnel::End;

/// The largest head of a request; more than nginx's 4 × 8 KiB, which long cookies are known to exceed.
const MAX_HEAD: usize = 64 * 1024;

/// nginx's `lingering_timeout` and `lingering_time`: how long a closed connection is read on, so that its client can read
/// the answer before a reset destroys it.
const LINGER_IDLE: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(30);

/// What a client is told whose head did not come in time, unless it asked something before through hyper, which may have an
/// answer left to write. Without that there is no other answer it could be taken for.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 53\r\n\
    Connection: close\r\n\r\n\
    wsgate: the head of the request did not come in time\n";

/// How long a head may take, and until when the next one must be there. Waiting for its first byte counts too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    limit: Duration,
    pub(super) until: Instant,
}

impl Patience {
    fn begin(limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self { limit, until }
    }

    /// For another head.
    pub(super) fn renew(&mut self) {
        *self = Self::begin(self.limit);
    }
}

/// Serves one connection until it ends or becomes a tunnel.
pub(super) async fn serve(
    mut tcp: TcpStream,
    peer: SocketAddr,
    door: Rc<Door>,
    context: Rc<Context>,
) -> Option<(End<Stream>, Switch)> {
    let mut address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let tls = door.tls();
    let limits = context.limits.get();
    if door.proxy_protocol() {
        address = Box::pin(client_of(&mut tcp, address, &context)).await?;
    }
    let share = admitted(address, &context).ok()?;
    let client = Client {
        address,
        scheme: if tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        },
        port: door.port(),
        redirect: door.redirect().get(),
    };
    let mut stream = match tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            // Boxed, like all that begins with the first byte: a connection pays for the step that it is in.
            match Box::pin(tls::accept(tcp, config, limits.tls_handshake)).await {
                Ok(tls) => Stream::Tls(tls),
                // Port scans and health checks look like this.
                Err(HandshakeError::Closed) => return None,
                Err(error) => {
                    tracing::info!(
                        remote_addr = client.address.to_string().as_str(),
                        reason = error.to_string().as_str(),
                        "no TLS handshake"
                    );
                    return None;
                }
            }
        }
    };
    let phase = context.phase.clone();
    // A silent connection owns no buffer. The runtime takes what was just accepted for readable, so it is the bytes that
    // are waited for.
    let patience = Patience::begin(limits.header);
    let first = tokio::select! {
        biased;
        first = timeout_at(patience.until, poll_fn(|cx| stream.poll_take(cx))) => match first {
            Ok(first) => first.ok()?,
            Err(_) => {
                let reason = format!("no byte within {:?} (`header_timeout`)", limits.header);
                tracing::info!(
                    remote_addr = client.address.to_string().as_str(),
                    reason = reason.as_str(),
                    "no request"
                );
                return None;
            }
        },
        () = leaving(phase.clone()) => return None,
    };
    if first.is_empty() {
        Box::pin(close(stream, phase)).await;
        return None;
    }
    let session = Session::new(context.handle.clone(), client, Rc::clone(door.redirect()));
    session.counts_as(share);
    let became = Box::pin(whole::serve(stream, first, &session, &phase, patience)).await;
    match became {
        Became::Tunnel(tunnel) => Some(*tunnel),
        Became::Http(stream, patience) => {
            Box::pin(speak_http(stream, session, patience, phase)).await
        }
        Became::Closing(stream) => {
            // The upstream connection that was kept goes now, not when the client has read its answer.
            // The client is counted until it has.
            let _share = session.take_share();
            drop(session);
            Box::pin(close(stream, phase)).await;
            None
        }
        Became::Over => None,
    }
}

/// Answers requests through hyper.
async fn speak_http(
    stream: Rewound,
    session: Session,
    patience: Patience,
    mut phase: watch::Receiver<Phase>,
) -> Option<(End<Stream>, Switch)> {
    // Whether a head has come whole: until then no answer is under way.
    let asked = Cell::new(false);
    let service = {
        let (session, asked) = (session.clone(), &asked);
        service_fn(move |request: Request<Incoming>| {
            asked.set(true);
            let session = session.clone();
            async move { Ok::<_, Infallible>(proxy::answer(session, request).await) }
        })
    };
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.limit)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_LINES)
        .auto_date_header(false)
        .preserve_header_case(true)
        .title_case_headers(true);
    // An answer that is ready goes out at once, before what follows could make it the last one.
    if *phase.borrow() > Phase::Running && session.is_answered() {
        builder.keep_alive(false);
    }
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);

    let mut draining = false;
    let mut leaving = phase.clone();
    // Hyper counts from when it was given the connection.
    let mut late = pin!(sleep_until(patience.until));
    let mut is_first = true;
    let outcome = loop {
        let last_answer = async {
            drained(&mut leaving).await;
            // Hyper would write `close` into a 101.
            session.not_upgrading().await;
        };
        tokio::select! {
            biased;
            outcome = poll_fn(|cx| {
                session.poll_kept(cx);
                std::pin::Pin::new(&mut connection).poll(cx)
            }) => {
                // Once it has seen an Upgrade, hyper ends as if one had happened: the end of an answer that a slow reader
                // has not taken is still in its buffer. Asked again, it writes that and closes.
                if outcome.is_ok() && session.take_refused_upgrade() {
                    continue;
                }
                break Some(outcome);
            }
            () = &mut late, if is_first => {
                is_first = false;
                if !asked.get() {
                    break None;
                }
            }
            () = last_answer, if !draining => {
                draining = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {
                session.cut();
                if session.is_unframed() {
                    let http1::Parts { io, read_buf, .. } = connection.into_parts();
                    io.into_inner().unwind(read_buf).0.break_off();
                }
                return None;
            }
        }
    };
    let http1::Parts {
        io,
        read_buf,
        service,
        ..
    } = connection.into_parts();
    let (mut stream, early) = io.into_inner().unwind(read_buf);
    match (outcome, session.take_switch()) {
        (Some(Ok(())), Some(switch)) => Some((End { stream, early }, switch)),
        // The client left in the middle of an exchange, or the socket is broken.
        (Some(Err(error)), _) if error.is_incomplete_message() => None,
        // An answer broke off that an end in order would make whole.
        (Some(Err(error)), _) if error.is_user() && session.is_unframed() => {
            stream.break_off();
            None
        }
        (outcome, _) => {
            let is_late = match &outcome {
                Some(Ok(())) => false,
                Some(Err(error)) => error.is_timeout(),
                None => true,
            };
            // Nobody is refused whose connection was idle.
            if is_late && !early.is_empty() {
                session.late(patience.limit);
            }
            if let Some(Err(error)) = &outcome
                && error.is_parse()
            {
                session.unreadable(error);
            }
            if !matches!(outcome, Some(Ok(()))) {
                // Hyper does not close after an error that is no client's.
                let _ = timeout(LINGER_IDLE, async {
                    if is_late && !asked.get() {
                        stream.write_all(LATE).await?;
                    }
                    stream.shutdown().await
                })
                .await;
            }
            // The upstream connection that was kept goes now, not when the client has read its answer.
            // The client is counted until it has.
            let _share = session.take_share();
            drop((session, service, early));
            linger(stream, phase).await;
            None
        }
    }
}

/// Ends a connection in order.
async fn close(mut stream: Stream, phase: watch::Receiver<Phase>) {
    let _ = timeout(LINGER_IDLE, stream.shutdown()).await;
    linger(stream, phase).await;
}

/// Reads on for a while behind our end, so that the client can read what was written before a reset destroys it.
async fn linger(mut stream: Stream, phase: watch::Receiver<Phase>) {
    let read_on = async {
        let mut rubbish = [0; 512];
        while let Ok(Ok(1..)) = timeout(LINGER_IDLE, stream.read(&mut rubbish)).await {}
    };
    tokio::select! {
        _ = timeout(LINGER, read_on) => {}
        () = leaving(phase) => {}
    }
}
