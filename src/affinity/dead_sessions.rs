//! Sessions that no server knows: clients in a loop ask for them again and again.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::affinity::session_key::SessionKey;

/// For how many seconds the servers are not asked again. A server that opens a session of the same id meanwhile ends that at once.
const SECONDS: u64 = 30;

/// How many sessions are remembered: 4,096 in 32 KiB, about two thirds of what the budget of a group allows in that time. One that is
/// forgotten is asked about once more.
const BUCKETS: usize = 1 << 9;

/// How many sessions a bucket has, which is a cache line.
const SLOTS: usize = 8;

/// The sessions that all servers refused lately. All words are independent of one another and of everything else, so that all accesses
/// are relaxed.
pub(super) struct DeadSessions {
    /// From when seconds are counted.
    epoch: Instant,
    buckets: Box<[Bucket]>,
}

/// Sessions of which some bits of the key are the same. Each is a word: 36 other bits of its key, and the second until which it is
/// remembered, counted from the epoch, in 28.
#[derive(Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; SLOTS]);

/// How many bits of a word are the second until which a session is remembered.
const END_BITS: u32 = 28;
const END_MASK: u64 = (1 << END_BITS) - 1;

impl DeadSessions {
    /// None yet. Nothing is asked about a time before `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
        }
    }

    /// All servers have refused this session.
    pub(super) fn add(&self, session: SessionKey, now: Instant) {
        let end = (self.second(now) + SECONDS).min(END_MASK);
        let words = self.bucket(session);
        let own = words.iter().find(|word| is_of(session, load(word)));
        let first_to_end = || words.iter().min_by_key(|word| load(word) & END_MASK);
        if let Some(word) = own.or_else(first_to_end) {
            word.store(tag(session) | end, Ordering::Relaxed);
        }
    }

    /// A server has opened this session: its id has come again.
    pub(super) fn remove(&self, session: SessionKey) {
        for word in self.bucket(session) {
            if is_of(session, load(word)) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Whether all servers have refused this session lately.
    pub(super) fn has(&self, session: SessionKey, now: Instant) -> bool {
        let now = self.second(now);
        let mut words = self.bucket(session).iter().map(load);
        words.any(|word| is_of(session, word) && now < word & END_MASK)
    }

    fn bucket(&self, session: SessionKey) -> &[AtomicU64; SLOTS] {
        // There are fewer buckets than these 28 bits count.
        let place = (session.bits() & END_MASK) as usize % self.buckets.len();
        &self.buckets[place].0
    }

    /// The second since the epoch. A thread may ask with a moment just before it.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// The bits of a key that are compared.
fn tag(session: SessionKey) -> u64 {
    session.bits() & !END_MASK
}

fn is_of(session: SessionKey, word: u64) -> bool {
    word & !END_MASK == tag(session)
}

impl fmt::Debug for DeadSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadSessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use crate::affinity::SessionKey;
    use crate::affinity::dead_sessions::DeadSessions;

    #[test]
    fn a_session_is_dead_for_thirty_seconds_or_until_it_is_opened_again() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let dead = DeadSessions::new(start);
        let (one, other) = (SessionKey::of("one"), SessionKey::of("other"));
        assert!(!dead.has(one, start));
        dead.add(one, at(700));
        assert!(dead.has(one, at(0)) && dead.has(one, at(29_999)));
        assert!(!dead.has(other, at(700)));
        assert!(!dead.has(one, at(30_700)));
        dead.add(one, at(20_000));
        assert!(dead.has(one, at(49_999)) && !dead.has(one, at(50_000)));
        dead.add(one, at(60_000));
        dead.add(other, at(60_000));
        dead.remove(one);
        assert!(!dead.has(one, at(60_000)) && dead.has(other, at(60_000)));
    }

    #[test]
    fn of_more_sessions_than_there_is_room_for_the_latest_are_remembered() {
        let start = Instant::now();
        let dead = DeadSessions::new(start);
        let session = |number: u32| SessionKey::of(&number.to_string());
        for number in 0..100_000 {
            // A thousand in a second.
            let now = start + Duration::from_millis(number.into());
            dead.add(session(number), now);
            assert!(dead.has(session(number), now), "{number}");
        }
        let end = start + Duration::from_secs(100);
        let kept = (0..100_000).filter(|number| dead.has(session(*number), end));
        let kept = kept.count();
        assert!((4_000..=4_096).contains(&kept), "{kept}");
    }
}
