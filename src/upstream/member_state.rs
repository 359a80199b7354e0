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
        self.has_connected();
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

    /// A connection to it stands. Nothing is written unless something had failed before.
    pub(super) fn has_connected(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It could not be reached. Returns whether these are as many failures in a row as make it go down.
    ///
    /// The time within which they must be begins with the first, and with the first one after that time anew.
    pub(super) fn has_failed(&self, now: Instant, settings: &MemberSettings) -> bool {
        if settings.max_fails == 0 {
            return false;
        }
        let now = Moment::of(now);
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
    /// Whether this turn is one of this part of all turns.
    ///
    /// The fractions of the multiples of the golden ratio fall as evenly between 0 and 1 as numbers can, from whichever one on, and
    /// whether one takes them all or each third: so of any few turns in a row about as many are in the part as should be.
    pub(super) fn has(self, turn: usize) -> bool {
        (turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) < self.0
    }
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
