//! Choices of many threads at once.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use crate::upstream::Balance;
use crate::upstream::Group;
use crate::upstream::choice::tests::at;
use crate::upstream::choice::tests::backup;
use crate::upstream::choice::tests::choose;
use crate::upstream::choice::tests::group;
use crate::upstream::choice::tests::input;
use crate::upstream::choice::tests::open;
use crate::upstream::choice::tests::plain;
use crate::upstream::choice::tests::refused;
use crate::upstream::choice::tests::up_to;

/// Requests of one thread: some fail, some go elsewhere, some become tunnels, some panic.
fn requests(group: &Arc<Group>, count: usize) {
    let mut tunnels = Vec::new();
    for n in 0..count {
        let now = Instant::now();
        let Some(mut choice) = choose(group) else {
            continue;
        };
        match n % 5 {
            0 => {
                choice.failed(refused(now));
                choice.elsewhere(&input(now));
            }
            1 => {
                choice.connected(now);
                while choice.ask_another(&input(now)) {}
            }
            2 => {
                choice.connected(now);
                tunnels.push(choice.take_open());
                tunnels.truncate(20);
            }
            3 => {
                let panics = AssertUnwindSafe(|| {
                    let _choice = choice;
                    std::panic::resume_unwind(Box::new(()));
                });
                assert!(catch_unwind(panics).is_err());
            }
            _ => {
                choice.member().state().set_up(now);
            }
        }
    }
}

#[test]
fn whatever_becomes_of_requests_nothing_stays_counted() {
    for balance in [Balance::LeastConn, Balance::RoundRobin] {
        let group = group(balance, &[plain(), up_to(3), plain(), backup()]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| requests(&group, 2_000));
            }
        });
        assert_eq!(open(&group), [0; 4]);
    }
}

#[test]
fn no_server_ever_has_more_than_it_may() {
    const MOST: u32 = 3;
    let group = group(Balance::LeastConn, &[up_to(MOST), up_to(MOST)]);
    let held = [AtomicU32::new(0), AtomicU32::new(0)];
    let was_too_many = AtomicBool::new(false);
    let refused = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..3_000 {
                    let Some(choice) = choose(&group) else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let held = &held[at(&choice)];
                    if held.fetch_add(1, Ordering::SeqCst) >= MOST {
                        was_too_many.store(true, Ordering::Relaxed);
                    }
                    if n % 7 == 0 {
                        thread::yield_now();
                    }
                    held.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(!was_too_many.into_inner());
    assert!(refused.into_inner() > 0);
    assert_eq!(open(&group), [0, 0]);
}

#[test]
fn the_last_place_is_given_to_one_of_those_who_want_it() {
    for _ in 0..200 {
        let group = group(Balance::LeastConn, &[up_to(1)]);
        let chosen: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| choose(&group))).collect();
            let chosen = threads.into_iter().map(|thread| thread.join().unwrap());
            chosen.collect()
        });
        assert_eq!(chosen.iter().flatten().count(), 1);
    }
}
