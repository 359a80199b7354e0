//! The table of sessions, against a map, and under threads that write it at the same time.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;

use crate::affinity::Lifetime;
use crate::affinity::OpenedSession;
use crate::affinity::ServerId;
use crate::affinity::SessionKey;
use crate::affinity::session_table::Bucket;
use crate::affinity::session_table::Entry;
use crate::affinity::session_table::SLOTS;
use crate::affinity::session_table::SessionTable;

fn session(number: u32) -> SessionKey {
    SessionKey::of(&format!("session-{number}"))
}

fn server(number: u8) -> ServerId {
    ServerId::of("chat", &format!("10.0.0.{number}:3000"))
}

fn opened(number: u32, lifetime: u64) -> OpenedSession {
    OpenedSession {
        key: session(number),
        lifetime: Lifetime::nearest(Duration::from_secs(lifetime)),
    }
}

/// An empty table, and the seconds since it was made.
fn table(buckets: usize) -> (SessionTable, impl Fn(u64) -> Instant) {
    let start = Instant::now();
    let at = move |seconds| start + Duration::from_secs(seconds);
    (SessionTable::with_buckets(buckets, start), at)
}

/// What happens to a table.
#[derive(Clone, Debug)]
enum Event {
    Learned(u32, u8, u64),
    Accepted(u32, u8),
    Passed(u64),
}

fn events(sessions: u32) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..sessions, 0..4_u8, 0..200_u64)
            .prop_map(|(key, of, life)| Event::Learned(key, of, life)),
        (0..sessions, 0..4_u8).prop_map(|(key, of)| Event::Accepted(key, of)),
        (0..40_u64).prop_map(Event::Passed),
    ];
    prop::collection::vec(event, 0..60)
}

/// What an obvious table knows of a session.
struct Known {
    server: ServerId,
    lifetime: u64,
    end: u64,
}

/// An obvious table of any size, in which a session is renewed by the same rule.
#[derive(Default)]
struct Twin {
    sessions: HashMap<u32, Known>,
    now: u64,
}

impl Twin {
    fn learned(&mut self, number: u32, server: ServerId, lifetime: u64) {
        let end = self.now + lifetime;
        let known = Known {
            server,
            lifetime,
            end,
        };
        self.sessions.insert(number, known);
    }

    fn accepted(&mut self, number: u32, server: ServerId) {
        let lifetime = match self.sessions.get(&number) {
            Some(known) if known.server == server => {
                let left = known.end.saturating_sub(self.now);
                if left * 2 >= known.lifetime {
                    return;
                }
                known.lifetime
            }
            Some(known) => known.lifetime,
            None => Lifetime::UNKNOWN.as_secs(),
        };
        self.learned(number, server, lifetime);
    }

    /// The server of a session that is live, or of one that is over.
    fn last(&self, number: u32) -> Option<ServerId> {
        self.sessions.get(&number).map(|known| known.server)
    }

    fn find(&self, number: u32) -> Option<ServerId> {
        let known = self.sessions.get(&number)?;
        (self.now < known.end).then_some(known.server)
    }
}

/// Sessions that events are about.
const SESSIONS: u32 = 40;

