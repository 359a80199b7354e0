//! The keys of a map: known ones are found, and all others are told what they might have been.

use std::collections::HashMap;

use crate::config::check::Checker;
use crate::config::check::words;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::unsupported::instead_of;
use crate::config::values::distance;

/// Which map of the file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Within {
    /// The whole file.
    Top,
    /// One entry of `listen`.
    Listen,
    /// One entry of `routes`.
    Route,
    /// A certificate with its key.
    Pair,
    /// The conditions of a route.
    When,
    /// What one address may have.
    PerIp,
    /// One entry of `tests`.
    Test,
}

impl Within {
    pub(super) const ALL: [Self; 7] = [
        Self::Top,
        Self::Listen,
        Self::Route,
        Self::Pair,
        Self::When,
        Self::PerIp,
        Self::Test,
    ];

    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &[
                "listen",
                "routes",
                "handshake_timeout",
                "response_timeout",
                "connect_timeout",
                "tunnel_timeout",
                "half_closed_timeout",
                "header_timeout",
                "body_timeout",
                "tls_handshake_timeout",
                "drain_timeout",
                "trusted_proxies",
                "access_log",
                "threads",
                "max_connections",
                "per_ip",
                "tests",
            ],
            Self::Listen => &["address", "tls", "redirect", "reuseport", "proxy_protocol"],
            Self::Route => &[
                "host",
                "location",
                "when",
                "proxy_pass",
                "ca",
                "return",
                "set_headers",
                "allow",
                "deny",
                "allowed_origins",
                "missing_origin",
                "handshake_timeout",
                "response_timeout",
                "connect_timeout",
                "tunnel_timeout",
            ],
            Self::Pair => &["cert", "key"],
            Self::When => &["query", "header", "method", "port"],
            Self::PerIp => &["connections", "handshakes_per_second"],
            Self::Test => &["url", "expect", "client", "path"],
        }
    }

    /// What a message calls it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Listen => "this `listen` entry",
            Self::Route => "this route",
            Self::Pair => "this certificate pair",
            Self::When => "this `when`",
            Self::PerIp => "`per_ip`",
            Self::Test => "this test",
        }
    }

    /// Where a key belongs that belongs there.
    fn belongs(self) -> &'static str {
        match self {
            Self::Top => "at the top of the file",
            Self::Listen => "in an entry of `listen`",
            Self::Route => "in an entry of `routes`",
            Self::Pair => "below `tls` in an entry of `listen`",
            Self::When => "below `when` in an entry of `routes`",
            Self::PerIp => "below `per_ip` at the top of the file",
            Self::Test => "in an entry of `tests`",
        }
    }
}

/// The keys of one map, checked.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    known: Vec<(&'n str, &'n Node)>,
    /// Whether a key stands here that decides whether the other keys are needed or may come twice.
    pub(super) has_later: bool,
    /// Keys that an unknown one was meant to be; to say that they are missing would be to say it twice.
    meant: Vec<&'static str>,
    map: &'n Node,
    within: Within,
}

impl<'n> Fields<'n> {
    /// The keys of `map`, which is one; whatever is wrong with them is noted.
    pub(super) fn of(
        map: &'n Node,
        entries: &'n [(Node, Node)],
        within: Within,
        checker: &mut Checker<'_>,
    ) -> Self {
        let mut fields = Self {
            known: Vec::new(),
            has_later: false,
            meant: Vec::new(),
            map,
            within,
        };
        let mut lines = HashMap::new();
        for (key, value) in entries {
            let Value::Text(name) = &key.value else {
                checker
                    .error(&key.span, "a key must be a word")
                    .help(known_keys(within));
                continue;
            };
            let line = checker.source.line(key.span.start);
            if let Some(first) = lines.get(name) {
                let message = format!("{} is already set on line {first}", quoted(name));
                checker
                    .error(&key.span, message)
                    .label("a key can be set only once")
                    .help("remove one of the two");
                continue;
            }
            lines.insert(name, line);
            if within.keys().contains(&name.as_str()) {
                fields.known.push((name, value));
            } else {
                fields.unknown(key, name, checker);
            }
        }
        fields
    }

