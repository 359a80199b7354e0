//! What is said while no more connections are accepted.

use std::io;
use std::time::Duration;
use std::time::Instant;

/// How long nothing more is said: connections that come and go make room for one another many times a second.
const QUIET: Duration = Duration::from_secs(60);

/// What one listener on one thread has said.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    said: Option<Instant>,
}

impl Crowd {
    /// There are `most` connections.
    pub(super) fn is_full(&mut self, most: usize) {
        if self.speaks() {
            tracing::warn!(
                limit = "max_connections",
                max_connections = most,
                "no more connections are accepted until one ends; open ones go on"
            );
        }
    }

    /// The system has no room.
    pub(super) fn is_refused(&mut self, error: &io::Error) {
        if self.speaks() {
            tracing::error!(reason = %error, "cannot accept connections; open ones go on");
        }
    }

    fn speaks(&mut self) -> bool {
        let speaks = self.said.is_none_or(|said| said.elapsed() >= QUIET);
        if speaks {
            self.said = Some(Instant::now());
        }
        speaks
    }
}
