//! The choice of a location, against the slow obvious one of `src/routing/tests`.
//!
//! The first line is the path, each other line an entry of the table: `-` before it is not admitted, `!` does not proxy.
//!
//! - Both choose the same.
//! - A host decides as [`HostPattern::covers`] says, an exact name first, then the longest with a star in front, then the longest with one behind.
//! - A target is read into a path that begins with a slash, and what is written of it is a target again.

use std::str;

use wsgate::routing::Entry;
use wsgate::routing::Found;
use wsgate::routing::HostPattern;
use wsgate::routing::Location;
use wsgate::routing::Router;
use wsgate::routing::Sites;
use wsgate::routing::Target;
use wsgate::routing::add_slash;
use wsgate::routing::replace;

use slow::Choice;
use slow::slow;

#[path = "../../../src/routing/tests/slow.rs"]
mod slow;

/// Entries beyond which the slow one takes too long.
const MOST: usize = 40;

/// Holds the above.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    let mut entries = Vec::new();
    let mut plain = Vec::new();
    let mut absent = Vec::new();
    let mut hosts = Vec::new();
    for line in lines.take(MOST) {
        let Ok(line) = str::from_utf8(line) else {
            continue;
        };
        if let Some(host) = line.strip_prefix('@') {
            hosts.extend(host.parse::<HostPattern>().ok());
            continue;
        }
        let is_absent = line.starts_with('-');
        let line = line.strip_prefix('-').unwrap_or(line);
        let proxies = !line.starts_with('!');
        let line = line.strip_prefix('!').unwrap_or(line);
        let Ok(location) = line.parse::<Location>() else {
            continue;
        };
        let adds_slash = proxies && !location.kind().is_regex();
        // Without a modifier too there is a space before the name, which may have others.
        let written = format!("{} {}", location.kind().modifier(), location.pattern());
        plain.push((written, adds_slash));
        absent.push(is_absent);
        entries.push(Entry {
            location,
            adds_slash,
            to: entries.len(),
        });
    }
    targets(path, &entries);
    sites(path, &hosts);
    let router = Router::new(entries);
    let found = router.find(path, |to| !absent[*to]);
    let found = found.map(|found| match found {
        Found::Answers(entry) => Choice::Answers(entry.to),
        Found::AddsSlash(entry) => Choice::AddsSlash(entry.to),
    });
    assert_eq!(found, slow(&plain, path, |to| !absent[to]));
}

/// What is asked of an upstream instead of `raw`.
fn targets(raw: &[u8], entries: &[Entry<usize>]) {
    let Some(raw) = str::from_utf8(raw).ok() else {
        return;
    };
    let Ok(target) = Target::parse(raw) else {
        return;
    };
    assert!(target.path().starts_with(b"/"), "{target:?}");
    assert!(!target.path().contains(&0), "{target:?}");
    let is_plain =
        |text: &str| text.starts_with('/') && text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    for entry in entries {
        let location = &entry.location;
        if location.kind().is_regex() || !location.matches(target.path()) {
            continue;
        }
        for uri in ["/", "/x", "/x/", "/x%20y/?a=b"] {
            let replaced = replace(&target, location, uri);
            assert!(is_plain(&replaced), "{replaced:?}");
        }
    }
    for entry in entries {
        let location = &entry.location;
        if !entry.adds_slash || location.pattern().as_bytes() != [target.path(), b"/"].concat() {
            continue;
        }
        let slashed = add_slash(&target, location);
        assert!(is_plain(&slashed), "{slashed:?}");
        let slashed = Target::parse(&slashed).expect("a target");
        assert_eq!(slashed.path(), location.pattern().as_bytes());
        assert_eq!(
            slashed.query(),
            target
                .query()
                .filter(|query| !query.is_empty())
                .or(slashed.query())
        );
    }
}

/// The first line taken for a host.
fn sites(host: &[u8], patterns: &[HostPattern]) {
    let Ok(host) = str::from_utf8(host) else {
        return;
    };
    let entry = |to| Entry {
        location: "/".parse().expect("a location"),
        adds_slash: false,
        to,
    };
    let numbered = patterns.iter().enumerate();
    let sites = Sites::new(
        numbered
            .map(|(to, pattern)| (vec![pattern.clone()], entry(to)))
            .collect(),
        |_| false,
    );
    let nearness = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => (2, name.len()),
        HostPattern::Below(name) => (1, name.len()),
        HostPattern::AnyEnding(name) => (0, name.len()),
    };
    let lower = host.to_ascii_lowercase();
    let best = patterns
        .iter()
        .filter(|pattern| pattern.covers(&lower))
        .max_by_key(|pattern| nearness(pattern));
    assert_eq!(sites.pattern(host).as_ref(), best, "{host:?}");
    let first = best.and_then(|best| patterns.iter().position(|pattern| pattern == best));
    let found = sites.find(host, b"/", |_| true).map(|found| match found {
        Found::Answers(entry) | Found::AddsSlash(entry) => entry.to,
    });
    assert_eq!(found, first, "{host:?}");
}
