//! One request, start to end: checked, routed, sent to its upstream, and answered.
//!
//! [`answer`] is the whole path. What may be passed on is decided in [`request`] and [`response`], which are pure; the
//! connection an upstream is asked over belongs to the client's [`Session`]. Not here: sockets of clients, TLS, and what
//! a tunnel does with its bytes.

mod body;
mod error;
mod report;
mod request;
mod response;
mod session;
mod switch;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::uri::PathAndQuery;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::headers::upgrade;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::observe::Exchange;
use crate::observe::Observer;
use crate::observe::Reason;
use crate::observe::shown_request;
use crate::proxy::body::AnswerBody;
use crate::proxy::body::Progress;
use crate::proxy::body::RequestBody;
use crate::proxy::error::ProxyError;
use crate::proxy::report::Report;
use crate::proxy::request::Framing;
use crate::proxy::request::RequestError;
use crate::proxy::session::Kept;
use crate::routing;
use crate::routing::Found;
use crate::routing::Location;
use crate::routing::Router;
use crate::routing::Target;
use crate::stream::Stream;
use crate::tunnel;
use crate::upstream;
use crate::upstream::ConnectError;
use crate::upstream::Connection;
use crate::upstream::SendError;
use crate::upstream::Upstream;

pub use crate::proxy::session::Client;
pub use crate::proxy::session::Session;
pub use crate::proxy::switch::Switch;

/// What a request obeys while it waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest wait for the head of an answer to an upgrade request.
    pub handshake: Duration,
    /// Longest wait for the head of an answer to any other request, counted from the last byte of its body.
    pub response: Duration,
}

/// What a location leads to.
#[derive(Debug)]
pub struct Route {
    /// As written, for the log and for nginx's replacement rule.
    pub location: Location,
    /// Where it is written: `routes.yaml:9`.
    pub place: String,
    /// Who answers.
    pub upstream: Upstream,
    /// See [`Limits`].
    pub limits: Limits,
    /// See [`upstream::Limits`].
    pub upstream_limits: upstream::Limits,
    /// See [`tunnel::Limits`].
    pub tunnel_limits: tunnel::Limits,
}

/// Everything that decides about a request.
#[derive(Debug)]
pub struct Proxy {
    /// Finds the route of a path.
    pub router: Router<Arc<Route>>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
}

/// Answers one request. Never fails: what goes wrong is an answer too.
///
/// A 101 leaves a [`Switch`] in the session; whoever wrote the 101 to the client begins the tunnel.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn answer(session: Session, request: Request<Incoming>) -> Response<AnswerBody> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("", PathAndQuery::as_str);
    let mut report = Report::new(
        Exchange {
            remote_addr: session.client.address,
            request: shown_request(request.method(), target, request.version()),
            upstream_addr: None,
            location: None,
            route: None,
        },
        Arc::clone(&session.proxy.observer),
    );
    report.reason = Some(Reason::Client(
        "the client left before the answer".to_owned(),
    ));
    match forward(&session, request, &mut report).await {
        Ok(Answer::Own(response)) => {
            let (mut head, text) = response.into_parts();
            report.status = Some(head.status);
            report.reason = None;
            head.headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Response::from_parts(head, AnswerBody::own(text, Some(report)))
        }
        Ok(Answer::Upstream(head, incoming, connection)) => {
            report.status = Some(head.status);
            report.reason = None;
            Response::from_parts(
                *head,
                AnswerBody::upstream(incoming, connection, session.keep.clone(), report),
            )
        }
        Ok(Answer::Switch(head, stream, early, limits)) => {
            report.status = Some(head.status);
            *session.switch.borrow_mut() = Some(Switch::new(stream, early, limits, report));
            Response::from_parts(*head, AnswerBody::own(Bytes::new(), None))
        }
        Err(error) => {
            report.status = Some(error.status());
            report.reason = Some(error.reason());
            refusal(&error, report)
        }
    }
}

/// How a request ends well.
enum Answer {
    Own(Response<Bytes>),
    Upstream(Box<http::response::Parts>, Incoming, Kept),
    Switch(Box<http::response::Parts>, Stream, Bytes, tunnel::Limits),
}

async fn forward(
    session: &Session,
    request: Request<Incoming>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    let (mut head, body) = request.into_parts();
    let has_body = if body.is_end_stream() {
        Body::None
    } else {
        Body::Some
    };
    let checked = request::check(&head, has_body).map_err(ProxyError::Request)?;
    let asked = checked.asked;

    let (route, uri) = {
        let target = Target::parse(checked.target.as_str())
            .map_err(|error| ProxyError::Request(RequestError::Target(error)))?;
        let router = &session.proxy.router;
        match router
            .find(target.path(), |_| true)
            .ok_or(ProxyError::NoLocation)?
        {
            Found::Answers(entry) => (
                Arc::clone(&entry.to),
                upstream_target(&target, &checked.target, &entry.to)?,
            ),
            Found::AddsSlash(entry) => {
                report.exchange.location = Some(entry.to.location.to_string());
                report.exchange.route = Some(entry.to.place.clone());
                let slashed = routing::add_slash(&target, &entry.to.location);
                if asked == Asked::Nothing {
                    return Ok(Answer::Own(moved(&slashed)));
                }
                // No WebSocket client follows a redirect, so an upgrade gets what a redirect would have led to.
                let slashed = PathAndQuery::try_from(slashed)
                    .map_err(|_| ProxyError::Request(RequestError::TargetForm))?;
                let target = Target::parse(slashed.as_str())
                    .map_err(|error| ProxyError::Request(RequestError::Target(error)))?;
                (
                    Arc::clone(&entry.to),
                    upstream_target(&target, &slashed, &entry.to)?,
                )
            }
        }
    };
    report.exchange.location = Some(route.location.to_string());
    report.exchange.route = Some(route.place.clone());

    let framing = match body.size_hint().exact() {
        Some(_) => Framing::Length,
        None => Framing::Chunked,
    };
    request::rewrite(
        &mut head,
        uri,
        &asked,
        framing,
        session.client.address.ip(),
        session.client.scheme,
    );
    let progress: Progress = Rc::new(Cell::new(Instant::now()));
    let incoming = (has_body == Body::Some).then_some(body);
    let request = Request::from_parts(head, RequestBody::new(incoming, Rc::clone(&progress)));
    exchange(session, request, &asked, &route, &progress, report).await
}

