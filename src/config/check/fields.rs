//! Reads the keys of a map in the file. Known keys are kept with their values; for an unknown key the error says what
//! it might have been.

use std::collections::HashMap;

use crate::config::check::Checker;
use crate::config::check::keys::OF_THE_USER;
use crate::config::check::keys::Within;
use crate::config::check::keys::renamed;
use crate::config::check::keys::without_planned;
use crate::config::diagnostic::quoted;
use crate::config::lookalike::plain;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::unsupported::instead_of;
use crate::config::values::nearest;

/// The keys of one map with their values, checked.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    /// The known keys that are set, with their values.
    known: Vec<(&'n str, &'n Node)>,
    /// Whether a planned key stands here. It would decide whether other keys are needed, and whether two routes are
    /// one.
    pub(super) has_planned: bool,
    /// The known keys for which an unknown one was meant. That they are missing is not said again.
    meant: Vec<&'static str>,
    /// The map itself.
    map: &'n Node,
    within: Within,
}

impl<'n> Fields<'n> {
    /// Reads the keys of `map`, whose entries are `entries`. Whatever is wrong with a key is noted.
    pub(super) fn of(
        map: &'n Node,
        entries: &'n [(Node, Node)],
        within: Within,
        checker: &mut Checker<'_>,
    ) -> Self {
        let mut fields = Self {
            known: Vec::new(),
            has_planned: false,
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
            if within.key(name).is_some() {
                fields.known.push((name, value));
            } else if !within.is_of_the_user(name) {
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

    /// The value of a key that must be set. The help of an error shows it in an `example`.
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

    /// Notes a key that may not stand here, with what it might have been.
    fn unknown(&mut self, key: &Node, name: &str, checker: &mut Checker<'_>) {
        let word = plain(name).trim().to_ascii_lowercase().replace('-', "_");
        let elsewhere = Within::ALL
            .into_iter()
            .find(|other| other.key(&word).is_some())
            // `port` in a listener is part of its address.
            .filter(|other| (*other, self.within) != (Within::When, Within::Listen))
            // A `websocket: true` elsewhere switches on what is always on.
            .filter(|other| (*other, word.as_str()) != (Within::When, "websocket"))
            // A `path` or `url` in a route does not mean that of a test, nor one of a cookie.
            .filter(|other| {
                !matches!(other, Within::Test | Within::Cookie) || renamed(&word).is_none()
            })
            // `http` and `server` are blocks of nginx where no group is described.
            .filter(|other| {
                let may_mean_a_group = matches!(self.within, Within::Top | Within::Route)
                    && instead_of(&word).is_none();
                !other.is_of_a_group() || self.within.is_of_a_group() || may_mean_a_group
            });
        let mut message = format!("unknown key {}", quoted(name));
        let help = if self.within == Within::Top && word.starts_with("x_") {
            "keys of your own begin with a small `x-`".to_owned()
        } else if name.starts_with(OF_THE_USER) {
            "keys of your own, such as `x-defaults` for an anchor, stand at the top of the file; take it there".to_owned()
        } else if let Some(without) = without_planned(&word) {
            self.has_planned = true;
            message = format!("{} is not in this version of wsgate yet", quoted(name));
            without.to_owned()
        } else if let Some(meant) = self.within.key(&word) {
            self.meant.push(meant);
            format!("write it as `{meant}`")
        } else if let Some(elsewhere) = elsewhere {
            message = format!("{} does not belong here", quoted(name));
            format!("`{word}` stands {}", elsewhere.belongs())
        } else if let Some(meant) = renamed(&word)
            // What describes a group is no route.
            && (!self.within.is_of_a_group() || self.within.key(meant).is_some())
        {
            self.meant.push(meant);
            let mut all = Within::ALL.into_iter();
            match all.find(|within| within.key(meant).is_some()) {
                Some(within) if self.within.key(meant).is_none() => {
                    format!("the key is `{meant}`, {}", within.belongs())
                }
                _ => format!("the key is `{meant}`"),
            }
        } else if let Some(advice) = instead_of(&word) {
            advice.to_owned()
        } else if let Some(meant) = nearest_key(&word, self.within) {
            self.meant.push(meant);
            format!("did you mean `{meant}`?")
        } else {
            known_keys(self.within)
        };
        checker.error(&key.span, message).help(help);
    }
}

/// The known key from which `word` differs by a slip of the fingers.
fn nearest_key(word: &str, within: Within) -> Option<&'static str> {
    nearest(word, within.keys().iter().map(|key| key.name))
}

/// The list of the keys that may stand in a map, as a sentence of a message.
fn known_keys(within: Within) -> String {
    let keys = within.keys().iter();
    let keys: Vec<_> = keys.map(|key| format!("`{}`", key.name)).collect();
    format!("the keys {} are {}", within.belongs(), keys.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::config::check::fields::nearest_key;
    use crate::config::check::keys::Within;

    #[test]
    fn the_nearest_key_is_one_that_a_slip_explains() {
        assert_eq!(nearest_key("loaction", Within::Route), Some("location"));
        assert_eq!(nearest_key("proxypass", Within::Route), Some("proxy_pass"));
        assert_eq!(nearest_key("adress", Within::Listen), Some("address"));
        assert_eq!(nearest_key("route", Within::Top), Some("routes"));
        assert_eq!(nearest_key("keys", Within::Pair), Some("key"));
        assert_eq!(nearest_key("zebra", Within::Top), None);
        assert_eq!(nearest_key("", Within::Top), None);
    }
}
