//! Several sites behind one address: chooses by the host of a request first, then by its location.
//!
//! The site is chosen as nginx chooses a `server` by `server_name`: an exact name, then the longest wildcard at the beginning of a
//! name, then the longest at its end, then the routes without a host. Unlike in nginx a site that has no location for a path does not end the search: the routes
//! without a host are asked then.

use std::collections::HashMap;

use crate::routing::Entry;
use crate::routing::Found;
use crate::routing::Router;
use crate::routing::host_pattern::HostPattern;

/// The tables of all sites, found by the host of a request.
#[derive(Debug)]
pub struct Sites<T> {
    exact: HashMap<String, Router<T>>,
    below: HashMap<String, Router<T>>,
    any_ending: HashMap<String, Router<T>>,
    any: Router<T>,
}

impl<T: Clone> Sites<T> {
    /// Tables of `entries`, each of which is for its hosts, or for every host if it names none. Each table keeps their
    /// order, but that an entry with conditions comes just before the first one without that has the same location. Only
    /// entries of one table are compared: what is for another host moves nothing.
    pub fn new(
        entries: Vec<(Vec<HostPattern>, Entry<T>)>,
        has_conditions: impl Fn(&T) -> bool,
    ) -> Self {
        let mut exact: HashMap<String, Vec<Entry<T>>> = HashMap::new();
        let mut below: HashMap<String, Vec<Entry<T>>> = HashMap::new();
        let mut any_ending: HashMap<String, Vec<Entry<T>>> = HashMap::new();
        let mut any = Vec::new();
        for (hosts, entry) in entries {
            if hosts.is_empty() {
                any.push(entry);
                continue;
            }
            for host in hosts {
                let table = match host {
                    HostPattern::Exact(name) => exact.entry(name).or_default(),
                    HostPattern::Below(name) => below.entry(name).or_default(),
                    HostPattern::AnyEnding(name) => any_ending.entry(name).or_default(),
                };
                table.push(entry.clone());
            }
        }
        let router = |entries| Router::new(conditions_first(entries, &has_conditions));
        let routers = |tables: HashMap<String, Vec<Entry<T>>>| {
            let tables = tables.into_iter();
            tables
                .map(|(name, entries)| (name, router(entries)))
                .collect()
        };
        Self {
            exact: routers(exact),
            below: routers(below),
            any_ending: routers(any_ending),
            any: router(any),
        }
    }
}

/// The entries of one table in the order that decides between equal locations and between regexes.
fn conditions_first<T>(
    entries: Vec<Entry<T>>,
    has_conditions: impl Fn(&T) -> bool,
) -> Vec<Entry<T>> {
    let mut plain: HashMap<(&str, &str), usize> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if !has_conditions(&entry.to) {
            plain.entry(entry.location.name()).or_insert(at);
        }
    }
    let place = |at: usize, entry: &Entry<T>| match plain.get(&entry.location.name()) {
        Some(first) if *first < at && has_conditions(&entry.to) => (*first, false),
        Some(_) | None => (at, true),
    };
    let places: Vec<(usize, bool)> = (entries.iter().enumerate())
        .map(|(at, entry)| place(at, entry))
        .collect();
    let mut ordered: Vec<_> = places.into_iter().zip(entries).collect();
    ordered.sort_by_key(|(place, _)| *place); // stable: those of one place stay in file order
    ordered.into_iter().map(|(_, entry)| entry).collect()
}

