//! Finds what is wrong from what happened. It is pure: it has no clock and writes nothing.

use std::time::Duration;

use http::StatusCode;

use crate::engineio::HandshakeAnswer;
use crate::engineio::Protocol;
use crate::engineio::RefusedCode;
use crate::engineio::answer;
use crate::engineio::finding::Evidence;
use crate::engineio::finding::FailedRequest;
use crate::engineio::finding::Finding;
use crate::engineio::finding::RedirectedBy;
use crate::engineio::finding::RefusedRequestKind;
use crate::engineio::finding::ServerFamily;
use crate::engineio::finding::SessionPlace;
use crate::engineio::frame::Frame;
use crate::engineio::read_polling;
use crate::engineio::read_stream;
use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::GroupLabel;
use crate::observe::Lost;
use crate::observe::Opening;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::observe::Said;
use crate::observe::TunnelEnd;

/// How long a server that says nothing in a tunnel is taken for a slow one. A Socket.IO server speaks right behind its
/// 101, and its clients wait for 20 s.
const SLOW: Duration = Duration::from_secs(2);

/// The packet that a Socket.IO server of version 2 sends behind its open packet without being asked. Later versions
/// wait for the client, and their packet is longer.
const CONNECTED: &[u8] = b"40";

/// FIN and the opcode of a close frame.
const CLOSE: u8 = 0x88;

/// The words in which python-socketio refuses EIO=3, as part of a string of JSON.
const PYTHON: &[u8] = b"unsupported version of the Socket.IO or Engine.IO";

/// The parameters of a query that tell about its client.
#[derive(Clone, Copy, Debug, Default)]
struct Query<'a> {
    eio: Option<&'a str>,
    transport: Option<&'a str>,
    has_sid: bool,
    /// Whether the client asks for a script as the answer (JSONP).
    is_jsonp: bool,
}

impl<'a> Query<'a> {
    fn of(request: &'a RequestLine) -> Self {
        let mut query = Self::default();
        for (name, value) in request.parameters() {
            match name {
                "EIO" => query.eio = query.eio.or(Some(value)),
                "transport" => query.transport = query.transport.or(Some(value)),
                "sid" => query.has_sid = true,
                "j" => query.is_jsonp = true,
                _ => {}
            }
        }
        query
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::V3 => self.eio == Some("3"),
            Protocol::V4 => self.eio == Some("4"),
        }
    }

    /// Whether the client asks for a new session, over polling or over a WebSocket.
    fn begins(&self) -> bool {
        self.eio.is_some() && !self.has_sid
    }
}

/// The request of an exchange as a finding shows it.
fn asked(exchange: &Exchange, query: &Query<'_>) -> FailedRequest {
    let kind = match (exchange.opening == Opening::Whole, query.eio) {
        (true, None) => RefusedRequestKind::WebSocket,
        (true, Some(_)) => RefusedRequestKind::EngineIo,
        (false, Some(_)) if query.begins() => RefusedRequestKind::Session,
        (false, _) => RefusedRequestKind::Other,
    };
    let path = exchange.request.path();
    let lacks_slash = kind != RefusedRequestKind::Other
        && path.ends_with("/socket.io")
        // The path is shown as it is.
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    FailedRequest {
        kind,
        no_slash: lacks_slash.then(|| path.to_owned()),
    }
}

/// Whether an answer with this status must be read before it can be judged.
pub(super) fn listens(exchange: &Exchange, status: StatusCode) -> bool {
    match status {
        StatusCode::SWITCHING_PROTOCOLS => {
            let query = Query::of(&exchange.request);
            (query.eio.is_some() || query.transport.is_some()) && !query.has_sid
        }
        StatusCode::BAD_REQUEST => true,
        // A poll of a session that has begun, as most requests are, is told apart at a glance.
        StatusCode::OK if exchange.request.has_in_query("sid=") => false,
        StatusCode::OK if exchange.opening == Opening::Nothing => {
            let query = Query::of(&exchange.request);
            exchange.request.method() == "GET" && query.begins() && !query.is_jsonp
        }
        _ => false,
    }
}

