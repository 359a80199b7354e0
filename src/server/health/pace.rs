//! How often servers are asked how they are, and how many answers in a row count.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::time::Duration;
use std::time::Instant;

use crate::affinity::Lifetime;

/// How often servers are asked, and what their answers count.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Pace {
    /// How often the main thread looks who is down, and knocks there.
    pub(in crate::server) look: Duration,
    /// The time from one check of a server to the next, but for a tenth more or less.
    pub(in crate::server) interval: Duration,
    /// Longest wait for all of a check.
    pub(in crate::server) timeout: Duration,
    /// After how many failed checks in a row a server is down.
    pub(in crate::server) fall: u32,
    /// After how many passed checks in a row it is up again.
    pub(in crate::server) rise: u32,
    /// How long a server drains at least before it can be said that nothing is left of it. A session of which nothing is known yet, since
    /// it began before this process or was forgotten, may be silent for so long, and is heard of then.
    pub(in crate::server) drain: Duration,
}

impl Pace {
    /// What every process has: nginx's interval of 5 s, and HAProxy's `fall 3` and `rise 2`, so that one lost packet means nothing.
    pub(in crate::server) const USUAL: Self = Self {
        look: Duration::from_secs(1),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fall: 3,
        rise: 2,
        drain: Duration::from_secs(Lifetime::UNKNOWN.as_secs()),
    };

    /// How long it is at least from one count of a server's sessions to the next, since a count reads all of a table.
    pub(in crate::server) fn between_counts(&self) -> Duration {
        self.look * 5
    }

    /// How long it is at least from one end of a server's tunnels to the next: they have ended within this time.
    pub(in crate::server) fn between_ends(&self) -> Duration {
        self.interval * 3
    }

    /// When a server is checked again that was checked at `now`: up to a tenth earlier or later than the interval says, so that proxies
    /// that were started together do not check together for ever.
    pub(in crate::server) fn next_check(&self, now: Instant) -> Instant {
        // A hash of nothing, under keys that differ each time.
        let random = RandomState::new().hash_one(()) % 201;
        let thousandths = u32::try_from(900 + random).unwrap_or(1000);
        now + self.interval * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use crate::server::health::pace::Pace;

    #[test]
    fn checks_come_at_the_interval_but_for_a_tenth() {
        let now = Instant::now();
        let waits: Vec<Duration> = (0..200)
            .map(|_| Pace::USUAL.next_check(now) - now)
            .collect();
        let (shortest, longest) = (waits.iter().min(), waits.iter().max());
        assert!(shortest >= Some(&Duration::from_millis(4500)));
        assert!(longest <= Some(&Duration::from_millis(5500)));
        assert_ne!(shortest, longest);
    }
}
