//! What all threads know of one server of a group: what it has open, how often it could not be reached, and whether it is down.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::upstream::MemberSettings;

/// What is known of a server. It outlives reloads, and belongs to no thread.
#[derive(Debug, Default)]
pub struct MemberState {
    open: Arc<Open>,
    /// A [`Verdict`].
    verdict: AtomicU64,
    /// [`Failures`].
    failures: AtomicU64,
    /// The [`Moment`] of a connection, of the last one or of one up to [`NOTED_WITHIN`] before it; 0 before the first.
    connected_at: AtomicU64,
}

/// A number that no other server had or will have in this process.
#[derive(Debug)]
struct MemberNumber(NonZeroU32);

impl Default for MemberNumber {
    /// The next one. Whoever comes after four billion servers begins anew.
    fn default() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Self(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }
}

/// How old the noted moment of the last connection may be, in milliseconds. So that a server which takes many connections is not
/// written to with each of them.
const NOTED_WITHIN: u64 = 100;

/// What is open at a server is counted by how many refer to this: each [`OpenGuard`], and the server's [`MemberState`].
///
/// So a guard that keeps the count alive and one that is counted are the same, and raising and lowering the count are one atomic
/// operation each; nor can a count ever be out of step with the guards there are, whichever way they go. The references are counted
/// in front of the value, which is aligned so that they have a cache line of their own (two, since processors fetch them in pairs):
/// they change with every request, and the rest of what is known of a server hardly ever.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Open {
    /// Behind the references, where nothing changes.
    number: MemberNumber,
}

/// Counts one request or tunnel of a server, until it is dropped.
#[derive(Debug)]
pub struct OpenGuard {
    counted: Arc<Open>,
}

impl OpenGuard {
    /// The number of the server: see [`MemberState::number`].
    pub fn number(&self) -> NonZeroU32 {
        self.counted.number.0
    }
}

/// How well a server is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// It has been well for long.
    Well,
    /// It has recovered, and is to have this part of its turns.
    Recovered(Part),
    /// It is down.
    Down,
}

/// A part of one, in units of 2^-64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part(u64);

impl MemberState {
    /// A number by which it is told from all other servers, also those of other groups.
    pub fn number(&self) -> NonZeroU32 {
        self.open.number.0
    }

