//! Limits for one client address: connections at a time, and opening handshakes in a second.
//!
//! An IPv4 address is counted by itself, an IPv6 address by its /64, since that is the least that one customer is
//! given, who then has all of its addresses (RFC 6177 §2). Without a limit nothing is counted, and nothing locked.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// How many parts the table has, each with a lock of its own; many more than threads, so that these seldom meet.
const SHARDS: usize = 64;

/// How many entries a part has at least before it is swept of those that are of no use any more.
const FEW: usize = 64;

/// How long the log is silent about an address after it has said that its connections are closed unread.
const QUIET: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// The bits of an IPv6 address that are the network of one customer.
const CUSTOMER: u128 = u128::MAX << 64;

/// The limits for each address; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerAddress {
    /// How many connections it may have at a time, tunnels included.
    pub connections: Option<NonZeroU32>,
    /// How many opening handshakes of WebSocket it may begin in a second; after a second without one, all of them at
    /// once.
    pub handshakes_per_second: Option<NonZeroU32>,
}

/// Counts connections and opening handshakes by client address, and holds the limits, at first unlimited. Clones count
/// together.
#[derive(Clone, Debug, Default)]
pub struct AddressLimits(Arc<AddressTable>);

#[derive(Debug)]
struct AddressTable {
    /// 0 is no limit.
    connections: AtomicU32,
    /// 0 is no limit.
    handshakes_per_second: AtomicU32,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    addresses: HashMap<AddressKey, AddressCounts>,
    /// How many entries were left after the last sweep.
    after_sweep: usize,
}

/// What is counted of one address.
#[derive(Debug, Default)]
struct AddressCounts {
    connections: u32,
    /// When the next opening handshake would come if they came evenly (the generic cell rate algorithm).
    due: Option<Instant>,
    /// When the log last said that its connections are closed unread.
    said: Option<Instant>,
}

/// The client that is counted as one: an IPv4 address, kept as an IPv4-mapped IPv6 address, or the /64 of an IPv6
/// address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AddressKey(u128);

/// Why a connection is closed without an answer: its address has twice as many connections as it may. Half of these are
/// there only to be answered with a refusal, and there are no more of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionRefusal {
    /// The limit that the address exceeds.
    pub exceeded: Exceeded,
    /// Whether the log has not said so in the last minute.
    pub is_news: bool,
}

/// A limit that an address has reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exceeded {
    /// The address has as many connections as it may.
    Connections {
        /// The address, as it is counted.
        of: AddressKey,
        /// How many it may have.
        most: NonZeroU32,
    },
    /// The address has begun as many opening handshakes as it may.
    Handshakes {
        /// The address, as it is counted.
        of: AddressKey,
        /// How many it may begin in a second.
        most: NonZeroU32,
        /// How long until it may begin another one.
        wait: Duration,
    },
}

/// The permit of one connection of an address, which is counted until the permit is dropped.
#[derive(Debug)]
pub struct AddressPermit {
    table: Arc<AddressTable>,
    address: AddressKey,
    /// Whether the address had too many connections when this one came, and has had since.
    is_beyond: Cell<bool>,
}

impl AddressLimits {
    /// Changes the limits. Connections that there are stay, also if they are more; those that came while there was no
    /// limit are not counted.
    pub fn allow(&self, each: PerAddress) {
        let number = |most: Option<NonZeroU32>| most.map_or(0, NonZeroU32::get);
        let table = &self.0;
        table
            .connections
            .store(number(each.connections), Ordering::Relaxed);
        table
            .handshakes_per_second
            .store(number(each.handshakes_per_second), Ordering::Relaxed);
    }

    /// Permits another connection of `address`, which is counted until the permit is dropped. `None` where there is no
    /// limit. All who come through a Unix socket, and have no address, count as one.
    ///
    /// # Errors
    /// The connection is to be closed without an answer.
    pub fn connect(
        &self,
        address: Option<IpAddr>,
    ) -> Result<Option<Box<AddressPermit>>, ConnectionRefusal> {
        match NonZeroU32::new(self.0.connections.load(Ordering::Relaxed)) {
            None => Ok(None),
            Some(most) => self.connect_at(Instant::now(), address, most).map(Some),
        }
    }

