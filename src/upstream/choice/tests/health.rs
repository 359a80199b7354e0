//! What requests teach about servers.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::upstream::Balance;
use crate::upstream::ChosenBy;
use crate::upstream::ConnectAttempt;
use crate::upstream::Group;
use crate::upstream::MemberSettings;
use crate::upstream::choice::tests::at;
use crate::upstream::choice::tests::backup;
use crate::upstream::choice::tests::choose;
use crate::upstream::choice::tests::drained;
use crate::upstream::choice::tests::group;
use crate::upstream::choice::tests::input;
use crate::upstream::choice::tests::marked_down;
use crate::upstream::choice::tests::plain;
use crate::upstream::choice::tests::refused;
use crate::upstream::choice::tests::sequence;
use crate::upstream::choice::tests::set_down;
use crate::upstream::choice::tests::up_to;

/// A group whose first server goes down after so many failures.
fn after(max_fails: u32) -> Arc<Group> {
    let first = MemberSettings {
        max_fails,
        ..plain()
    };
    group(Balance::LeastConn, &[first, plain()])
}

/// A request that cannot be connected to the first server, so many seconds after `now`.
fn fails(group: &Arc<Group>, now: Instant, seconds: u64) {
    let id = group.members()[0].id();
    let choice = group.choose_member(id, ChosenBy::Sid).unwrap();
    choice.failed(refused(now + Duration::from_secs(seconds)));
}

/// A request that is connected to the first server, so many milliseconds after `now`.
fn connects(group: &Arc<Group>, now: Instant, millis: u64) {
    let id = group.members()[0].id();
    let choice = group.choose_member(id, ChosenBy::Sid).unwrap();
    choice.connected(now + Duration::from_millis(millis));
}

/// A request that waits in vain for its connection to the first server, so many seconds after `now`.
fn waits_in_vain(group: &Arc<Group>, now: Instant, seconds: [u64; 2]) {
    let id = group.members()[0].id();
    let choice = group.choose_member(id, ChosenBy::Sid).unwrap();
    let [began, ended] = seconds.map(|second| now + Duration::from_secs(second));
    choice.failed(ConnectAttempt { began, ended });
}

fn is_down(group: &Group) -> bool {
    group.members()[0].state().is_down()
}

#[test]
fn one_failure_is_enough_by_itself() {
    let group = after(1);
    let now = Instant::now();
    fails(&group, now, 0);
    assert!(is_down(&group));
    assert_eq!(sequence(&group, 3), [1, 1, 1]);
    let since = group.members()[0].state().down_since().unwrap();
    assert!(since <= now && now - since < Duration::from_millis(2));
    // It is down since the first.
    fails(&group, now, 5);
    assert_eq!(group.members()[0].state().down_since(), Some(since));
}

#[test]
fn failures_in_a_row_within_the_time_add_up() {
    let now = Instant::now();
    let group = after(3);
    for second in [0, 4, 9] {
        assert!(!is_down(&group));
        fails(&group, now, second);
    }
    assert!(is_down(&group));
}

#[test]
fn failures_far_apart_do_not_add_up() {
    let now = Instant::now();
    let group = after(2);
    for second in [0, 11, 22, 33] {
        fails(&group, now, second);
    }
    assert!(!is_down(&group));
    fails(&group, now, 34);
    assert!(is_down(&group));
}

#[test]
fn a_connection_ends_the_row() {
    let now = Instant::now();
    let group = after(2);
    for _ in 0..5 {
        fails(&group, now, 0);
        connects(&group, now, 0);
    }
    assert!(!is_down(&group));
}

#[test]
fn a_full_queue_is_not_death() {
    let now = Instant::now();
    let group = after(1);
    // Of those who come together, some are let in at once and later, and some never.
    connects(&group, now, 50);
    connects(&group, now, 120);
    connects(&group, now, 1_020);
    waits_in_vain(&group, now, [0, 5]);
    waits_in_vain(&group, now, [1, 6]);
    assert!(!is_down(&group));
    // Nobody is let in any longer.
    waits_in_vain(&group, now, [2, 7]);
    assert!(is_down(&group));
}

#[test]
fn who_began_before_a_server_came_back_does_not_take_it_out_again() {
    let now = Instant::now();
    let group = after(1);
    let state = group.members()[0].state();
    fails(&group, now, 0);
    state.set_up(now + Duration::from_secs(3));
    waits_in_vain(&group, now, [1, 6]);
    assert!(!is_down(&group));
    waits_in_vain(&group, now, [4, 9]);
    assert!(is_down(&group));
}