    /// The value of a key, if it is set.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.known
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// The value of a key that must be set.
    pub(super) fn require(
        &self,
        key: &str,
        example: &str,
        checker: &mut Checker<'_>,
    ) -> Option<&'n Node> {
        let value = self.get(key);
        if value.is_none() && !self.meant.contains(&key) {
            let message = format!("{} has no `{key}`", self.within.noun());
            let help = match example.lines().count() {
                1 => format!("add `{key}`, as in `{example}`"),
                _ => format!("add `{key}`, as in\n{example}"),
            };
            checker.error(&self.map.span, message).help(help);
        }
        value
    }

    fn unknown(&mut self, key: &Node, name: &str, checker: &mut Checker<'_>) {
        let word = name.to_ascii_lowercase().replace('-', "_");
        let here = self.within.keys();
        let elsewhere = Within::ALL
            .into_iter()
            .find(|other| other.keys().contains(&word.as_str()))
            // `port` in a listener is part of its address.
            .filter(|other| (*other, self.within) != (Within::When, Within::Listen))
            // Nor does a `path` or `url` of a test explain one of a route.
            .filter(|other| *other != Within::Test || words::renamed(&word).is_none());
        let mut message = format!("unknown key {}", quoted(name));
        let help = if words::is_later(&word) {
            self.has_later = true;
            message = format!("{} is not in this version of wsgate yet", quoted(name));
            words::WITHOUT.to_owned()
        } else if let Some(meant) = here.iter().find(|known| **known == word) {
            self.meant.push(meant);
            format!("write it as `{meant}`")
        } else if let Some(elsewhere) = elsewhere {
            message = format!("{} does not belong here", quoted(name));
            format!("`{word}` stands {}", elsewhere.belongs())
        } else if let Some(meant) = words::renamed(&word) {
            self.meant.push(meant);
            match Within::ALL
                .into_iter()
                .find(|within| within.keys().contains(&meant))
            {
                Some(within) if !here.contains(&meant) => {
                    format!("the key is `{meant}`, {}", within.belongs())
                }
                _ => format!("the key is `{meant}`"),
            }
        } else if let Some(advice) = instead_of(&word) {
            advice.to_owned()
        } else if let Some(meant) = nearest(&word, self.within) {
            self.meant.push(meant);
            format!("did you mean `{meant}`?")
        } else {
            known_keys(self.within)
        };
        checker.error(&key.span, message).help(help);
    }
}

/// The known key that a slip of the fingers would explain.
fn nearest(word: &str, within: Within) -> Option<&'static str> {
    let slips = (word.chars().count() / 3).max(1);
    let near = within.keys().iter().map(|key| (distance(word, key), *key));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, key)| key)
}

fn known_keys(within: Within) -> String {
    let keys: Vec<_> = within.keys().iter().map(|key| format!("`{key}`")).collect();
    format!("the keys {} are {}", within.belongs(), keys.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::config::check::keys::Within;
    use crate::config::check::keys::nearest;
    use crate::config::check::words;
    use crate::config::unsupported::instead_of;

    #[test]
    fn the_nearest_key_is_one_that_a_slip_explains() {
        assert_eq!(nearest("loaction", Within::Route), Some("location"));
        assert_eq!(nearest("proxypass", Within::Route), Some("proxy_pass"));
        assert_eq!(nearest("adress", Within::Listen), Some("address"));
        assert_eq!(nearest("route", Within::Top), Some("routes"));
        assert_eq!(nearest("keys", Within::Pair), Some("key"));
        assert_eq!(nearest("zebra", Within::Top), None);
        assert_eq!(nearest("", Within::Top), None);
    }

    #[test]
    fn no_known_key_is_called_unknown_elsewhere() {
        let known = Within::ALL.iter().flat_map(|within| within.keys());
        // A condition's `port` and a test's `path` and `url` are others than what people mean elsewhere.
        for key in known.filter(|key| !["port", "path", "url"].contains(key)) {
            assert!(!words::is_later(key), "{key}");
            assert_eq!(
                (words::renamed(key), instead_of(key)),
                (None, None),
                "{key}"
            );
        }
    }
}
