//! Finds the reason why a route answers a request, or does not. Which route answers is known from the engine that
//! serves; here the others get their reasons.

use crate::config::Config;
use crate::routing::HostPattern;
use crate::routing::LocationKind;
use crate::routing::RequestFacts;
use crate::routing::Unmet;
use crate::table::Table;

/// Why one route answers a request, or does not. A number is an index of [`Config::routes`]: the route against which
/// this one loses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The route answers.
    Answers,
    /// The route answers, since the path lacks only the last slash of its location.
    AnswersWithSlash,
    /// The route is for other hosts.
    OtherHost,
    /// The route is for this host, but another `host` of the file is nearer to it.
    NearerHost(HostPattern),
    /// The route is for every host, and one of this host answers.
    HostFirst(usize),
    /// A condition of the route does not hold.
    Unmet {
        /// The condition, as in `when`.
        wants: String,
        /// What the request has there.
        has: String,
    },
    /// The path does not match the route's location.
    NoMatch,
    /// An exact location matches, which ends the search.
    ExactFirst(usize),
    /// A longer prefix matches.
    Longer(usize),
    /// The longest prefix that matches has `^~`, so that no regex is tried.
    NoRegex(usize),
    /// A regex matches, which goes before a prefix.
    RegexFirst(usize),
    /// Another regex matches and stands earlier in the file.
    EarlierRegex(usize),
    /// The path lacks only the last slash of another, longer location.
    SlashFirst(usize),
    /// The path lacks the last slash of this location, and another location is this very path.
    NamedWithoutSlash(usize),
    /// Another route has the same location and comes first, since it has conditions or stands earlier in the file.
    SameLocation(usize),
}

impl Verdict {
    /// The name of the verdict, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::AnswersWithSlash => "answers_with_slash",
            Self::OtherHost => "other_host",
            Self::NearerHost(_) => "nearer_host",
            Self::HostFirst(_) => "host_first",
            Self::Unmet { .. } => "unmet",
            Self::NoMatch => "no_match",
            Self::ExactFirst(_) => "exact_first",
            Self::Longer(_) => "longer",
            Self::NoRegex(_) => "no_regex",
            Self::RegexFirst(_) => "regex_first",
            Self::EarlierRegex(_) => "earlier_regex",
            Self::SlashFirst(_) => "slash_first",
            Self::NamedWithoutSlash(_) => "named_without_slash",
            Self::SameLocation(_) => "same_location",
        }
    }

    /// Whether the route answers.
    pub fn answers(&self) -> bool {
        matches!(self, Self::Answers | Self::AnswersWithSlash)
    }
}

/// A request, and which route answers it.
pub(super) struct Question<'a> {
    /// The configuration, for the routes as they are written.
    pub(super) config: &'a Config,
    /// The table that serves `config`.
    pub(super) table: &'a Table<()>,
    /// The host without its port, in lower case.
    pub(super) host: &'a str,
    /// The path, decoded and normalised.
    pub(super) path: &'a [u8],
    /// What the conditions of routes ask about.
    pub(super) conditions: RequestFacts<'a>,
    /// The route that answers, as an index of [`Config::routes`].
    pub(super) chosen: Option<usize>,
}

/// A verdict for each route.
pub(super) fn all(question: &Question<'_>) -> Vec<Verdict> {
    let site = question.table.sites.pattern(question.host);
    (0..question.config.routes.len())
        .map(|route| question.of(route, site.as_ref()))
        .collect()
}

