//! Choices of servers, as requests see them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::affinity::ServerId;
use crate::upstream::Balance;
use crate::upstream::Choice;
use crate::upstream::ChoiceInput;
use crate::upstream::ChosenBy;
use crate::upstream::ConnectAttempt;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::MemberSettings;
use crate::upstream::Server;
use crate::upstream::Sticky;
use crate::upstream::WrittenServer;

mod by_key;
mod health;
mod in_turn;
mod slow_start;
mod threads;

const SLOW_START: Duration = Duration::from_secs(10);

/// A group of servers at the ports 1, 2, 3 and so on.
fn group(balance: Balance, servers: &[MemberSettings]) -> Arc<Group> {
    let servers = (1..).zip(servers.iter().cloned());
    group_at(balance, &servers.collect::<Vec<_>>())
}

/// A group of servers at these ports.
fn group_at(balance: Balance, servers: &[(u16, MemberSettings)]) -> Arc<Group> {
    let settings = GroupSettings {
        name: "nodes".to_owned(),
        balance,
        sticky: Sticky::default(),
        health_check: None,
        slow_start: SLOW_START,
        close_tunnels: false,
        valid: Duration::from_secs(5),
    };
    let written = servers.iter().map(|(port, settings)| {
        let proxy_pass = format!("http://127.0.0.1:{port}").parse().unwrap();
        WrittenServer {
            server: Arc::new(Server::new(proxy_pass, |_| None).unwrap()),
            settings: settings.clone(),
        }
    });
    Arc::new(Group::new(settings, written.collect()))
}

fn three() -> Arc<Group> {
    group(Balance::LeastConn, &[plain(), plain(), plain()])
}

fn plain() -> MemberSettings {
    MemberSettings::default()
}

fn up_to(most: u32) -> MemberSettings {
    MemberSettings {
        max_conns: Some(most),
        ..plain()
    }
}

fn backup() -> MemberSettings {
    MemberSettings {
        backup: true,
        ..plain()
    }
}

fn marked_down() -> MemberSettings {
    MemberSettings {
        down: true,
        ..plain()
    }
}

fn drained() -> MemberSettings {
    MemberSettings {
        drain: true,
        ..plain()
    }
}

fn input(now: Instant) -> ChoiceInput<'static> {
    ChoiceInput {
        client: None,
        hash_key: None,
        now,
    }
}

fn at(choice: &Choice) -> usize {
    let authority = choice.server().authority();
    let port = authority.rsplit(':').next().unwrap();
    port.parse::<usize>().unwrap() - 1
}

fn choose(group: &Arc<Group>) -> Option<Choice> {
    group.choose(&input(Instant::now()))
}

/// The places of so many servers, chosen one after the other, each for a request that is over before the next one.
fn sequence(group: &Arc<Group>, count: usize) -> Vec<usize> {
    (0..count).map(|_| at(&choose(group).unwrap())).collect()
}

fn open(group: &Group) -> Vec<u32> {
    let members = group.members().iter();
    members.map(|member| member.state().open()).collect()
}

/// An attempt that failed at once.
fn refused(now: Instant) -> ConnectAttempt {
    ConnectAttempt {
        began: now,
        ended: now,
    }
}

fn set_down(group: &Group, at: usize) {
    group.members()[at].state().set_down(Instant::now());
}

fn weighing(weight: u16) -> MemberSettings {
    MemberSettings { weight, ..plain() }
}

#[test]
fn tunnels_opened_in_turn_by_several_threads_are_level() {
    let group = three();
    let mut tunnels = Vec::new();
    for _ in 0..6 {
        for _ in 0..4 {
            let group = Arc::clone(&group);
            let opened = thread::spawn(move || choose(&group).unwrap().take_open());
            tunnels.push(opened.join().unwrap());
        }
    }
    assert_eq!(open(&group), [8, 8, 8]);
    drop(tunnels);
    assert_eq!(open(&group), [0, 0, 0]);
}

