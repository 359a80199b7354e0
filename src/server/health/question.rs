//! How a server is asked how it is, over a connection of its own: as a knock, or as its group's `health_check` says.

use std::time::Duration;

use http::Request;
use http::StatusCode;
use http::header;
use http::request::Parts;
use tokio::time::timeout;

use crate::affinity::Sessions;
use crate::engineio::EngineIoSessions;
use crate::engineio::HandshakeAnswer;
use crate::engineio::RefusedCode;
use crate::engineio::read_polling;
use crate::headers::spelling::Spelling;
use crate::upstream;
use crate::upstream::AskTimeouts;
use crate::upstream::ConnectError;
use crate::upstream::HealthCheck;
use crate::upstream::ProbeAnswer;
use crate::upstream::ProbeError;
use crate::upstream::Server;

/// What `engine_io` asks for behind the path: a session that cannot exist, since servers give out ids of 20 characters. A server of
/// version 2 does not look at `EIO`, those of version 3 and 4 and python-engineio look at the session first, and none makes one.
const NO_SESSION: &str = "?EIO=4&transport=polling&sid=wsgate-check";

/// What a server is asked.
#[derive(Clone, Debug)]
pub(super) enum HealthQuestion {
    /// Whether it takes connections, within this time.
    Knock(Duration),
    /// What the group's `health_check` says, within this time.
    Check(HealthCheck, Duration),
}

/// Why a server was not found well.
#[derive(Debug)]
pub(super) enum HealthFault {
    /// It is not, for this reason.
    Unwell(String),
    /// It was not asked, since this machine had no descriptor or no port left for that.
    NotAsked,
}

impl HealthFault {
    /// What is wrong with the server, in words, if that is known.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unwell(reason) => Some(reason),
            Self::NotAsked => None,
        }
    }
}

impl From<ConnectError> for HealthFault {
    fn from(error: ConnectError) -> Self {
        if error.is_of_this_machine() {
            Self::NotAsked
        } else {
            Self::Unwell(error.to_string())
        }
    }
}

impl HealthQuestion {
    /// Asks it. Needs a runtime that takes tasks of its own thread.
    ///
    /// # Errors
    /// Why the server is not well, or that it was not asked.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub(super) async fn ask(self, server: &Server) -> Result<(), HealthFault> {
        match self {
            Self::Knock(limit) | Self::Check(HealthCheck::Tcp, limit) => {
                Ok(upstream::answers(server, limit).await?)
            }
            Self::Check(HealthCheck::Http(path), limit) => {
                let passed = async {
                    let answer = get(server, &path, limit).await?;
                    let status = answer.head().status;
                    match status.is_success() || status.is_redirection() {
                        true => Ok(()),
                        false => Err(HealthFault::Unwell(format!(
                            "it answered {} to GET {path}",
                            status.as_u16()
                        ))),
                    }
                };
                within(limit, passed).await
            }
            Self::Check(HealthCheck::EngineIo(path), limit) => {
                let target = format!("{path}{NO_SESSION}");
                let passed = async {
                    let answer = get(server, &target, limit).await?;
                    let status = answer.head().status;
                    match is_of_engine_io(status, &answer.beginning().await) {
                        true => Ok(()),
                        false => Err(HealthFault::Unwell(format!(
                            "it answered {} to GET {path}, and not as an Engine.IO server refuses an unknown session",
                            status.as_u16()
                        ))),
                    }
                };
                within(limit, passed).await
            }
        }
    }
}

async fn within(
    limit: Duration,
    passed: impl Future<Output = Result<(), HealthFault>>,
) -> Result<(), HealthFault> {
    let passed = timeout(limit, passed).await;
    passed.unwrap_or_else(|_| Err(silent(limit)))
}

fn silent(limit: Duration) -> HealthFault {
    HealthFault::Unwell(format!("it did not answer within {limit:?}"))
}

async fn get(server: &Server, target: &str, limit: Duration) -> Result<ProbeAnswer, HealthFault> {
    let head = head(server, target);
    let head = head.ok_or_else(|| HealthFault::Unwell(format!("`{target}` is no path")))?;
    let timeouts = AskTimeouts {
        connect: limit,
        answer: limit,
    };
    let answer = upstream::ask(server, head, Spelling::default(), timeouts).await;
    answer.map_err(|error| match error {
        ProbeError::Timeout => silent(limit),
        ProbeError::Connect(error) => error.into(),
        error @ ProbeError::Http(_) => HealthFault::Unwell(error.to_string()),
    })
}

/// The head of a check. Its `Host` is the server's own as the file has it, without the port that its scheme has by itself, and its
/// `User-Agent` tells whoever reads the server's log who asks.
fn head(server: &Server, target: &str) -> Option<Parts> {
    let request = Request::builder()
        .uri(target)
        .header(header::HOST, server.proxy_pass().proxy_host())
        .header(header::USER_AGENT, "wsgate health_check")
        .header(header::ACCEPT, "*/*")
        .body(());
    Some(request.ok()?.into_parts().0)
}

/// Whether this is how an Engine.IO server refuses a session that it does not know, or, where it takes WebSockets only, polling.
fn is_of_engine_io(status: StatusCode, body: &[u8]) -> bool {
    EngineIoSessions.is_unknown(status, body)
        || matches!(
            read_polling(body),
            HandshakeAnswer::Refused(RefusedCode::TransportUnknown)
        )
}
