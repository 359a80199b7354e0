//! How long a session is remembered.

use std::time::Duration;

/// How long a session is remembered after its server was last seen to know it, in whole seconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lifetime(u16);

impl Lifetime {
    /// The shortest: a request that is on its way meanwhile must still find its server, whatever the session's own times are.
    pub const SHORTEST: Self = Self(10);

    /// How many bits it has.
    pub(super) const BITS: u32 = 12;

    /// The longest, an hour and eight minutes, which is what its bits hold. The servers are asked about a session that is silent for
    /// longer.
    pub const LONGEST: Self = Self((1 << Self::BITS) - 1);

    /// What a session is given of which only its id is known: a quarter more than 25 s between two pings and 60 s for the answer, the
    /// longest that a server of Engine.IO has had by default.
    pub const UNKNOWN: Self = Self(107);

    /// This long, or the nearest that there is; parts of a second count as a whole one.
    pub fn nearest(wanted: Duration) -> Self {
        let seconds = wanted.as_secs() + u64::from(wanted.subsec_nanos() > 0);
        let seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        Self(seconds).clamp(Self::SHORTEST, Self::LONGEST)
    }

    /// The lifetime that has these bits, of which the lowest ones count.
    pub(super) fn from_bits(bits: u64) -> Self {
        // No more than 12 of them are left.
        Self(bits as u16 & Self::LONGEST.0)
    }

    /// In whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::affinity::Lifetime;

    #[test]
    fn a_lifetime_is_never_shorter_than_asked_for_but_where_it_cannot_be_so_long() {
        for (millis, seconds) in [
            (0, 10),
            (1_500, 10),
            (10_001, 11),
            (56_250, 57),
            (4_095_000, 4_095),
            (4_095_001, 4_095),
            (u64::MAX, 4_095),
        ] {
            let lifetime = Lifetime::nearest(Duration::from_millis(millis));
            assert_eq!(lifetime.as_secs(), seconds, "{millis}");
        }
    }
}
