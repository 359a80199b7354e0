//! A key's server, by weighted rendezvous: each server draws a number from the key and its own address, and the best one has the key.
//!
//! Nothing is built and nothing is kept. When a server goes, only its keys go elsewhere, each to its own second best; the order of the
//! lines in the file moves nothing; and all instances of wsgate agree, whatever machine they run on, since the hash is fixed (FNV-1a,
//! spread by the finalizer of SplitMix64) and the arithmetic is that of IEEE 754 alone, which is exact to the bit everywhere. What is
//! hashed is no secret: who may choose a key may choose its server, and nothing more.

use std::cmp::Ordering;
use std::net::IpAddr;

/// What decides which server a request goes to, so that the same always goes to the same one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key(u64);

impl Key {
    /// The value of the variables of `balance: { hash: .. }`.
    pub(super) fn of_text(text: &str) -> Self {
        Self(hash(text.as_bytes()))
    }

    /// A client of a group: its whole IPv4 address, or the /64 of its IPv6 address, which is what one customer has. The group is part of
    /// it, so that the clients of one server are not those of one server of another group.
    pub(super) fn of_client(group: &str, client: IpAddr) -> Self {
        let group = hash(group.as_bytes());
        let client = match client.to_canonical() {
            IpAddr::V4(ip) => hash(&ip.octets()),
            IpAddr::V6(ip) => hash(&ip.octets()[..8]),
        };
        Self(mix(group ^ client.rotate_left(1)))
    }
}

/// A server, as it takes part in the draws.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::upstream) struct Entrant {
    address: u64,
    weight: u16,
}

/// What a server drew for a key: the greatest has the key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Draw {
    /// Less is better: an exponentially distributed number with the weight as its rate.
    wait: f64,
    hash: u64,
}

impl Entrant {
    /// The server at this `host:port` or `unix:/path`.
    pub(in crate::upstream) fn new(address: &str, weight: u16) -> Self {
        Self {
            address: hash(address.as_bytes()),
            weight: weight.max(1),
        }
    }

    /// What it draws for the key.
    ///
    /// Of exponentially distributed waits the one with the rate w is the shortest in w of (sum of all rates) cases, which is what a
    /// weight is to mean; and minus the logarithm of an even number between 0 and 1, divided by w, is such a wait.
    pub(super) fn draw(&self, key: Key) -> Draw {
        let hash = mix(key.0 ^ self.address);
        Draw {
            wait: minus_ln(hash) / f64::from(self.weight),
            hash,
        }
    }

    /// What it draws for the key among servers that all have the same weight: in the same order as [`draw`](Self::draw), but without
    /// the logarithm, which is most of the work.
    pub(super) fn draw_alike(&self, key: Key) -> Draw {
        Draw {
            wait: 0.0,
            hash: mix(key.0 ^ self.address),
        }
    }
}

impl Draw {
    /// Which of both is better.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let by_wait = other.wait.total_cmp(&self.wait);
        by_wait.then(self.hash.cmp(&other.hash))
    }
}

/// FNV-1a of 64 bits, spread, since its highest bits hardly depend on the last bytes.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finalizer of SplitMix64: each bit of what goes in changes about half of those that come out.
pub(super) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Minus the natural logarithm of `hash` as a number above 0 and up to 1.
///
/// `f64::ln` is the C library's, whose last bit differs between machines. This is the series of the inverse hyperbolic tangent, of
/// which ten terms are exact to the precision of an `f64` here.
fn minus_ln(hash: u64) -> f64 {
    let number = (hash >> 11) + 1;
    let mut exponent = number.ilog2();
    let mut mantissa = number as f64 / (1_u64 << exponent) as f64;
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..10).rev().fold(0.0, |sum, k| {
        let term = 1.0 / f64::from(2 * k + 1);
        sum * (s * s) + term
    });
    (53.0 - f64::from(exponent)) * std::f64::consts::LN_2 - 2.0 * s * series
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::upstream::balance::rendezvous::Entrant;
    use crate::upstream::balance::rendezvous::Key;
    use crate::upstream::balance::rendezvous::minus_ln;

    fn best(entrants: &[Entrant], key: Key) -> Entrant {
        let by_draw = |one: &&Entrant, other: &&Entrant| one.draw(key).compare(&other.draw(key));
        *entrants.iter().max_by(by_draw).unwrap()
    }

    #[test]
    fn what_a_key_draws_is_fixed_for_all_times_and_machines() {
        let entrant = Entrant::new("10.0.0.1:3000", 3);
        assert_eq!(entrant.address, 0x88f5_2a5c_e777_5b4e);
        let key = Key::of_text("room");
        assert_eq!(key, Key(0x96d7_3e81_5314_c118));
        // As Python's arithmetic has them.
        assert_eq!(entrant.draw(key).hash, 0x7039_00b0_7a32_1c9d);
        assert_eq!(
            entrant.draw(key).wait.to_bits(),
            0.27489748356052485_f64.to_bits()
        );
    }

    #[test]
    fn a_client_is_its_ipv4_address_or_its_ipv6_network() {
        let key = |group: &str, client: &str| Key::of_client(group, client.parse().unwrap());
        let own = key("a", "192.0.2.1");
        assert_eq!(own, key("a", "::ffff:192.0.2.1"));
        assert_ne!(own, key("a", "192.0.2.2"));
        assert_ne!(own, key("b", "192.0.2.1"));
        assert_eq!(key("a", "2001:db8:1:2::1"), key("a", "2001:db8:1:2:9::9"));
        assert_ne!(key("a", "2001:db8:1:2::1"), key("a", "2001:db8:1:3::1"));
    }

    #[test]
    fn the_logarithm_is_one() {
        for hash in [
            0,
            1,
            1 << 11,
            1 << 40,
            1 << 62,
            3 << 62,
            u64::MAX >> 1,
            u64::MAX,
        ] {
            let number = ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let ln = -number.ln();
            assert!((minus_ln(hash) - ln).abs() <= 1e-15 * ln, "{hash}");
        }
    }

    #[test]
    fn each_server_has_keys_by_its_weight() {
        let weights = [1_u16, 2, 5];
        let entrants: Vec<_> = (weights.iter().zip(1..))
            .map(|(weight, n)| Entrant::new(&format!("10.0.0.{n}:3000"), *weight))
            .collect();
        let mut had = [0; 3];
        for n in 0..80_000 {
            let entrant = best(&entrants, Key::of_text(&format!("room {n}")));
            let at = entrants.iter().position(|one| *one == entrant).unwrap();
            had[at] += 1;
        }
        for (had, weight) in had.iter().zip(weights) {
            let share = f64::from(*had) / 80_000.0 * 8.0 / f64::from(weight);
            assert!((0.97..1.03).contains(&share), "{share}");
        }
    }

    proptest! {
        #[test]
        fn weights_that_are_alike_need_no_logarithm(key: u64, weight in 1_u16..) {
            let entrants: Vec<_> = (0..20).map(|n| Entrant::new(&format!("h{n}:1"), weight)).collect();
            let alike = |one: &&Entrant, other: &&Entrant| {
                one.draw_alike(Key(key)).compare(&other.draw_alike(Key(key)))
            };
            prop_assert_eq!(*entrants.iter().max_by(alike).unwrap(), best(&entrants, Key(key)));
        }
    }
}
