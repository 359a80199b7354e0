//! What is said while no more connections are accepted.

use std::io;
use std::time::Duration;
use std::time::Instant;

/// How long nothing more is said: connections that come and go make room for one another many times a second.
const QUIET: Duration = Duration::from_secs(60);

/// What one listener on one thread has said.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    full: Option<Instant>,
    refused: Option<Instant>,
}

impl Crowd {
    /// There are `most` connections.
    pub(super) fn is_full(&mut self, most: usize) {
        if speaks(&mut self.full) {
            tracing::warn!(
                limit = "max_connections",
                max_connections = most,
                "no more connections are accepted until one ends; open ones go on"
            );
        }
    }

    /// The system has no room.
    pub(super) fn is_refused(&mut self, error: &io::Error) {
        if speaks(&mut self.refused) {
            tracing::error!(reason = %error, "cannot accept connections; open ones go on");
        }
    }
}

fn speaks(said: &mut Option<Instant>) -> bool {
    let speaks = said.is_none_or(|said| said.elapsed() >= QUIET);
    if speaks {
        *said = Some(Instant::now());
    }
    speaks
}
