//! Where an abrupt end comes, and from whom: by the seed and a number alone.

use crate::support::Over;

/// The point at which somebody leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum At {
    /// The client, before a byte.
    Connect,
    TlsHandshake,
    Head,
    Body,
    Waiting,
    Answer,
    /// Between its upgrade request and the 101.
    Upgrading,
    /// Right after the 101.
    Switched,
    /// With bytes under way.
    Tunnel,
    /// The upstream, at a point of [`upstream`](crate::left_behind::upstream).
    Upstream(usize),
}

const OF_CLIENTS: [At; 9] = [
    At::Connect,
    At::TlsHandshake,
    At::Head,
    At::Body,
    At::Waiting,
    At::Answer,
    At::Upgrading,
    At::Switched,
    At::Tunnel,
];

/// One abrupt end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) at: At,
    pub(super) over: Over,
    /// The location that leads to the upstream.
    pub(super) to: &'static str,
    /// Whether the client leaves with a reset.
    pub(super) resets: bool,
    pub(super) is_upgrade: bool,
    random: u64,
}

impl Plan {
    pub(super) fn of(seed: u64, number: usize) -> Self {
        let mut state = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(number as u64);
        let mut below = |bound: usize| (next(&mut state) >> 33) as usize % bound;
        let over = if below(4) == 0 { Over::Wss } else { Over::Ws };
        let mut to = if below(5) == 0 { "/tls/" } else { "/" };
        let mut at = match below(3) {
            0 => At::Upstream(below(super::upstream::POINTS)),
            _ => OF_CLIENTS[below(OF_CLIENTS.len())],
        };
        if let At::Upstream(_) = at {
            // Some of them leave before they are asked anything.
            to = match below(10) {
                0 => "/slam/",
                1 => "/slam/tls/",
                2 => "/hello/",
                _ => to,
            };
        }
        let over = match at {
            At::TlsHandshake => Over::Wss,
            _ => over,
        };
        if to == "/hello/" {
            at = At::Upstream(0);
        }
        Self {
            at,
            over,
            to,
            resets: below(2) == 0,
            is_upgrade: below(2) == 0,
            random: next(&mut state),
        }
    }

    /// A number below this one.
    pub(super) fn within(&self, bound: usize) -> usize {
        (self.random >> 33) as usize % bound
    }
}

/// SplitMix64: numbers next to each other give streams that are not alike.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
