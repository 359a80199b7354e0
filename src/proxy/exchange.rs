//! A request through hyper: which connection to its upstream it takes, how long it waits, and what the head of the answer means.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use http::Response;
use http::StatusCode;
use http::request;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::affinity::SessionKey;
use crate::decision;
use crate::decision::Framing;
use crate::decision::RequestError;
use crate::decision::response;
use crate::headers::upgrade::Asked;
use crate::proxy::answer::Answer;
use crate::proxy::answer_body::AnswerConnection;
use crate::proxy::connect::connect;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::ProxyError;
use crate::proxy::group_request::AttemptOutcome;
use crate::proxy::lease::HttpLease;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::request_body::RequestBody;
use crate::proxy::upstream_body::UpstreamBody;
use crate::proxy::upstream_request::HeldOutcome;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::PeerAddr;
use crate::stream::Rewound;
use crate::tunnel::End;
use crate::upstream::SendError;

/// Sends a request, and judges the head of its answer.
pub(super) async fn exchange(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    request: Request<RequestBody>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    if to.in_group.is_some() {
        // Boxed, so that a request to one server does not carry the room for it.
        return Box::pin(exchange_in_group(connection, to, request, report)).await;
    }
    exchange_with_server(connection, to, request, report).await
}

/// The longest body of a request for an unknown session that is waited for, so that each server can be asked with all of it: clients
/// send the head of a POST and its body one after the other. One that is longer, or whose length is not said, goes to one server, and
/// its session is lost if that is the wrong one: memory for the largest messages of everybody who makes ids up is worse.
const MOST_COLLECTED: u64 = 64 * 1024;

/// Sends a request to one server of a group after the other, as long as that helps. A body that is on its way cannot be sent again.
async fn exchange_in_group(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    mut request: Request<RequestBody>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    if to.asks_for_session() {
        let limit = to.hop.route.timeouts.body;
        let collected = request.body_mut().collect(MOST_COLLECTED, limit).await;
        collected.map_err(ProxyError::Request)?;
    }
    let mut held = HeldOutcome::default();
    loop {
        let server = Arc::clone(&to.hop.server);
        let again = copy(&request);
        if again.is_none() {
            to.goes_once();
        }
        let mut answer = exchange_with_server(connection, to, request, report).await;
        let attempt = match &mut answer {
            Ok(answer) => answer.attempt(to).await,
            Err(error) => AttemptOutcome::failed(error),
        };
        let next = to.after(attempt, report);
        let Some(again) = again else {
            return answer;
        };
        if let Some(outcome) = held.settle(next, server, answer, to) {
            return outcome;
        }
        request = again;
    }
}

/// Sends a request to the hop's server, and judges the head of its answer.
async fn exchange_with_server(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    request: Request<RequestBody>,
    report: &mut Report,
) -> Result<Answer, ProxyError> {
    let (response, lease) = match to.asked {
        Asked::WebSocket(_) => {
            let lease = open(to, report).await?;
            send(lease, to, request).await?
        }
        Asked::Nothing => ask(connection, to, request, report).await?,
    };
    judge(response, to, lease).await
}

/// An exchange that was begun without hyper, and goes on with it.
#[derive(Debug)]
pub(super) struct Begun {
    /// The request as it was sent.
    pub(super) head: request::Parts,
    pub(super) clock: AnswerClock,
    /// The upstream's socket, as if the request had not been sent yet.
    pub(super) stream: Rewound,
    pub(super) address: PeerAddr,
    /// The session for which the connection was kept.
    pub(super) session: Option<SessionKey>,
}

/// Lets hyper go on with an exchange. It is told of no body: all of the request is out, and whatever hyper wrote behind its head
/// could be taken for another request.
pub(super) async fn go_on(begun: Begun, to: &UpstreamRequest) -> Result<Answer, ProxyError> {
    let mut lease = start(to, begun.stream, begun.address).await?;
    lease.session = begun.session;
    let body = RequestBody::new(None, Rc::new(begun.clock));
    let request = Request::from_parts(begun.head, body);
    let (response, lease) = send(lease, to, request).await?;
    judge(response, to, lease).await
}

/// What to make of the head of an answer.
async fn judge(
    response: Response<Incoming>,
    to: &UpstreamRequest,
    lease: HttpLease,
) -> Result<Answer, ProxyError> {
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        to.agreed(&mut head)?;
        let switched = lease.connection.switch().await;
        let (stream, early) = switched.ok_or_else(|| ProxyError::SwitchBroken {
            upstream: to.hop.authority(),
        })?;
        return Ok(Answer::Switch {
            head: Box::new(head),
            upstream: End { stream, early },
            timeouts: to.hop.route.tunnel_timeouts,
        });
    }
    response::check(&head.headers).map_err(|source| ProxyError::Answer {
        upstream: to.hop.authority(),
        source,
    })?;
    response::rewrite(&mut head);
    let new_sessions = to.new_sessions(head.status);
    let head = Box::new(head);
    Ok(Answer::Upstream {
        head,
        body: UpstreamBody::new(body),
        over: AnswerConnection {
            lease,
            session: to.session,
            new_sessions,
        },
    })
}

