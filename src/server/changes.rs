//! Finds the differences between two configurations, in the words of the file. A reload logs them.

mod listening;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::config::AccessLog;
use crate::config::Action;
use crate::config::Config;
use crate::config::Route;
use crate::routing::HostPattern;
use crate::server::changes::listening::certificates;
use crate::server::changes::listening::listeners;
use crate::server::listeners::Listeners;

pub(super) use crate::server::changes::listening::certificate;

/// Whether something was added, removed or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeSign {
    /// Only the new configuration has it.
    Added,
    /// Only the old configuration has it.
    Removed,
    /// Both configurations have it, and it is not the same.
    Changed,
}

impl ChangeSign {
    /// The sign as a word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for ChangeSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
        })
    }
}

/// One difference between two configurations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Whether it was added, removed or changed.
    pub sign: ChangeSign,
    /// What is different: `location`, `listen`, `tls`, or a key at the top of the file.
    pub kind: &'static str,
    /// Which of that kind it is; for a key at the top its new value.
    pub name: String,
    /// What is different about it; empty where nothing is to be said.
    pub detail: String,
    /// The place in a file where it stands: `routes.yaml:9`.
    pub place: Option<String>,
}

/// Prints a difference on one line: `+ location /chat -> http://127.0.0.1:5003   routes.yaml:9`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign, self.kind)?;
        for part in [&self.name, &self.detail] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        match &self.place {
            Some(place) => write!(f, "   {place}"),
            None => Ok(()),
        }
    }
}

/// A configuration, and what serves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServingState<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// The listeners that are open for it.
    pub(super) listeners: &'a Listeners,
    /// How many threads serve, whatever the file says.
    pub(super) threads: usize,
}

/// All differences: listeners, certificates, routes, and the keys at the top.
pub(super) fn between(before: ServingState<'_>, after: ServingState<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    listeners(before, after, &mut changes);
    certificates(before, after, &mut changes);
    routes(before.config, after.config, &mut changes);
    settings(before, after, &mut changes);
    changes
}

/// The routes that were added, removed or changed. A route is the same if it is for the same requests.
fn routes(before: &Config, after: &Config, changes: &mut Vec<Change>) {
    let mut gone = by_requests(before);
    let mut last = None;
    let mut moved = false;
    for route in &after.routes {
        let known = gone.get_mut(&requests(route));
        let known = known.and_then(|alike| {
            let at = alike
                .iter()
                .position(|at| before.routes[*at].when == route.when)?;
            Some(alike.remove(at))
        });
        let place = Some(after.place(route.line));
        let Some(at) = known else {
            changes.push(location(ChangeSign::Added, route, to(route), place));
            continue;
        };
        moved |= last.is_some_and(|last| at < last);
        last = Some(at);
        let different = differences(&before.routes[at], route);
        if !different.is_empty() {
            changes.push(location(
                ChangeSign::Changed,
                route,
                different.join(", "),
                place,
            ));
        }
    }
    let mut gone: Vec<usize> = gone.into_values().flatten().collect();
    gone.sort_unstable();
    changes.extend(gone.into_iter().map(|at| {
        let route = &before.routes[at];
        location(ChangeSign::Removed, route, to(route), None)
    }));
    // The order of routes decides between regexes.
    if moved {
        changes.push(Change {
            sign: ChangeSign::Changed,
            kind: "routes",
            name: "stand in another order".to_owned(),
            detail: String::new(),
            place: None,
        });
    }
}

/// Which requests a route is for, without its conditions.
type Requests<'c> = (String, &'c [HostPattern]);

/// The requests that a route is for.
fn requests(route: &Route) -> Requests<'_> {
    (route.location.to_string(), &route.hosts)
}

/// The routes of a file, as indices, by the requests that they are for. Several may have the same, under different
/// conditions.
pub(super) fn by_requests(config: &Config) -> HashMap<Requests<'_>, Vec<usize>> {
    let mut found: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, route) in config.routes.iter().enumerate() {
        found.entry(requests(route)).or_default().push(at);
    }
    found
}