/// Finds what is wrong about an exchange that has ended.
pub(super) fn exchange(exchange: &Exchange, end: &ExchangeEnd) -> Option<Finding> {
    let status = end.status?;
    // Most requests end so, and of them nothing but a WebSocket that became an ordinary request can be wrong.
    if status == StatusCode::OK
        && end.reason.is_none()
        && end.said.is_none()
        && exchange.opening == Opening::Nothing
        && !exchange.request.has_in_query("transport=websocket")
    {
        return None;
    }
    let query = Query::of(&exchange.request);
    if let Some(Reason::Unanswered(_)) = end.reason {
        return Some(Finding::Unanswered(asked(exchange, &query)));
    }
    if let Some(lost) = lost(exchange, &query) {
        return Some(Finding::LostHeaders(lost));
    }
    let is_upgrade = exchange.opening == Opening::Whole;
    if exchange.upstream_addr.is_none() {
        return is_upgrade.then(|| own(exchange, status)).flatten();
    }
    // A body that broke off shows nothing.
    let said = match end.reason {
        None => end.said.as_ref(),
        Some(_) => None,
    };
    if status == StatusCode::BAD_REQUEST {
        return match said? {
            Said::Words(said) => refused(exchange, &query, said),
            Said::EncodedPage => None,
        };
    }
    if is_upgrade {
        return upgrade(exchange, &query, status);
    }
    if query.begins() && exchange.request.method() == "GET" {
        return session(exchange, &query, status, said);
    }
    None
}

/// The header fields that a proxy took from a request, which makes it an ordinary one; `Some(None)` if only its query
/// shows that it was an upgrade request.
fn lost(exchange: &Exchange, query: &Query<'_>) -> Option<Option<Lost>> {
    match exchange.opening {
        Opening::Without(lost) => Some(Some(lost)),
        Opening::Nothing
            if query.transport == Some("websocket")
                && (query.eio.is_some() || is_socket_io(exchange))
                && exchange.request.method() == "GET" =>
        {
            Some(None)
        }
        Opening::Nothing | Opening::Whole => None,
    }
}

/// Judges an upgrade request that wsgate answered itself. An answer by `return` is meant so, unless it is a redirect.
fn own(exchange: &Exchange, status: StatusCode) -> Option<Finding> {
    match (status, exchange.route()) {
        (StatusCode::UPGRADE_REQUIRED, None) => Some(Finding::Redirected(RedirectedBy::Listener)),
        (StatusCode::NOT_FOUND, None) => Some(Finding::NoLocation),
        (status, Some(_)) if redirects(status) => {
            Some(Finding::Redirected(RedirectedBy::Status(status)))
        }
        _ => None,
    }
}

/// Judges an upgrade request that the upstream answered with another status than 101 and 400.
fn upgrade(exchange: &Exchange, query: &Query<'_>, status: StatusCode) -> Option<Finding> {
    match status {
        StatusCode::NOT_FOUND => Some(Finding::NotFound(asked(exchange, query))),
        status if status.is_success() => Some(Finding::GotPage(asked(exchange, query), status)),
        status if redirects(status) => Some(Finding::Redirected(RedirectedBy::Status(status))),
        // python-socketio refuses a WebSocket so, without a word.
        StatusCode::FORBIDDEN if query.eio.is_none() && is_socket_io(exchange) => {
            Some(Finding::PlainClient)
        }
        _ => None,
    }
}

/// Judges a 400 whose body begins with `said`.
fn refused(exchange: &Exchange, query: &Query<'_>, said: &[u8]) -> Option<Finding> {
    if query.speaks(Protocol::V3) && contains(said, PYTHON) {
        return Some(Finding::Eio3Refused(ServerFamily::Python));
    }
    let HandshakeAnswer::Refused(code) = read_polling(said) else {
        return None;
    };
    // Servers that do not speak Engine.IO may answer with `code` and `message` too.
    match code {
        RefusedCode::UnsupportedProtocol if query.speaks(Protocol::V3) => {
            Some(Finding::Eio3Refused(ServerFamily::Node))
        }
        RefusedCode::SessionUnknown if query.has_sid => {
            let of_group = |group: &GroupLabel| SessionPlace::GroupOf(group.sticky);
            let place = exchange.group().map_or(SessionPlace::Server, of_group);
            Some(Finding::SessionUnknown(place))
        }
        RefusedCode::TransportUnknown if contains(said, b"Transport unknown") => {
            Some(match (query.eio, exchange.opening) {
                (Some(_), _) => Finding::TransportUnknown,
                (None, Opening::Whole) => Finding::PlainClient,
                (None, Opening::Nothing | Opening::Without(_)) => Finding::NoClient,
            })
        }
        _ => None,
    }
}