/// An ordinary request: over the connection that was kept, if there is one, and again over a new one if that was just closing.
async fn ask(
    connection: &ClientConnection,
    to: &mut UpstreamRequest,
    mut request: Request<RequestBody>,
    report: &mut Report,
) -> Result<(Response<Incoming>, HttpLease), ProxyError> {
    if let Some(lease) = kept(connection, to).await {
        report.sent_to(Some(lease.connection.address().clone()));
        let framing = match request.body().is_end_stream() {
            true => Framing::None,
            false => Framing::Length,
        };
        let again = match decision::may_be_repeated(request.method(), framing) {
            true => copy(&request),
            false => None,
        };
        let _polls = connection.polls(to);
        match try_send(lease, to, request).await {
            Ok(answered) => return Ok(answered),
            Err(Failed::Unsent(unsent, _)) => request = *unsent,
            Err(Failed::Final(error)) if error.broke_off() => request = again.ok_or(error)?,
            Err(Failed::Final(error)) => return Err(error),
        }
    }
    let lease = open(to, report).await?;
    to.is_connected(request.body().clock());
    let _polls = connection.polls(to);
    send(lease, to, request).await
}

async fn kept(connection: &ClientConnection, to: &UpstreamRequest) -> Option<HttpLease> {
    connection.take_lease()?.http(to).await
}

/// A copy to send again, if none of the body is on its way. How its names were spelled is left out, since copying that map too would
/// cost every poll.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn open(to: &mut UpstreamRequest, report: &mut Report) -> Result<HttpLease, ProxyError> {
    let connected = connect(to, &[], report).await?;
    let stream = Rewound::untouched(connected.stream);
    start(to, stream, connected.address).await
}

async fn start(
    to: &UpstreamRequest,
    stream: Rewound,
    address: PeerAddr,
) -> Result<HttpLease, ProxyError> {
    let lease = HttpLease::start(&to.hop, stream, address).await;
    lease.map_err(|source| to.no_answer(source))
}

/// Why there is no head of an answer.
enum Failed {
    /// The request never went out, so that it may go out elsewhere.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    /// It may have been acted upon.
    Final(ProxyError),
}

async fn send(
    lease: HttpLease,
    to: &UpstreamRequest,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, HttpLease), ProxyError> {
    let sent = try_send(lease, to, request).await;
    sent.map_err(|failed| match failed {
        Failed::Final(error) => error,
        Failed::Unsent(_, source) => to.no_answer(source),
    })
}

async fn try_send(
    mut lease: HttpLease,
    to: &UpstreamRequest,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, HttpLease), Failed> {
    let clock = Rc::clone(request.body().clock());
    let answered = {
        let spelling = to.hop.route.spelling.clone();
        let sent = pin!(lease.connection.send(request, spelling));
        in_time(sent, to, &clock).await.map_err(Failed::Final)?
    };
    match answered {
        Ok(response) => {
            lease.clock = Some(clock);
            Ok((response, lease))
        }
        Err(SendError::Unsent(request, source)) => Err(Failed::Unsent(request, source)),
        Err(SendError::Sent(_)) if clock.is_broken() => {
            Err(Failed::Final(ProxyError::Request(RequestError::Body)))
        }
        Err(SendError::Sent(source)) => Err(Failed::Final(to.no_answer(source))),
    }
}

/// What `sent` comes to, unless the upstream keeps its answer back for too long, or the client its body.
async fn in_time<T>(
    mut sent: impl Future<Output = T> + Unpin,
    to: &UpstreamRequest,
    clock: &AnswerClock,
) -> Result<T, ProxyError> {
    let body = to.hop.route.timeouts.body;
    let longest_wait = to.longest_wait();
    let deadline = || {
        clock.moved()
            + if clock.is_waiting() {
                body
            } else {
                longest_wait
            }
    };
    loop {
        // Nothing wakes this task when the wait for the client begins; that wait cannot end before this moment.
        let look = deadline().min(Instant::now() + body);
        tokio::select! {
            biased;
            answered = &mut sent => return Ok(answered),
            () = sleep_until(look) => {
                // A body that is still moving has moved the deadline.
                if deadline() <= Instant::now() {
                    return Err(if clock.is_waiting() {
                        ProxyError::Request(RequestError::BodyTimeout(body))
                    } else {
                        to.timed_out()
                    });
                }
            }
        }
    }
}
