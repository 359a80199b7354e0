//! Which location answers, and what its upstream is asked for, against real nginx.
//!
//! Tables of locations and requests for them are made at random; one nginx and one wsgate are asked the same, and must
//! do the same: the same upstream with the same target, the same redirect, the same refusal. Where wsgate is meant to
//! differ, `differences` says how and why. A disagreement is shown as the smallest table and request that have it.
//!
//! `WSGATE_SEED=7` makes other tables, `WSGATE_LONG=1` asks a million times instead of some 20,000 times:
//! `WSGATE_LONG=1 cargo test nginx_locations -- --nocapture`. Only nginx's binary is run, in a directory of its own.

mod ask;
mod differences;
pub(crate) mod echo;
mod hosts;
pub(crate) mod nginx;
pub(crate) mod random;
mod requests;
mod shrink;
mod table;

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::nginx_locations::ask::Both;
use crate::nginx_locations::ask::Outcome;
use crate::nginx_locations::differences::Case;
use crate::nginx_locations::differences::DIFFERENCES;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Nginx;
use crate::nginx_locations::random::Random;
use crate::nginx_locations::requests::Request;
use crate::nginx_locations::shrink::shrink;
use crate::nginx_locations::table::Table;

/// What an ordinary run makes its tables of.
const SEED: u64 = 1;

/// Requests for each table.
const REQUESTS: usize = 150;

/// Tables in an ordinary run, and in a long one.
const TABLES: usize = 140;
const LONG: usize = 6_700;

/// Tables that one nginx holds.
const AT_ONCE: usize = 200;

/// Tables under way at the same time, each with a wsgate of its own.
const LANES: usize = 4;

/// What was seen, so that a run that proves nothing fails: how often each outcome, kind of location and difference.
type Seen = BTreeMap<&'static str, usize>;

#[tokio::test]
async fn locations_are_chosen_as_nginx_chooses_them() {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect(name))
    };
    let seed = number("WSGATE_SEED").unwrap_or(SEED);
    let tables = if number("WSGATE_LONG").is_some_and(|long| long > 0) {
        LONG
    } else {
        TABLES
    };
    println!("WSGATE_SEED={seed}, {tables} tables, {}", Nginx::version());

    let begun = Instant::now();
    let echo = Arc::new(Echo::start().await);
    let mut seen = Seen::new();
    for first in (0..tables).step_by(AT_ONCE) {
        let end = tables.min(first + AT_ONCE);
        match compare(first..end, seed, &echo).await {
            Ok(also) => also
                .into_iter()
                .for_each(|(what, times)| *seen.entry(what).or_default() += times),
            Err(found) => {
                let small = shrink(*found, &echo).await;
                panic!(
                    "nginx and wsgate disagree (WSGATE_SEED={seed}); the smallest table and request that show it:\n\
                     {}  request: {}\n  nginx:   {}\n  wsgate:  {}",
                    small.table, small.request, small.nginx, small.wsgate
                );
            }
        }
        println!("{end} tables, {:.1?}", begun.elapsed());
    }
    println!("{seen:#?}");
    assert_eq!(seen["requests"], tables * REQUESTS);
    for (what, at_least) in [
        ("location /", 2_000),
        ("location =", 1_000),
        ("location ^~", 1_000),
        ("location ~", 500),
        ("location ~*", 500),
        ("with a path in proxy_pass", 2_000),
        ("rewritten", 1_000),
        ("301", 200),
        ("400", 500),
        ("404", 500),
    ] {
        assert!(
            seen.get(what).is_some_and(|times| *times >= at_least),
            "too few: {what}"
        );
    }
    if seed == SEED {
        // With another seed a rare one may be missing.
        for difference in &DIFFERENCES {
            assert!(
                seen.contains_key(difference.reason),
                "never seen: {}",
                difference.reason
            );
        }
    }
}

/// A table, its host at nginx, and what is asked.
#[derive(Debug)]
struct Planned {
    host: String,
    table: Table,
    requests: Vec<Request>,
}

impl Planned {
    fn of(seed: u64, number: usize) -> Self {
        let mut random = Random::of(seed, number);
        let host = format!("table{number}.test");
        let table = Table::any(&mut random);
        let requests = (0..REQUESTS)
            .map(|_| Request::any(&table, &host, &mut random))
            .collect();
        Self {
            host,
            table,
            requests,
        }
    }
}

/// Asks both about all of these tables; the first unwanted difference ends it.
async fn compare(numbers: Range<usize>, seed: u64, echo: &Arc<Echo>) -> Result<Seen, Box<Case>> {
    let planned: Arc<[Planned]> = numbers.map(|number| Planned::of(seed, number)).collect();
    let hosts = planned
        .iter()
        .map(|planned| (planned.host.as_str(), &planned.table));
    let nginx = Arc::new(Nginx::start(hosts, echo));
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes: JoinSet<Result<Seen, Box<Case>>> = JoinSet::new();
    for _ in 0..LANES {
        let (planned, nginx, echo) = (Arc::clone(&planned), Arc::clone(&nginx), Arc::clone(echo));
        let next = Arc::clone(&next);
        lanes.spawn(async move {
            let mut seen = Seen::new();
            while let Some(planned) = planned.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut both = Both::start(&planned.table, &nginx, &echo).await;
                for request in &planned.requests {
                    count(both.ask(&planned.table, request).await, &mut seen)?;
                }
            }
            Ok(seen)
        });
    }
    let mut all = Seen::new();
    while let Some(lane) = lanes.join_next().await {
        for (what, times) in lane.unwrap()? {
            *all.entry(what).or_default() += times;
        }
    }
    Ok(all)
}

fn count(case: Case, seen: &mut Seen) -> Result<(), Box<Case>> {
    let mut add = |what| *seen.entry(what).or_default() += 1;
    match case.judge() {
        Ok(difference) => {
            if let Some(difference) = difference {
                add(DIFFERENCES[difference].reason);
            }
        }
        Err(()) => return Err(Box::new(case)),
    }
    add("requests");
    match case.nginx {
        Outcome::Upstream { number, target } => {
            let route = case.table.leading_to(number);
            if !route.rewrites.is_empty() && route.uri.is_empty() && target != case.request.target {
                add("rewritten");
            }
            add(match route.modifier {
                "" => "location /",
                "=" => "location =",
                "^~" => "location ^~",
                "~" => "location ~",
                _ => "location ~*",
            });
            if !route.uri.is_empty() {
                add("with a path in proxy_pass");
            }
        }
        Outcome::Moved { .. } => add("301"),
        Outcome::Refused { status: 400 } => add("400"),
        Outcome::Refused { status: 404 } => add("404"),
        Outcome::Refused { .. } => add("another refusal"),
        Outcome::Closed => add("closed"),
    }
    Ok(())
}
