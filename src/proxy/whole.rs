//! An ordinary request without hyper: it came whole, and its answer goes on as bytes if that comes whole too.
//!
//! This is how Engine.IO polls, and what most small questions look like. Everything is decided as for any other request. When
//! the answer is long, in chunks, or wsgate's own, hyper takes over on both sides, and both sockets are as if it had been
//! there from the beginning.

use bytes::Bytes;
use http::Method;
use http::Request;
use http::request;
use tokio::time::timeout_at;

use crate::http1;
use crate::http1::Behind;
use crate::http1::Head;
use crate::http1::Names;
use crate::http1::WholeAnswer;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::proxy::Prepared;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::exchange::Answer;
use crate::proxy::exchange::Begun;
use crate::proxy::exchange::Wait;
use crate::proxy::first_words::FirstWords;
use crate::proxy::first_words::first_words;
use crate::proxy::prepare;
use crate::proxy::report::Report;
use crate::proxy::request::Framing;
use crate::proxy::request_body::Upload;
use crate::proxy::route::Route;
use crate::proxy::session::Ready;
use crate::proxy::session::Session;
use crate::stream::Stream;
use crate::upstream::Connected;
use crate::upstream::Resting;

/// An answer for the client, with its line in the log.
#[derive(Debug)]
pub struct Whole {
    answer: WholeAnswer,
    report: Report,
}

impl Whole {
    /// What is written to the client, and what is left to say of it.
    pub fn message(self, behind: Behind) -> (Vec<u8>, Delivery) {
        let Self { answer, report } = self;
        let body_bytes = answer.body.len() as u64;
        let delivery = Delivery { body_bytes, report };
        (answer.message(behind), delivery)
    }
}

/// The line in the log of an answer that is on its way.
#[derive(Debug)]
pub struct Delivery {
    body_bytes: u64,
    report: Report,
}

impl Delivery {
    /// The answer is written.
    pub fn done(mut self) {
        self.report.body_bytes_sent = self.body_bytes;
        self.report.reason = None;
    }
}

/// Passes on a request that came whole; returns its answer if that came whole too. Otherwise the answer is in the session,
/// where [`answer`](crate::proxy::answer) finds it when hyper gives it the same request.
///
/// `body` is all that Content-Length promised, `None` without one. What is left in `request` is of no use to anybody.
///
/// It is borrowed since this future lives in each connection that polls, and would hold it several times.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn pass_on(
    session: &Session,
    request: &mut Head<request::Parts>,
    body: Option<Bytes>,
) -> Option<Whole> {
    let Head { parts, names, .. } = request;
    let proxy = session.proxy();
    let line = RequestLine::new(&parts.method, &parts.uri, parts.version);
    let mut report = session.report(&proxy, line);
    let framing = match body {
        None => Framing::None,
        Some(_) => Framing::Length,
    };
    let prepared = prepare(session, &proxy, (&mut *parts, framing), &mut report);
    drop(proxy);
    let request = (parts, &*names, body.unwrap_or_default());
    let answer = match ask(session, prepared, request, &mut report).await {
        Ok(Asking::Whole(answer)) => {
            report.answers(answer.status, |name| answer.value(name));
            report.hears(&answer.body);
            report.reason = Some(Reason::Client(
                "the client left before the end of the answer".to_owned(),
            ));
            return Some(Whole { answer, report });
        }
        Ok(Asking::Answered(answer)) => Ok(answer),
        Err(error) => Err(error),
    };
    session.ready.replace(Some(Ready { answer, report }));
    None
}

enum Asking {
    Whole(WholeAnswer),
    Answered(Answer),
}

async fn ask(
    session: &Session,
    prepared: Result<Prepared, ProxyError>,
    (parts, names, body): (&mut request::Parts, &Names, Bytes),
    report: &mut Report,
) -> Result<Asking, ProxyError> {
    let (asked, route) = match prepared? {
        Prepared::Own(response) => return Ok(Asking::Answered(Answer::Own(response))),
        Prepared::Pass(asked, route) => (asked, route),
    };
    let upload = Upload::begin();
    let mut message = http1::write_request(parts, names);
    message.extend_from_slice(&body);

    let mut said = None;
    if let Some((mut stream, address)) = session.kept_bare(&route) {
        report.exchange.upstream_addr = Some(address.clone());
        let words = wait(&mut stream, &message, &route, &upload).await?;
        // The upstream closed it at that moment. A GET may be sent twice (RFC 9110 §9.2.2), anything else never.
        if !words.broke_off() || parts.method != Method::GET {
            said = Some((stream, address, words));
        }
    }
    let (stream, address, mut words) = match said {
        Some(said) => said,
        None => {
            let Connected {
                mut stream,
                address,
                sent,
            } = Box::pin(exchange::connect(&route, &message, report)).await?;
            upload.touch();
            let words = wait(&mut stream, &message[sent..], &route, &upload).await?;
            (stream, address, words)
        }
    };
    if let Some(answer) = words.answer.take() {
        if answer.goes_on {
            session.keep_bare(route, Resting::new(stream, address));
        }
        return Ok(Asking::Whole(answer));
    }
    let nothing = Request::new(()).into_parts().0;
    let begun = Begun {
        parts: std::mem::replace(parts, nothing),
        asked,
        upload,
        stream: words.unsaid(stream),
        address,
    };
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, &route, &Wait::Response))
        .await
        .map(Asking::Answered)
}

async fn wait(
    stream: &mut Stream,
    rest: &[u8],
    route: &Route,
    upload: &Upload,
) -> Result<FirstWords<WholeAnswer>, ProxyError> {
    let deadline = upload.moved() + route.limits.response;
    timeout_at(deadline, first_words(stream, rest, http1::read_answer))
        .await
        .map_err(|_| exchange::timed_out(route, &Wait::Response))
}