/// Judges the answer to a client that begins with polling.
fn session(
    exchange: &Exchange,
    query: &Query<'_>,
    status: StatusCode,
    said: Option<&Said>,
) -> Option<Finding> {
    match status {
        StatusCode::NOT_FOUND => Some(Finding::NotFound(asked(exchange, query))),
        // A server that speaks WebSocket and nothing else answers so (RFC 9110 §15.5.22).
        StatusCode::UPGRADE_REQUIRED => Some(Finding::PlainServer(Evidence::UpgradeRequired)),
        StatusCode::OK => {
            let answer = match said? {
                Said::Words(said) => match read_polling(said) {
                    // This is a packet of Engine.IO of which too little was kept; a page does not begin so.
                    HandshakeAnswer::Other if said.first().is_some_and(u8::is_ascii_digit) => {
                        return None;
                    }
                    answer => answer,
                },
                Said::EncodedPage => HandshakeAnswer::Other,
            };
            match answer {
                HandshakeAnswer::Open(open) => {
                    let is_old = open.framed_as == Some(Protocol::V3);
                    (is_old && query.speaks(Protocol::V4)).then_some(Finding::OldServer)
                }
                HandshakeAnswer::Refused(_) => None,
                HandshakeAnswer::Other => Some(Finding::GotPage(asked(exchange, query), status)),
            }
        }
        _ => None,
    }
}

/// Judges the first bytes that an upstream sends in a tunnel. `None` if more are needed; `Some(None)` if nothing is
/// wrong.
pub(super) fn first_words(exchange: &Exchange, said: &[u8]) -> Option<Option<Finding>> {
    let query = Query::of(&exchange.request);
    let first = *said.first()?;
    if first == b'H' {
        // An HTTP answer stands where a frame should be.
        return Some(match read_stream(said)? {
            HandshakeAnswer::Refused(RefusedCode::UnsupportedProtocol) => Some(match query.eio {
                Some("4") => return Some(None),
                Some(_) => Finding::Eio3Refused(ServerFamily::Node),
                None => Finding::PlainClient,
            }),
            _ => None,
        });
    }
    if query.eio.is_none() {
        return Some(None);
    }
    if first == CLOSE {
        // The server says nothing else. How long it was silent will be known when the tunnel ends.
        return None;
    }
    Some(match Frame::read(said)? {
        Frame::Text { payload, .. } if says_max_payload(payload) => None,
        Frame::Text { payload, rest } => match answer::in_frame(payload) {
            None => Some(Finding::PlainServer(Evidence::FirstMessage)),
            // This may be a server of Socket.IO 2, or a later one that is older than 4.5.
            Some(open) if open.max_payload.is_none() && query.speaks(Protocol::V4) => {
                match Frame::read(rest)? {
                    Frame::Text {
                        payload: CONNECTED, ..
                    } => Some(Finding::OldServer),
                    _ => None,
                }
            }
            Some(_) => None,
        },
        Frame::Binary => Some(Finding::PlainServer(Evidence::FirstMessage)),
        // A compressed frame, for example, shows nothing.
        Frame::Other => None,
    })
}

/// Finds what is wrong about a tunnel that has ended.
pub(super) fn tunnel(exchange: &Exchange, end: &TunnelEnd) -> Option<Finding> {
    match end.ended_by {
        EndedBy::Idle(limit) => Some(Finding::TunnelTimeout(limit)),
        EndedBy::Client | EndedBy::Upstream => {
            // A close alone is silence, since most servers answer a client's close.
            let silent = matches!(end.said.as_deref(), Some([] | [CLOSE, ..]));
            (silent && end.duration >= SLOW && Query::of(&exchange.request).begins())
                .then_some(Finding::PlainServer(Evidence::Silence(end.duration)))
        }
        EndedBy::HalfClosed | EndedBy::Drain | EndedBy::Down | EndedBy::Panic => None,
    }
}

/// Whether this is the open packet of a server of Socket.IO 4.5 or later, of which no more need be known. Most tunnels
/// begin with it.
fn says_max_payload(payload: &[u8]) -> bool {
    payload.starts_with(b"0{\"sid\":\"") && contains(payload, b"\"maxPayload\"")
}

fn is_socket_io(exchange: &Exchange) -> bool {
    let path = exchange.request.path();
    path.ends_with("/socket.io/") || path.ends_with("/socket.io")
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests;
