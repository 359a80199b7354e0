//! How often the servers may be asked in vain.
//!
//! A question that finds its session costs nothing: after a restart each session may ask once. What is limited are rounds in which all
//! servers said that they do not know the session, by the address of the client and for all clients together. A round is counted when
//! it is over, so that those that are under way at the same time are not held up by one another; what they take too much is owed, and
//! paid with the next ones.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::affinity::keyed_hash::keyed_hash;

/// How many rounds in vain one address has in a second, and the group.
const OF_ADDRESS: Rate = Rate {
    interval_ms: 200,
    longest_debt_ms: 60_000,
};
const OF_GROUP: Rate = Rate {
    interval_ms: 5,
    longest_debt_ms: 10_000,
};

/// How many rounds may follow one another at once: those of a second.
const BURST_MS: u64 = 1_000;

/// An address that had no round in vain for so long may always ask, also when strangers have spent what the group has.
const RECENT_MS: u64 = 30_000;

/// How many addresses are remembered: 8,192 in 64 KiB. One that is forgotten is as if it had asked for nothing.
const BUCKETS: usize = 1 << 10;

/// How many addresses a bucket has, which is a cache line.
const SLOTS: usize = 8;

/// The bits of an IPv6 address that are the network of one customer (RFC 6177 §2).
const CUSTOMER: u128 = u128::MAX << 64;

/// How often something may happen, by the generic cell rate algorithm: what is kept of it is when the next one would be due if they
/// came evenly.
#[derive(Clone, Copy)]
struct Rate {
    /// Between two of them.
    interval_ms: u64,
    /// How far ahead the next one is due at most, whatever happened.
    longest_debt_ms: u64,
}

impl Rate {
    /// When the next one is due, after one more at `now`.
    fn after(self, due: u64, now: u64) -> u64 {
        let next = due.max(now) + self.interval_ms;
        next.min(now + self.longest_debt_ms)
    }

    /// Whether one that is due then may happen now.
    fn allows(self, due: u64, now: u64) -> bool {
        due.max(now) + self.interval_ms <= now + BURST_MS
    }
}

/// What all clients have spent of a group's budget. All words are independent of one another and of everything else, so that all
/// accesses are relaxed.
pub(super) struct QuestionBudget {
    /// From when milliseconds are counted.
    epoch: Instant,
    /// When the group's next round is due.
    group: AtomicU64,
    buckets: Box<[Bucket]>,
}

/// Addresses of which some bits of the hash are the same. Each is a word: 24 other bits of its hash, and when its next round is due, in
/// 40 bits, which are milliseconds for 34 years.
#[derive(Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; SLOTS]);

/// How many bits of a word are when the next round is due.
const DUE_BITS: u32 = 40;
const DUE_MASK: u64 = (1 << DUE_BITS) - 1;

/// The hash of a client's address: an IPv4 address by itself, an IPv6 address by its /64, which is the least that a customer has, and
/// all clients without an address as one.
#[derive(Clone, Copy)]
struct Client(u64);

impl Client {
    fn of(address: Option<IpAddr>) -> Self {
        let address = address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & CUSTOMER),
        });
        Self(keyed_hash(address))
    }

    /// The bits that are compared.
    fn tag(self) -> u64 {
        self.0 & !DUE_MASK
    }

    fn is(self, word: u64) -> bool {
        word & !DUE_MASK == self.tag()
    }
}

impl QuestionBudget {
    /// Nothing is spent yet. Nothing is asked about a time before `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            group: AtomicU64::new(0),
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
        }
    }

    /// Whether the servers may be asked for a client.
    pub(super) fn allows(&self, client: Option<IpAddr>, now: Instant) -> bool {
        let (client, now) = (Client::of(client), self.millis(now));
        let mut words = self.bucket(client).iter().map(load);
        match words
            .find(|word| client.is(*word))
            .map(|word| word & DUE_MASK)
        {
            Some(due) if now < due + RECENT_MS => {
                OF_ADDRESS.allows(due, now) && OF_GROUP.allows(load(&self.group), now)
            }
            _ => true,
        }
    }

    /// The servers have been asked for a client, all in vain.
    pub(super) fn spend(&self, client: Option<IpAddr>, now: Instant) {
        let (client, now) = (Client::of(client), self.millis(now));
        change(&self.group, |due| OF_GROUP.after(due, now));
        let words = self.bucket(client);
        let own = words.iter().find(|word| client.is(load(word)));
        // That of which the next round was due first has had no round for longest.
        let first_due = || words.iter().min_by_key(|word| load(word) & DUE_MASK);
        if let Some(word) = own.or_else(first_due) {
            change(word, |word| {
                let due = if client.is(word) { word & DUE_MASK } else { 0 };
                client.tag() | OF_ADDRESS.after(due, now).min(DUE_MASK)
            });
        }
    }

    fn bucket(&self, client: Client) -> &[AtomicU64; SLOTS] {
        // There are fewer buckets than these 40 bits count.
        let place = (client.0 & DUE_MASK) as usize % self.buckets.len();
        &self.buckets[place].0
    }

    /// Milliseconds since the epoch. A thread may ask with a moment just before it.
    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Changes a word that other threads may change meanwhile.
