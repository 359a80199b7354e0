//! Why a request gets an error from wsgate instead of its upstream's answer.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::access::Forbidden;
use crate::decision::Refusal;
use crate::decision::RequestError;
use crate::decision::response::AnswerError;
use crate::headers::upgrade::DisagreedError;
use crate::http1::Persistence;
use crate::limits::Exceeded;
use crate::observe::Reason;
use crate::stream::in_words;
use crate::upstream::ConnectError;

/// Why a request was not answered by its upstream.
#[derive(Debug)]
pub(super) enum ProxyError {
    /// The request cannot be passed on.
    Request(RequestError),
    /// No location matches its path.
    NoLocation,
    /// `allow`, `deny` or `allowed_origins` refuses its sender.
    Forbidden(Forbidden),
    /// `rewrite` leaves no path of it that could be asked for.
    NoPathLeft,
    /// The address that it came from has as much as it may; what becomes of the connection then.
    Exceeded(Exceeded, Persistence),
    /// Every server of the group has as much as it may (`max_conns`).
    NoServer,
    /// The server that has the request's session is down.
    SessionDown {
        /// The server: `host:port` or `unix:/path`.
        upstream: String,
    },
    /// There is no connection to the upstream.
    Connect(ConnectError),
    /// The upstream closed without an answer, or gave none that is HTTP.
    NoAnswer {
        /// The server that was asked: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// Hyper's.
        source: hyper::Error,
    },
    /// The head of the answer took too long.
    AnswerTimeout {
        /// The server that was asked: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// The limit.
        limit: Duration,
        /// Its key in `routes.yaml`.
        key: &'static str,
    },
    /// The answer could be understood differently by the client.
    Answer {
        /// The server that was asked: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// How.
        source: AnswerError,
    },
    /// A 101 that does not agree to what was asked.
    Disagreed {
        /// The server that was asked: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// What it lacks.
        source: DisagreedError,
    },
    /// The connection broke right behind the head of a 101.
    SwitchBroken {
        /// The server that was asked: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
    },
}

impl From<Refusal> for ProxyError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Request(error) => Self::Request(error),
            Refusal::NoLocation => Self::NoLocation,
            Refusal::Forbidden(forbidden) => Self::Forbidden(forbidden),
            Refusal::NoPathLeft => Self::NoPathLeft,
        }
    }
}

impl ProxyError {
    /// Whether the upstream was gone before there was a whole head, and not for what it said: as when it closes a connection
    /// that was kept.
    pub(super) fn broke_off(&self) -> bool {
        matches!(self, Self::NoAnswer { source, .. } if !source.is_parse())
    }

    /// The status the client is told. No `_` arm: a new variant must decide whose fault it is.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Request(error) => error.status(),
            Self::NoLocation => Refusal::NoLocation.status(),
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoPathLeft => Refusal::NoPathLeft.status(),
            Self::Exceeded(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoServer => StatusCode::SERVICE_UNAVAILABLE,
            Self::Connect(
                ConnectError::Refused { .. }
                | ConnectError::Resolve { .. }
                | ConnectError::Tls { .. },
            ) => StatusCode::BAD_GATEWAY,
            Self::Connect(ConnectError::Timeout { .. } | ConnectError::TlsTimeout { .. })
            | Self::AnswerTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::SessionDown { .. }
            | Self::NoAnswer { .. }
            | Self::Answer { .. }
            | Self::Disagreed { .. }
            | Self::SwitchBroken { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// One line for the client: what happened, without addresses of the inside.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Request(error) => error.to_string(),
            Self::NoLocation => Refusal::NoLocation.told(),
            Self::Forbidden(forbidden) => forbidden.told().to_owned(),
            Self::NoPathLeft => Refusal::NoPathLeft.told(),
            Self::Exceeded(exceeded, _) => exceeded.told().to_owned(),
            Self::NoServer => "every server has as many connections as it may".to_owned(),
            Self::Connect(ConnectError::Resolve { .. }) => {
                "the upstream's address cannot be found".to_owned()
            }
            Self::SessionDown { .. } | Self::Connect(ConnectError::Refused { .. }) => {
                "the upstream cannot be reached".to_owned()
            }
            Self::Connect(ConnectError::Timeout { .. }) => {
                "the upstream does not accept connections in time".to_owned()
            }
            Self::Connect(ConnectError::Tls { .. }) => {
                "the upstream cannot be reached over TLS".to_owned()
            }
            Self::Connect(ConnectError::TlsTimeout { .. }) => {
                "the upstream does not end the TLS handshake in time".to_owned()
            }
            Self::NoAnswer { .. } => "the upstream gave no answer".to_owned(),
            Self::AnswerTimeout { .. } => "the upstream does not answer in time".to_owned(),
            Self::Answer { .. } | Self::Disagreed { .. } | Self::SwitchBroken { .. } => {
                "the upstream gave an answer that cannot be passed on".to_owned()
            }
        }
    }

