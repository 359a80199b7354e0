//! Until when the head of a request must be there.

use std::time::Duration;

use tokio::time::Instant;

/// How long a head may take, and until when the next one must be there. The wait for its first byte counts too.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadDeadline {
    limit: Duration,
    until: Instant,
}

impl HeadDeadline {
    /// Begins now.
    pub(super) fn begin(limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self { limit, until }
    }

    /// Begins anew, for another head.
    pub(super) fn renew(&mut self) {
        *self = Self::begin(self.limit);
    }

    /// How long a head may take: `header_timeout`.
    pub(super) fn limit(self) -> Duration {
        self.limit
    }

    /// When the head must be there.
    pub(super) fn until(self) -> Instant {
        self.until
    }
}