    fn connect_at(
        &self,
        now: Instant,
        address: Option<IpAddr>,
        most: NonZeroU32,
    ) -> Result<Box<AddressPermit>, ConnectionRefusal> {
        let of = AddressKey::of(address);
        let mut shard = self.0.shard(of);
        let counts = shard.counts(of, now);
        if counts.connections >= most.get().saturating_mul(2) {
            let is_news = counts.said.is_none_or(|said| now >= said + QUIET);
            if is_news {
                counts.said = Some(now);
            }
            let exceeded = Exceeded::Connections { of, most };
            return Err(ConnectionRefusal { exceeded, is_news });
        }
        counts.connections += 1;
        Ok(Box::new(AddressPermit {
            table: Arc::clone(&self.0),
            address: of,
            is_beyond: Cell::new(counts.connections > most.get()),
        }))
    }

    /// Counts another opening handshake of `address`. One that is refused is not counted.
    ///
    /// # Errors
    /// The address has begun as many as it may.
    pub fn handshake(&self, address: Option<IpAddr>) -> Result<(), Exceeded> {
        match NonZeroU32::new(self.0.handshakes_per_second.load(Ordering::Relaxed)) {
            None => Ok(()),
            Some(most) => self.handshake_at(Instant::now(), address, most),
        }
    }

    fn handshake_at(
        &self,
        now: Instant,
        address: Option<IpAddr>,
        most: NonZeroU32,
    ) -> Result<(), Exceeded> {
        let of = AddressKey::of(address);
        let interval = SECOND / most.get();
        let mut shard = self.0.shard(of);
        let counts = shard.counts(of, now);
        let due = counts.due.map_or(now, |due| due.max(now));
        let wait = (due + interval).saturating_duration_since(now + SECOND);
        if !wait.is_zero() {
            return Err(Exceeded::Handshakes { of, most, wait });
        }
        counts.due = Some(due + interval);
        Ok(())
    }
}

impl Default for AddressTable {
    fn default() -> Self {
        Self {
            connections: AtomicU32::new(0),
            handshakes_per_second: AtomicU32::new(0),
            shards: [(); SHARDS].map(|()| Mutex::default()),
        }
    }
}

impl AddressTable {
    fn shard(&self, address: AddressKey) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[address.shard()];
        // Nothing under the lock can stop half-way through a change, so that the numbers hold also after a panic.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// The entry of an address. A sweep takes out those of no use whenever there are twice as many as the last one
    /// left.
    fn counts(&mut self, address: AddressKey, now: Instant) -> &mut AddressCounts {
        if self.addresses.len() >= FEW.max(2 * self.after_sweep) {
            self.addresses.retain(|_, counts| counts.is_of_use(now));
            self.after_sweep = self.addresses.len();
        }
        self.addresses.entry(address).or_default()
    }
}

impl AddressCounts {
    fn is_of_use(&self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due > now);
        let is_said = self.said.is_some_and(|said| now < said + QUIET);
        self.connections > 0 || is_due || is_said
    }
}

impl AddressPermit {
    /// The limit for which its client is to be refused: its address had too many connections when it came, and still
    /// has.
    pub fn exceeded(&self) -> Option<Exceeded> {
        if !self.is_beyond.get() {
            return None;
        }
        let of = self.address;
        let counted = self.table.shard(of).addresses.get(&of)?.connections;
        let most = NonZeroU32::new(self.table.connections.load(Ordering::Relaxed));
        let most = most.filter(|most| counted > most.get());
        self.is_beyond.set(most.is_some());
        most.map(|most| Exceeded::Connections { of, most })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut shard = self.table.shard(self.address);
        if let Entry::Occupied(mut entry) = shard.addresses.entry(self.address) {
            entry.get_mut().connections -= 1;
            let counts = entry.get();
            if counts.connections == 0 && counts.due.is_none() && counts.said.is_none() {
                entry.remove();
            }
        }
    }
}

