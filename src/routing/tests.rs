//! The choice of a location, against examples and against a slow obvious twin.

#![allow(clippy::unwrap_used)]

mod slow;

use proptest::prelude::*;

use crate::routing::Entry;
use crate::routing::Found;
use crate::routing::LocationKind;
use crate::routing::Router;
use crate::routing::tests::slow::Choice;
use crate::routing::tests::slow::slow;

use Choice::AddsSlash;
use Choice::Answers;

/// A table in which every entry proxies and leads to its number.
fn router(locations: &[&str]) -> Router<usize> {
    let entry = |(to, location): (usize, &&str)| Entry {
        location: location.parse().unwrap(),
        adds_slash: true,
        to,
    };
    Router::new(locations.iter().enumerate().map(entry).collect())
}

fn choice(router: &Router<usize>, path: &[u8], admits: impl Fn(&usize) -> bool) -> Option<Choice> {
    router.find(path, admits).map(|found| match found {
        Found::Answers(entry) => Answers(entry.to),
        Found::AddsSlash(entry) => AddsSlash(entry.to),
    })
}

fn find(locations: &[&str], path: &str) -> Option<Choice> {
    choice(&router(locations), path.as_bytes(), |_| true)
}

#[test]
fn the_longest_prefix_answers_whatever_the_order() {
    let locations = ["/", "/socket.io", "/socket.io/v4", "/s"];
    for (path, expected) in [
        ("/", 0),
        ("/x", 0),
        ("/s", 3),
        ("/sock", 3),
        ("/socket.io", 1),
        ("/socket.iox", 1),
    ] {
        assert_eq!(find(&locations, path), Some(Answers(expected)), "{path}");
    }
    assert_eq!(find(&locations, "/socket.io/v4/"), Some(Answers(2)));
    assert_eq!(find(&locations, "/socket.io/v5/"), Some(Answers(1)));
}

#[test]
fn without_a_match_there_is_nothing() {
    assert_eq!(find(&["/a", "= /b", "~ c"], "/d"), None);
    assert_eq!(find(&["/a"], ""), None);
    assert_eq!(find(&[], "/"), None);
}

#[test]
fn an_exact_location_comes_before_everything() {
    let locations = ["~ .", "^~ /a", "= /a", "/a"];
    assert_eq!(find(&locations, "/a"), Some(Answers(2)));
}

#[test]
fn a_regex_comes_before_the_longest_prefix() {
    assert_eq!(
        find(&["/images/logo", "~ o$"], "/images/logo"),
        Some(Answers(1))
    );
    assert_eq!(
        find(&["/images/logo", "~ x$"], "/images/logo"),
        Some(Answers(0))
    );
}

#[test]
fn a_prefix_with_the_caret_stops_the_regexes_only_if_it_is_the_longest() {
    let locations = ["^~ /a", "/a/b", "~ ."];
    assert_eq!(find(&locations, "/a/x"), Some(Answers(0)));
    assert_eq!(find(&locations, "/a/b"), Some(Answers(2)));
}

#[test]
fn the_first_regex_in_the_file_answers() {
    let locations = ["~* LOGO", "~ logo", "~ \\.png$", "~* \\.PNG$"];
    assert_eq!(find(&locations, "/logo.png"), Some(Answers(0)));
    assert_eq!(find(&locations, "/x.png"), Some(Answers(2)));
    assert_eq!(find(&locations, "/x.Png"), Some(Answers(3)));
}

#[test]
fn regexes_see_bytes() {
    let locations = [r"~ ^/\xff.$", "~ ^/a.b$", "~ ^/\\w$"];
    let router = router(&locations);
    assert_eq!(choice(&router, b"/\xff\xfe", |_| true), Some(Answers(0)));
    assert_eq!(choice(&router, "/é".as_bytes(), |_| true), None);
    assert_eq!(choice(&router, b"/a\nb", |_| true), None);
    assert_eq!(choice(&router, b"/acb\n", |_| true), None); // PCRE's `$` would match
}

#[test]
fn a_missing_slash_is_found_before_the_regexes() {
    let locations = ["/", "/ws/", "~ ."];
    assert_eq!(find(&locations, "/ws"), Some(AddsSlash(1)));
    assert_eq!(find(&["^~ /", "/ws/"], "/ws"), Some(AddsSlash(1)));
    assert_eq!(find(&["= /ws/"], "/ws"), Some(AddsSlash(0)));
    assert_eq!(find(&["/ws/"], "/w"), None);
    assert_eq!(find(&["/"], ""), Some(AddsSlash(0))); // a path is never empty
}

