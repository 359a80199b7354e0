//! One request, start to end: checked, routed, sent to its upstream, and answered.
//!
//! [`answer`] is the whole path; [`shake_hands`] and [`pass_on`] are shorter ones, for an upgrade request and for any other that
//! came whole. What becomes of a request is for [`decide()`] to say, and what may be passed on for `request` and `response`;
//! all three are pure. The connection an upstream is asked over belongs to the client's [`Session`]. Not here: sockets of
//! clients, TLS, and what a tunnel does with its bytes.

mod answer_body;
mod behind;
mod decide;
mod error;
mod exchange;
mod first_words;
mod handle;
mod handshake;
mod own;
mod report;
mod request;
mod request_body;
mod response;
mod route;
mod session;
mod switch;
mod told;
mod whole;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::headers::forwarded::Sender;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::http1 as message;
use crate::observe::RequestLine;
use crate::proxy::answer_body::AnswerBody;
use crate::proxy::behind::Behind;
use crate::proxy::decide::admit;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Answer;
use crate::proxy::exchange::exchange;
use crate::proxy::report::Report;
use crate::proxy::request_body::RequestBody;
use crate::proxy::request_body::Upload;
use crate::proxy::session::Ready;

pub use crate::proxy::decide::Becomes;
pub use crate::proxy::decide::Decision;
pub use crate::proxy::decide::Passing;
pub use crate::proxy::decide::Refusal;
pub use crate::proxy::decide::decide;
pub use crate::proxy::decide::rewrite;
pub use crate::proxy::handle::Handle;
pub use crate::proxy::handshake::Handshake;
pub use crate::proxy::handshake::shake_hands;
pub use crate::proxy::request::Checked;
pub use crate::proxy::request::Framing;
pub use crate::proxy::request::RequestError;
pub use crate::proxy::request::check;
pub use crate::proxy::route::Action;
pub use crate::proxy::route::Limits;
pub use crate::proxy::route::Proxy;
pub use crate::proxy::route::Route;
pub use crate::proxy::route::Rule;
pub use crate::proxy::session::Client;
pub use crate::proxy::session::Redirect;
pub use crate::proxy::session::Session;
pub use crate::proxy::switch::Switch;
pub use crate::proxy::whole::Delivery;
pub use crate::proxy::whole::Whole;
pub use crate::proxy::whole::pass_on;

/// What a client is told to wait that has as many connections as it may. Nobody knows when one of them ends; this keeps whoever
/// obeys from asking more than a few times a minute.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(10);

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
    let version = request.version();
    let ready = session.ready.take();
    let Ready { answer, mut report } = match ready {
        Some(ready) => {
            // It is out already, and unread it would end the connection.
            read_to_the_end(request.into_body()).await;
            ready
        }
        None => {
            let proxy = session.proxy();
            let line = RequestLine::new(request.method(), request.uri(), request.version());
            let mut report = session.report(&proxy, line);
            let answer = forward(&session, proxy, request, &mut report).await;
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
            report.answers(head.status, |name| {
                head.headers.get(name).map(HeaderValue::as_bytes)
            });
            report.reason = None;
            // HTTP/1.0 has no chunks.
            let is_framed = version > Version::HTTP_10 || incoming.size_hint().exact().is_some();
            session.unframed.set(!is_framed);
            Response::from_parts(
                *head,
                AnswerBody::upstream(incoming, connection, session, report),
            )
        }
        Ok(Answer::Switch(head, stream, early, limits)) => {
            report.status = Some(head.status);
            session.hand_over(&mut report);
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

async fn read_to_the_end(mut body: Incoming) {
    while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}

async fn forward(
    session: &Session,
    proxy: Rc<Proxy>,
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
    let (asked, route) = match prepare(session, &proxy, (&mut head, framing), report)? {
        Prepared::Own(response) => return Ok(Answer::Own(response)),
        Prepared::Pass(asked, route) => (asked, route),
    };
    // What is decided is decided: a request that takes long keeps its route, not the whole table.
    drop(proxy);
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
enum Prepared {
    /// It is answered here.
    Own(Response<Bytes>),
    /// Its head, as it is now, goes to this route's upstream.
    Pass(Asked, Arc<Route>),
}

/// Checks a request, decides about it, and turns its head into the upstream's. Asks nobody.
fn prepare(
    session: &Session,
    proxy: &Proxy,
    (head, framing): (&mut Parts, Framing),
    report: &mut Report,
) -> Result<Prepared, ProxyError> {
    let body = match framing {
        Framing::None => Body::None,
        Framing::Length | Framing::Chunked => Body::Some,
    };
    let mut client = session.client();
    let behind = Behind::find(&proxy.trusted, client.address, &head.headers);
    let sender = match &behind {
        None => Sender::Client(&session.address),
        Some(behind) => {
            client.address = behind.client;
            report.exchange.remote_addr = behind.client;
            behind.sender()
        }
    };
    let checked = check(head, body).map_err(ProxyError::Request)?;
    report.asks(&checked.asked, head);
    let decision = decide(&proxy.sites, &client, head, &checked);
    if let Some(rule) = decision.rule {
        report.exchange.location = Some(Arc::clone(&rule.shown));
        report.exchange.route = Some(Arc::clone(&rule.place));
    }
    if let Some(exceeded) = session.exceeded() {
        return Err(ProxyError::Exceeded(exceeded, message::Behind::Closes));
    }
    if let Some(rule) = decision.rule {
        admit(rule, &client, head, &checked)?;
    }
    if behind.is_some() {
        // The connection is the proxy's: what is counted of its clients is what they have under way.
        let exceeded = |exceeded| ProxyError::Exceeded(exceeded, message::Behind::GoesOn);
        let share = proxy.addresses.connect(client.address.ip());
        let share = share.map_err(|crowded| exceeded(crowded.exceeded))?;
        if let Some(most) = share.as_ref().and_then(|share| share.exceeded()) {
            return Err(exceeded(most));
        }
        report.share = share;
    }
    let (route, target) = match decision.becomes? {
        Becomes::Answer(response) => return Ok(Prepared::Own(response)),
        Becomes::Pass { route, target } => (Arc::clone(route), target),
    };
    if let Asked::WebSocket(_) = checked.asked {
        let addresses = &proxy.addresses;
        addresses
            .handshake(client.address.ip())
            .map_err(|exceeded| ProxyError::Exceeded(exceeded, message::Behind::GoesOn))?;
    }
    let passing = Passing {
        checked: &checked,
        client: &client,
        sender,
        route: &route,
    };
    rewrite(head, target, framing, &passing).map_err(ProxyError::Request)?;
    Ok(Prepared::Pass(checked.asked, route))
}

/// As `Retry-After` has it (RFC 9110 §10.2.3): whole seconds, after which the wait is over.
fn in_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
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
    if let ProxyError::Request(_) | ProxyError::Exceeded(_, message::Behind::Closes) = error {
        // What follows on this connection may not be what its sender thinks it is; or there is one too many.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let ProxyError::Exceeded(exceeded, _) = error {
        let wait = exceeded.wait().unwrap_or(UNTIL_ONE_ENDS);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(in_seconds(wait)));
    }
    if error.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(
            header::ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::proxy::in_seconds;

    #[test]
    fn a_wait_is_over_when_its_seconds_are() {
        for (nanoseconds, seconds) in [(1, 1), (999_999_999, 1), (1_000_000_000, 1)] {
            assert_eq!(in_seconds(Duration::from_nanos(nanoseconds)), seconds);
        }
        assert_eq!(in_seconds(Duration::from_nanos(1_000_000_001)), 2);
    }
}