impl Question<'_> {
    /// The verdict about the route `at`; `site` is the table of hosts that the request is in.
    fn of(&self, at: usize, site: Option<&HostPattern>) -> Verdict {
        let route = &self.config.routes[at];
        if self.chosen == Some(at) {
            return if route.location.matches(self.path) {
                Verdict::Answers
            } else {
                Verdict::AnswersWithSlash
            };
        }
        match site {
            _ if route.hosts.is_empty() => {}
            Some(site) if route.hosts.contains(site) => {}
            Some(site) if route.hosts.iter().any(|host| host.covers(self.host)) => {
                return Verdict::NearerHost(site.clone());
            }
            Some(_) | None => return Verdict::OtherHost,
        }
        // The path comes before the conditions, since a person looks at it first.
        if !self.matches(at) && !self.matches_with_slash(at) {
            return Verdict::NoMatch;
        }
        if let Some(unmet) = route.when.unmet(&self.conditions) {
            return self.unmet(unmet);
        }
        if !self.matches(at)
            && let Some(first) = self.first_of_location(at)
        {
            return Verdict::SameLocation(first);
        }
        // The engine chooses no route only if none matches.
        let Some(chosen) = self.chosen else {
            return Verdict::NoMatch;
        };
        if route.hosts.is_empty() && !self.config.routes[chosen].hosts.is_empty() {
            return Verdict::HostFirst(chosen);
        }
        self.why_not_chosen(at, chosen)
    }

    /// Why a route whose location matches is not the chosen one, which is in the same table.
    fn why_not_chosen(&self, at: usize, chosen: usize) -> Verdict {
        let (this, other) = (
            &self.config.routes[at].location,
            &self.config.routes[chosen].location,
        );
        if this.same_as(other) {
            return Verdict::SameLocation(chosen);
        }
        if !self.matches(chosen) {
            // The path lacks only the slash of the chosen location. Of two with the same path the exact one goes first.
            return match (this.pattern() == other.pattern(), other.kind()) {
                (true, LocationKind::Exact) => Verdict::ExactFirst(chosen),
                _ => Verdict::SlashFirst(chosen),
            };
        }
        if other.kind() == LocationKind::Exact {
            return Verdict::ExactFirst(chosen);
        }
        if !self.matches(at) {
            return Verdict::NamedWithoutSlash(self.prefix_of_this_path(at).unwrap_or(chosen));
        }
        match (this.kind().is_regex(), other.kind().is_regex()) {
            (true, true) => Verdict::EarlierRegex(chosen),
            (true, false) => Verdict::NoRegex(chosen),
            (false, false) => Verdict::Longer(chosen),
            // A longer prefix may go before this one and yet let the regex be tried.
            (false, true) => match (self.longest_prefix(at), self.first_of_location(at)) {
                (Some(longest), _) => Verdict::Longer(longest),
                (None, Some(first)) => Verdict::SameLocation(first),
                (None, None) => Verdict::RegexFirst(chosen),
            },
        }
    }

    /// The prefix that is this very path, which keeps the location `at` from adding its slash.
    fn prefix_of_this_path(&self, at: usize) -> Option<usize> {
        let routes = &self.config.routes;
        (0..routes.len()).find(|other| {
            let location = &routes[*other].location;
            matches!(
                location.kind(),
                LocationKind::Prefix | LocationKind::PrefixNoRegex
            ) && location.pattern().as_bytes() == self.path
                && self.compete(*other, at)
                && routes[*other].when.holds(&self.conditions)
        })
    }

    /// The longest of the prefixes that go before the prefix `at`.
    fn longest_prefix(&self, at: usize) -> Option<usize> {
        let routes = &self.config.routes;
        let length = |at: usize| routes[at].location.pattern().len();
        (0..routes.len())
            .filter(|other| {
                let kind = routes[*other].location.kind();
                matches!(kind, LocationKind::Prefix | LocationKind::PrefixNoRegex)
                    && self.compete(*other, at)
                    && routes[*other].when.holds(&self.conditions)
                    && self.matches(*other)
                    && length(*other) > length(at)
            })
            .max_by_key(|other| (length(*other), std::cmp::Reverse(*other)))
    }

    /// The first route with the same location as the route `at`. It alone decides whether a missing slash is added, and
    /// whether regexes are tried.
    fn first_of_location(&self, at: usize) -> Option<usize> {
        let routes = &self.config.routes;
        // Those with conditions come first, in file order.
        let rank = |at: usize| (routes[at].when.is_empty(), at);
        (0..routes.len())
            .filter(|other| {
                rank(*other) < rank(at)
                    && routes[*other].location.same_as(&routes[at].location)
                    && self.compete(*other, at)
                    && routes[*other].when.holds(&self.conditions)
            })
            .min_by_key(|other| rank(*other))
    }

    /// Whether two routes compete: both are in the table of this request's host, or both in that of every host.
    fn compete(&self, one: usize, other: usize) -> bool {
        let site = self.table.sites.pattern(self.host);
        let in_site = |at: usize| {
            let hosts = &self.config.routes[at].hosts;
            site.as_ref().is_some_and(|site| hosts.contains(site))
        };
        let for_all = |at: usize| self.config.routes[at].hosts.is_empty();
        (in_site(one) && in_site(other)) || (for_all(one) && for_all(other))
    }

    /// Whether the location of the route `at` matches the path.
    fn matches(&self, at: usize) -> bool {
        self.config.routes[at].location.matches(self.path)
    }

    /// Whether the path lacks only the last slash of the route's location, and the route answers such paths.
    fn matches_with_slash(&self, at: usize) -> bool {
        let location = &self.config.routes[at].location;
        self.table.rules[at].adds_slash(location)
            && location.pattern().as_bytes().strip_suffix(b"/") == Some(self.path)
    }

    /// The verdict about a route with a condition that does not hold.
    fn unmet(&self, unmet: Unmet<'_>) -> Verdict {
        let (wants, has) = match unmet {
            Unmet::Method(methods) => {
                let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
                let wants = format!("method {}", methods.join(" or "));
                (wants, self.conditions.method.to_string())
            }
            Unmet::Port(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                let wants = format!("port {}", ports.join(" or "));
                (wants, self.conditions.port.to_string())
            }
            Unmet::WebSocket(wanted) => {
                let (upgrade, other) = ("an upgrade to WebSocket", "an ordinary request");
                let (wants, has) = if wanted {
                    (upgrade, other)
                } else {
                    (other, upgrade)
                };
                (wants.to_owned(), has.to_owned())
            }
            Unmet::Query(name, values) => {
                let wants = format!("{name}={} in the query", values.join(" or "));
                let has = match self.conditions.parameter(name) {
                    Some(value) => format!("{name}={}", String::from_utf8_lossy(&value)),
                    None => format!("no {name}"),
                };
                (wants, has)
            }
            Unmet::Header(name, values) => {
                let wants = format!("header {name}: {}", values.join(" or "));
                let has = match self.conditions.headers.get(name) {
                    Some(value) => {
                        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
                    }
                    None => format!("no {name}"),
                };
                (wants, has)
            }
        };
        Verdict::Unmet { wants, has }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod test_support {
    use std::path::PathBuf;

    use crate::config::Action;
    use crate::config::Config;
    use crate::config::Listener;
    use crate::config::Route;
    use crate::config::Tls;
    use crate::routing::When;
    use crate::upstream::Server;
    use crate::upstream::Upstream;

    /// A route in short: its hosts or nothing, its location, its `proxy_pass` or `return`, and the value that `x` in
    /// the query must have, or nothing.
    pub(in crate::explain) type Short<'a> = (&'a str, &'a str, &'a str, &'a str);

    /// A configuration of listeners such as `tls 0.0.0.0:443`, and of routes in short. The first route is on line 1,
    /// the second on line 2, and so on.
    pub(in crate::explain) fn config(listeners: &[&str], routes: &[Short<'_>]) -> Config {
        let listener = |text: &&str| {
            let address = text.trim_start_matches("tls ").parse().unwrap();
            let dir = PathBuf::from("certs");
            Listener {
                tls: text.starts_with("tls ").then_some(Tls::SelfSigned { dir }),
                ..Listener::at(address)
            }
        };
        let route = |(at, (host, location, to, when)): (usize, &Short<'_>)| {
            let to = match to.parse() {
                Ok(to) => Action::ProxyPass(Upstream::new(Server::new(to, |_| None).unwrap())),
                Err(_) => Action::Return(to.parse().unwrap()),
            };
            let hosts = host.split(' ').filter(|host| !host.is_empty());
            let query = Some(*when).filter(|value| !value.is_empty());
            let query = query.map(|value| ("x".to_owned(), vec![value.to_owned()]));
            Route {
                hosts: hosts.map(|host| host.parse().unwrap()).collect(),
                when: When {
                    query: query.into_iter().collect(),
                    ..When::default()
                },
                line: at + 1,
                ..Route::to(location.parse().unwrap(), to)
            }
        };
        Config::of(
            listeners.iter().map(listener).collect(),
            routes.iter().enumerate().map(route).collect(),
        )
    }
}
