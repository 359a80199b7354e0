//! An opening handshake without hyper: the request and its 101 go as bytes from socket to socket.
//!
//! It is for the request that came whole, as the first of its connection, and asks for nothing but a tunnel: what clients of
//! WebSockets send. Everything is decided as for any other request. When the answer is no 101, hyper takes over on both
//! sides, and both sockets are as if it had been there from the beginning.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use http::Request;
use http::StatusCode;
use http::request;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout_at;

use crate::headers::head;
use crate::headers::head::Head;
use crate::headers::head::Names;
use crate::headers::upgrade;
use crate::observe::RequestLine;
use crate::proxy::Prepared;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::exchange::Answer;
use crate::proxy::prepare;
use crate::proxy::report::Report;
use crate::proxy::request::Framing;
use crate::proxy::request_body::RequestBody;
use crate::proxy::request_body::Upload;
use crate::proxy::response;
use crate::proxy::route::Route;
use crate::proxy::session::Ready;
use crate::proxy::session::Session;
use crate::proxy::switch::Switch;
use crate::stream::Rewound;
use crate::stream::Stream;

/// Room for the head of an answer at first; most have a few hundred bytes.
const ROOM: usize = 1024;

/// The largest 101 that is waited for here; what is beyond is hyper's to refuse.
const MAX_HEAD: usize = 64 * 1024;

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
    let Head { parts, names, .. } = request;
    let mut report = session.report(RequestLine::new(&parts.method, &parts.uri, parts.version));
    let answer = match ask(session, parts, &names, &mut report).await {
        Ok(Asking::Agreed(agreed)) => {
            let Agreed {
                head,
                stream,
                early,
                route,
            } = agreed;
            report.status = Some(StatusCode::SWITCHING_PROTOCOLS);
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
    session: &Session,
    mut parts: request::Parts,
    names: &Names,
    report: &mut Report,
) -> Result<Asking, ProxyError> {
    let (asked, route) = match prepare(session, &mut parts, Framing::None, report)? {
        Prepared::Own(response) => return Ok(Asking::Answered(Answer::Own(response))),
        Prepared::Pass(asked, route) => (asked, route),
    };
    let upload = Upload::begin();
    let head = head::write_request(&parts, names);
    let connected = exchange::connect(&route, &head, report).await?;
    let mut stream = connected.stream;
    let deadline = upload.moved() + route.limits.handshake;
    let first = timeout_at(deadline, first_words(&mut stream, &head[connected.sent..]));
    let first = first
        .await
        .map_err(|_| exchange::timed_out(&route, &exchange::Wait::Handshake))?;
    if let Some(Head {
        mut parts,
        names,
        length,
    }) = first.switching
    {
        upgrade::agreed(&asked, &parts.headers).map_err(|source| ProxyError::Disagreed {
            upstream: route.upstream.pick().authority(),
            source,
        })?;
        response::rewrite_switch(&mut parts);
        return Ok(Asking::Agreed(Agreed {
            head: head::write_switching(&parts, &names),
            stream,
            early: first.read.slice(length..),
            route,
        }));
    }
    let stream = Rewound::answering(stream, first.read, first.broken);
    let connection = exchange::start(&route, stream, connected.address).await?;
    let upload = Rc::new(upload);
    let request = Request::from_parts(parts, RequestBody::new(None, Rc::clone(&upload)));
    exchange::shake_hands(connection, request, &asked, &upload)
        .await
        .map(Asking::Answered)
}

/// What an upstream said first.
struct FirstWords {
    read: Bytes,
    /// What `read` begins with, if that is a 101.
    switching: Option<Head<http::response::Parts>>,
    /// How the socket broke behind `read`.
    broken: Option<io::Error>,
}

/// Writes what is left of the request, and reads until a 101 is whole or cannot come any more.
async fn first_words(stream: &mut Stream, rest: &[u8]) -> FirstWords {
    let mut words = FirstWords {
        read: Bytes::new(),
        switching: None,
        broken: None,
    };
    // When it fails there may still be an answer to be read; otherwise reading says what is wrong.
    if stream.write_all(rest).await.is_err() || stream.flush().await.is_err() {
        return words;
    }
    let mut buffer = BytesMut::with_capacity(ROOM);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) => {
                words.read = buffer.freeze();
                return words;
            }
            Ok(_) => {}
            Err(error) => {
                words.read = buffer.freeze();
                words.broken = Some(error);
                return words;
            }
        }
        let read = buffer.freeze();
        match head::read_switching(&read) {
            head::Answer::Partial if read.len() < MAX_HEAD => {
                buffer = BytesMut::from(read);
                buffer.reserve(ROOM);
            }
            head::Answer::Switching(head) => {
                words.switching = Some(head);
                words.read = read;
                return words;
            }
            head::Answer::Partial | head::Answer::Other => {
                words.read = read;
                return words;
            }
        }
    }
}
