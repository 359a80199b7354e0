//! What a group remembers of sessions, as a whole.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;
use std::time::Instant;

use crate::affinity::Affinity;
use crate::affinity::Lifetime;
use crate::affinity::OpenedSession;
use crate::affinity::ServerId;
use crate::affinity::SessionKey;

const CLIENT: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)));

fn opened(id: &str) -> OpenedSession {
    OpenedSession {
        key: SessionKey::of(id),
        lifetime: Lifetime::nearest(Duration::from_secs(57)),
    }
}

#[test]
fn nothing_is_known_at_first_and_everybody_may_ask() {
    let affinity = Affinity::default();
    let (key, now) = (SessionKey::of("kkRumerAWARXZW80AAAA"), Instant::now());
    assert_eq!(affinity.find(key, now), None);
    assert!(affinity.may_ask(key, CLIENT, now));
    assert_eq!(affinity.sessions_of(ServerId::of("chat", "a:1"), now), 0);
    assert!(affinity.sessions.get().is_none() && affinity.in_vain.get().is_none());
}

#[test]
fn a_dead_session_is_asked_about_again_after_a_while_and_lives_when_it_is_opened_again() {
    let affinity = Affinity::default();
    let server = ServerId::of("chat", "10.0.0.1:3000");
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let one = opened("kkRumerAWARXZW80AAAA");
    affinity.refused_by_all(one.key, CLIENT, at(0));
    assert!(!affinity.may_ask(one.key, None, at(29)));
    assert!(affinity.may_ask(one.key, None, at(30)));
    affinity.refused_by_all(one.key, CLIENT, at(30));
    affinity.learned(one, server, at(31));
    assert_eq!(affinity.find(one.key, at(31)), Some(server));
    assert!(affinity.may_ask(one.key, None, at(31)));
}

#[test]
fn a_question_in_vain_is_counted_and_kills_no_session() {
    let affinity = Affinity::default();
    let now = Instant::now();
    let key = SessionKey::of("kkRumerAWARXZW80AAAA");
    (0..5).for_each(|_| affinity.asked_in_vain(CLIENT, now));
    assert!(!affinity.may_ask(key, CLIENT, now));
    assert!(affinity.may_ask(key, None, now));
}

#[test]
fn threads_that_come_first_at_the_same_time_share_one_table() {
    let affinity = Affinity::default();
    let server = ServerId::of("chat", "10.0.0.1:3000");
    let now = Instant::now();
    let ids: Vec<_> = (0..8).map(|number| format!("session-{number}")).collect();
    std::thread::scope(|threads| {
        for id in &ids {
            threads.spawn(|| affinity.learned(opened(id), server, now));
        }
    });
    for id in &ids {
        assert_eq!(affinity.find(SessionKey::of(id), now), Some(server));
    }
    assert_eq!(affinity.sessions_of(server, now), ids.len());
}

/// What somebody can do who invents ids, at 20,000 requests a second.
#[test]
fn a_million_invented_ids_of_one_address_cost_five_rounds_a_second_and_no_live_session() {
    const A_SECOND: u64 = 20_000;
    let affinity = Affinity::default();
    let server = ServerId::of("chat", "10.0.0.1:3000");
    let other = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)));
    let start = Instant::now();
    let at = |number: u64| start + Duration::from_micros(number * 1_000_000 / A_SECOND);
    let live: Vec<_> = (0..250)
        .map(|number| opened(&format!("live-session-{number}")))
        .collect();
    for opened in &live {
        affinity.learned(*opened, server, start);
    }
    let mut rounds = 0;
    for number in 0..1_000_000 {
        let now = at(number);
        let invented = SessionKey::of(&format!("invented-{number}"));
        assert_eq!(affinity.find(invented, now), None);
        if affinity.may_ask(invented, CLIENT, now) {
            affinity.refused_by_all(invented, CLIENT, now);
            rounds += 1;
        }
        // Each session polls every 25 s or so.
        if number % (25 * A_SECOND / 250) == 0 {
            let of = &live[(number / 2_000 % 250) as usize];
            assert_eq!(affinity.find(of.key, now), Some(server));
            affinity.accepted(of.key, server, now);
        }
    }
    // 50 seconds, and the first ones at once.
    assert_eq!(rounds, 50 * 5 + 4);
    let end = at(1_000_000);
    assert!(
        live.iter()
            .all(|opened| affinity.find(opened.key, end) == Some(server))
    );
    assert_eq!(affinity.sessions_of(server, end), live.len());
    // A session of somebody else that this instance does not know is asked about.
    assert!(affinity.may_ask(SessionKey::of("opened-elsewhere"), other, end));
}
