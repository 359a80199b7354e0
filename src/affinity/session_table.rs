//! Which server each session belongs to: a table of fixed size that all threads share, without a lock.
//!
//! Two words are a session, four sessions are a bucket, and a bucket is a cache line: a look-up reads one or two, and takes no lock and
//! no read-modify-write operation. A session may stand in either of two buckets, and is written into the one with more room: with one
//! bucket for each, a table that is full to three fifths has no place for every fifteenth session, with two for one in 4,000. Where both
//! are full, the session is forgotten that would be over first. Nothing sweeps: what is over is a miss, and is overwritten.
//!
//! The two words are written one after the other, by several threads perhaps, so that they may belong to different sessions when they
//! are read together. The first word is the key of the session mixed with the server of the second, so that both agree for no key but
//! the right one with the right server; anything else is a miss, after which the servers are asked. A renewal writes the
//! second word alone, and so no renewal is ever seen half done.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::affinity::lifetime::Lifetime;
use crate::affinity::server_id::ServerId;
use crate::affinity::session_key::SessionKey;
use crate::affinity::sessions::OpenedSession;

/// How many buckets the table of a group has: 65,536 sessions in 1 MiB. nginx remembers 8,000 in a zone of that size.
const BUCKETS: usize = 1 << 14;

/// How many sessions a bucket has.
const SLOTS: usize = 4;

/// The servers of sessions. All words are independent of one another and of everything else, so that all accesses are relaxed.
pub(super) struct SessionTable {
    /// From when seconds are counted.
    epoch: Instant,
    /// As many as a power of two.
    buckets: Box<[Bucket]>,
}

/// Some sessions, in a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
struct Bucket([Slot; SLOTS]);

/// One session, or one that is over, or none.
#[derive(Default)]
struct Slot {
    /// What [`seal`] makes of the key and the server.
    seal: AtomicU64,
    /// An [`Entry`].
    entry: AtomicU64,
}

/// What is known of a session, from the highest bits: 24 of its server, 12 of its lifetime in seconds, 28 of the second in which it
/// is over if nothing is heard of it, counted from the epoch. A process that is older than 8 years asks about every session.
#[derive(Clone, Copy)]
struct Entry(u64);

/// How many bits of an entry are the second in which it is over.
const END_BITS: u32 = 28;
const LIFETIME_BITS: u32 = 64 - ServerId::BITS - END_BITS;

const END_MASK: u64 = (1 << END_BITS) - 1;
const LIFETIME_MASK: u64 = (1 << LIFETIME_BITS) - 1;

// The longest lifetime is as long as its bits allow.
const _: () = assert!(LIFETIME_BITS == Lifetime::BITS);

impl Entry {
    /// A session of `server` that is heard of in the second `now`.
    fn new(server: ServerId, lifetime: Lifetime, now: u64) -> Self {
        let end = now.saturating_add(lifetime.as_secs()).min(END_MASK);
        let with_server = server.bits() << (LIFETIME_BITS + END_BITS);
        Self(with_server | lifetime.as_secs() << END_BITS | end)
    }

    fn server(self) -> ServerId {
        ServerId::from_bits(self.0 >> (LIFETIME_BITS + END_BITS))
    }

    fn lifetime(self) -> Lifetime {
        Lifetime::from_bits(self.0 >> END_BITS & LIFETIME_MASK)
    }

    /// The second in which it is over.
    fn end(self) -> u64 {
        self.0 & END_MASK
    }

    fn is_live(self, now: u64) -> bool {
        now < self.end()
    }

    /// Whether less than half of its lifetime is left.
    fn is_due(self, now: u64) -> bool {
        self.end().saturating_sub(now) < self.lifetime().as_secs().div_ceil(2)
    }
}

/// The word that goes with an entry of `server`: two keys, or two servers, never make the same one together with the same other. An
/// odd factor is what no two numbers of 64 bits have the same product with; this one spreads 24 bits over all of them.
fn seal(session: SessionKey, server: ServerId) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    session.bits() ^ server.bits().wrapping_mul(SPREAD)
}

impl Slot {
    fn entry(&self) -> Entry {
        Entry(self.entry.load(Ordering::Relaxed))
    }

    /// What is known of this session, if the slot is the session's: of now or of an earlier time.
    fn of(&self, session: SessionKey) -> Option<Entry> {
        let entry = self.entry();
        (self.seal.load(Ordering::Relaxed) == seal(session, entry.server())).then_some(entry)
    }

    fn write(&self, session: SessionKey, entry: Entry) {
        self.entry.store(entry.0, Ordering::Relaxed);
        self.seal
            .store(seal(session, entry.server()), Ordering::Relaxed);
    }

