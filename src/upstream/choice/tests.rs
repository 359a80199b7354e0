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
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::MemberSettings;
use crate::upstream::Server;
use crate::upstream::Sticky;
use crate::upstream::WrittenServer;

const SLOW_START: Duration = Duration::from_secs(10);

/// A group of servers at the ports 1, 2, 3 and so on.
fn group(balance: Balance, servers: &[MemberSettings]) -> Arc<Group> {
    let settings = GroupSettings {
        name: "nodes".to_owned(),
        balance,
        sticky: Sticky::default(),
        health_check: None,
        slow_start: SLOW_START,
        close_tunnels: false,
        valid: Duration::from_secs(5),
    };
    let written = servers.iter().zip(1..).map(|(settings, port)| {
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

fn set_down(group: &Group, at: usize) {
    group.members()[at].state().set_down(Instant::now());
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
