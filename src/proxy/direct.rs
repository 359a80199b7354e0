//! The fast path, the way of a request without hyper: it came whole, and its answer goes on as bytes if that comes whole too.
//!
//! This is the way of what clients of WebSockets and polls send: an opening handshake and its 101, a small question and its
//! answer. Everything is decided as for any other request. When the answer is anything else (long, in chunks, wsgate's own), hyper
//! reads on from the upstream, as if it had been there from the beginning, and has to write to the client too: the request ends
//! with a [`ReadyAnswer`], which goes to hyper together with the client's socket.

use bytes::Bytes;
use http::Request;
use http::request;

use crate::answer_fields::AnswerChanges;
use crate::decision;
use crate::decision::Framing;
use crate::http1;
use crate::http1::BufferedAnswer;
use crate::http1::Head;
use crate::http1::Persistence;
use crate::proxy::answer::Answer;
use crate::proxy::answer::ReadyAnswer;
use crate::proxy::connection::ClientConnection;
use crate::proxy::direct_request::DirectRequest;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::lease::IdleLease;
use crate::proxy::lease::Lease;
use crate::proxy::prepare::Prepared;
use crate::proxy::prepare::PreparedRequest;
use crate::proxy::prepare::prepare;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::route::UpstreamRequest;
use crate::proxy::session::keeps;
use crate::proxy::switch::Switch;
use crate::stream::Stream;
use crate::tunnel;
use crate::tunnel::End;
use crate::upstream::IdleConnection;

/// How a request without hyper ended.
#[derive(Debug)]
pub enum DirectEnd<T> {
    /// All of its answer is there as bytes.
    Done(T),
    /// Hyper has to write its answer.
    ForHyper(Box<ReadyAnswer>),
}

/// A 101 for the client, and the tunnel that begins when it is out.
#[derive(Debug)]
pub struct Agreed {
    /// The head of the 101.
    pub head: Vec<u8>,
    /// The upstream's end.
    pub switch: Box<Switch>,
}

/// Does an opening handshake.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn shake_hands(
    connection: &ClientConnection,
    mut request: Head<request::Parts>,
) -> DirectEnd<Agreed> {
    let PreparedRequest {
        mut report,
        changes,
        to,
    } = prepare(connection, &mut request.parts, Framing::None);
    let asked = match to {
        Ok(Prepared::Forward(to)) => {
            ask_for_tunnel(to, request, &mut report, changes.as_deref()).await
        }
        Ok(Prepared::Own(response)) => Ok(DirectOutcome::Answer(Answer::Own(response))),
        Err(error) => Err(error),
    };
    let answer = match asked {
        Ok(DirectOutcome::Bytes(AgreedTunnel {
            head,
            upstream,
            timeouts,
        })) => {
            report.switches(|| connection.take_permit());
            let switch = Box::new(Switch::new(upstream, timeouts, report));
            return DirectEnd::Done(Agreed { head, switch });
        }
        Ok(DirectOutcome::Answer(answer)) => Ok(answer),
        Err(error) => Err(error),
    };
    DirectEnd::ForHyper(Box::new(ReadyAnswer {
        answer,
        report,
        changes,
    }))
}

/// An answer for the client, with its line in the log.
#[derive(Debug)]
pub struct DirectAnswer {
    answer: BufferedAnswer,
    report: Report,
}

impl DirectAnswer {
    /// The bytes for the client, and the report to complete once they are written.
    pub fn message(self, persistence: Persistence) -> (Vec<u8>, Delivery) {
        let Self { answer, report } = self;
        let body_bytes = answer.body.len() as u64;
        let delivery = Delivery { body_bytes, report };
        (answer.message(persistence), delivery)
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
    pub fn done(self) {
        self.report.completed(self.body_bytes);
    }
}

/// Passes on an ordinary request. `body` is all that Content-Length promised, `None` without one. `request` is borrowed, since each
/// polling connection's future would hold it several times; what is left in it afterwards is of no use.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn pass_on(
    connection: &ClientConnection,
    request: &mut Head<request::Parts>,
    body: Option<Bytes>,
) -> DirectEnd<DirectAnswer> {
    let framing = match body {
        None => Framing::None,
        Some(_) => Framing::Length,
    };
    let PreparedRequest {
        mut report,
        changes,
        to,
    } = prepare(connection, &mut request.parts, framing);
    let asked = match to {
        Ok(Prepared::Forward(to)) => {
            let request = BufferedRequest {
                head: request,
                framing,
                body: body.unwrap_or_default(),
            };
            ask(connection, to, request, &mut report).await
        }
        Ok(Prepared::Own(response)) => Ok(DirectOutcome::Answer(Answer::Own(response))),
        Err(error) => Err(error),
    };
    let answer = match asked {
        Ok(DirectOutcome::Bytes(mut answer)) => {
            report.answered(answer.status, |name| answer.value(name));
            report.hears(&answer.body);
            if let Some(changes) = changes {
                changes.change_buffered(&mut answer);
            }
            return DirectEnd::Done(DirectAnswer { answer, report });
        }
        Ok(DirectOutcome::Answer(answer)) => Ok(answer),
        Err(error) => Err(error),
    };
    DirectEnd::ForHyper(Box::new(ReadyAnswer {
        answer,
        report,
        changes,
    }))
}