#[test]
fn a_server_that_dies_right_after_a_connection_is_down() {
    let now = Instant::now();
    let group = after(1);
    connects(&group, now, 0);
    connects(&group, now, 90);
    fails(&group, now + Duration::from_millis(90), 0);
    assert!(is_down(&group));
}

#[test]
fn a_connection_brings_no_server_back() {
    let group = after(1);
    let now = Instant::now();
    fails(&group, now, 0);
    connects(&group, now, 1);
    assert!(is_down(&group));
}

#[test]
fn without_max_fails_a_server_never_goes_down() {
    let now = Instant::now();
    let group = after(0);
    (0..100).for_each(|_| fails(&group, now, 0));
    assert!(!is_down(&group));
}

#[test]
fn the_only_server_never_goes_down() {
    for others in [vec![], vec![marked_down()]] {
        let servers = [vec![plain()], others].concat();
        let group = group(Balance::LeastConn, &servers);
        fails(&group, Instant::now(), 0);
        assert!(!is_down(&group));
    }
    let group = group(Balance::LeastConn, &[plain(), backup()]);
    fails(&group, Instant::now(), 0);
    assert!(is_down(&group));
}

#[test]
fn failures_before_a_server_came_back_are_forgotten() {
    let now = Instant::now();
    let group = after(2);
    let state = group.members()[0].state();
    fails(&group, now, 0);
    assert!(state.set_down(now));
    assert!(!state.set_down(now));
    fails(&group, now, 1);
    let back = now + Duration::from_secs(2);
    assert!(state.set_up(back));
    assert!(!state.set_up(back));
    let recovered = state.recovered_at().unwrap();
    assert!(back - recovered < Duration::from_millis(2));
    fails(&group, now, 3);
    assert!(!is_down(&group));
    fails(&group, now, 4);
    assert!(is_down(&group));
    assert_eq!(state.recovered_at(), None);
}

#[test]
fn a_server_that_was_never_down_does_not_recover() {
    let group = after(1);
    let state = group.members()[0].state();
    assert!(!state.set_up(Instant::now()));
    assert_eq!(state.recovered_at(), None);
}

#[test]
fn failures_of_all_threads_add_up() {
    let group = after(400);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| fails(&group, now, 0)));
        }
    });
    assert!(is_down(&group));
    let one_more = after(401);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| fails(&one_more, now, 0)));
        }
    });
    assert!(!is_down(&one_more));
}

#[test]
fn when_all_are_down_all_are_asked() {
    let group = group(
        Balance::RoundRobin,
        &[plain(), plain(), drained(), marked_down(), backup()],
    );
    assert!(!group.is_all_down());
    set_down(&group, 0);
    set_down(&group, 1);
    assert!(!group.is_all_down());
    assert_eq!(sequence(&group, 2), [4, 4]);
    set_down(&group, 4);
    assert!(group.is_all_down());
    let mut asked = sequence(&group, 2);
    asked.sort_unstable();
    assert_eq!(asked, [0, 1]);
    // Those that belong to a session, or may, are asked too.
    let ids = [0, 1, 4].map(|at| group.members()[at].id());
    let mut of_session = group.choose_member(ids[0], ChosenBy::Sid).unwrap();
    assert!(!of_session.is_down());
    let now = input(Instant::now());
    let mut all = vec![at(&of_session)];
    while of_session.ask_another(&now) {
        all.push(at(&of_session));
    }
    assert_eq!(all, [0, 1, 2, 4]);
    drop(of_session);
    group.members()[1].state().set_up(Instant::now());
    assert!(!group.is_all_down());
    assert!(
        group
            .choose_member(ids[0], ChosenBy::Sid)
            .unwrap()
            .is_down()
    );
    assert_eq!(sequence(&group, 2), [1, 1]);
}

#[test]
fn a_server_that_is_down_is_not_asked_because_another_is_full() {
    let group = group(Balance::LeastConn, &[up_to(1), plain()]);
    set_down(&group, 1);
    let full = choose(&group).unwrap();
    assert!(choose(&group).is_none());
    set_down(&group, 0);
    assert_eq!(sequence(&group, 1), [1]);
    drop(full);
}

#[test]
fn a_request_that_finds_the_last_server_dead_tries_those_that_were_before() {
    let group = group(Balance::LeastConn, &[plain(), plain()]);
    set_down(&group, 1);
    let now = Instant::now();
    let mut choice = choose(&group).unwrap();
    choice.failed(refused(now));
    assert!(group.is_all_down());
    assert!(choice.elsewhere(&input(now)));
    assert_eq!(at(&choice), 1);
    assert!(!choice.elsewhere(&input(now)));
}