impl<T> Sites<T> {
    /// The entry that answers `path` on `host`, which has no port, chosen by [`Router::find`] in the table of the site
    /// and, if that has none, in the table for every host.
    ///
    /// It costs at most two look-ups for each dot of the host if there are wildcards, and none if no route names a host.
    pub fn find(
        &self,
        host: &str,
        path: &[u8],
        admits: impl Fn(&T) -> bool,
    ) -> Option<Found<'_, T>> {
        self.site(host)
            .and_then(|router| router.find(path, &admits))
            .or_else(|| self.any.find(path, &admits))
    }

    /// The `host` of the routes that is for this host: the exact name, or the longest wildcard. `None` if no route
    /// names one.
    pub fn pattern(&self, host: &str) -> Option<HostPattern> {
        self.named(host).map(|(pattern, _)| match pattern {
            Named::Exact(name) => HostPattern::Exact(name.to_owned()),
            Named::Below(name) => HostPattern::Below(name.to_owned()),
            Named::AnyEnding(name) => HostPattern::AnyEnding(name.to_owned()),
        })
    }

    fn site(&self, host: &str) -> Option<&Router<T>> {
        self.named(host).map(|(_, router)| router)
    }

    fn named(&self, host: &str) -> Option<(Named<'_>, &Router<T>)> {
        if self.exact.is_empty() && self.below.is_empty() && self.any_ending.is_empty() {
            return None;
        }
        // A dot at the end makes a name absolute, not another one.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Some((name, router)) = self.exact.get_key_value(&host) {
            return Some((Named::Exact(name), router));
        }
        let below = || {
            let mut dots = host.match_indices('.').filter(|(at, _)| *at > 0);
            let (name, router) =
                dots.find_map(|(at, _)| self.below.get_key_value(&host[at + 1..]))?;
            Some((Named::Below(name), router))
        };
        let any_ending = || {
            let last = host.len().saturating_sub(1);
            let mut dots = host.rmatch_indices('.').filter(|(at, _)| *at < last);
            let (name, router) =
                dots.find_map(|(at, _)| self.any_ending.get_key_value(&host[..at]))?;
            Some((Named::AnyEnding(name), router))
        };
        below().or_else(any_ending)
    }
}