/// Puts the upstreams of `before` into `config` wherever they mean the same, so that a route that did not change keeps
/// its upstream connections and TLS sessions.
pub(super) fn keep_upstreams(config: &mut Config, before: &Config) {
    let known = by_requests(before);
    for route in &mut config.routes {
        let alike = known.get(&requests(route)).into_iter().flatten();
        let same = alike
            .map(|at| &before.routes[*at])
            .find(|known| known.when == route.when);
        if let (Some(Action::ProxyPass(known)), Action::ProxyPass(to)) =
            (same.map(|known| &known.to), &route.to)
            && known.means(to)
        {
            route.to = Action::ProxyPass(known.clone());
        }
    }
}

/// The difference of a route.
fn location(sign: ChangeSign, route: &Route, detail: String, place: Option<String>) -> Change {
    let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
    let mut name = match hosts.as_slice() {
        [] => route.location.to_string(),
        hosts => format!("{} {}", hosts.join(", "), route.location),
    };
    if !route.when.is_empty() {
        name.push_str(" when ..");
    }
    Change {
        sign,
        kind: "location",
        name,
        detail,
        place,
    }
}

/// Where a route leads.
fn to(route: &Route) -> String {
    match &route.to {
        Action::ProxyPass(to) => format!("-> {}", to.proxy_pass()),
        Action::Return(written) => format!("-> return {}", written.status().as_u16()),
    }
}

/// What is different between two routes that are for the same requests.
fn differences(before: &Route, after: &Route) -> Vec<String> {
    let mut found = Vec::new();
    let (was, is) = (to(before), to(after));
    match (&before.to, &after.to) {
        _ if was != is => found.push(format!("{is} (was {})", was.trim_start_matches("-> "))),
        // `keep_upstreams` has put in the old upstream where both mean the same, so these differ in their `ca`.
        (Action::ProxyPass(before), Action::ProxyPass(after)) if !after.is(before) => {
            found.push("ca".to_owned());
        }
        (Action::Return(before), Action::Return(after)) if before != after => {
            found.push(is);
        }
        _ => {}
    }
    if before.set_headers != after.set_headers {
        found.push("set_headers".to_owned());
    }
    let (was, is) = (&before.access, &after.access);
    for (key, was, is) in [
        ("allow", &was.allow, &is.allow),
        ("deny", &was.deny, &is.deny),
    ] {
        if was != is {
            found.push(format!("{key} {is} (was {was})"));
        }
    }
    if was.origins.as_ref().map(|was| &was.list) != is.origins.as_ref().map(|is| &is.list) {
        found.push("allowed_origins".to_owned());
    }
    if was.missing_origin() != is.missing_origin() {
        found.push("missing_origin".to_owned());
    }
    let (mut was, mut is) = (before.timeouts, after.timeouts);
    for ((key, was), (_, is)) in was.by_key().into_iter().zip(is.by_key()) {
        if was != is {
            found.push(format!("{key} {}", from_to(*was, *is)));
        }
    }
    found
}

/// A duration, and the one that it replaces.
fn from_to(was: Duration, is: Duration) -> String {
    format!("{is:?} (was {was:?})")
}

