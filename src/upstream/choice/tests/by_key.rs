//! `balance: ip_hash` and `balance: { hash: .. }`.

use std::sync::Arc;
use std::time::Instant;

use proptest::collection::hash_set;
use proptest::prelude::*;

use crate::upstream::Balance;
use crate::upstream::ChoiceInput;
use crate::upstream::ChosenBy;
use crate::upstream::Group;
use crate::upstream::MemberSettings;
use crate::upstream::choice::tests::at;
use crate::upstream::choice::tests::backup;
use crate::upstream::choice::tests::drained;
use crate::upstream::choice::tests::group;
use crate::upstream::choice::tests::input;
use crate::upstream::choice::tests::plain;
use crate::upstream::choice::tests::sequence;
use crate::upstream::choice::tests::set_down;
use crate::upstream::choice::tests::up_to;
use crate::upstream::choice::tests::weighing;

fn by_hash() -> Balance {
    Balance::Hash("$request_uri".parse().unwrap())
}

fn with_key(key: &str) -> ChoiceInput<'_> {
    ChoiceInput {
        hash_key: Some(key),
        ..input(Instant::now())
    }
}

/// The servers to which so many keys lead.
fn of_keys(group: &Arc<Group>, keys: usize) -> Vec<usize> {
    let keys = (0..keys).map(|n| format!("room {n}"));
    keys.map(|key| at(&group.choose(&with_key(&key)).unwrap()))
        .collect()
}

fn of_client(group: &Arc<Group>, client: &str) -> usize {
    let client = Some(client.parse().unwrap());
    let input = ChoiceInput {
        client,
        ..input(Instant::now())
    };
    at(&group.choose(&input).unwrap())
}

#[test]
fn a_client_stays_with_its_server_and_those_of_one_network_are_spread() {
    let group = group(Balance::IpHash, &[plain(), plain(), plain()]);
    let mut had = [0; 3];
    for last in 1..=240 {
        let client = format!("192.0.2.{last}");
        let server = of_client(&group, &client);
        assert_eq!(of_client(&group, &client), server);
        assert_eq!(of_client(&group, &format!("::ffff:{client}")), server);
        had[server] += 1;
    }
    assert!(had.iter().all(|had| (60..=100).contains(had)), "{had:?}");
    let one = of_client(&group, "2001:db8:0:7::1");
    assert_eq!(of_client(&group, "2001:db8:0:7:ffff::2"), one);
}

#[test]
fn a_request_without_a_key_goes_where_least_is_open() {
    for balance in [Balance::IpHash, by_hash()] {
        let group = group(balance, &[plain(), plain(), plain()]);
        assert_eq!(sequence(&group, 4), [0, 1, 2, 0]);
        assert_eq!(at(&group.choose(&with_key("")).unwrap()), 1);
    }
}

#[test]
fn the_keys_of_a_full_server_go_elsewhere_until_there_is_room() {
    let group = group(by_hash(), &[up_to(1), plain()]);
    let keys = (0..).map(|n| format!("room {n}"));
    let mut of_first = keys.filter(|key| at(&group.choose(&with_key(key)).unwrap()) == 0);
    let (one, other) = (of_first.next().unwrap(), of_first.next().unwrap());
    let first = group.choose(&with_key(&one)).unwrap();
    assert_eq!(at(&group.choose(&with_key(&other)).unwrap()), 1);
    drop(first);
    assert_eq!(at(&group.choose(&with_key(&other)).unwrap()), 0);
}

#[test]
fn the_server_that_the_key_leads_to_is_asked_first() {
    let servers = [plain(), plain(), drained(), plain(), backup()];
    let all = group(by_hash(), &[plain(), plain(), plain(), plain()]);
    let group = group(by_hash(), &servers);
    for key in (0..100).map(|n| format!("room {n}")) {
        let input = with_key(&key);
        let stranger = group.members()[4].id();
        let mut choice = group.choose_member(stranger, ChosenBy::Cookie).unwrap();
        let mut asked = Vec::new();
        while choice.ask_another(&input) {
            asked.push(at(&choice));
        }
        // With the one that is drained, whose keys lead there still.
        let mut ranked = all.choose(&input).unwrap();
        let mut rank = vec![at(&ranked)];
        while ranked.elsewhere(&input) {
            rank.push(at(&ranked));
        }
        assert_eq!(asked, rank);
    }
}

#[test]
fn a_backup_has_the_keys_of_a_server_only_while_no_other_is_there() {
    let group = group(by_hash(), &[plain(), plain(), backup()]);
    let before = of_keys(&group, 200);
    assert!(!before.contains(&2));
    set_down(&group, 0);
    assert_eq!(of_keys(&group, 200), [1; 200]);
    set_down(&group, 1);
    assert_eq!(of_keys(&group, 200), [2; 200]);
}

/// A group of servers at these ports, with weights by their ports.
fn at_ports(ports: &[u16]) -> Arc<Group> {
    let with_port = |port: &u16| {
        let settings = MemberSettings {
            weight: port % 4 + 1,
            ..plain()
        };
        (*port, settings)
    };
    super::group_at(by_hash(), &ports.iter().map(with_port).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn only_the_keys_of_a_lost_server_move(ports in hash_set(1_u16.., 2..10), lost: prop::sample::Index) {
        let ports: Vec<_> = ports.into_iter().collect();
        let lost = lost.index(ports.len());
        let left: Vec<_> = ports.iter().copied().filter(|port| *port != ports[lost]).collect();
        let (before, after) = (at_ports(&ports), at_ports(&left));
        let down = at_ports(&ports);
        set_down(&down, lost);
        for key in (0..200).map(|n| format!("room {n}")) {
            let of = |group: &Arc<Group>| group.choose(&with_key(&key)).unwrap().server().authority();
            if at(&before.choose(&with_key(&key)).unwrap()) + 1 != usize::from(ports[lost]) {
                prop_assert_eq!(of(&before), of(&after));
            }
            // A server that is down is missed as one that is gone.
            prop_assert_eq!(of(&down), of(&after));
        }
    }

    #[test]
    fn the_order_of_the_lines_moves_nothing(ports in hash_set(1_u16.., 1..10)) {
        let ports: Vec<_> = ports.into_iter().collect();
        let mut sorted = ports.clone();
        sorted.sort_unstable();
        let (one, other) = (at_ports(&ports), at_ports(&sorted));
        for key in (0..100).map(|n| format!("room {n}")) {
            let of = |group: &Arc<Group>| group.choose(&with_key(&key)).unwrap().server().authority();
            prop_assert_eq!(of(&one), of(&other));
        }
    }
}

#[test]
fn more_weight_takes_keys_and_gives_none() {
    let before = of_keys(&group(by_hash(), &[1, 1, 1].map(weighing)), 3_000);
    let after = of_keys(&group(by_hash(), &[1, 2, 1].map(weighing)), 3_000);
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other);
    let moved: Vec<_> = moved.map(|(_, to)| *to).collect();
    assert!(moved.iter().all(|to| *to == 1));
    assert!((400..600).contains(&moved.len()), "{}", moved.len());
}
