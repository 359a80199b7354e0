//! The reasons, against examples and against the engine that serves.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::clients::ClientKind;
use crate::clients::Options;
use crate::config::Config;
use crate::explain::Outcome;
use crate::explain::Trace;
use crate::explain::Verdict;
use crate::explain::explain;
use crate::explain::verdict::test_support::Short;
use crate::explain::verdict::test_support::config;
use crate::routing::Location;

const TO: &str = "http://127.0.0.1:1";

fn trace(config: &Config, url: &str) -> Trace {
    let options = Options {
        kind: Some(ClientKind::Http),
        path: None,
    };
    let mut explanation = explain(config, &url.parse().unwrap(), &options).unwrap();
    explanation.traces.remove(0)
}

fn verdicts(routes: &[Short<'_>], url: &str) -> Vec<Verdict> {
    trace(&config(&["0.0.0.0:80"], routes), url).verdicts
}

#[test]
fn each_way_to_lose_has_its_reason() {
    let routes = [
        ("", "/", TO, ""),
        ("", "/a", TO, ""),
        ("", "^~ /a/b", TO, ""),
        ("", "= /a/b/c", TO, ""),
        ("", "~ c$", TO, ""),
        ("", "~ a/", TO, ""),
        ("", "/a", TO, "1"),
        ("b.test", "/", TO, ""),
        ("*.b.test", "/", TO, ""),
    ];
    use Verdict::*;
    let unmet = || Unmet {
        wants: "x=1 in the query".to_owned(),
        has: "no x".to_owned(),
    };
    let all = |url: &str| verdicts(&routes, url);
    assert_eq!(
        all("http://h/a/b/c"),
        [
            ExactFirst(3),
            ExactFirst(3),
            ExactFirst(3),
            Answers,
            ExactFirst(3),
            ExactFirst(3),
            unmet(),
            OtherHost,
            OtherHost
        ]
    );
    assert_eq!(
        all("http://h/a/b/d/c"),
        [
            Longer(2),
            Longer(2),
            Answers,
            NoMatch,
            NoRegex(2),
            NoRegex(2),
            unmet(),
            OtherHost,
            OtherHost
        ]
    );
    assert_eq!(
        all("http://h/a/c"),
        [
            Longer(1),
            RegexFirst(4),
            NoMatch,
            NoMatch,
            Answers,
            EarlierRegex(4),
            unmet(),
            OtherHost,
            OtherHost
        ]
    );
    assert_eq!(
        all("http://h/ab?x=1"),
        [
            Longer(6),
            SameLocation(6),
            NoMatch,
            NoMatch,
            NoMatch,
            NoMatch,
            Answers,
            OtherHost,
            OtherHost
        ]
    );
    assert_eq!(all("http://b.test/ab")[0], HostFirst(7));
    assert_eq!(all("http://b.test/ab")[7], Answers);
    let nearer = [
        ("x.b.test", "/q", TO, ""),
        ("*.b.test", "/", TO, ""),
        ("", "/", TO, ""),
    ];
    assert_eq!(
        verdicts(&nearer, "http://x.b.test/"),
        [NoMatch, NearerHost("x.b.test".parse().unwrap()), Answers]
    );
}

#[test]
fn the_missing_slash_has_its_reasons() {
    use Verdict::*;
    let routes = [("", "/", TO, ""), ("", "/ws/", TO, ""), ("", "~ s", TO, "")];
    assert_eq!(
        verdicts(&routes, "http://h/ws"),
        [SlashFirst(1), AnswersWithSlash, SlashFirst(1)]
    );
    let routes = [("", "/ws/", "204", "1"), ("", "/ws/", TO, "")];
    assert_eq!(
        verdicts(&routes, "http://h/ws?x=1"),
        [NoMatch, SameLocation(0)]
    );
    let routes = [("", "/ws/", TO, ""), ("", "/ws", TO, "")];
    assert_eq!(
        verdicts(&routes, "http://h/ws"),
        [NamedWithoutSlash(1), Answers]
    );
}

fn location() -> impl Strategy<Value = String> {
    let path = "/([ab]/?){0,3}";
    prop_oneof![
        4 => path,
        1 => path.prop_map(|path| format!("= {path}")),
        1 => path.prop_map(|path| format!("^~ {path}")),
        1 => "[ab]{1,2}/?".prop_map(|regex| format!("~ {regex}")),
        1 => "[abAB]/".prop_map(|regex| format!("~* {regex}$")),
    ]
}

type Written = (String, String, &'static str, &'static str);

fn route() -> impl Strategy<Value = Written> {
    let host = prop_oneof![3 => Just(""), 1 => Just("b.test"), 1 => Just("*.test"), 1 => Just("a.b.test *.b.test")];
    let to = prop::sample::select(vec![TO, "http://127.0.0.1:2/new/", "204"]);
    let when = prop::sample::select(vec!["", "", "", "1", "2"]);
    (host, location(), to, when)
        .prop_map(|(host, location, to, when)| (host.to_owned(), location, to, when))
}

/// Routes as a file can have them: one location for one host under the same conditions stands there once.
fn routes() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(route(), 1..7).prop_map(|all| {
        let mut kept: Vec<Written> = Vec::new();
        for route in all {
            let clashes = |other: &Written| {
                let (one, two): (Location, Location) =
                    (route.1.parse().unwrap(), other.1.parse().unwrap());
                let share = route
                    .0
                    .split(' ')
                    .any(|host| other.0.split(' ').any(|two| two == host));
                one.same_as(&two) && share && route.3 == other.3
            };
            if !kept.iter().any(clashes) {
                kept.push(route);
            }
        }
        kept
    })
}