/// The keys at the top with different values. A key that is not read through `by_key` needs a comparison here.
fn settings(before: ServingState<'_>, after: ServingState<'_>, changes: &mut Vec<Change>) {
    let mut changed = |kind, name| {
        changes.push(Change {
            sign: ChangeSign::Changed,
            kind,
            name,
            detail: String::new(),
            place: None,
        });
    };
    let (was, is) = (before.config, after.config);
    let (mut old, mut new) = (was.limits, is.limits);
    for ((key, was), (_, is)) in old.by_key().into_iter().zip(new.by_key()) {
        if was != is {
            changed(key, from_to(*was, *is));
        }
    }
    if was.drain_timeout != is.drain_timeout {
        changed(
            "drain_timeout",
            from_to(was.drain_timeout, is.drain_timeout),
        );
    }
    for ((key, name, was), (_, _, is)) in counts(was).into_iter().zip(counts(is)) {
        if was != is {
            changed(key, format!("{name}{is} (was {was})"));
        }
    }
    if was.access_log != is.access_log {
        let word = match is.access_log {
            AccessLog::On => "on",
            AccessLog::Off => "off",
        };
        changed("access_log", word.to_owned());
    }
    if was.trusted_proxies != is.trusted_proxies {
        changed("trusted_proxies", is.trusted_proxies.to_string());
    }
    if was.threads != is.threads {
        let (wanted, serve) = (is.threads.get(), after.threads);
        let name = if wanted == serve {
            format!("{wanted}, as now")
        } else {
            format!("{wanted} takes effect at the next start; until then {serve}")
        };
        changed("threads", name);
    }
}

/// The keys at the top that are a number or no limit: the key, what a message puts before the number, and the number.
fn counts(config: &Config) -> [(&'static str, &'static str, String); 3] {
    let per_ip = config.per_ip;
    let handshakes = count(per_ip.handshakes_per_second, "no limit");
    [
        (
            "max_connections",
            "",
            count(config.max_connections, "what descriptors allow"),
        ),
        (
            "per_ip",
            "connections: ",
            count(per_ip.connections, "no limit"),
        ),
        ("per_ip", "handshakes_per_second: ", handshakes),
    ]
}

/// A number, or the words for the case without one.
fn count(most: Option<impl ToString>, without: &str) -> String {
    most.map_or_else(|| without.to_owned(), |most| most.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use serde_json::json;
    use time::OffsetDateTime;

    use crate::config::Config;
    use crate::config::JSON_SCHEMA;
    use crate::server::changes::ServingState;
    use crate::server::changes::between;
    use crate::server::changes::keep_upstreams;
    use crate::server::listeners::Listeners;

    /// The keys that are told of when `after` replaces `before`, each with what is said of it.
    fn told(before: &Config, after: &Config) -> Vec<(&'static str, String)> {
        let listeners = Listeners::default();
        let state = |config| ServingState {
            config,
            listeners: &listeners,
            threads: 1,
        };
        let changes = between(state(before), state(after)).into_iter();
        changes.map(|change| (change.kind, change.detail)).collect()
    }

    #[test]
    fn a_reload_tells_of_every_key_at_the_top() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.yaml");
        let read = |file: &Value| {
            fs::write(&path, file.to_string()).unwrap();
            let (config, _) = Config::read(&path, OffsetDateTime::UNIX_EPOCH).unwrap();
            config
        };
        let file = json!({
            "listen": [{ "address": 8080 }],
            "routes": [{ "location": "/", "proxy_pass": "http://127.0.0.1:3000" }],
            // Left out, this would be the number of cores, which may be that of the example.
            "threads": 1,
        });
        let before = read(&file);
        let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
        let mut asked = 0;
        for (key, described) in schema["properties"].as_object().unwrap() {
            // Their entries are told of one by one, and what a test expects changes nothing that serves.
            if ["listen", "routes", "tests"].contains(&key.as_str()) {
                continue;
            }
            let is_told = |example: &Value| {
                let mut file = file.clone();
                file[key] = example.clone();
                let mut after = read(&file);
                keep_upstreams(&mut after, &before);
                let told = told(&before, &after);
                told.iter()
                    .any(|(kind, detail)| kind == key || detail.starts_with(key.as_str()))
            };
            let examples = described["examples"].as_array().unwrap();
            assert!(examples.iter().any(is_told), "{key}");
            asked += 1;
        }
        assert_eq!(asked, schema["properties"].as_object().unwrap().len() - 3);
    }
}
