//! The lines of the log about connections that come to no request: what an operator may have to act on. Clients that
//! leave before they say anything have no line, since port scans and health checks do that.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::observe::AcceptPause;
use crate::observe::ConnectionFailure;
use crate::observe::Observer;
use crate::observe::ProxyHeaderFailure;
use crate::observe::TlsFailure;
use crate::stream::ClientAddr;

/// How long nothing more is said of one cause for which no connections are accepted: connections that come and go make
/// room for one another many times a second.
const QUIET: Duration = Duration::from_secs(60);

/// Writes these lines, whether or not the access log is on.
#[derive(Debug, Default)]
pub struct ConnectionLog {
    full: Quiet,
    system: Quiet,
}

impl Observer for ConnectionLog {
    fn accepting_paused(&self, pause: AcceptPause<'_>) {
        match pause {
            AcceptPause::Full { max_connections } if self.full.is_over(Instant::now()) => {
                tracing::warn!(
                    limit = "max_connections",
                    max_connections,
                    "no more connections are accepted until one ends; open ones go on"
                )
            }
            AcceptPause::System(error) if self.system.is_over(Instant::now()) => {
                tracing::error!(reason = %error, "cannot accept connections; open ones go on");
            }
            AcceptPause::Full { .. } | AcceptPause::System(_) => {}
        }
    }

    fn connection_failed(&self, client: ClientAddr, failure: ConnectionFailure<'_>) {
        let remote_addr = || client.to_string();
        match failure {
            ConnectionFailure::PerIp { is_news: false, .. }
            | ConnectionFailure::ProxyHeader {
                kind: ProxyHeaderFailure::Closed,
                ..
            }
            | ConnectionFailure::TlsHandshake {
                kind: TlsFailure::Closed,
                ..
            } => {}
            ConnectionFailure::PerIp { limit, reason, .. } => tracing::warn!(
                remote_addr = remote_addr().as_str(),
                limit,
                reason = reason.to_string().as_str(),
                "connections are closed without an answer while others of this address wait for one"
            ),
            ConnectionFailure::ProxyHeader { reason, .. } => tracing::info!(
                remote_addr = remote_addr().as_str(),
                reason = reason.to_string().as_str(),
                "no PROXY header"
            ),
            ConnectionFailure::TlsHandshake { reason, .. } => tracing::info!(
                remote_addr = remote_addr().as_str(),
                reason = reason.to_string().as_str(),
                "no TLS handshake"
            ),
            ConnectionFailure::NoRequest { header_timeout } => {
                let reason = format!("no byte within {header_timeout:?} (`header_timeout`)");
                tracing::info!(
                    remote_addr = remote_addr().as_str(),
                    reason = reason.as_str(),
                    "no request"
                );
            }
        }
    }
}

/// When something was said last. All threads share it, and come here only where they pause.
#[derive(Debug, Default)]
struct Quiet(Mutex<Option<Instant>>);

impl Quiet {
    /// Whether it is time to say it again; from then on it is quiet.
    fn is_over(&self, now: Instant) -> bool {
        // A panic while it was held leaves nothing half done.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = said.is_none_or(|said| now.saturating_duration_since(said) >= QUIET);
        if is_over {
            *said = Some(now);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use crate::observe::connection_log::QUIET;
    use crate::observe::connection_log::Quiet;

    #[test]
    fn what_was_said_is_said_again_after_a_while() {
        let quiet = Quiet::default();
        let begin = Instant::now();
        let late = begin + QUIET - Duration::from_nanos(1);
        let said = [begin, begin, late, begin + QUIET, begin + QUIET, begin];
        assert_eq!(
            said.map(|now| quiet.is_over(now)),
            [true, false, false, true, false, false]
        );
    }
}