/// Sends the request and judges the head of its answer.
async fn exchange(
    session: &Session,
    request: Request<RequestBody>,
    asked: &Asked,
    route: &Arc<Route>,
    progress: &Progress,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    let upstream = || route.upstream.pick().authority();
    let (response, connection) = match asked {
        Asked::WebSocket(_) => {
            let connection = open(route, report).await?;
            send(connection, request, route, &Wait::Handshake, progress).await?
        }
        Asked::Nothing => ask(session, request, route, progress, report).await?,
    };
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
    response::rewrite(&mut head, incoming.size_hint().exact());
    Ok(Answer::Upstream(Box::new(head), incoming, connection))
}

/// An ordinary request: over the kept connection if there is one, and again over a fresh one if that was just closing.
async fn ask(
    session: &Session,
    mut request: Request<RequestBody>,
    route: &Arc<Route>,
    progress: &Progress,
    report: &mut Report,
) -> Result<(Response<Incoming>, Kept), ProxyError> {
    if let Some(kept) = session.keep.take(route).await {
        report.exchange.upstream_addr = Some(kept.connection.address());
        // A GET without a body may be sent twice (RFC 9110 §9.2.2), anything else never.
        let again = if matches!(*request.method(), Method::GET | Method::HEAD) {
            copy(&request)
        } else {
            None
        };
        match try_send(kept, request, route, &Wait::Response, progress).await {
            Ok(answered) => return Ok(answered),
            Err(Failed::Unsent(unsent, _)) => request = *unsent,
            Err(Failed::Final(error @ ProxyError::NoAnswer { .. })) => {
                request = again.ok_or(error)?
            }
            Err(Failed::Final(error)) => return Err(error),
        }
    }
    let connection = open(route, report).await?;
    progress.set(Instant::now());
    send(connection, request, route, &Wait::Response, progress).await
}

/// A request without a body once more.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

async fn open(route: &Arc<Route>, report: &mut Report) -> Result<Kept, ProxyError> {
    let connected = upstream::connect(route.upstream.pick(), route.upstream_limits).await;
    if let Err(ConnectError::Refused { address, .. }) = &connected {
        report.exchange.upstream_addr = Some(*address);
    }
    let (tcp, address) = connected.map_err(ProxyError::Connect)?;
    report.exchange.upstream_addr = Some(address);
    let connection = Connection::start(Stream::Plain(tcp), address)
        .await
        .map_err(|source| ProxyError::NoAnswer {
            upstream: route.upstream.pick().authority(),
            source,
        })?;
    Ok(Kept {
        route: Arc::clone(route),
        connection,
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
enum Wait {
    Handshake,
    Response,
}

async fn send(
    kept: Kept,
    request: Request<RequestBody>,
    route: &Arc<Route>,
    wait: &Wait,
    progress: &Progress,
) -> Result<(Response<Incoming>, Kept), ProxyError> {
    try_send(kept, request, route, wait, progress)
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
    progress: &Progress,
) -> Result<(Response<Incoming>, Kept), Failed> {
    let upstream = || route.upstream.pick().authority();
    let (limit, key) = match wait {
        Wait::Handshake => (route.limits.handshake, "handshake_timeout"),
        Wait::Response => (route.limits.response, "response_timeout"),
    };
    let answered = {
        let mut sent = pin!(kept.connection.send(request));
        loop {
            let deadline = progress.get() + limit;
            tokio::select! {
                biased;
                answered = &mut sent => break answered,
                () = sleep_until(deadline) => {
                    // A body that is still moving has moved the deadline.
                    if progress.get() + limit <= Instant::now() {
                        return Err(Failed::Final(ProxyError::AnswerTimeout { upstream: upstream(), limit, key }));
                    }
                }
            }
        }
    };
    match answered {
        Ok(response) => Ok((response, kept)),
        Err(SendError::Unsent(request, source)) => Err(Failed::Unsent(request, source)),
        Err(SendError::Sent(source)) => Err(Failed::Final(ProxyError::NoAnswer {
            upstream: upstream(),
            source,
        })),
    }
}

/// The target for the upstream: as the client wrote it, or by nginx's replacement rule if `proxy_pass` has a path.
fn upstream_target(
    target: &Target<'_>,
    written: &PathAndQuery,
    route: &Route,
) -> Result<PathAndQuery, ProxyError> {
    match route.upstream.pick().uri() {
        None => Ok(written.clone()),
        Some(uri) => PathAndQuery::try_from(routing::replace(target, &route.location, uri))
            .map_err(|_| ProxyError::Request(RequestError::TargetForm)),
    }
}

/// A relative reference, so that it is right behind any port mapping; nginx writes its own idea of the authority.
fn moved(to: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("wsgate: moved to {to}\n")));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// wsgate's own answer to what it cannot pass on.
fn refusal(error: &ProxyError, report: Report) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::own(
        format!("wsgate: {}\n", error.told()),
        Some(report),
    ));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let ProxyError::Request(_) = error {
        // What follows on this connection may not be what its sender thinks it is.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if error.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(
            header::ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    response
}