impl AddressKey {
    /// The key of no address: no client has the address `::`.
    const UNIX: Self = Self(0);

    fn of(address: Option<IpAddr>) -> Self {
        let Some(address) = address else {
            return Self::UNIX;
        };
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() & CUSTOMER,
        })
    }

    fn shard(self) -> usize {
        let [low, high] = [self.0 as u64, (self.0 >> 64) as u64];
        let mixed = (low ^ high).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SHARDS.ilog2())) as usize
    }
}

/// Writes the address as the log has it: `192.0.2.7`, `2001:db8::/64`, or `unix:`.
impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNIX {
            return f.write_str("unix:");
        }
        let address = Ipv6Addr::from_bits(self.0);
        match address.to_ipv4_mapped() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{address}/64"),
        }
    }
}

impl Exceeded {
    /// The key of the limit in `routes.yaml`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Connections { .. } => "per_ip: connections",
            Self::Handshakes { .. } => "per_ip: handshakes_per_second",
        }
    }

    /// How long the client should wait before it tries again, if that is known.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Connections { .. } => None,
            Self::Handshakes { wait, .. } => Some(wait),
        }
    }

    /// The refusal for the client, which need not know the numbers.
    pub fn told(self) -> &'static str {
        match self {
            Self::Connections { .. } => "there are too many connections from this address",
            Self::Handshakes { .. } => "there are too many opening handshakes from this address",
        }
    }
}

impl std::error::Error for Exceeded {}

