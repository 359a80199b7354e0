//! A request without hyper: asked of the one server of its route, or of one server of its group after the other.

use std::sync::Arc;

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
use crate::proxy::connection::ClientConnection;
use crate::proxy::direct_request::DirectRequest;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::group_request::AttemptOutcome;
use crate::proxy::lease::IdleLease;
use crate::proxy::lease::Lease;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::session::keeps;
use crate::proxy::upstream_request::HeldOutcome;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::PeerAddr;
use crate::stream::Stream;
use crate::tunnel;
use crate::tunnel::End;
use crate::upstream::IdleConnection;

/// What came of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "it is held in one place, and a box would be one more allocation of each answer through hyper"
)]
pub(super) enum DirectOutcome<T> {
    /// All of an answer, as bytes.
    Bytes(T),
    /// One that hyper has to write.
    Answer(Answer),
}

/// The upstream's end of a tunnel, and the head of the 101 for the client.
pub(super) struct AgreedTunnel {
    pub(super) head: Vec<u8>,
    pub(super) upstream: End<Stream>,
    pub(super) timeouts: tunnel::TunnelTimeouts,
}

/// A request with its whole body.
pub(super) struct BufferedRequest<'r> {
    pub(super) head: &'r mut Head<request::Parts>,
    pub(super) framing: Framing,
    pub(super) body: Bytes,
}

/// Asks for a tunnel: the one server of the route, or those of its group as long as that helps.
pub(super) async fn ask_for_tunnel(
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
        let mut held = HeldOutcome::default();
        loop {
            let server = Arc::clone(&to.hop.server);
            let mut agreed = agree(to, request, report, changes).await;
            let attempt = match &mut agreed {
                Ok(DirectOutcome::Bytes(_)) => AttemptOutcome::Switched,
                Ok(DirectOutcome::Answer(answer)) => answer.attempt(to).await,
                Err(error) => AttemptOutcome::failed(error),
            };
            let next = to.after(attempt, report);
            if let Some(outcome) = held.settle(next, server, agreed, to) {
                return outcome;
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
pub(super) async fn ask(
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
        let mut held = HeldOutcome::default();
        loop {
            let server = Arc::clone(&to.hop.server);
            let mut asked = ask_server(connection, to, request, report).await;
            let attempt = match &mut asked {
                Ok(DirectOutcome::Bytes(WholeAnswer { answer, .. })) => {
                    AttemptOutcome::Answered(answer.status, Some(&answer.body))
                }
                Ok(DirectOutcome::Answer(answer)) => answer.attempt(to).await,
                Err(error) => AttemptOutcome::failed(error),
            };
            let next = to.after(attempt, report);
            if let Some(outcome) = held.settle(next, server, asked, to) {
                return outcome;
            }
        }
    })
    .await
}

/// A whole answer, and the connection that it came over.
pub(super) struct WholeAnswer {
    answer: BufferedAnswer,
    stream: Stream,
    address: PeerAddr,
    /// The session for which the connection was kept.
    session: Option<SessionKey>,
}

impl DirectOutcome<WholeAnswer> {
    /// Keeps the connection for the client's next request, if the server lets it.
    pub(super) fn keep(
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