/// A `host` of the routes, by its name in the tables.
enum Named<'s> {
    Exact(&'s str),
    Below(&'s str),
    AnyEnding(&'s str),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::routing::Entry;
    use crate::routing::Found;
    use crate::routing::sites::Sites;

    fn sites(routes: &[(&[&str], &str)]) -> Sites<usize> {
        Sites::new(
            routes
                .iter()
                .enumerate()
                .map(|(to, (hosts, location))| {
                    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
                    (
                        hosts,
                        Entry {
                            location: location.parse().unwrap(),
                            adds_slash: false,
                            to,
                        },
                    )
                })
                .collect(),
            |_| false,
        )
    }

    fn found(sites: &Sites<usize>, host: &str, path: &str) -> Option<usize> {
        sites
            .find(host, path.as_bytes(), |_| true)
            .map(|found| match found {
                Found::Answers(entry) | Found::AddsSlash(entry) => entry.to,
            })
    }

    #[test]
    fn an_exact_host_comes_before_the_longest_wildcard_before_no_host() {
        let sites = sites(&[
            (&[], "/"),
            (&["*.example.org"], "/"),
            (&["*.b.example.org", "other.test"], "/"),
            (&["a.b.example.org"], "/a"),
        ]);
        assert_eq!(found(&sites, "a.b.EXAMPLE.org.", "/a"), Some(3));
        assert_eq!(found(&sites, "c.b.example.org", "/a"), Some(2));
        assert_eq!(found(&sites, "b.example.org", "/"), Some(1));
        assert_eq!(found(&sites, "x.y.example.org", "/"), Some(1));
        assert_eq!(found(&sites, "example.org", "/"), Some(0));
        assert_eq!(found(&sites, ".example.org", "/"), Some(0));
        assert_eq!(found(&sites, "other.test", "/"), Some(2));
    }

    #[test]
    fn a_wildcard_at_the_end_comes_behind_those_at_the_beginning() {
        let sites = sites(&[
            (&[], "/"),
            (&["www.*"], "/"),
            (&["www.example.*"], "/"),
            (&["*.com"], "/"),
            (&["www.example.net"], "/"),
        ]);
        for (host, to) in [
            ("www.example.com", 3),
            ("www.example.net", 4),
            ("www.example.org", 2),
            ("www.example.co.uk.", 2),
            ("WWW.other.org", 1),
            ("www.example", 1),
            ("www", 0),
            ("www.", 0),
            ("a.www.example.org", 0),
            ("wwww.example.org", 0),
        ] {
            assert_eq!(found(&sites, host, "/"), Some(to), "{host}");
        }
    }

    #[test]
    fn an_entry_with_conditions_moves_before_its_own_location_and_moves_nothing_else() {
        let order = |routes: &[(&str, bool)]| {
            let entries = routes.iter().enumerate().map(|(to, (location, _))| Entry {
                location: location.parse().unwrap(),
                adds_slash: false,
                to,
            });
            let ordered = super::conditions_first(entries.collect(), |to| routes[*to].1);
            ordered.iter().map(|entry| entry.to).collect::<Vec<_>>()
        };
        let (plain, with) = (false, true);
        assert_eq!(
            order(&[("~ a", plain), ("~ b", plain), ("~ a", with), ("~ a", with)]),
            [2, 3, 0, 1]
        );
        assert_eq!(
            order(&[("~ a", with), ("~ b", plain), ("~ a", plain)]),
            [0, 1, 2]
        );
        assert_eq!(order(&[("/a", plain), ("^~ /a", with)]), [1, 0]);
        assert_eq!(order(&[("/a", plain), ("= /a", with)]), [0, 1]);
        assert_eq!(order(&[("~ a", plain), ("~* a", with)]), [0, 1]);
    }

    #[test]
    fn a_route_of_another_host_moves_nothing() {
        let entry = |host: &str, location: &str, to| {
            let location = location.parse().unwrap();
            let entry = Entry {
                location,
                adds_slash: false,
                to,
            };
            (vec![host.parse().unwrap()], entry)
        };
        let sites = Sites::new(
            vec![
                entry("a.test", "~ ^/x", 0),
                entry("b.test", "~ y", 1),
                entry("b.test", "~ ^/x", 2),
            ],
            |to| *to == 2,
        );
        assert_eq!(found(&sites, "b.test", "/xy"), Some(1));
    }

    #[test]
    fn a_site_without_a_location_for_the_path_leaves_it_to_the_routes_without_host() {
        let sites = sites(&[(&["a.test"], "/s"), (&["*.test"], "/w"), (&[], "/any")]);
        assert_eq!(found(&sites, "a.test", "/any"), Some(2));
        assert_eq!(found(&sites, "a.test", "/w"), None);
    }

    /// The number of the route for `host`, by the rules as they are written down, one after the other.
    fn slow(routes: &[(Vec<String>, usize)], host: &str) -> Option<usize> {
        let named = |wanted: &str| {
            routes
                .iter()
                .find(|(hosts, _)| hosts.iter().any(|h| h == wanted))
                .map(|(_, to)| *to)
        };
        if let Some(to) = named(host) {
            return Some(to);
        }
        let longest = |matches: &dyn Fn(&str) -> bool| {
            let named = routes
                .iter()
                .flat_map(|(hosts, to)| hosts.iter().map(move |named| (named, *to)));
            let mut matching: Vec<_> = named.filter(|(named, _)| matches(named)).collect();
            matching.sort_by_key(|(named, to)| (std::cmp::Reverse(named.len()), *to));
            matching.first().map(|(_, to)| *to)
        };
        let at_beginning = |named: &str| {
            let rest = named.strip_prefix('*');
            rest.is_some_and(|rest| host.len() > rest.len() && host.ends_with(rest))
        };
        let at_end = |named: &str| {
            let rest = named.strip_suffix('*');
            rest.is_some_and(|rest| host.len() > rest.len() && host.starts_with(rest))
        };
        let wildcard = longest(&at_beginning).or_else(|| longest(&at_end));
        wildcard.or_else(|| {
            routes
                .iter()
                .find(|(hosts, _)| hosts.is_empty())
                .map(|(_, to)| *to)
        })
    }

    proptest! {
        #[test]
        fn the_choice_of_a_site_agrees_with_the_slow_obvious_one(
            routes in prop::collection::vec(prop::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,3}|[ab](\\.[ab]){0,2}\\.\\*", 0..3), 0..8),
            host in "[ab](\\.[ab]){0,4}",
        ) {
            let numbered: Vec<(Vec<String>, usize)> = routes.into_iter().enumerate().map(|(n, r)| (r, n)).collect();
            let quick = Sites::new(numbered.iter().map(|(hosts, to)| (
                hosts.iter().map(|h| h.parse().unwrap()).collect(),
                Entry { location: "/".parse().unwrap(), adds_slash: false, to: *to },
            )).collect(), |_| false);
            prop_assert_eq!(found(&quick, &host, "/"), slow(&numbered, &host));
        }
    }
}