    /// How many requests and tunnels it has, those that are being connected among them.
    pub fn open(&self) -> u32 {
        let others = Arc::strong_count(&self.open) - 1;
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Counts one more.
    pub fn raise(&self) -> OpenGuard {
        OpenGuard {
            counted: Arc::clone(&self.open),
        }
    }

    /// Counts one more, if it is one of `most` then.
    ///
    /// It is counted first and looked at then, so that of all threads that see a free place at once none is let in beyond the last. If
    /// two do so at the very last place, none may get it.
    pub(super) fn raise_up_to(&self, most: u32) -> Option<OpenGuard> {
        let guard = self.raise();
        (self.open() <= most).then_some(guard)
    }

    /// Whether it is down: could not be reached, or failed its checks.
    pub fn is_down(&self) -> bool {
        matches!(self.verdict(), Verdict::Down(_))
    }

    /// Since when it is down.
    pub fn down_since(&self) -> Option<Instant> {
        match self.verdict() {
            Verdict::Down(since) => since.instant(),
            Verdict::Well | Verdict::Recovered(_) => None,
        }
    }

    /// When it was up again after it had been down, unless it is down again.
    pub fn recovered_at(&self) -> Option<Instant> {
        match self.verdict() {
            Verdict::Recovered(at) => at.instant(),
            Verdict::Well | Verdict::Down(_) => None,
        }
    }

    /// It is down. Returns whether it was not until now.
    pub fn set_down(&self, now: Instant) -> bool {
        let down = Verdict::Down(Moment::of(now)).to_bits();
        let change = |bits| {
            let is_new = !matches!(Verdict::of_bits(bits), Verdict::Down(_));
            is_new.then_some(down)
        };
        let changed = self
            .verdict
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        changed.is_ok()
    }

    /// It is up, and what failed before is forgotten. Returns whether it was down until now; only then it recovers from now on.
    pub fn set_up(&self, now: Instant) -> bool {
        self.failures.store(0, Ordering::Relaxed);
        self.connected_at
            .store(Moment::of(now).0, Ordering::Relaxed);
        let up = Verdict::Recovered(Moment::of(now)).to_bits();
        let change = |bits| {
            let was_down = matches!(Verdict::of_bits(bits), Verdict::Down(_));
            was_down.then_some(up)
        };
        let changed = self
            .verdict
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        changed.is_ok()
    }

    /// How well it is, if it takes `slow_start` to recover.
    pub(super) fn health(&self, now: Instant, slow_start: Duration) -> Health {
        match self.verdict() {
            Verdict::Well => Health::Well,
            Verdict::Down(_) => Health::Down,
            Verdict::Recovered(at) => match at.part_of(now, slow_start) {
                Some(part) => Health::Recovered(part),
                None => Health::Well,
            },
        }
    }

    /// A connection to it stands. Nothing is written unless something had failed before, or no connection was noted lately.
    pub fn has_connected(&self, now: Instant) {
        let now = Moment::of(now).0;
        let noted = self.connected_at.load(Ordering::Relaxed);
        if noted == 0 || now.saturating_sub(noted) >= NOTED_WITHIN {
            self.connected_at.store(now, Ordering::Relaxed);
        }
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It could not be reached by an attempt that began at `began`. Returns whether these are as many failures in a row as make it go
    /// down.
    ///
    /// The time within which they must be begins with the first, and with the first one after that time anew. An attempt during which
    /// another one was connected does not count: the server is alive, and its queue may be full.
    pub(super) fn has_failed(&self, attempt: ConnectAttempt, settings: &MemberSettings) -> bool {
        let connected_at = self.connected_at.load(Ordering::Relaxed);
        if settings.max_fails == 0 || connected_at > Moment::of(attempt.began).0 {
            return false;
        }
        let now = Moment::of(attempt.ended);
        let counted = |bits| Failures::of_bits(bits).and_one(now, settings.fail_timeout);
        let change = |bits| Some(counted(bits).to_bits());
        let before = self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        let count = before.map_or(0, |before| counted(before).count);
        count >= settings.max_fails.min(Failures::MOST)
    }

    fn verdict(&self) -> Verdict {
        Verdict::of_bits(self.verdict.load(Ordering::Relaxed))
    }
}

impl Part {
    /// Whether this one of a server's own turns is in this part of them.
    ///
    /// The fractions of the multiples of the golden ratio fall as evenly between 0 and 1 as numbers can, from whichever one on: so of
    /// any few turns in a row about as many are in the part as should be.
    pub(super) fn has(self, own_turn: usize) -> bool {
        (own_turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) < self.0
    }
}

/// An attempt to connect to a server, which failed.
#[derive(Clone, Copy, Debug)]
pub struct ConnectAttempt {
    /// When it began.
    pub began: Instant,
    /// When it failed.
    pub ended: Instant,
}

/// What is thought of a server, in one word, so that nobody sees half of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It was never down.
    Well,
    Down(Moment),
    Recovered(Moment),
}

impl Verdict {
    fn of_bits(bits: u64) -> Self {
        let moment = Moment(bits >> 1);
        match (bits, bits & 1) {
            (0, _) => Self::Well,
            (_, 1) => Self::Down(moment),
            _ => Self::Recovered(moment),
        }
    }

    fn to_bits(self) -> u64 {
        match self {
            Self::Well => 0,
            Self::Down(Moment(since)) => since << 1 | 1,
            Self::Recovered(Moment(at)) => at << 1,
        }
    }
}

/// Failures in a row, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Failures {
    /// How many, which is 0 only if there are none.
    count: u32,
    first: Moment,
}

impl Failures {
    /// More are not counted: 20 bits.
    const MOST: u32 = (1 << 20) - 1;

    fn of_bits(bits: u64) -> Self {
        let count = bits & u64::from(Self::MOST);
        Self {
            count: u32::try_from(count).unwrap_or(Self::MOST),
            first: Moment(bits >> 20),
        }
    }

    fn to_bits(self) -> u64 {
        self.first.0 << 20 | u64::from(self.count)
    }

    /// These and one more at `now`. Those that are further back than `within` do not count any longer.
    fn and_one(self, now: Moment, within: Duration) -> Self {
        let is_within = u128::from(now.0.saturating_sub(self.first.0)) <= within.as_millis();
        if self.count == 0 || !is_within {
            return Self {
                count: 1,
                first: now,
            };
        }
        Self {
            count: (self.count + 1).min(Self::MOST),
            ..self
        }
    }
}

