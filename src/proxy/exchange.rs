//! One request and its answer over an upstream's connection: which connection, how long to wait, and what to make of the
//! head that comes back.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::response::Parts;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::headers::upgrade;
use crate::headers::upgrade::Asked;
use crate::observe::UpstreamAddr;
use crate::proxy::error::ProxyError;
use crate::proxy::report::Report;
use crate::proxy::request::RequestError;
use crate::proxy::request_body::RequestBody;
use crate::proxy::request_body::Upload;
use crate::proxy::response;
use crate::proxy::route::Route;
use crate::proxy::session::Kept;
use crate::proxy::session::Session;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::tunnel;
use crate::upstream;
use crate::upstream::Connected;
use crate::upstream::Connection;
use crate::upstream::SendError;

/// How a request ends well.
#[derive(Debug)]
pub(super) enum Answer {
    Own(Response<Bytes>),
    Upstream(Box<Parts>, Incoming, Kept),
    Switch(Box<Parts>, Stream, Bytes, tunnel::Limits),
}

/// Sends the request and judges the head of its answer.
pub(super) async fn exchange(
    session: &Session,
    request: Request<RequestBody>,
    asked: &Asked,
    route: &Arc<Route>,
    upload: &Rc<Upload>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    match asked {
        Asked::WebSocket(_) => {
            let connection = open(route, report).await?;
            send_and_judge(connection, request, asked, &Wait::Handshake, upload).await
        }
        Asked::Nothing => {
            let (response, connection) = ask(session, request, route, upload, report).await?;
            judge(response, asked, connection).await
        }
    }
}

/// Sends a request over this connection and no other, and judges the head of its answer.
async fn send_and_judge(
    connection: Kept,
    request: Request<RequestBody>,
    asked: &Asked,
    wait: &Wait,
    upload: &Rc<Upload>,
) -> Result<Answer, ProxyError> {
    let route = Arc::clone(&connection.route);
    let (response, connection) = send(connection, request, &route, wait, upload).await?;
    judge(response, asked, connection).await
}

/// An exchange that was begun without hyper, and goes on with it.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) parts: http::request::Parts,
    pub(super) asked: Asked,
    pub(super) upload: Upload,
    /// The upstream's socket, as if the request had not been sent yet.
    pub(super) stream: Rewound,
    pub(super) address: UpstreamAddr,
}

/// Lets hyper go on with an exchange. It is told of no body: all of the request is out, and whatever hyper wrote behind
/// its head could be taken for another request.
pub(super) async fn go_on(
    begun: Begun,
    route: &Arc<Route>,
    wait: &Wait,
) -> Result<Answer, ProxyError> {
    let connection = start(route, begun.stream, begun.address).await?;
    let upload = Rc::new(begun.upload);
    let body = RequestBody::new(None, Rc::clone(&upload));
    let request = Request::from_parts(begun.parts, body);
    send_and_judge(connection, request, &begun.asked, wait, &upload).await
}

/// What to make of the head of an answer.
async fn judge(
    response: Response<Incoming>,
    asked: &Asked,
    connection: Kept,
) -> Result<Answer, ProxyError> {
    let route = Arc::clone(&connection.route);
    let upstream = || route.upstream.pick().authority();
    let (mut head, incoming) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        upgrade::agreed(asked, &head.headers).map_err(|source| ProxyError::Disagreed {
            upstream: upstream(),
            source,
        })?;
        response::rewrite_switch(&mut head);
        let (stream, early) =
            connection
                .connection
                .switch()
                .await
                .ok_or_else(|| ProxyError::SwitchBroken {
                    upstream: upstream(),
                })?;
        return Ok(Answer::Switch(
            Box::new(head),
            stream,
            early,
            route.tunnel_limits,
        ));
    }
    response::check(&head.headers).map_err(|source| ProxyError::Answer {
        upstream: upstream(),
        source,
    })?;
    response::rewrite(&mut head);
    Ok(Answer::Upstream(Box::new(head), incoming, connection))
}

/// An ordinary request: over the kept connection if there is one, and again over a fresh one if that was just closing.
async fn ask(
    session: &Session,
    mut request: Request<RequestBody>,
    route: &Arc<Route>,
    upload: &Rc<Upload>,
    report: &mut Report,
) -> Result<(Response<Incoming>, Kept), ProxyError> {
    if let Some(kept) = session.kept(route).await {
        report.exchange.upstream_addr = Some(kept.connection.address().clone());
        // A GET without a body may be sent twice (RFC 9110 §9.2.2), anything else never.
        let again = if matches!(*request.method(), Method::GET | Method::HEAD) {
            copy(&request)
        } else {
            None
        };
        match try_send(kept, request, route, &Wait::Response, upload).await {
            Ok(answered) => return Ok(answered),
            Err(Failed::Unsent(unsent, _)) => request = *unsent,
            Err(Failed::Final(error)) if error.broke_off() => request = again.ok_or(error)?,
            Err(Failed::Final(error)) => return Err(error),
        }
    }
    let connection = open(route, report).await?;
    upload.touch();
    send(connection, request, route, &Wait::Response, upload).await
}