#[test]
fn servers_with_nothing_open_have_their_turns() {
    assert_eq!(sequence(&three(), 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_request_that_is_moved_counts_at_its_new_server_alone() {
    let group = three();
    let now = Instant::now();
    let mut choice = choose(&group).unwrap();
    assert_eq!((at(&choice), choice.tried()), (0, 1));
    assert_eq!(open(&group), [1, 0, 0]);
    assert!(choice.elsewhere(&input(now)));
    assert_eq!((at(&choice), choice.tried()), (2, 2));
    assert_eq!(open(&group), [0, 0, 1]);
    assert!(choice.elsewhere(&input(now)));
    assert_eq!(choice.chosen_by(), ChosenBy::Balance);
    let tried = choice.tried_servers().map(|server| server.authority());
    let tried: Vec<_> = tried.collect();
    assert_eq!(tried, ["127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:2"]);
    assert!(!choice.elsewhere(&input(now)));
    assert_eq!((at(&choice), choice.tried()), (1, 3));
    assert_eq!(open(&group), [0, 1, 0]);
}

#[test]
fn a_session_is_served_where_it_is_even_if_that_server_takes_nothing_new() {
    let group = group(
        Balance::LeastConn,
        &[up_to(1), drained(), marked_down(), backup()],
    );
    let member = |at: usize| {
        let id = group.members()[at].id();
        group.choose_member(id, ChosenBy::Sid)
    };
    let one = member(0).unwrap();
    let another = member(0).unwrap();
    assert_eq!(open(&group), [2, 0, 0, 0]);
    assert_eq!((at(&one), at(&another)), (0, 0));
    assert_eq!(at(&member(1).unwrap()), 1);
    assert!(member(2).is_none());
    assert_eq!(at(&member(3).unwrap()), 3);
    let missing = ServerId::of("nodes", "127.0.0.1:9");
    assert!(group.choose_member(missing, ChosenBy::Sid).is_none());
    assert!(!one.is_down());
    set_down(&group, 0);
    assert!(one.is_down());
    assert!(member(0).unwrap().is_down());
}

#[test]
fn all_that_may_have_a_session_are_asked_for_it() {
    let group = group(
        Balance::LeastConn,
        &[
            backup(),
            up_to(1),
            drained(),
            marked_down(),
            plain(),
            plain(),
        ],
    );
    set_down(&group, 4);
    let full = group.choose_member(group.members()[1].id(), ChosenBy::Sid);
    let mut choice = choose(&group).unwrap();
    let mut asked = vec![at(&choice)];
    while choice.ask_another(&input(Instant::now())) {
        assert_eq!(choice.chosen_by(), ChosenBy::Asked);
        asked.push(at(&choice));
    }
    assert_eq!(asked, [5, 1, 2, 0]);
    assert_eq!(open(&group), [1, 1, 0, 0, 0, 0]);
    drop((choice, full));
    assert_eq!(open(&group), [0; 6]);
}

#[test]
fn a_backup_is_asked_while_no_other_can_be() {
    let group = group(
        Balance::RoundRobin,
        &[plain(), up_to(2), backup(), backup()],
    );
    assert_eq!(sequence(&group, 4), [0, 1, 0, 1]);
    set_down(&group, 0);
    assert_eq!(sequence(&group, 2), [1, 1]);
    let full: Vec<_> = (0..2).map(|_| choose(&group).unwrap()).collect();
    assert_eq!(open(&group), [0, 2, 0, 0]);
    let mut backups = sequence(&group, 4);
    backups[2..].sort_unstable();
    backups[..2].sort_unstable();
    assert_eq!(backups, [2, 3, 2, 3]);
    drop(full);
    assert_eq!(sequence(&group, 1), [1]);
    set_down(&group, 1);
    set_down(&group, 2);
    assert_eq!(sequence(&group, 3), [3, 3, 3]);
}

#[test]
fn what_is_marked_down_or_drained_is_given_nothing_new() {
    for balance in [Balance::LeastConn, Balance::RoundRobin, Balance::IpHash] {
        let group = group(balance, &[drained(), marked_down(), plain(), plain()]);
        for client in 0..50 {
            let choice = group.choose(&ChoiceInput {
                client: Some([192, 0, 2, client].into()),
                ..input(Instant::now())
            });
            assert!(at(&choice.unwrap()) >= 2);
        }
    }
    assert!(choose(&group(Balance::LeastConn, &[drained(), marked_down()])).is_none());
}

#[test]
fn a_group_that_is_full_has_no_server_but_for_sessions() {
    let group = group(Balance::LeastConn, &[up_to(1), up_to(2), marked_down()]);
    let full: Vec<_> = (0..3).map(|_| choose(&group).unwrap()).collect();
    assert_eq!(open(&group), [1, 2, 0]);
    assert!(choose(&group).is_none());
    let now = input(Instant::now());
    let mut asked = group.choose_for_session(&now).unwrap();
    assert_eq!((at(&asked), asked.chosen_by()), (0, ChosenBy::Asked));
    assert!(asked.ask_another(&now));
    assert_eq!(at(&asked), 1);
    assert!(!asked.ask_another(&now));
    assert!(!asked.elsewhere(&now));
    drop((full, asked));
    let first = group.choose_for_session(&now).unwrap();
    assert_eq!(first.chosen_by(), ChosenBy::Balance);
}

#[test]
fn what_is_open_is_compared_by_weight() {
    let group = group(Balance::LeastConn, &[weighing(1), weighing(3)]);
    let tunnels: Vec<_> = (0..40).map(|_| choose(&group).unwrap()).collect();
    assert_eq!(open(&group), [10, 30]);
    drop(tunnels);
}

#[test]
fn no_turn_is_taken_where_one_server_has_least() {
    let group = three();
    let tunnels: Vec<_> = (0..2).map(|_| choose(&group).unwrap()).collect();
    let before = format!("{:?}", group.state().cursor());
    let last = choose(&group).unwrap();
    assert_eq!(format!("{:?}", group.state().cursor()), before);
    assert_eq!(open(&group), [1, 1, 1]);
    drop((tunnels, last));
}

#[test]
fn of_many_servers_the_better_of_two_is_good_enough() {
    let many: Vec<_> = (0..64)
        .map(|at| match at {
            0 => weighing(6),
            1 => marked_down(),
            _ => plain(),
        })
        .collect();
    let group = group(Balance::LeastConn, &many);
    // Half of them are down, so that draws are often in vain.
    (34..64).for_each(|at| set_down(&group, at));
    let sum = 38 * 20;
    let tunnels: Vec<_> = (0..sum).map(|_| choose(&group).unwrap()).collect();
    let open = open(&group);
    assert_eq!(open[34..], [0; 30]);
    assert_eq!(open[1], 0);
    assert!((115..=125).contains(&open[0]), "{open:?}");
    let all_level = open[2..34].iter().all(|open| (17..=22).contains(open));
    assert!(all_level, "{open:?}");
    drop(tunnels);
}

#[test]
fn a_group_of_many_servers_with_nothing_open_uses_all() {
    let group = group(Balance::LeastConn, &vec![plain(); 40]);
    let mut had = vec![0; 40];
    for at in sequence(&group, 4_000) {
        had[at] += 1;
    }
    assert!(had.iter().all(|had| (50..150).contains(had)), "{had:?}");
    (2..40).for_each(|at| set_down(&group, at));
    let mut left = sequence(&group, 100);
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, [0, 1]);
}