fn of(routes: &[Written], which: &[usize]) -> Config {
    let short: Vec<Short<'_>> = which
        .iter()
        .map(|at| {
            let (host, location, to, when) = &routes[*at];
            (host.as_str(), location.as_str(), *to, *when)
        })
        .collect();
    config(&["0.0.0.0:80"], &short)
}

/// Which of these routes the engine alone would choose.
fn chosen(routes: &[Written], which: &[usize], url: &str) -> Option<usize> {
    let trace = trace(&of(routes, which), url);
    trace.outcome.route().map(|at| which[at])
}

proptest! {
    /// A reason is true if the engine agrees to it: a route that loses against another also does so when only the two
    /// are there, and one that cannot answer does not answer alone.
    #[test]
    fn every_reason_holds_for_the_engine(
        routes in routes(),
        host in prop::sample::select(vec!["b.test", "a.b.test", "x.test", "h"]),
        path in "([ab/]|//|%61|\\.\\./){0,6}", query in prop::sample::select(vec!["", "?x=1", "?x=2"]),
    ) {
        let url = format!("http://{host}/{path}{query}");
        let all: Vec<usize> = (0..routes.len()).collect();
        let trace = trace(&of(&routes, &all), &url);
        let engine = trace.outcome.route();
        prop_assert_eq!(trace.verdicts.len(), routes.len());
        prop_assert_eq!(trace.verdicts.iter().position(Verdict::answers), engine);
        prop_assert_eq!(trace.verdicts.iter().filter(|verdict| verdict.answers()).count(), usize::from(engine.is_some()));
        if engine.is_none() {
            let refused = matches!(trace.outcome, Outcome::Refused { status, .. } if status == 404);
            prop_assert!(refused);
        }
        for (at, verdict) in trace.verdicts.iter().enumerate() {
            let alone = chosen(&routes, &[at], &url);
            match verdict {
                Verdict::Answers | Verdict::AnswersWithSlash | Verdict::NearerHost(_) => {}
                Verdict::OtherHost | Verdict::Unmet { .. } | Verdict::NoMatch => prop_assert_eq!(alone, None),
                // The first may answer nothing itself: a `return` of `/a/` adds no slash to `/a`.
                Verdict::SameLocation(rival) => {
                    let mut two = [at, *rival];
                    two.sort_unstable();
                    prop_assert_eq!(alone, Some(at));
                    prop_assert_ne!(chosen(&routes, &two, &url), Some(at), "{:?}", &routes);
                }
                Verdict::EarlierRegex(rival) => {
                    let mut two = [at, *rival];
                    two.sort_unstable();
                    // A third route of one of these locations may have changed places with it: `table` puts those with
                    // conditions first, which only the whole table shows.
                    let alike = |route: &&Written| two.iter().any(|at| routes[*at].1 == route.1);
                    let moved = routes.iter().filter(alike).count() > 2;
                    prop_assert_eq!(alone, Some(at));
                    prop_assert!(moved || chosen(&routes, &two, &url) == Some(*rival), "{} {:?}", at, &routes);
                }
                Verdict::HostFirst(rival)
                | Verdict::ExactFirst(rival)
                | Verdict::Longer(rival)
                | Verdict::NoRegex(rival)
                | Verdict::RegexFirst(rival)
                | Verdict::SlashFirst(rival)
                | Verdict::NamedWithoutSlash(rival) => {
                    let mut two = [at, *rival];
                    two.sort_unstable();
                    let both = chosen(&routes, &two, &url);
                    prop_assert_eq!(alone, Some(at), "{:?} {:?}", verdict, &routes);
                    prop_assert_eq!(both, Some(*rival), "{} {:?} {:?}", at, verdict, &routes);
                }
            }
        }
    }
}
