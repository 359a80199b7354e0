//! How long a client may take for its requests: for each head, and between two of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::listener::ConnectionTimeouts;

/// Until when the head of a request must be there, and how long the connection may be idle before the next one begins.
///
/// The wait for the first byte counts for the first head of a connection, and only for that one.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadDeadline {
    header: Duration,
    keepalive: Duration,
    until: Instant,
}

impl HeadDeadline {
    /// Begins now, with these limits of a connection.
    pub(super) fn begin(timeouts: ConnectionTimeouts) -> Self {
        Self {
            header: timeouts.header,
            keepalive: timeouts.keepalive,
            until: Instant::now() + timeouts.header,
        }
    }

    /// Begins anew, with the first byte of another head.
    pub(super) fn renew(&mut self) {
        self.until = Instant::now() + self.header;
    }

    /// How long a head may take: `header_timeout`.
    pub(super) fn limit(self) -> Duration {
        self.header
    }

    /// When the head must be there.
    pub(super) fn until(self) -> Instant {
        self.until
    }

    /// Whether the connection stays for another request: not with a `keepalive_timeout` of zero, as in nginx.
    pub(super) fn keeps_alive(self) -> bool {
        !self.keepalive.is_zero()
    }

    /// When the connection ends if it is idle from now on.
    pub(super) fn idle_until(self) -> Instant {
        Instant::now() + self.keepalive
    }
}
