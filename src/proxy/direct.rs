//! The fast path, the way of a request without hyper: it came whole, and its answer goes on as bytes if that comes whole too.
//!
//! This is the way of what clients of WebSockets and polls send: an opening handshake and its 101, a small question and its
//! answer. Everything is decided as for any other request. When the answer is anything else (long, in chunks, wsgate's own), hyper
//! reads on from the upstream, as if it had been there from the beginning, and has to write to the client too: the request ends
//! with a [`ReadyAnswer`], which goes to hyper together with the client's socket.

use bytes::Bytes;
use http::header;
use http::request;

use crate::affinity::SessionKey;
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
use crate::proxy::group_request::AttemptOutcome;
use crate::proxy::group_request::Next;
use crate::proxy::lease::IdleLease;
use crate::proxy::lease::Lease;
use crate::proxy::prepare::Prepared;
use crate::proxy::prepare::PreparedRequest;
use crate::proxy::prepare::prepare;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::session::keeps;
use crate::proxy::switch::Switch;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::PeerAddr;
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
        Ok(Prepared::Forward(mut to)) => {
            ask_for_tunnel(&mut to, &mut request, &mut report, changes.as_deref()).await
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
        mut changes,
        to,
    } = prepare(connection, &mut request.parts, framing);
    let asked = match to {
        Ok(Prepared::Forward(mut to)) => {
            let mut request = BufferedRequest {
                head: request,
                framing,
                body: body.unwrap_or_default(),
            };
            let asked = ask(connection, &mut to, &mut request, &mut report).await;
            if asked.is_ok() {
                to.set_cookie(changes.as_deref_mut());
            }
            asked.map(|asked| asked.keep(connection, to))
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
#[expect(
    clippy::large_enum_variant,
    reason = "it is held in one place, and a box would be one more allocation of each answer through hyper"
)]
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

/// Asks for a tunnel: the one server of the route, or those of its group as long as that helps.
async fn ask_for_tunnel(
    to: &mut UpstreamRequest,
    request: &mut Head<request::Parts>,
    report: &mut Report,
    changes: Option<&AnswerChanges>,
) -> Result<DirectOutcome<AgreedTunnel>, ProxyError> {
    if to.in_group.is_none() {
        return agree(to, request, report, changes).await;
    }
    // Boxed, so that a request to one server does not carry the room for it.
    Box::pin(async {
        loop {
            let mut agreed = agree(to, request, report, changes).await;
            let attempt = match &mut agreed {
                Ok(DirectOutcome::Bytes(_)) => AttemptOutcome::Switched,
                Ok(DirectOutcome::Answer(answer)) => answer.attempt(to).await,
                Err(error) => AttemptOutcome::failed(error),
            };
            if to.after(attempt, report) == Next::Done {
                return agreed;
            }
        }
    })
    .await
}

/// Asks the hop's server for a tunnel.
async fn agree(
    to: &mut UpstreamRequest,
    request: &mut Head<request::Parts>,
    report: &mut Report,
    changes: Option<&AnswerChanges>,
) -> Result<DirectOutcome<AgreedTunnel>, ProxyError> {
    let clock = AnswerClock::begin(report.started());
    let spelling = &to.hop.route.spelling;
    let message = http1::write_request(&request.parts, &request.names, spelling);
    let mut asking = DirectRequest {
        polls_for: None,
        to,
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
        if let Some(cookie) = to.cookie() {
            answer.parts.headers.append(header::SET_COOKIE, cookie);
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
    let begun = heard.begun(to.last_use_of(&mut request.parts), clock);
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, to))
        .await
        .map(DirectOutcome::Answer)
}

/// Asks for an answer: the one server of the route, or those of its group as long as that helps.
async fn ask(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    request: &mut BufferedRequest<'_>,
    report: &mut Report,
) -> Result<DirectOutcome<WholeAnswer>, ProxyError> {
    if to.in_group.is_none() {
        return ask_server(connection, to, request, report).await;
    }
    // Boxed, so that a request to one server does not carry the room for it.
    Box::pin(async {
        loop {
            let mut asked = ask_server(connection, to, request, report).await;
            let attempt = match &mut asked {
                Ok(DirectOutcome::Bytes(WholeAnswer { answer, .. })) => {
                    AttemptOutcome::Answered(answer.status, Some(&answer.body))
                }
                Ok(DirectOutcome::Answer(answer)) => answer.attempt(to).await,
                Err(error) => AttemptOutcome::failed(error),
            };
            if to.after(attempt, report) == Next::Done {
                return asked;
            }
        }
    })
    .await
}

/// A whole answer, and the connection that it came over.
struct WholeAnswer {
    answer: BufferedAnswer,
    stream: Stream,
    address: PeerAddr,
    /// The session for which the connection was kept.
    session: Option<SessionKey>,
}

impl DirectOutcome<WholeAnswer> {
    /// Keeps the connection for the client's next request, if the server lets it.
    fn keep(
        self,
        connection: &ClientConnection,
        to: UpstreamRequest,
    ) -> DirectOutcome<BufferedAnswer> {
        match self {
            Self::Answer(answer) => DirectOutcome::Answer(answer),
            Self::Bytes(whole) => {
                let answer = whole.answer;
                let new_sessions = to.new_sessions(answer.status);
                let session = keeps(
                    to.session,
                    whole.session,
                    &answer.body,
                    new_sessions.as_deref(),
                );
                if answer.persistence == Persistence::KeepAlive {
                    connection.keep(Lease::Idle(IdleLease {
                        server: to.hop.server,
                        connection: IdleConnection::new(whole.stream, whole.address),
                        session,
                    }));
                }
                DirectOutcome::Bytes(answer)
            }
        }
    }
}

/// Asks the hop's server for an answer.
async fn ask_server(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    request: &mut BufferedRequest<'_>,
    report: &mut Report,
) -> Result<DirectOutcome<WholeAnswer>, ProxyError> {
    let clock = AnswerClock::begin(report.started());
    let Head { parts, names, .. } = &mut *request.head;
    let mut message = http1::write_request(parts, names, &to.hop.route.spelling);
    message.extend_from_slice(&request.body);
    let mut asking = DirectRequest {
        polls_for: Some(connection),
        to,
        message: &message,
        clock: &clock,
        read: http1::read_answer,
    };
    let lease = connection.take_lease();
    let mut heard = None;
    if let Some(kept) = lease.and_then(|lease| lease.bare(asking.to)) {
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
        return Ok(DirectOutcome::Bytes(WholeAnswer {
            answer,
            stream: heard.stream,
            address: heard.address,
            session: heard.session,
        }));
    }
    let begun = heard.begun(to.last_use_of(parts), clock);
    // Boxed, so that what nearly always happens does not carry the room for it.
    Box::pin(exchange::go_on(begun, to))
        .await
        .map(DirectOutcome::Answer)
}
