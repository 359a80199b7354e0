//! Where the variables of a file are used: a `map` is missed only where its variable would do something.

use std::collections::BTreeMap;

use crate::nginx::desugar::ChoosingMaps;
use crate::nginx::other_directives::is_needless;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::variables::names_in;

/// The reason why the variables of a `map` cannot be made.
const NO_VARIABLES: &str =
    "there are no variables to make; `when` chooses by query, header, method and port";
/// The reason why a `map` whose values have letters cannot choose an upstream.
const IGNORES_CASE: &str = "nginx finds its values without case, and `when` asks for them with case; write a route with `when` for each \
                            spelling that clients have";
/// Why nothing is missed without a variable for `Connection`.
const CONNECTION: &str = "`Connection: Upgrade` is sent with upgrades by itself";
/// Why nothing is missed without a variable that nothing uses.
const UNUSED: &str = "nothing uses its variable";
/// Why nothing is missed without a variable that only unnecessary directives use.
const IDLE: &str = "what uses its variable is not needed";
/// Why nothing is missed without a `map` whose variable has one value.
const CONSTANT: &str = "its one value stands where its variable is used";

/// Why nothing is missed without a `map` that chooses an upstream.
const WRITTEN_OUT: &str = "its values stand in `when`, and in the `proxy_pass` of a route each";

/// The directives that use each variable.
#[derive(Debug, Default)]
pub(super) struct Uses<'t> {
    users: BTreeMap<&'t str, Vec<&'t Directive>>,
    /// The `map` blocks that choose an upstream.
    choosing: ChoosingMaps,
}

impl<'t> Uses<'t> {
    /// The uses of all variables in the block of `http`, but for those of the `map` blocks that stand in routes already.
    pub(super) fn of(http: &'t [Directive], choosing: ChoosingMaps) -> Self {
        let mut uses = Self {
            users: BTreeMap::new(),
            choosing,
        };
        uses.add(http);
        uses
    }

    fn add(&mut self, directives: &'t [Directive]) {
        for directive in directives {
            match directive.name.as_str() {
                "map" => {
                    self.words(directive, directive.args.first());
                    for value in directive.inside() {
                        self.words(directive, value.args.iter().chain([&value.name]));
                    }
                }
                // What its variable stands for is in its block.
                "proxy_pass" if directive.block.is_some() => {}
                "set" => self.words(directive, directive.args.get(1)),
                _ => {
                    self.words(directive, &directive.args);
                    self.add(directive.inside());
                }
            }
        }
    }

    /// Adds `user` to the uses of the variables in these words.
    fn words(&mut self, user: &'t Directive, words: impl IntoIterator<Item = &'t String>) {
        for name in words.into_iter().flat_map(|word| names_in(word)) {
            self.users.entry(name).or_default().push(user);
        }
    }

    /// Why nothing is missed without the `map`; `None` if something is.
    pub(super) fn why_needless(&self, map: &Directive) -> Option<&'static str> {
        if constant(map).is_some() {
            return Some(CONSTANT);
        }
        let users = self.users.get(map.arg(1).trim_start_matches('$'));
        let users = users.map(Vec::as_slice).unwrap_or_default();
        if users.is_empty() {
            return Some(match self.choosing.written_out.contains(&map.place) {
                true => WRITTEN_OUT,
                false => UNUSED,
            });
        }
        let upgrades = |user: &&Directive| {
            let name = user.arg(0).to_ascii_lowercase();
            user.name == "proxy_set_header" && matches!(name.as_str(), "connection" | "upgrade")
        };
        let idle = users.iter().all(|user| upgrades(user) || is_needless(user));
        match (idle, users.iter().any(upgrades)) {
            (false, _) => None,
            (true, true) => Some(CONNECTION),
            (true, false) => Some(IDLE),
        }
    }

    /// Why the `map`, without which something is missed, is not carried over.
    pub(super) fn why_lost(&self, map: &Directive) -> &'static str {
        let users = self.users.get(map.arg(1).trim_start_matches('$'));
        let mut users = users.into_iter().flatten();
        let chooses = users.any(|user| user.name == "proxy_pass");
        match chooses && self.choosing.ignoring_case.contains(&map.place) {
            true => IGNORES_CASE,
            false => NO_VARIABLES,
        }
    }
}

/// The variables of `map` blocks that have one value whatever the request, without their dollar sign.
pub(super) fn constant_maps(http: &[Directive]) -> Vec<(String, String)> {
    all(http, "map")
        .filter_map(|map| {
            let name = map.arg(1).strip_prefix('$')?;
            Some((name.to_owned(), constant(map)?.to_owned()))
        })
        .collect()
}

/// The one value of a `map`, if it has a default and every other value is the same.
fn constant(map: &Directive) -> Option<&str> {
    let mut values = map
        .inside()
        .iter()
        .filter(|value| !matches!(value.name.as_str(), "hostnames" | "volatile"));
    let default = all(map.inside(), "default").next()?.arg(0);
    let same = values.all(|value| value.name != "include" && value.arg(0) == default);
    (same && !default.contains('$')).then_some(default)
}