/// What came of a request.
enum DirectOutcome<T> {
    /// All of an answer, as bytes.
    Bytes(T),
    /// One that hyper has to write.
    Answer(Answer),
}

/// The upstream's end of a tunnel, and the head of the 101 for the client.
struct AgreedTunnel {
    head: Vec<u8>,
    upstream: End<Stream>,
    timeouts: tunnel::TunnelTimeouts,
}

/// A request with its whole body.
struct BufferedRequest<'r> {
    head: &'r mut Head<request::Parts>,
    framing: Framing,
    body: Bytes,
}

async fn ask_for_tunnel(
    to: UpstreamRequest,
    request: Head<request::Parts>,
    report: &mut Report,
    changes: Option<&AnswerChanges>,
) -> Result<DirectOutcome<AgreedTunnel>, ProxyError> {
    let clock = AnswerClock::begin(report.started());
    let spelling = &to.hop.route.spelling;
    let message = http1::write_request(&request.parts, &request.names, spelling);
    let asking = DirectRequest {
        polls_for: None,
        to: &to,
        message: &message,
        clock: &clock,
        read: http1::read_switching,
    };
    let mut heard = asking.ask_anew(report).await?;
    if let Some(mut answer) = heard.first.answer.take() {
        to.agreed(&mut answer.parts)?;
        if let Some(changes) = changes {
            changes.change_switch(&mut answer.parts);
        }
        return Ok(DirectOutcome::Bytes(AgreedTunnel {
            head: http1::write_switching(&answer.parts, &answer.names),
            upstream: End {
                stream: heard.stream,
                early: heard.first.bytes.slice(answer.length..),
            },
            timeouts: to.hop.route.tunnel_timeouts,
        }));
    }
    let begun = heard.begun(request.parts, clock);
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, &to))
        .await
        .map(DirectOutcome::Answer)
}

async fn ask(
    connection: &ClientConnection,
    to: UpstreamRequest,
    request: BufferedRequest<'_>,
    report: &mut Report,
) -> Result<DirectOutcome<BufferedAnswer>, ProxyError> {
    let clock = AnswerClock::begin(report.started());
    let Head { parts, names, .. } = request.head;
    let mut message = http1::write_request(parts, names, &to.hop.route.spelling);
    message.extend_from_slice(&request.body);
    let asking = DirectRequest {
        polls_for: Some(connection),
        to: &to,
        message: &message,
        clock: &clock,
        read: http1::read_answer,
    };
    let lease = connection.take_lease();
    let mut heard = None;
    if let Some(kept) = lease.and_then(|lease| lease.bare(&to)) {
        report.sent_to(Some(kept.address.clone()));
        let over_kept = asking.ask_over(kept, 0).await?;
        // If the upstream closed it at that moment, the request may go out again.
        if !over_kept.first.broke_off()
            || !decision::may_be_repeated(&parts.method, request.framing)
        {
            heard = Some(over_kept);
        }
    }
    let mut heard = match heard {
        Some(heard) => heard,
        // Boxed, so that a connection which polls does not carry the room for it.
        None => Box::pin(asking.ask_anew(report)).await?,
    };
    if let Some(answer) = heard.first.answer.take() {
        if answer.persistence == Persistence::KeepAlive {
            connection.keep(Lease::Idle(IdleLease {
                server: to.hop.server,
                connection: IdleConnection::new(heard.stream, heard.address),
                session: keeps(to.session, heard.session, &answer.body),
            }));
        }
        return Ok(DirectOutcome::Bytes(answer));
    }
    let nothing = Request::new(()).into_parts().0;
    let begun = heard.begun(std::mem::replace(parts, nothing), clock);
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, &to))
        .await
        .map(DirectOutcome::Answer)
}
