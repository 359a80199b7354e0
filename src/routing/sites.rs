//! Several sites behind one address: chooses by the host of a request first, then by its location.
//!
//! The site is chosen as nginx chooses a `server` by `server_name`: an exact name, then the longest wildcard, then the
//! routes without a host. Unlike in nginx a site that has no location for a path does not end the search: the routes
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
    any: Router<T>,
}

impl<T: Clone> Sites<T> {
    /// Tables of `entries`, each of which is for its hosts, or for every host if it names none. Each table keeps their
    /// order.
    pub fn new(entries: Vec<(Vec<HostPattern>, Entry<T>)>) -> Self {
        let mut exact: HashMap<String, Vec<Entry<T>>> = HashMap::new();
        let mut below: HashMap<String, Vec<Entry<T>>> = HashMap::new();
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
                };
                table.push(entry.clone());
            }
        }
        let routers = |tables: HashMap<String, Vec<Entry<T>>>| {
            tables
                .into_iter()
                .map(|(name, entries)| (name, Router::new(entries)))
                .collect()
        };
        Self {
            exact: routers(exact),
            below: routers(below),
            any: Router::new(any),
        }
    }
}

impl<T> Sites<T> {
    /// The entry that answers `path` on `host`, which has no port, chosen by [`Router::find`] in the table of the site
    /// and, if that has none, in the table for every host.
    ///
    /// It costs a look-up for each dot of the host if there are wildcards, and none if no route names a host.
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
        })
    }

    fn site(&self, host: &str) -> Option<&Router<T>> {
        self.named(host).map(|(_, router)| router)
    }

    fn named(&self, host: &str) -> Option<(Named<'_>, &Router<T>)> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        // A dot at the end makes a name absolute, not another one.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Some((name, router)) = self.exact.get_key_value(&host) {
            return Some((Named::Exact(name), router));
        }
        host.match_indices('.').find_map(|(at, _)| {
            let (name, router) = (at > 0)
                .then(|| self.below.get_key_value(&host[at + 1..]))
                .flatten()?;
            Some((Named::Below(name), router))
        })
    }
}

/// A `host` of the routes, by its name in the tables.
enum Named<'s> {
    Exact(&'s str),
    Below(&'s str),
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
        let mut wildcards: Vec<(&str, usize)> = Vec::new();
        for (hosts, to) in routes {
            for wildcard in hosts.iter().filter_map(|h| h.strip_prefix('*')) {
                if host.len() > wildcard.len() && host.ends_with(wildcard) {
                    wildcards.push((wildcard, *to));
                }
            }
        }
        wildcards.sort_by_key(|(wildcard, to)| (std::cmp::Reverse(wildcard.len()), *to));
        wildcards.first().map(|(_, to)| *to).or_else(|| {
            routes
                .iter()
                .find(|(hosts, _)| hosts.is_empty())
                .map(|(_, to)| *to)
        })
    }

    proptest! {
        #[test]
        fn the_choice_of_a_site_agrees_with_the_slow_obvious_one(
            routes in prop::collection::vec(prop::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,3}", 0..3), 0..8),
            host in "[ab](\\.[ab]){0,4}",
        ) {
            let numbered: Vec<(Vec<String>, usize)> = routes.into_iter().enumerate().map(|(n, r)| (r, n)).collect();
            let quick = Sites::new(numbered.iter().map(|(hosts, to)| (
                hosts.iter().map(|h| h.parse().unwrap()).collect(),
                Entry { location: "/".parse().unwrap(), adds_slash: false, to: *to },
            )).collect());
            prop_assert_eq!(found(&quick, &host, "/"), slow(&numbered, &host));
        }
    }
}
