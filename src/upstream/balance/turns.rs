//! Servers in turn, by nginx's smooth weighted sequence.

/// The longest sequence. Weights whose sum is larger, after their greatest common divisor is taken out, are rounded to shares of this
/// many turns; at 8 bytes a turn it is half a MiB.
const LONGEST: u64 = 65_535;

/// The order in which servers have their turns, one whole round of it: with the weights 5, 1 and 1 it is a a b a c a a.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Turns(Box<[Turn]>);

/// A turn of a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Turn {
    owner: u16,
    /// Which of its owner's turns in a round it is, from 0.
    nth: u16,
    /// How many turns its owner has in a round.
    of: u32,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Owner {
    /// Its place among the weights.
    pub(super) at: usize,
    /// Which of its own turns it is, over all rounds.
    pub(super) own_turn: usize,
}

impl Turns {
    /// The sequence of servers with these weights.
    ///
    /// It is nginx's (`ngx_http_upstream_get_peer`): in each turn all servers gain their weight, the first of those that then have most
    /// has the turn, and pays the sum of all weights. After as many turns as that sum all are where they began, so that one round, made
    /// once, says all, and which turn it is takes no more than a count.
    pub(super) fn of(weights: &[u16]) -> Self {
        let weights = shortened(weights);
        let round: u32 = weights.iter().sum();
        let mut gained = vec![0_i64; weights.len()];
        let mut had = vec![0; weights.len()];
        let turns = (0..round).map(|_| {
            let mut first = 0;
            for at in 0..weights.len() {
                gained[at] += i64::from(weights[at]);
                if gained[at] > gained[first] {
                    first = at;
                }
            }
            gained[first] -= i64::from(round);
            had[first] += 1;
            Turn {
                owner: u16::try_from(first).unwrap_or(u16::MAX),
                nth: had[first] - 1,
                of: weights[first],
            }
        });
        Self(turns.collect())
    }

    /// Whose turn it is. `None` if there is no server.
    pub(super) fn owner(&self, turn: usize) -> Option<Owner> {
        let round = turn.checked_div(self.0.len())?;
        let turn = self.0[turn % self.0.len()];
        let of_rounds = round.wrapping_mul(turn.of as usize);
        Some(Owner {
            at: usize::from(turn.owner),
            own_turn: of_rounds.wrapping_add(usize::from(turn.nth)),
        })
    }

    /// How many turns make one round.
    pub(super) fn round(&self) -> usize {
        self.0.len()
    }
}

/// Weights in the same proportions, as small as they can be, and at least 1 each.
fn shortened(weights: &[u16]) -> Vec<u32> {
    let weights = || weights.iter().map(|weight| u64::from(*weight).max(1));
    let divisor = weights().fold(0, greatest_common_divisor).max(1);
    let sum: u64 = weights().map(|weight| weight / divisor).sum();
    let share = |weight: u64| {
        if sum <= LONGEST {
            weight / divisor
        } else {
            ((weight / divisor * LONGEST + sum / 2) / sum).max(1)
        }
    };
    let shares = weights().map(share);
    shares
        .map(|share| u32::try_from(share).unwrap_or(u32::MAX))
        .collect()
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use crate::upstream::balance::turns::LONGEST;
    use crate::upstream::balance::turns::Turns;

    /// nginx's `ngx_http_upstream_get_peer` as it stands there, but for peers that are down.
    struct Peer {
        weight: i64,
        current_weight: i64,
    }

    fn get_peer(peers: &mut [Peer]) -> usize {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for at in 0..peers.len() {
            peers[at].current_weight += peers[at].weight;
            total += peers[at].weight;
            if best.is_none_or(|best| peers[at].current_weight > peers[best].current_weight) {
                best = Some(at);
            }
        }
        let best = best.unwrap();
        peers[best].current_weight -= total;
        best
    }

    fn of_nginx(weights: &[u16], turns: usize) -> Vec<usize> {
        let peers = weights.iter().map(|weight| Peer {
            weight: i64::from(*weight),
            current_weight: 0,
        });
        let mut peers: Vec<_> = peers.collect();
        (0..turns).map(|_| get_peer(&mut peers)).collect()
    }

    fn ours(weights: &[u16], turns: usize) -> Vec<usize> {
        let sequence = Turns::of(weights);
        (0..turns).map(|n| sequence.owner(n).unwrap().at).collect()
    }

    #[test]
    fn five_one_one_are_spread() {
        assert_eq!(ours(&[5, 1, 1], 8), [0, 0, 1, 0, 2, 0, 0, 0]);
        assert_eq!(Turns::of(&[10, 2, 2]), Turns::of(&[5, 1, 1]));
        assert_eq!(Turns::of(&[u16::MAX; 3]).round(), 3);
        assert_eq!(Turns::of(&[]).owner(7), None);
        assert_eq!(ours(&[0, 1], 3), [0, 1, 0]);
    }

    #[test]
    fn weights_without_measure_are_rounded_to_shares_of_a_sequence_that_is_not_long() {
        let turns = Turns::of(&[u16::MAX, 30_001, 1]);
        assert!(turns.round().abs_diff(usize::try_from(LONGEST).unwrap()) <= 3);
        let had = [0, 1, 2].map(|at| {
            let all = 0..turns.round();
            all.filter(|n| turns.owner(*n).unwrap().at == at).count()
        });
        assert_eq!(had, [44_955, 20_580, 1]);
    }

    proptest! {
        #[test]
        fn the_sequence_is_that_of_nginx(weights in vec(1_u16..=40, 1..12), scale in 1_u16..=50) {
            let weights: Vec<_> = weights.iter().map(|weight| weight * scale).collect();
            let turns = 3 * Turns::of(&weights).round() + 5;
            prop_assert_eq!(ours(&weights, turns), of_nginx(&weights, turns));
        }

        #[test]
        fn own_turns_are_counted_over_all_rounds(weights in vec(1_u16..=40, 1..12)) {
            let turns = Turns::of(&weights);
            let mut had = vec![0; weights.len()];
            for n in 0..3 * turns.round() {
                let owner = turns.owner(n).unwrap();
                prop_assert_eq!(owner.own_turn, had[owner.at]);
                had[owner.at] += 1;
            }
        }

        #[test]
        fn in_a_round_each_server_has_its_weight(weights in vec(1_u16..=40, 1..12)) {
            let turns = Turns::of(&weights);
            let sum: usize = weights.iter().copied().map(usize::from).sum();
            prop_assert_eq!(sum % turns.round(), 0);
            for (at, weight) in weights.iter().enumerate() {
                let had = (0..turns.round()).filter(|n| turns.owner(*n).unwrap().at == at).count();
                prop_assert_eq!(had * (sum / turns.round()), usize::from(*weight));
            }
        }
    }
}