    /// For the log.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Forbidden(_)
            | Self::NoPathLeft
            | Self::Exceeded(..)
            | Self::NoServer
            | Self::Request(RequestError::BodyTimeout(_)) => Reason::Rule(self.to_string()),
            Self::Request(_) | Self::NoLocation => Reason::Client(self.to_string()),
            Self::NoAnswer { source, .. } if is_silence(source) => {
                Reason::Unanswered(self.to_string())
            }
            Self::SessionDown { .. }
            | Self::Connect(_)
            | Self::NoAnswer { .. }
            | Self::AnswerTimeout { .. }
            | Self::Answer { .. }
            | Self::Disagreed { .. }
            | Self::SwitchBroken { .. } => Reason::Upstream(self.to_string()),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => write!(f, "refused: {error}"),
            Self::NoLocation => f.write_str("no location matches"),
            Self::Forbidden(forbidden) => write!(f, "{forbidden}"),
            Self::NoPathLeft => f.write_str("`rewrite` leaves no path that begins with a slash"),
            Self::Exceeded(exceeded, _) => write!(f, "{exceeded}"),
            Self::NoServer => {
                f.write_str("every server of the group has as many as it may (`max_conns`)")
            }
            Self::SessionDown { upstream } => {
                write!(f, "upstream {upstream} has the session and is down")
            }
            Self::Connect(error) => write!(f, "{error}"),
            Self::NoAnswer { upstream, source } if is_silence(source) => {
                write!(
                    f,
                    "upstream {upstream} closed the connection without an answer"
                )
            }
            Self::NoAnswer { upstream, source } if source.is_parse() => {
                write!(
                    f,
                    "upstream {upstream} gave an answer that is not HTTP/1.1: {}",
                    Innermost(source)
                )
            }
            Self::NoAnswer { upstream, source } => {
                write!(
                    f,
                    "upstream {upstream} gave no answer: {}",
                    Innermost(source)
                )
            }
            Self::AnswerTimeout {
                upstream,
                limit,
                key,
            } => {
                write!(
                    f,
                    "upstream {upstream} gave no answer within {limit:?} (`{key}`)"
                )
            }
            Self::Answer { upstream, source } => {
                write!(f, "upstream {upstream} is not passed on: {source}")
            }
            Self::Disagreed { upstream, source } => {
                write!(f, "upstream {upstream} is not passed on: {source}")
            }
            Self::SwitchBroken { upstream } => {
                write!(f, "upstream {upstream} closed right behind its 101")
            }
        }
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Forbidden(forbidden) => Some(forbidden),
            Self::Connect(error) => Some(error),
            Self::NoAnswer { source, .. } => Some(source),
            Self::Answer { source, .. } => Some(source),
            Self::Disagreed { source, .. } => Some(source),
            Self::NoLocation
            | Self::NoPathLeft
            | Self::Exceeded(..)
            | Self::NoServer
            | Self::SessionDown { .. }
            | Self::AnswerTimeout { .. }
            | Self::SwitchBroken { .. } => None,
        }
    }
}

/// Whether this is how hyper calls it when an upstream closes without an answer.
fn is_silence(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || Innermost(error).is_truncation()
}

/// Hyper's errors say little themselves; what they hold says more.
pub(super) struct Innermost<'a>(pub(super) &'a hyper::Error);

impl<'a> Innermost<'a> {
    fn error(&self) -> &'a (dyn StdError + 'static) {
        let mut error: &(dyn StdError + 'static) = self.0;
        while let Some(source) = error.source() {
            error = source;
        }
        error
    }

    /// The socket's error, if that is what it is.
    fn io(&self) -> Option<&'a io::Error> {
        self.error().downcast_ref()
    }

    /// Whether TLS ended without a close_notify.
    fn is_truncation(&self) -> bool {
        self.io()
            .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    }
}

impl fmt::Display for Innermost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let io = self.io();
        match io.and_then(in_words) {
            Some(words) => f.write_str(words),
            None if io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) => {
                f.write_str("the connection ended")
            }
            None => write!(f, "{}", self.error()),
        }
    }
}