/// A request without a body once more, but for how its names were written: a second map would cost every poll.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn open(route: &Arc<Route>, report: &mut Report) -> Result<Kept, ProxyError> {
    let connected = connect(route, &[], report).await?;
    start(
        route,
        Rewound::untouched(connected.stream),
        connected.address,
    )
    .await
}

/// Connects to the route's upstream; see [`upstream::connect`] for `first`.
pub(super) async fn connect(
    route: &Arc<Route>,
    first: &[u8],
    report: &mut Report,
) -> Result<Connected, ProxyError> {
    let connected = upstream::connect(route.upstream.pick(), route.upstream_limits, first).await;
    let connected = connected.map_err(|error| {
        report.exchange.upstream_addr = error.address().cloned();
        ProxyError::Connect(error)
    })?;
    report.exchange.upstream_addr = Some(connected.address.clone());
    Ok(connected)
}

/// Begins to speak HTTP with an upstream through hyper.
pub(super) async fn start(
    route: &Arc<Route>,
    stream: Rewound,
    address: UpstreamAddr,
) -> Result<Kept, ProxyError> {
    let connection =
        Connection::start(stream, address)
            .await
            .map_err(|source| ProxyError::NoAnswer {
                upstream: route.upstream.pick().authority(),
                source,
            })?;
    Ok(Kept {
        route: Arc::clone(route),
        connection,
        upload: None,
    })
}

/// Why there is no head of an answer.
enum Failed {
    /// The request never went out, so that it may go out elsewhere.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    /// It may have been acted upon.
    Final(ProxyError),
}

/// Which limit the wait for a head obeys.
pub(super) enum Wait {
    Handshake,
    Response,
}

async fn send(
    kept: Kept,
    request: Request<RequestBody>,
    route: &Arc<Route>,
    wait: &Wait,
    upload: &Rc<Upload>,
) -> Result<(Response<Incoming>, Kept), ProxyError> {
    try_send(kept, request, route, wait, upload)
        .await
        .map_err(|failed| match failed {
            Failed::Final(error) => error,
            Failed::Unsent(_, source) => ProxyError::NoAnswer {
                upstream: route.upstream.pick().authority(),
                source,
            },
        })
}

async fn try_send(
    mut kept: Kept,
    request: Request<RequestBody>,
    route: &Arc<Route>,
    wait: &Wait,
    upload: &Rc<Upload>,
) -> Result<(Response<Incoming>, Kept), Failed> {
    let limit = match wait {
        Wait::Handshake => route.limits.handshake,
        Wait::Response => route.limits.response,
    };
    let answered = {
        let body = route.limits.body;
        let deadline = || upload.moved() + if upload.is_waiting() { body } else { limit };
        let mut sent = pin!(kept.connection.send(request));
        loop {
            // Nobody says when the client begins to be waited for; that wait is not over before this.
            let look = deadline().min(Instant::now() + body);
            tokio::select! {
                biased;
                answered = &mut sent => break answered,
                () = sleep_until(look) => {
                    // A body that is still moving has moved the deadline.
                    if deadline() <= Instant::now() {
                        return Err(Failed::Final(if upload.is_waiting() {
                            ProxyError::Request(RequestError::BodyTimeout(body))
                        } else {
                            timed_out(route, wait)
                        }));
                    }
                }
            }
        }
    };
    match answered {
        Ok(response) => {
            kept.upload = Some(Rc::clone(upload));
            Ok((response, kept))
        }
        Err(SendError::Unsent(request, source)) => Err(Failed::Unsent(request, source)),
        Err(SendError::Sent(_)) if upload.is_broken() => {
            Err(Failed::Final(ProxyError::Request(RequestError::Body)))
        }
        Err(SendError::Sent(source)) => Err(Failed::Final(ProxyError::NoAnswer {
            upstream: route.upstream.pick().authority(),
            source,
        })),
    }
}

/// There was no head in time.
pub(super) fn timed_out(route: &Route, wait: &Wait) -> ProxyError {
    let (limit, key) = match wait {
        Wait::Handshake => (route.limits.handshake, "handshake_timeout"),
        Wait::Response => (route.limits.response, "response_timeout"),
    };
    ProxyError::AnswerTimeout {
        upstream: route.upstream.pick().authority(),
        limit,
        key,
    }
}
