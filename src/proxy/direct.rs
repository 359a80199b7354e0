//! The fast path, the way of a request without hyper: it came whole, and its answer goes on as bytes if that comes whole too.
//!
//! This is the way of what clients of WebSockets and polls send: an opening handshake and its 101, a small question and its
//! answer. Everything is decided as for any other request. When the answer is anything else (long, in chunks, wsgate's own), hyper
//! reads on from the upstream, as if it had been there from the beginning, and has to write to the client too: the request ends
//! with a [`ReadyAnswer`], which goes to hyper together with the client's socket.

use bytes::Bytes;
use http::request;

use crate::decision::Framing;
use crate::http1::BufferedAnswer;
use crate::http1::Head;
use crate::http1::Persistence;
use crate::proxy::answer::Answer;
use crate::proxy::answer::ReadyAnswer;
use crate::proxy::connection::ClientConnection;
use crate::proxy::direct_ask::AgreedTunnel;
use crate::proxy::direct_ask::BufferedRequest;
use crate::proxy::direct_ask::DirectOutcome;
use crate::proxy::direct_ask::ask;
use crate::proxy::direct_ask::ask_for_tunnel;
use crate::proxy::prepare::Prepared;
use crate::proxy::prepare::PreparedRequest;
use crate::proxy::prepare::prepare;
use crate::proxy::report::Report;
use crate::proxy::switch::Switch;

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
        mut changes,
        to,
    } = prepare(connection, &mut request.parts, Framing::None);
    let asked = match to {
        Ok(Prepared::Forward(mut to)) => {
            let asked =
                ask_for_tunnel(&mut to, &mut request, &mut report, changes.as_deref()).await;
            // A 101 that is here as bytes has it already.
            if let Ok(DirectOutcome::Answer(_)) = &asked {
                to.set_cookie(changes.as_deref_mut());
            }
            asked
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