#[test]
fn a_location_with_the_very_path_needs_no_slash() {
    assert_eq!(find(&["/ws/", "/ws"], "/ws"), Some(Answers(1)));
    assert_eq!(find(&["/ws/", "= /ws"], "/ws"), Some(Answers(1)));
    assert_eq!(find(&["/ws/", "/ws", "~ w"], "/ws"), Some(Answers(2)));
}

#[test]
fn a_missing_slash_is_found_beside_names_that_sort_before_it() {
    let locations = ["/ws-a", "/ws-b", "/ws/", "/ws.c", "/ws+d"];
    assert_eq!(find(&locations, "/ws"), Some(AddsSlash(2)));
}

#[test]
fn only_an_entry_that_proxies_adds_a_slash() {
    let entry = |location: &str, adds_slash, to| Entry {
        location: location.parse().unwrap(),
        adds_slash,
        to,
    };
    let router = Router::new(vec![
        entry("/a/", false, 0),
        entry("= /b/", false, 1),
        entry("/b/", true, 2),
    ]);
    assert_eq!(choice(&router, b"/a", |_| true), None);
    // As in nginx, where one node holds both: the prefix makes it redirect, the exact one is where it leads.
    assert_eq!(choice(&router, b"/b", |_| true), Some(AddsSlash(1)));
    assert_eq!(choice(&router, b"/b", |to| *to != 1), Some(AddsSlash(2)));
    assert_eq!(choice(&router, b"/b", |to| *to != 2), None);
}

#[test]
fn an_entry_that_is_not_admitted_is_as_if_absent() {
    let locations = ["= /a", "/a", "^~ /a", "/", "~ a", "/b/", "/b"];
    let router = router(&locations);
    let without =
        |path: &str, absent: &[usize]| choice(&router, path.as_bytes(), |to| !absent.contains(to));
    assert_eq!(without("/a", &[0]), Some(Answers(4)));
    assert_eq!(without("/a", &[0, 4]), Some(Answers(1)));
    assert_eq!(without("/a", &[0, 1]), Some(Answers(2)));
    assert_eq!(without("/a", &[0, 1, 2, 4]), Some(Answers(3)));
    assert_eq!(without("/b", &[6]), Some(AddsSlash(5)));
    assert_eq!(without("/b", &[5, 6]), Some(Answers(3)));
    assert_eq!(without("/a", &[0, 1, 2, 3, 4]), None);
}

#[test]
fn of_equal_locations_the_first_admitted_answers() {
    let locations = ["/a", "/a", "~ b", "~ b", "= /c", "= /c"];
    let router = router(&locations);
    for (path, first) in [("/a", 0), ("/b", 2), ("/c", 4)] {
        assert_eq!(
            choice(&router, path.as_bytes(), |_| true),
            Some(Answers(first))
        );
        assert_eq!(
            choice(&router, path.as_bytes(), |to| *to != first),
            Some(Answers(first + 1))
        );
    }
}

#[test]
fn regexes_too_big_for_one_set_are_all_asked() {
    let big: Vec<String> = (0..6)
        .map(|n| format!("~ ^/{n}\\w{{60000}}|^/{n}$"))
        .collect();
    let locations: Vec<&str> = big.iter().map(String::as_str).collect();
    let router = router(&locations);
    assert!(router.regexes.group_count() > 1);
    for n in 0..6 {
        assert_eq!(
            choice(&router, format!("/{n}").as_bytes(), |_| true),
            Some(Answers(n))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_choice_is_that_of_the_slow_walk(
        locations in prop::collection::vec(("((= |\\^~ |)/([ab]|-|/){0,4})|(~\\*? [/^]?[ab]?[B/-][ab]?\\$?)", any::<bool>()), 0..14),
        path in "/[abB/-]{0,5}",
        absent in any::<u16>(),
    ) {
        let entries = locations.iter().enumerate().map(|(to, (location, adds_slash))| {
            Entry { location: location.parse().unwrap(), adds_slash: *adds_slash, to }
        });
        let router = Router::new(entries.collect());
        let admits = |to: usize| absent >> to & 1 == 0;
        prop_assert_eq!(
            choice(&router, path.as_bytes(), |to| admits(*to)),
            slow(&locations, path.as_bytes(), admits)
        );
    }

    #[test]
    fn any_bytes_find_something_or_nothing(path in any::<Vec<u8>>()) {
        let router = router(&["/", "= /a", "^~ /b/", "~ .", "~* ^$"]);
        let found = router.find(&path, |_| true);
        if let Some(Found::Answers(entry)) = found && entry.location.kind() == LocationKind::Prefix {
            prop_assert!(path.starts_with(b"/"));
        }
    }
}