/// A moment, in milliseconds since a little before the first one that anybody asked about: a number above 0, of less than 44 bits in
/// 500 years.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Moment(u64);

/// The first moment. It is given, as all moments are: nothing here reads a clock.
static FIRST: OnceLock<Instant> = OnceLock::new();

impl Moment {
    /// One that is before the first one is as that one.
    fn of(instant: Instant) -> Self {
        let first = FIRST.get_or_init(|| instant);
        let since = instant.saturating_duration_since(*first).as_millis();
        Self(
            u64::try_from(since)
                .unwrap_or(u64::MAX >> 20)
                .saturating_add(1),
        )
    }

    fn instant(self) -> Option<Instant> {
        FIRST.get()?.checked_add(Duration::from_millis(self.0 - 1))
    }

    /// Which part of `whole` has passed at `now`; `None` if it is over.
    fn part_of(self, now: Instant, whole: Duration) -> Option<Part> {
        let passed = u128::from(Self::of(now).0.saturating_sub(self.0));
        let part = (passed << 64).checked_div(whole.as_millis())?;
        u64::try_from(part).ok().map(Part)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::align_of;
    use std::time::Duration;
    use std::time::Instant;

    use proptest::prelude::*;

    use crate::upstream::MemberSettings;
    use crate::upstream::member_state::ConnectAttempt;
    use crate::upstream::member_state::Failures;
    use crate::upstream::member_state::Health;
    use crate::upstream::member_state::MemberState;
    use crate::upstream::member_state::Moment;
    use crate::upstream::member_state::Open;
    use crate::upstream::member_state::Part;
    use crate::upstream::member_state::Verdict;

    #[test]
    fn what_is_open_is_counted_away_from_all_else() {
        assert_eq!(align_of::<Open>(), 128);
    }

    #[test]
    fn a_server_recovers_for_as_long_as_it_is_given() {
        let (state, now) = (MemberState::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let ten = Duration::from_secs(10);
        assert_eq!(state.health(now, ten), Health::Well);
        state.set_down(now);
        assert_eq!(state.health(after(99), ten), Health::Down);
        state.set_up(after(100));
        assert_eq!(state.health(after(90), ten), Health::Recovered(Part(0)));
        let half = Health::Recovered(Part(1 << 63));
        assert_eq!(state.health(after(105), ten), half);
        assert_eq!(state.health(after(110), ten), Health::Well);
        assert_eq!(state.health(after(100), Duration::ZERO), Health::Well);
    }

    #[test]
    fn more_failures_than_can_be_counted_are_as_many_as_can() {
        let state = MemberState::default();
        let settings = MemberSettings {
            max_fails: u32::MAX,
            ..MemberSettings::default()
        };
        let now = Instant::now();
        let most = Failures {
            count: Failures::MOST - 1,
            first: Moment::of(now),
        };
        let bits = most.to_bits();
        state
            .failures
            .store(bits, std::sync::atomic::Ordering::Relaxed);
        let attempt = ConnectAttempt {
            began: now,
            ended: now,
        };
        assert!(state.has_failed(attempt, &settings));
        assert!(state.has_failed(attempt, &settings));
    }

    proptest! {
        #[test]
        fn words_say_what_was_put_into_them(moment in 1_u64..1 << 44, count in 0..=Failures::MOST) {
            let moment = Moment(moment);
            for verdict in [Verdict::Well, Verdict::Down(moment), Verdict::Recovered(moment)] {
                prop_assert_eq!(Verdict::of_bits(verdict.to_bits()), verdict);
            }
            let failures = Failures { count, first: moment };
            prop_assert_eq!(Failures::of_bits(failures.to_bits()), failures);
        }

        #[test]
        fn a_part_of_any_few_turns_is_that_part_of_them(
            part: u64,
            first: usize,
            turns in 1_usize..1_000,
        ) {
            let had = (0..turns).filter(|n| Part(part).has(first.wrapping_add(*n)));
            let had = had.count() as f64;
            let due = part as f64 / 2_f64.powi(64) * turns as f64;
            prop_assert!((had - due).abs() < 3.0, "{had} for {due}");
        }
    }
}
