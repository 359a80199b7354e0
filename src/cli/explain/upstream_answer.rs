//! The answer of an upstream that `--connect` asked, and what it means.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::clients::ClientKind;
use crate::clients::Request;
use crate::engineio;
use crate::engineio::Open;
use crate::engineio::Protocol;
use crate::engineio::hints;
use crate::headers::upgrade::DisagreedError;

/// What one server of an upstream answered.
#[derive(Debug)]
pub(super) struct ServerAnswer {
    /// The server, if the upstream has several.
    pub(super) server: Option<String>,
    /// Its answer.
    pub(super) answer: UpstreamAnswer,
}

/// What an upstream answered to a request, if anything.
#[derive(Debug)]
pub(super) enum UpstreamAnswer {
    /// There is no connection, for this reason.
    NoConnection(String),
    /// The upstream closed the connection without an answer.
    Closed,
    /// The connection broke, in this way.
    Broken(String),
    /// The answer is no HTTP, for this reason.
    NotHttp(String),
    /// There was no answer within the limit that this key sets.
    Silence { limit: Duration, key: &'static str },
    /// The upstream answered 101; with its first words in the WebSocket, if the client is one of Engine.IO.
    Switched(Option<engineio::HandshakeAnswer>),
    /// The upstream answered 101, and does not agree to what was asked.
    Disagreed(DisagreedError),
    /// The upstream gave any other answer.
    Http {
        /// The status.
        status: StatusCode,
        /// The field `Content-Type`.
        content_type: Option<String>,
        /// The field `Location`.
        location: Option<String>,
        /// The body as the answer to an Engine.IO handshake, if the request was one.
        engine_io: Option<engineio::HandshakeAnswer>,
    },
}

impl UpstreamAnswer {
    /// The name of this kind of answer, for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoConnection(_) => "no_connection",
            Self::Closed => "closed",
            Self::Broken(_) => "broken",
            Self::NotHttp(_) => "not_http",
            Self::Silence { .. } => "silence",
            Self::Switched(None) => "websocket",
            Self::Disagreed(_) => "disagreed",
            Self::Switched(Some(answer)) => of_engine_io(answer),
            Self::Http {
                engine_io: Some(answer),
                ..
            } => of_engine_io(answer),
            Self::Http { .. } => "http",
        }
    }

    /// Whether the answer is what the client wants.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Self::Switched(answer) => {
                matches!(answer, None | Some(engineio::HandshakeAnswer::Open(_)))
            }
            Self::Http {
                engine_io: Some(answer),
                ..
            } => matches!(answer, engineio::HandshakeAnswer::Open(_)),
            Self::Http { status, .. } => status.is_success() || status.is_redirection(),
            _ => false,
        }
    }

    /// The status, if the upstream gave one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Switched(_) | Self::Disagreed(_) => Some(StatusCode::SWITCHING_PROTOCOLS),
            Self::Http { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What can be done about the answer to this request of such a client, if there is something.
    pub(super) fn help(&self, kind: ClientKind, request: &Request) -> Option<String> {
        match self {
            Self::Closed if request.is_upgrade() => Some(hints::CLOSED_UPGRADE.to_owned()),
            Self::Switched(Some(answer))
            | Self::Http {
                engine_io: Some(answer),
                ..
            } => match answer {
                engineio::HandshakeAnswer::Refused(code) => code.help().map(str::to_owned),
                engineio::HandshakeAnswer::Open(open)
                    if open.framed_as == Some(Protocol::V3) && kind == ClientKind::SocketIo =>
                {
                    Some(
                        "the server is of version 2, which socket.io-client 3 and 4 do not speak: `--client \
                         socket.io@2` is what it wants"
                            .to_owned(),
                    )
                }
                engineio::HandshakeAnswer::Open(_) => None,
                engineio::HandshakeAnswer::Other => Some(hints::OTHER_PATH.to_owned()),
            },
            _ => None,
        }
    }
}

/// The name of an Engine.IO answer, for programs.
fn of_engine_io(answer: &engineio::HandshakeAnswer) -> &'static str {
    match answer {
        engineio::HandshakeAnswer::Open(_) => "engine_io_open",
        engineio::HandshakeAnswer::Refused(_) => "engine_io_refused",
        engineio::HandshakeAnswer::Other => "not_engine_io",
    }
}

impl fmt::Display for UpstreamAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(why) => f.write_str(why),
            Self::Closed => f.write_str("it closed the connection without an answer"),
            Self::Broken(how) => write!(f, "the connection broke: {how}"),
            Self::NotHttp(how) => write!(f, "its answer is no HTTP/1.1: {how}"),
            Self::Silence { limit, key } => {
                write!(f, "no answer within {limit:?} (`{key}`)")
            }
            Self::Disagreed(error) => write!(f, "{error}"),
            Self::Switched(None) => f.write_str("101: a WebSocket is open"),
            Self::Switched(Some(answer)) => match answer {
                engineio::HandshakeAnswer::Open(open) => {
                    write!(
                        f,
                        "101, and an Engine.IO session is open: {}",
                        SessionTerms(open)
                    )
                }
                engineio::HandshakeAnswer::Refused(code) => write!(
                    f,
                    "101, and then an Engine.IO server that refuses: {code}. The client sees a broken frame"
                ),
                engineio::HandshakeAnswer::Other => {
                    f.write_str("101: a WebSocket is open, and nothing in it is of Engine.IO")
                }
            },
            Self::Http {
                status,
                content_type,
                location,
                engine_io,
            } => {
                write!(f, "{}", status.as_u16())?;
                match engine_io {
                    Some(engineio::HandshakeAnswer::Open(open)) => {
                        return write!(f, ": an Engine.IO session is open: {}", SessionTerms(open));
                    }
                    Some(engineio::HandshakeAnswer::Refused(code)) => {
                        return write!(f, " from an Engine.IO server that refuses: {code}");
                    }
                    Some(engineio::HandshakeAnswer::Other) => {
                        f.write_str(": no Socket.IO server, or none at this path")?;
                    }
                    None => {
                        if let Some(reason) = status.canonical_reason() {
                            write!(f, " {reason}")?;
                        }
                    }
                }
                if let Some(location) = location {
                    write!(f, ", to {}", location.escape_debug())?;
                }
                match content_type {
                    Some(content_type) => write!(f, " ({})", content_type.escape_debug()),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The terms of a session, from the server's open packet, as a part of a sentence.
struct SessionTerms<'a>(&'a Open);

impl fmt::Display for SessionTerms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Open {
            framed_as,
            ping_interval_ms,
            ping_timeout_ms,
            upgrades,
            max_payload: _,
        } = self.0;
        let time = |ms: &Option<u64>| match ms {
            Some(ms) => format!("{:?}", Duration::from_millis(*ms)),
            None => "?".to_owned(),
        };
        write!(
            f,
            "ping every {}, answered within {}",
            time(ping_interval_ms),
            time(ping_timeout_ms)
        )?;
        match (framed_as, upgrades.as_slice()) {
            (None, _) => Ok(()),
            (Some(protocol), []) => write!(f, ", no upgrades, {protocol}"),
            (Some(protocol), upgrades) => {
                let upgrades = upgrades.join(", ");
                write!(f, ", upgrades to {}, {protocol}", upgrades.escape_debug())
            }
        }
    }
}
