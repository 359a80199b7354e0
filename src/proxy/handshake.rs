//! An opening handshake without hyper: the request and its 101 go as bytes from socket to socket.
//!
//! It is for the request that came whole and asks for nothing but a tunnel: what clients of WebSockets send. Everything is
//! decided as for any other request. When the answer is no 101, hyper takes over on both sides, and both sockets are as if
//! it had been there from the beginning.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::request;
use tokio::time::timeout_at;

use crate::headers::upgrade;
use crate::http1;
use crate::http1::Head;
use crate::http1::Names;
use crate::observe::RequestLine;
use crate::proxy::Prepared;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::exchange::Answer;
use crate::proxy::exchange::Begun;
use crate::proxy::exchange::Wait;
use crate::proxy::first_words::first_words;
use crate::proxy::prepare;
use crate::proxy::report::Report;
use crate::proxy::request::Framing;
use crate::proxy::request_body::Upload;
use crate::proxy::response;
use crate::proxy::route::Route;
use crate::proxy::session::Ready;
use crate::proxy::session::Session;
use crate::proxy::switch::Switch;
use crate::stream::Stream;
use crate::upstream::Connected;

/// How an opening handshake ended.
#[derive(Debug)]
pub enum Handshake {
    /// The upstream agreed: the head of the 101 goes to the client, then the tunnel begins.
    Agreed(Vec<u8>, Box<Switch>),
    /// The answer is in the session, where [`answer`](crate::proxy::answer) finds it when hyper gives it the same request.
    Answered,
}

/// Passes on an upgrade request.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn shake_hands(session: &Session, request: Head<request::Parts>) -> Handshake {
    let Head {
        mut parts, names, ..
    } = request;
    let proxy = session.proxy();
    let line = RequestLine::new(&parts.method, &parts.uri, parts.version);
    let mut report = session.report(&proxy, line);
    let prepared = prepare(session, &proxy, (&mut parts, Framing::None), &mut report);
    drop(proxy);
    let answer = match ask(prepared, parts, &names, &mut report).await {
        Ok(Asking::Agreed(agreed)) => {
            let Agreed {
                head,
                stream,
                early,
                route,
            } = agreed;
            report.status = Some(StatusCode::SWITCHING_PROTOCOLS);
            session.hand_over(&mut report);
            let switch = Switch::new(stream, early, route.tunnel_limits, report);
            return Handshake::Agreed(head, Box::new(switch));
        }
        Ok(Asking::Answered(answer)) => Ok(answer),
        Err(error) => Err(error),
    };
    session.ready.replace(Some(Ready { answer, report }));
    Handshake::Answered
}

enum Asking {
    Agreed(Agreed),
    Answered(Answer),
}

struct Agreed {
    head: Vec<u8>,
    stream: Stream,
    early: Bytes,
    route: Arc<Route>,
}

async fn ask(
    prepared: Result<Prepared, ProxyError>,
    parts: request::Parts,
    names: &Names,
    report: &mut Report,
) -> Result<Asking, ProxyError> {
    let (asked, route) = match prepared? {
        Prepared::Own(response) => return Ok(Asking::Answered(Answer::Own(response))),
        Prepared::Pass(asked, route) => (asked, route),
    };
    let upload = Upload::begin();
    let head = http1::write_request(&parts, names);
    let Connected {
        mut stream,
        address,
        sent,
    } = exchange::connect(&route, &head, report).await?;
    let deadline = upload.moved() + route.limits.handshake;
    let words = first_words(&mut stream, &head[sent..], http1::read_switching);
    let mut words = timeout_at(deadline, words)
        .await
        .map_err(|_| exchange::timed_out(&route, &Wait::Handshake))?;
    if let Some(Head {
        mut parts,
        names,
        length,
    }) = words.answer.take()
    {
        upgrade::agreed(&asked, &parts.headers).map_err(|source| ProxyError::Disagreed {
            upstream: route.upstream.pick().authority(),
            source,
        })?;
        response::rewrite_switch(&mut parts);
        return Ok(Asking::Agreed(Agreed {
            head: http1::write_switching(&parts, &names),
            stream,
            early: words.read.slice(length..),
            route,
        }));
    }
    let begun = Begun {
        parts,
        asked,
        upload,
        stream: words.unsaid(stream),
        address,
    };
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, &route, &Wait::Handshake))
        .await
        .map(Asking::Answered)
}