fn change(word: &AtomicU64, next: impl Fn(u64) -> u64) {
    let mut seen = load(word);
    while let Err(other) =
        word.compare_exchange_weak(seen, next(seen), Ordering::Relaxed, Ordering::Relaxed)
    {
        seen = other;
    }
}

impl fmt::Debug for QuestionBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuestionBudget").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;
    use std::net::Ipv6Addr;
    use std::time::Duration;
    use std::time::Instant;

    use crate::affinity::question_budget::QuestionBudget;

    const ONE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)));

    /// A budget, and the moments since it was made.
    fn budget() -> (QuestionBudget, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let at = move |millis| start + Duration::from_millis(millis);
        (QuestionBudget::new(start), at)
    }

    #[test]
    fn an_address_has_five_rounds_at_once_and_five_a_second() {
        let (budget, at) = budget();
        let mut rounds = 0;
        for millis in 0..60_000 {
            while budget.allows(ONE, at(millis)) {
                budget.spend(ONE, at(millis));
                rounds += 1;
            }
            if millis == 0 {
                assert_eq!(rounds, 5);
            }
        }
        assert_eq!(rounds, 5 + 5 * 60 - 1);
        assert!(budget.allows(OTHER, at(60_000)));
    }

    #[test]
    fn rounds_under_way_at_once_are_paid_afterwards() {
        let (budget, at) = budget();
        (0..100).for_each(|_| budget.spend(ONE, at(0)));
        assert!(!budget.allows(ONE, at(19_199)));
        assert!(budget.allows(ONE, at(19_200)));
        // No more than a minute of them, however many there were.
        (0..10_000).for_each(|_| budget.spend(OTHER, at(20_000)));
        assert!(!budget.allows(OTHER, at(79_199)));
        assert!(budget.allows(OTHER, at(79_200)));
    }

    #[test]
    fn who_asked_for_nothing_in_vain_may_ask_when_strangers_have_spent_it_all() {
        let (budget, at) = budget();
        let stranger = |number: u16| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, number, 1, 2, 3, 4);
            Some(IpAddr::V6(address))
        };
        budget.spend(ONE, at(0));
        assert!(budget.allows(ONE, at(0)));
        // Each has one.
        (0..200).for_each(|number| budget.spend(stranger(number), at(0)));
        assert!(!budget.allows(ONE, at(0)));
        assert!(!budget.allows(stranger(7), at(0)));
        assert!(budget.allows(OTHER, at(0)));
        // It pays for itself, at 200 a second.
        assert!(budget.allows(ONE, at(10)));
        (0..10_000).for_each(|number| budget.spend(stranger(number % 1_000), at(20_000)));
        assert!(!budget.allows(ONE, at(29_004)));
        assert!(budget.allows(ONE, at(29_005)));
        // An address that is quiet for long enough is a new one.
        (0..10_000).for_each(|number| budget.spend(stranger(number % 1_000), at(29_900)));
        assert!(!budget.allows(ONE, at(30_199)));
        assert!(budget.allows(ONE, at(30_200)));
    }

    #[test]
    fn a_network_of_one_customer_is_one_address() {
        let (budget, at) = budget();
        let of = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        (0..5).for_each(|_| budget.spend(of("2001:db8:0:1::1"), at(0)));
        assert!(!budget.allows(of("2001:db8:0:1:ffff::2"), at(0)));
        assert!(budget.allows(of("2001:db8:0:2::1"), at(0)));
        (0..5).for_each(|_| budget.spend(of("::ffff:203.0.113.1"), at(0)));
        assert!(!budget.allows(ONE, at(0)));
        (0..5).for_each(|_| budget.spend(None, at(0)));
        assert!(!budget.allows(None, at(0)));
        assert!(budget.allows(OTHER, at(0)));
    }

    #[test]
    fn of_more_addresses_than_there_is_room_for_the_latest_are_remembered() {
        let (budget, at) = budget();
        let client = |number: u32| Some(IpAddr::V4(Ipv4Addr::from_bits(number)));
        for number in 0..100_000 {
            (0..5).for_each(|_| budget.spend(client(number), at(number.into())));
            assert!(!budget.allows(client(number), at(number.into())));
        }
        // The group has nothing left, so that only those are refused that are remembered, and those that are taken for one of them.
        let refused = (0..100_000).filter(|number| !budget.allows(client(*number), at(100_000)));
        let refused = refused.count();
        assert!((8_100..=8_200).contains(&refused), "{refused}");
    }

    #[test]
    fn no_round_is_lost_that_several_threads_count_at_once() {
        let (budget, at) = budget();
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..50).for_each(|_| budget.spend(ONE, at(0))));
            }
        });
        assert!(!budget.allows(ONE, at(39_199)));
        assert!(budget.allows(ONE, at(39_200)));
    }
}
