//! Writes the keys of an entry of `routes` below its `location`.

use std::time::Duration;

use crate::access::Network;
use crate::config;
use crate::nginx::access_rules;
use crate::nginx::added_fields::AddedValue;
use crate::nginx::route::Does;
use crate::nginx::route::RouteEntry;
use crate::nginx::time;
use crate::nginx::yaml::flow;
use crate::nginx::yaml::scalar;

/// Time limits by their keys in `routes.yaml`.
pub(super) type TimeLimits = Vec<(&'static str, Duration)>;

/// The keys, a line each. The limits that are `shared` by all routes stand at the top of the file.
pub(super) fn keys(route: &RouteEntry, shared: &TimeLimits) -> String {
    let mut keys = Keys(String::new());
    let is_passed_on = matches!(route.does, Does::ProxyPass(_));
    match &route.does {
        Does::ProxyPass(to) => keys.one("proxy_pass", &scalar(to)),
        Does::Return(answer) => keys.one("return", &scalar(answer)),
    }
    keys.map("rewrite", &route.rewrites);
    keys.list("allow", networks(&route.access_rules.allow));
    keys.list("deny", networks(&route.access_rules.deny));
    if let Some(ca) = &route.verification.ca {
        keys.one("ca", &scalar(ca));
    }
    if let Some(name) = &route.verification.name {
        keys.one("tls_name", &scalar(name));
    }
    for (key, limit) in limits(route) {
        if !shared.contains(&(key, limit)) {
            keys.one(key, &time::write(limit));
        }
    }
    keys.map("set_headers", &route.set_headers);
    keys.added(&route.answers.added);
    if is_passed_on && !route.answers.hidden.is_empty() {
        let names: Vec<String> = route.answers.hidden.iter().map(|name| flow(name)).collect();
        keys.one("hide_headers", &format!("[{}]", names.join(", ")));
    }
    keys.map("proxy_redirect", &route.redirects);
    keys.map("proxy_cookie_path", &route.cookie_paths);
    keys.0
}

/// The time limits that a route sets: those of nginx's file that are not wsgate's own.
pub(super) fn limits(route: &RouteEntry) -> TimeLimits {
    let own = config::Timeouts::default();
    let read = route.timeouts.read;
    let limits = [
        ("connect_timeout", route.timeouts.connect, own.connect),
        // nginx waits as long for the answer to an upgrade. There a limit longer than wsgate's own is of no use.
        (
            "handshake_timeout",
            read.filter(|read| *read < own.handshake),
            own.handshake,
        ),
        ("response_timeout", read, own.response),
        ("tunnel_timeout", read, own.tunnel),
    ];
    let set = limits
        .into_iter()
        .filter_map(|(key, limit, own)| Some((key, limit.filter(|limit| *limit != own)?)));
    set.collect()
}

/// The lines so far.
struct Keys(String);

impl Keys {
    /// Writes a key with a value that is YAML already.
    fn one(&mut self, key: &str, value: &str) {
        self.0 += &format!("    {key}: {value}\n");
    }

    /// Writes a key with one value, or a list of several; nothing if there is none.
    fn list(&mut self, key: &str, values: Vec<String>) {
        match values.as_slice() {
            [] => {}
            [one] => self.one(key, one),
            several => self.one(key, &format!("[{}]", several.join(", "))),
        }
    }

    /// Writes a key with a map; nothing if it is empty.
    fn map(&mut self, key: &str, pairs: &[(String, String)]) {
        if !pairs.is_empty() {
            self.0 += &format!("    {key}:\n");
        }
        for (name, value) in pairs {
            self.0 += &format!("      {}: {}\n", scalar(name), scalar(value));
        }
    }

    /// Writes `add_headers`.
    fn added(&mut self, fields: &[(String, Vec<AddedValue>)]) {
        if !fields.is_empty() {
            self.0.push_str("    add_headers:\n");
        }
        for (name, values) in fields {
            let values: Vec<String> = values.iter().map(added_value).collect();
            let written = match values.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            self.0 += &format!("      {}: {written}\n", scalar(name));
        }
    }
}

/// A value of `add_headers`.
fn added_value(value: &AddedValue) -> String {
    match value.always {
        true => format!("{{ value: {}, always: true }}", flow(&value.text)),
        false => flow(&value.text),
    }
}

/// The networks of `allow` or `deny`.
fn networks(networks: &[Network]) -> Vec<String> {
    let networks = access_rules::written(networks);
    networks.iter().map(|text| flow(text)).collect()
}
