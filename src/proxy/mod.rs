//! One request, start to end: checked, routed, sent to its upstream, and answered.
//!
//! [`answer`] is the whole path; [`shake_hands`] a shorter one, for an upgrade request that came whole as the first of its
//! connection. What may be passed on is decided in `request` and `response`, which are pure; the
//! connection an upstream is asked over belongs to the client's [`Session`]. Not here: sockets of clients, TLS, and what
//! a tunnel does with its bytes.

mod answer_body;
mod error;
mod exchange;
mod handshake;
mod own;
mod report;
mod request;
mod request_body;
mod response;
mod route;
mod session;
mod switch;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::headers::template::Variables;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::observe::RequestLine;
use crate::proxy::answer_body::AnswerBody;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Answer;
use crate::proxy::exchange::exchange;
use crate::proxy::report::Report;
use crate::proxy::request::Framing;
use crate::proxy::request::RequestError;
use crate::proxy::request_body::RequestBody;
use crate::proxy::request_body::Upload;
use crate::proxy::session::Ready;
use crate::routing;
use crate::routing::Found;
use crate::routing::Target;

pub use crate::proxy::handshake::Handshake;
pub use crate::proxy::handshake::shake_hands;
pub use crate::proxy::route::Action;
pub use crate::proxy::route::Limits;
pub use crate::proxy::route::Proxy;
pub use crate::proxy::route::Route;
pub use crate::proxy::route::Rule;
pub use crate::proxy::session::Client;
pub use crate::proxy::session::Redirect;
pub use crate::proxy::session::Session;
pub use crate::proxy::switch::Switch;

/// Answers one request. Never fails: what goes wrong is an answer too.
///
/// A 101 leaves a [`Switch`] in the session; whoever wrote the 101 to the client begins the tunnel.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn answer(session: Session, request: Request<Incoming>) -> Response<AnswerBody> {
    if request.headers().contains_key(header::UPGRADE) || request.method() == Method::CONNECT {
        session.refused_upgrade.set(true);
    }
    let Ready { answer, mut report } = match session.ready.take() {
        Some(ready) => ready,
        None => {
            let mut report = session.report(RequestLine::new(
                request.method(),
                request.uri(),
                request.version(),
            ));
            let answer = forward(&session, request, &mut report).await;
            Ready { answer, report }
        }
    };
    match answer {
        Ok(Answer::Own(response)) => {
            let (head, text) = response.into_parts();
            report.status = Some(head.status);
            report.reason = None;
            Response::from_parts(head, AnswerBody::own(text, Some(report)))
        }
        Ok(Answer::Upstream(head, incoming, connection)) => {
            report.status = Some(head.status);
            report.reason = None;
            Response::from_parts(
                *head,
                AnswerBody::upstream(incoming, connection, session, report),
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

async fn forward(
    session: &Session,
    request: Request<Incoming>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    let (mut head, body) = request.into_parts();
    let body = (!body.is_end_stream()).then_some(body);
    let framing = match &body {
        None => Framing::None,
        Some(body) if body.size_hint().exact().is_some() => Framing::Length,
        Some(_) => Framing::Chunked,
    };
    let (asked, route) = match decide(session, &mut head, framing, report)? {
        Decided::Own(response) => return Ok(Answer::Own(response)),
        Decided::Pass(asked, route) => (asked, route),
    };
    let under_way = match asked {
        Asked::WebSocket(_) => Some(session.upgrade_begins()),
        Asked::Nothing => None,
    };
    let upload = Rc::new(Upload::begin());
    let request = Request::from_parts(head, RequestBody::new(body, Rc::clone(&upload)));
    let answer = exchange(session, request, &asked, &route, &upload, report).await?;
    if let (Answer::Switch(..), Some(under_way)) = (&answer, under_way) {
        under_way.agreed();
    }
    Ok(answer)
}

/// What is to become of a request.
enum Decided {
    /// It is answered here.
    Own(Response<Bytes>),
    /// Its head, as it is now, goes to this route's upstream.
    Pass(Asked, Arc<Route>),
}

/// Checks a request, finds its rule, and turns its head into the upstream's. Asks nobody.
fn decide(
    session: &Session,
    head: &mut Parts,
    framing: Framing,
    report: &mut Report,
) -> Result<Decided, ProxyError> {
    let body = match framing {
        Framing::None => Body::None,
        Framing::Length | Framing::Chunked => Body::Some,
    };
    let checked = request::check(head, body).map_err(ProxyError::Request)?;
    let asked = checked.asked;
    let host = checked.host.as_str();
    let variables = Variables {
        host,
        remote_addr: session.client.address.ip(),
        scheme: session.client.scheme,
        request_uri: checked.target.as_str(),
    };
    if let Some(redirect) = session.client.redirect {
        return Ok(Decided::Own(own::to_https(redirect, &asked, &variables)));
    }
    let (route, uri) = {
        let target = target(&checked.target)?;
        let conditions = routing::Asked {
            method: &head.method,
            headers: &head.headers,
            query: target.query(),
            port: session.client.port,
        };
        let found = session
            .proxy
            .sites
            .find(host, target.path(), |rule| rule.when.holds(&conditions))
            .ok_or(ProxyError::NoLocation)?;
        let (Found::Answers(entry) | Found::AddsSlash(entry)) = &found;
        let rule = &entry.to;
        report.exchange.location = Some(Arc::clone(&rule.shown));
        report.exchange.route = Some(Arc::clone(&rule.place));
        let route = match &rule.to {
            Action::Pass(route) => route,
            Action::Return(written) => {
                return Ok(Decided::Own(own::returned(written, &variables)));
            }
        };
        match found {
            Found::Answers(_) => (
                Arc::clone(route),
                upstream_target(&target, &checked.target, route)?,
            ),
            Found::AddsSlash(_) => {
                let slashed = routing::add_slash(&target, &route.location);
                if asked == Asked::Nothing {
                    return Ok(Decided::Own(own::moved(&slashed)));
                }
                // No WebSocket client follows a redirect, so an upgrade gets what a redirect would have led to.
                let slashed = PathAndQuery::try_from(slashed)
                    .map_err(|_| ProxyError::Request(RequestError::TargetForm))?;
                (
                    Arc::clone(route),
                    upstream_target(&self::target(&slashed)?, &slashed, route)?,
                )
            }
        }
    };
    request::rewrite(
        head,
        uri,
        &asked,
        framing,
        &session.address,
        session.client.scheme,
    );
    for (name, value) in &route.set_headers {
        request::set(&mut head.headers, name, &value.fill(&variables))
            .map_err(ProxyError::Request)?;
    }
    Ok(Decided::Pass(asked, route))
}

fn target(written: &PathAndQuery) -> Result<Target<'_>, ProxyError> {
    Target::parse(written.as_str())
        .map_err(|error| ProxyError::Request(RequestError::Target(error)))
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