/// Writes the refusal for the log.
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        match self {
            Self::Connections { of, most } => {
                let noun = if most.get() == 1 {
                    "connection"
                } else {
                    "connections"
                };
                write!(f, "refused: {of} has {most} {noun} (`{key}`)")
            }
            Self::Handshakes { of, most, .. } => {
                let noun = if most.get() == 1 {
                    "handshake"
                } else {
                    "handshakes"
                };
                write!(
                    f,
                    "refused: {of} has begun {most} opening {noun} within a second (`{key}`)"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::time::Duration;
    use std::time::Instant;

    use proptest::prelude::*;

    use crate::limits::addresses::AddressLimits;
    use crate::limits::addresses::Exceeded;
    use crate::limits::addresses::FEW;
    use crate::limits::addresses::PerAddress;
    use crate::limits::addresses::QUIET;
    use crate::limits::addresses::SHARDS;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn limited(connections: u32, handshakes_per_second: u32) -> AddressLimits {
        let addresses = AddressLimits::default();
        addresses.allow(PerAddress {
            connections: NonZeroU32::new(connections),
            handshakes_per_second: NonZeroU32::new(handshakes_per_second),
        });
        addresses
    }

    /// How many addresses have an entry.
    fn entries(addresses: &AddressLimits) -> usize {
        let shards = addresses.0.shards.iter();
        shards
            .map(|shard| shard.lock().expect("no panic").addresses.len())
            .sum()
    }

    const TWO: NonZeroU32 = NonZeroU32::new(2).expect("more than none");

    #[test]
    fn beyond_its_limit_as_many_connections_again_are_refused_and_more_are_closed() {
        let addresses = limited(2, 0);
        let (one, begin) = (address("192.0.2.7"), Instant::now());
        let connect = |after| addresses.connect_at(begin + after, one, TWO);
        let mut kept = Vec::new();
        for number in 0..4 {
            let permit = connect(Duration::ZERO).expect("two, and two that are told");
            let refused = permit.exceeded().map(|exceeded| exceeded.to_string());
            let said = "refused: 192.0.2.7 has 2 connections (`per_ip: connections`)".to_owned();
            assert_eq!(refused, (number >= 2).then_some(said));
            kept.push(permit);
        }
        let is_news = |after| connect(after).map_err(|refusal| refusal.is_news).err();
        assert_eq!(
            [Duration::ZERO, QUIET / 2, QUIET].map(is_news),
            [Some(true), Some(false), Some(true)]
        );
        // Another address has its own, and so has this one when some of its connections have ended.
        let other = addresses.connect_at(begin, address("192.0.2.8"), TWO);
        assert!(other.is_ok_and(|permit| permit.exceeded().is_none()));
        kept.truncate(1);
        assert!(connect(Duration::ZERO).is_ok_and(|permit| permit.exceeded().is_none()));
        // What the log said is remembered for a minute, also when the address has no connection any more.
        drop(kept);
        let twice_as_many = || {
            (0..4)
                .map(|_| connect(QUIET))
                .collect::<Result<Vec<_>, _>>()
        };
        let refusal = twice_as_many()
            .map(|_four| connect(QUIET + QUIET / 2).map_err(|refusal| refusal.is_news));
        assert!(matches!(refusal, Ok(Err(false))), "{refusal:?}");
    }

    #[test]
    fn one_that_was_too_many_may_be_when_another_has_ended_or_more_may_be() {
        let addresses = limited(1, 0);
        let connect = || {
            addresses
                .connect(address("192.0.2.7"))
                .expect("no crowd")
                .expect("a limit")
        };
        let (first, second) = (connect(), connect());
        assert!(first.exceeded().is_none() && second.exceeded().is_some());
        drop(first);
        assert_eq!(second.exceeded(), None);
        let third = connect();
        assert!(third.exceeded().is_some());
        addresses.allow(PerAddress {
            connections: NonZeroU32::new(2),
            handshakes_per_second: None,
        });
        // A connection that was permitted once stays so.
        assert_eq!((second.exceeded(), third.exceeded()), (None, None));
    }

    #[test]
    fn neither_closing_nor_a_crowd_of_others_gives_a_handshake_back() {
        let addresses = limited(1, 1);
        let (one, begin) = (address("192.0.2.7"), Instant::now());
        let permit = addresses.connect(one);
        assert_eq!(addresses.handshake_at(begin, one, NonZeroU32::MIN), Ok(()));
        drop(permit);
        let again = |after| addresses.handshake_at(begin + after, one, NonZeroU32::MIN);
        assert!(again(Duration::from_millis(1)).is_err());
        for number in 0..20_000_u32 {
            let other = IpAddr::from((number | 1 << 31).to_be_bytes());
            let now = begin + Duration::from_millis(2);
            assert_eq!(
                addresses.handshake_at(now, Some(other), NonZeroU32::MIN),
                Ok(())
            );
        }
        assert!(again(Duration::from_millis(3)).is_err());
        assert_eq!(again(Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn an_ipv6_address_is_its_first_half_and_a_mapped_one_is_ipv4() {
        let addresses = limited(1, 0);
        let mut kept = Vec::new();
        let mut refused = |text| {
            let permit = addresses
                .connect(address(text))
                .expect("at most two")
                .expect("a limit");
            let exceeded = permit.exceeded();
            kept.push(permit);
            exceeded.map(|exceeded| exceeded.to_string())
        };
        assert_eq!(refused("2001:db8:0:1::1"), None);
        assert_eq!(
            refused("2001:db8:0:1:ffff:ffff:ffff:ffff").as_deref(),
            Some("refused: 2001:db8:0:1::/64 has 1 connection (`per_ip: connections`)")
        );
        assert_eq!(refused("2001:db8:0:2::1"), None);
        assert_eq!(refused("192.0.2.7"), None);
        assert_eq!(
            refused("::ffff:192.0.2.7").as_deref(),
            Some("refused: 192.0.2.7 has 1 connection (`per_ip: connections`)")
        );
        // The /64 of `::1` has no bits, and no IPv4 address is kept so.
        assert_eq!(refused("::1"), None);
        assert_eq!(refused("0.0.0.0"), None);
    }

    #[test]
    fn without_a_limit_nothing_is_counted_and_a_later_one_counts_what_comes_then() {
        let addresses = AddressLimits::default();
        let one = address("192.0.2.7");
        let is_counted = || addresses.connect(one).expect("no crowd").is_some();
        assert!(!is_counted());
        assert_eq!(addresses.handshake(one), Ok(()));
        assert_eq!(entries(&addresses), 0);
        addresses.allow(PerAddress {
            connections: Some(NonZeroU32::MIN),
            handshakes_per_second: None,
        });
        let first = addresses.connect(one);
        let second = addresses.connect(one).expect("told").expect("a limit");
        assert!(second.exceeded().is_some());
        addresses.allow(PerAddress::default());
        assert!(!is_counted());
        drop((first, second));
        assert_eq!(entries(&addresses), 0);
    }

    #[test]
    fn a_second_without_a_handshake_gives_as_many_at_once_as_a_second_has() {
        let addresses = AddressLimits::default();
        let (one, begin) = (address("192.0.2.7"), Instant::now());
        let four = NonZeroU32::new(4).expect("more than none");
        let handshake = |at| addresses.handshake_at(begin + Duration::from_millis(at), one, four);
        let tries = |at, times| (0..times).filter(|_| handshake(at).is_ok()).count();
        assert_eq!(tries(0, 10), 4);
        let refused = handshake(0).expect_err("the fifth is one too many");
        assert_eq!(refused.wait(), Some(Duration::from_millis(250)));
        assert_eq!(
            refused.to_string(),
            "refused: 192.0.2.7 has begun 4 opening handshakes within a second (`per_ip: handshakes_per_second`)"
        );
        // What was refused did not count.
        assert_eq!([tries(249, 1), tries(250, 2)], [0, 1]);
        assert_eq!([tries(1249, 10), tries(9000, 10)], [3, 4]);
        let other = address("192.0.2.8");
        assert_eq!(addresses.handshake_at(begin, other, four), Ok(()));
    }

    #[test]
    fn addresses_that_were_seen_once_are_forgotten() {
        let addresses = AddressLimits::default();
        let begin = Instant::now();
        for number in 0..100_000_u32 {
            let one = IpAddr::from(number.to_be_bytes());
            let now = begin + Duration::from_millis(u64::from(number));
            assert_eq!(
                addresses.handshake_at(now, Some(one), NonZeroU32::MIN),
                Ok(())
            );
        }
        // A thousand of them a second, of which those of the last second matter.
        let left = entries(&addresses);
        assert!((1000..=2000 + SHARDS * FEW).contains(&left), "{left}");
    }

    #[test]
    fn many_threads_count_together() {
        let addresses = limited(3, 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = addresses.connect(address("192.0.2.7"));
                        assert!(permit.is_ok_and(|permit| permit.is_some()));
                    }
                });
            }
        });
        assert_eq!(entries(&addresses), 0);
    }

    proptest! {
        /// Within any second, and however they come, there are at most twice as many as it may: those that were saved,
        /// and those of the second. A client that waits as long as it is told is not refused again, and one that waits
        /// less is.
        #[test]
        fn handshakes_stay_within_their_rate(most in 1_u32..20, gaps in proptest::collection::vec(0_u64..400, 1..200)) {
            let addresses = AddressLimits::default();
            let each = NonZeroU32::new(most).expect("more than none");
            let begin = Instant::now();
            let handshake = |now| addresses.handshake_at(now, address("2001:db8::1"), each);
            let mut at = 0;
            let mut taken = Vec::new();
            for gap in gaps {
                at += gap;
                if handshake(begin + Duration::from_millis(at)).is_ok() {
                    taken.push(at);
                }
            }
            for (number, first) in taken.iter().enumerate() {
                let within = taken[number..].iter().take_while(|other| **other - first < 1000).count();
                prop_assert!(within <= 2 * most as usize, "{within} of {most}");
            }
            let now = begin + Duration::from_millis(at);
            let refused = std::iter::repeat_with(|| handshake(now)).find_map(Result::err);
            let wait = refused.and_then(Exceeded::wait).unwrap_or_default();
            prop_assert!(wait <= Duration::from_secs(1));
            prop_assert!(handshake(now + wait - Duration::from_nanos(1)).is_err());
            prop_assert!(handshake(now + wait).is_ok());
        }
    }
}
