//! `balance: round_robin`, held against nginx's algorithm written plainly.

use std::collections::HashMap;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::upstream::Balance;
use crate::upstream::choice::tests::SLOW_START;
use crate::upstream::choice::tests::at;
use crate::upstream::choice::tests::choose;
use crate::upstream::choice::tests::group;
use crate::upstream::choice::tests::input;
use crate::upstream::choice::tests::refused;
use crate::upstream::choice::tests::sequence;
use crate::upstream::choice::tests::set_down;
use crate::upstream::choice::tests::weighing;

/// nginx's `ngx_http_upstream_get_peer` over peers of which none is ever down: each gains its weight, the first of those that have most
/// is taken, and pays the sum.
struct Plain {
    weights: Vec<i64>,
    current: Vec<i64>,
}

impl Plain {
    fn new(weights: &[u16]) -> Self {
        Self {
            weights: weights.iter().copied().map(i64::from).collect(),
            current: vec![0; weights.len()],
        }
    }

    fn next(&mut self) -> usize {
        let mut best = None;
        for at in 0..self.weights.len() {
            self.current[at] += self.weights[at];
            if best.is_none_or(|best: usize| self.current[at] > self.current[best]) {
                best = Some(at);
            }
        }
        let best = best.unwrap();
        self.current[best] -= self.weights.iter().sum::<i64>();
        best
    }

    /// Takes turns until one falls to a server that can be chosen.
    fn next_of(&mut self, can: &[bool]) -> usize {
        loop {
            let at = self.next();
            if can[at] {
                return at;
            }
        }
    }
}

#[test]
fn the_share_of_a_server_that_is_down_goes_to_the_others_by_their_weights() {
    let group = group(Balance::RoundRobin, &[5, 3, 1, 1].map(weighing));
    set_down(&group, 1);
    let mut had = HashMap::new();
    for at in sequence(&group, 7 * 30) {
        *had.entry(at).or_insert(0) += 1;
    }
    assert_eq!(had, HashMap::from([(0, 150), (2, 30), (3, 30)]));
}

#[test]
fn each_turn_is_taken_once_by_whichever_thread() {
    let group = group(Balance::RoundRobin, &[4, 3, 2].map(weighing));
    set_down(&group, 1);
    let had = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| sequence(&group, 6 * 500)))
            .collect();
        let mut had = [0; 3];
        for thread in threads {
            for at in thread.join().unwrap() {
                had[at] += 1;
            }
        }
        had
    });
    assert_eq!(had, [8_000, 0, 4_000]);
}

#[test]
fn a_server_that_dies_of_a_request_costs_it_a_turn_and_no_more() {
    let group = group(Balance::RoundRobin, &[1, 1, 1].map(weighing));
    let now = Instant::now();
    let mut choice = choose(&group).unwrap();
    choice.failed(refused(now));
    assert!(choice.is_down());
    assert!(choice.elsewhere(&input(now)));
    assert_eq!(at(&choice), 1);
    drop(choice);
    assert_eq!(sequence(&group, 4), [2, 1, 2, 1]);
}

proptest! {
    #[test]
    fn turns_are_those_of_nginx_without_the_servers_that_cannot_be_chosen(
        weights in vec(1_u16..=9, 2..8),
        changes in vec((0_usize..8, 1_usize..40), 0..12),
    ) {
        let servers: Vec<_> = weights.iter().copied().map(weighing).collect();
        let group = group(Balance::RoundRobin, &servers);
        let mut plain = Plain::new(&weights);
        let mut can = vec![true; weights.len()];
        for (changed, requests) in changes {
            let changed = changed % weights.len();
            can[changed] = !can[changed];
            let state = group.members()[changed].state();
            let then = Instant::now();
            if can[changed] {
                state.set_up(then);
            } else {
                state.set_down(then);
            }
            // So late that none begins slowly any longer.
            let late = input(then + 2 * SLOW_START);
            if can.contains(&true) {
                let twin: Vec<_> = (0..requests).map(|_| plain.next_of(&can)).collect();
                let ours: Vec<_> = (0..requests).map(|_| at(&group.choose(&late).unwrap())).collect();
                prop_assert_eq!(ours, twin);
            }
        }
    }
}