    /// Writes the entry of a session whose slot this is and whose server stays.
    fn renew(&self, entry: Entry) {
        self.entry.store(entry.0, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.entry.store(0, Ordering::Relaxed);
        self.seal.store(0, Ordering::Relaxed);
    }
}

impl Bucket {
    /// How many of its sessions live in the second `now`.
    fn taken(&self, now: u64) -> usize {
        self.0
            .iter()
            .filter(|slot| slot.entry().is_live(now))
            .count()
    }
}

impl SessionTable {
    /// An empty table, of which nothing is asked about a time before `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self::with_buckets(BUCKETS, now)
    }

    fn with_buckets(buckets: usize, now: Instant) -> Self {
        Self {
            epoch: now,
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
        }
    }

    /// The server of a session.
    pub(super) fn find(&self, session: SessionKey, now: Instant) -> Option<ServerId> {
        let now = self.second(now);
        let entry = self
            .slots(session)
            .find_map(|slot| slot.of(session).filter(|entry| entry.is_live(now)))?;
        Some(entry.server())
    }

    /// A server has opened a session. If the session is known, of whichever server, this is what counts.
    pub(super) fn learned(&self, opened: OpenedSession, server: ServerId, now: Instant) {
        let now = self.second(now);
        self.write(opened.key, Entry::new(server, opened.lifetime, now), now);
    }

    /// A server has answered for a session as one that knows it. A session that is known already is renewed once half of its lifetime
    /// is over; one that is new is given a lifetime that most servers allow.
    pub(super) fn accepted(&self, session: SessionKey, server: ServerId, now: Instant) {
        let now = self.second(now);
        let mut slots = self.slots(session);
        let known = slots.find_map(|slot| Some((slot, slot.of(session)?)));
        match known {
            Some((slot, entry)) if entry.server() == server => {
                if entry.is_due(now) {
                    slot.renew(Entry::new(server, entry.lifetime(), now));
                }
            }
            Some((_, entry)) => {
                self.write(session, Entry::new(server, entry.lifetime(), now), now);
            }
            None => self.write(session, Entry::new(server, Lifetime::UNKNOWN, now), now),
        }
    }

    /// How many sessions of a server have not been silent for longer than they may. This reads all of the table: 1 MiB.
    pub(super) fn sessions_of(&self, server: ServerId, now: Instant) -> usize {
        let now = self.second(now);
        let slots = self.buckets.iter().flat_map(|bucket| &bucket.0);
        let entries = slots.map(Slot::entry);
        entries
            .filter(|entry| entry.is_live(now) && entry.server() == server)
            .count()
    }

    /// Writes a session that is heard of in the second `now` into its slot, or into one that is to be its own.
    fn write(&self, session: SessionKey, entry: Entry, now: u64) {
        let is_own = |slot: &&Slot| slot.of(session).is_some();
        let mut own = self.slots(session).filter(is_own);
        let Some(slot) = own.next().or_else(|| self.slot_for(session, now)) else {
            return;
        };
        // Two threads that learned of a session at the same time have written it twice. What is left of the other would be found once
        // this one is forgotten.
        own.for_each(Slot::clear);
        slot.write(session, entry);
    }

    /// The slot for a session that has none: one of the bucket with more room; where none has any, that of the session which will be
    /// over first.
    fn slot_for(&self, session: SessionKey, now: u64) -> Option<&Slot> {
        let candidates = self.buckets(session).into_iter().flat_map(|bucket| {
            let taken = bucket.taken(now);
            bucket.0.iter().map(move |slot| (taken, slot))
        });
        let best = candidates.min_by_key(|(taken, slot)| (*taken, slot.entry().end()));
        best.map(|(_, slot)| slot)
    }

    /// All slots in which a session may be.
    fn slots(&self, session: SessionKey) -> impl Iterator<Item = &Slot> {
        self.buckets(session)
            .into_iter()
            .flat_map(|bucket| &bucket.0)
    }

    /// The two buckets in which a session may be, by bits of its key.
    fn buckets(&self, session: SessionKey) -> [&Bucket; 2] {
        // There are fewer of them than 32 bits count. An odd distance leads to another one.
        let (one, distance) = (session.bits(), session.bits() >> 32 | 1);
        [one, one ^ distance].map(|bits| &self.buckets[bits as usize & (self.buckets.len() - 1)])
    }

    /// The second since the epoch. A thread may ask with a moment just before it.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

impl fmt::Debug for SessionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SessionTable");
        shown.field("buckets", &self.buckets.len());
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