/// Runs the events on a table and on its twin, which are judged after each.
fn beside_twin(
    buckets: usize,
    events: Vec<Event>,
    judge: impl Fn(&SessionTable, &Twin, Instant) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (table, at) = table(buckets);
    let mut twin = Twin::default();
    for event in events {
        let now = at(twin.now);
        match event {
            Event::Learned(number, of, lifetime) => {
                let opened = opened(number, lifetime);
                table.learned(opened, server(of), now);
                twin.learned(number, server(of), opened.lifetime.as_secs());
            }
            Event::Accepted(number, of) => {
                table.accepted(session(number), server(of), now);
                twin.accepted(number, server(of));
            }
            Event::Passed(seconds) => twin.now += seconds,
        }
        judge(&table, &twin, at(twin.now))?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_table_that_is_too_small_forgets_and_never_errs(events in events(SESSIONS)) {
        // A session that is forgotten and accepted again has another lifetime than the twin's, which is why only servers are compared.
        beside_twin(2, events, |table, twin, now| {
            for number in 0..SESSIONS {
                if let Some(found) = table.find(session(number), now) {
                    prop_assert_eq!(Some(found), twin.last(number));
                }
            }
            for of in (0..4).map(server) {
                let last = (0..SESSIONS).filter(|number| twin.last(*number) == Some(of));
                prop_assert!(table.sessions_of(of, now) <= last.count().min(2 * SLOTS));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_table_that_is_large_enough_forgets_nothing(events in events(SLOTS as u32)) {
        beside_twin(1, events, |table, twin, now| {
            let sessions = 0..SLOTS as u32;
            for number in sessions.clone() {
                prop_assert_eq!(table.find(session(number), now), twin.find(number));
            }
            for of in (0..4).map(server) {
                let live = sessions.clone().filter(|number| twin.find(*number) == Some(of));
                prop_assert_eq!(table.sessions_of(of, now), live.count());
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_bucket_is_a_cache_line_and_a_session_sixteen_bytes() {
    assert_eq!(size_of::<Bucket>(), 64);
    assert_eq!(align_of::<Bucket>(), 64);
    let (table, at) = (SessionTable::new(Instant::now()), Instant::now());
    assert_eq!(size_of_val(&*table.buckets), 1 << 20);
    table.learned(opened(1, 60), server(1), at);
    assert_eq!(table.find(session(1), at), Some(server(1)));
}

#[test]
fn three_fifths_of_all_places_are_taken_before_sessions_are_forgotten() {
    let now = Instant::now();
    let table = SessionTable::new(now);
    (0..40_000).for_each(|number| table.learned(opened(number, 60), server(1), now));
    let found = (0..40_000).filter(|number| table.find(session(*number), now).is_some());
    let found = found.count();
    assert!(found >= 39_900, "{found}");
    assert_eq!(table.sessions_of(server(1), now), found);
}

#[test]
fn a_session_has_two_buckets_and_is_written_into_the_one_with_more_room() {
    let (table, at) = table(8);
    for number in 0..1_000 {
        let [one, other] = table.buckets(session(number));
        assert!(!std::ptr::eq(one, other));
        let before = [one.taken(0), other.taken(0)];
        table.learned(opened(number, 60), server(1), at(0));
        let after = [one.taken(0), other.taken(0)];
        let fewest = before.into_iter().min().unwrap_or_default();
        let sum = |taken: [usize; 2]| taken.into_iter().sum::<usize>();
        if fewest < SLOTS {
            assert_eq!(sum(after), sum(before) + 1);
            assert!(after.contains(&(fewest + 1)), "{before:?} {after:?}");
        } else {
            assert_eq!(after, before);
        }
        assert_eq!(table.find(session(number), at(0)), Some(server(1)));
    }
    assert_eq!(table.sessions_of(server(1), at(0)), 8 * SLOTS);
}

#[test]
fn an_entry_says_what_went_into_it_whatever_the_process_age() {
    for (now, lifetime, end) in [
        (0, 10, 10),
        (1_000_000, 4_095, 1_004_095),
        ((1 << 28) - 2, 60, (1 << 28) - 1),
        (u64::MAX, 60, (1 << 28) - 1),
    ] {
        let lifetime = Lifetime::nearest(Duration::from_secs(lifetime));
        let entry = Entry::new(server(3), lifetime, now);
        assert_eq!(entry.server(), server(3));
        assert_eq!(entry.lifetime(), lifetime);
        assert_eq!(entry.end(), end);
        assert_eq!(entry.is_live(now), now < end);
    }
}

#[test]
fn a_full_bucket_forgets_what_is_over_and_then_what_will_be_over_first() {
    let (table, at) = table(1);
    for (number, lifetime) in [(0, 40), (1, 30), (2, 20), (3, 50)] {
        table.learned(opened(number, lifetime), server(1), at(0));
    }
    let found = |second| {
        let of = |number| table.find(session(number), at(second)).is_some();
        (0..7).filter(|number| of(*number)).collect::<Vec<_>>()
    };
    table.learned(opened(4, 60), server(1), at(5));
    assert_eq!(found(5), [0, 1, 3, 4]);
    // The session 1 is over, and its place is taken before that of a session that lives.
    table.learned(opened(5, 10), server(1), at(31));
    assert_eq!(found(31), [0, 3, 4, 5]);
    table.learned(opened(6, 60), server(1), at(32));
    assert_eq!(found(32), [3, 4, 5, 6]);
}

#[test]
fn a_session_that_is_used_lives_and_one_that_is_not_does_not() {
    let (table, at) = table(1);
    table.learned(opened(1, 60), server(1), at(0));
    table.learned(opened(2, 60), server(2), at(0));
    for second in (0..600).step_by(25) {
        assert_eq!(table.find(session(1), at(second)), Some(server(1)));
        table.accepted(session(1), server(1), at(second));
    }
    assert_eq!(table.find(session(2), at(59)), Some(server(2)));
    assert_eq!(table.find(session(2), at(60)), None);
    assert_eq!(table.sessions_of(server(1), at(600)), 1);
    assert_eq!(table.sessions_of(server(2), at(600)), 0);
    // Another server has it now.
    table.accepted(session(1), server(2), at(600));
    assert_eq!(table.find(session(1), at(600)), Some(server(2)));
    assert_eq!(table.sessions_of(server(1), at(600)), 0);
}

#[test]
fn a_session_that_was_written_twice_is_written_once_afterwards() {
    let (table, at) = table(1);
    // As two threads do that learn of it at the same time.
    for slot in &table.buckets[0].0[1..3] {
        slot.write(session(1), Entry::new(server(1), Lifetime::UNKNOWN, 0));
    }
    table.learned(opened(1, 60), server(2), at(0));
    assert_eq!(table.find(session(1), at(0)), Some(server(2)));
    assert_eq!(table.sessions_of(server(1), at(0)), 0);
    // The place that is left is the other one's, and not a third one's.
    (2..5).for_each(|number| table.learned(opened(number, 60), server(1), at(0)));
    assert_eq!(table.find(session(1), at(0)), Some(server(2)));
}

#[test]
fn two_words_of_different_sessions_are_no_session() {
    let (table, at) = table(1);
    let slot = &table.buckets[0].0[0];
    slot.write(session(1), Entry::new(server(1), Lifetime::UNKNOWN, 0));
    // The second word is the one of a session of another server, and of the same.
    slot.renew(Entry::new(server(2), Lifetime::UNKNOWN, 0));
    assert_eq!(table.find(session(1), at(0)), None);
    assert_eq!(table.find(session(2), at(0)), None);
    slot.renew(Entry::new(server(1), Lifetime::SHORTEST, 0));
    assert_eq!(table.find(session(1), at(0)), Some(server(1)));
    assert_eq!(table.find(session(2), at(0)), None);
}

/// Far more sessions than there is room for, of which each has one server: whatever is found, it is that.
#[test]
fn threads_that_write_the_same_places_never_find_a_wrong_server() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 100_000;
    let (table, at) = table(1);
    let (found, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let keys: Vec<_> = (0..12).map(session).collect();
    let servers: Vec<_> = (0..12).map(server).collect();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (table, at, found, missed) = (&table, &at, &found, &missed);
            let (keys, servers) = (&keys, &servers);
            threads.spawn(move || {
                // A linear congruential generator: other numbers in each thread.
                let mut random = thread.wrapping_mul(0x9e37_79b9) + 1;
                for round in 0..ROUNDS {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let number = (random >> 33) as usize % keys.len();
                    let (key, server) = (keys[number], servers[number]);
                    let now = at(round / 1_000);
                    match random >> 60 {
                        0..4 => {
                            let lifetime = Lifetime::SHORTEST;
                            table.learned(OpenedSession { key, lifetime }, server, now);
                        }
                        4..8 => table.accepted(key, server, now),
                        _ => match table.find(key, now) {
                            Some(of) => {
                                assert_eq!(of, server);
                                found.fetch_add(1, Ordering::Relaxed);
                            }
                            None => {
                                missed.fetch_add(1, Ordering::Relaxed);
                            }
                        },
                    }
                }
            });
        }
    });
    let (found, missed) = (found.into_inner(), missed.into_inner());
    assert!(found > 10_000 && missed > 10_000, "{found} {missed}");
}
