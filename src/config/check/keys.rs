//! The table of the keys of `routes.yaml`: in which map each stands, and what nginx and other proxies call it. A new
//! key is a row here.
//!
//! The rules in the other files of `check` say what a key's value may be. A test holds the JSON Schema to these keys.

/// A key that wsgate has.
#[derive(Debug)]
pub(super) struct KnownKey {
    /// The key as it is written.
    pub(super) name: &'static str,
    /// What nginx, other proxies and people call it; each of these names leads to this key in a message.
    also: &'static [&'static str],
}

/// A key without other names.
const fn key(name: &'static str) -> KnownKey {
    named(name, &[])
}

/// A key with its names elsewhere.
const fn named(name: &'static str, also: &'static [&'static str]) -> KnownKey {
    KnownKey { name, also }
}

/// A map of the file, in which certain keys may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Within {
    /// The whole file.
    Top,
    /// One entry of `listen`.
    Listen,
    /// One entry of `routes`.
    Route,
    /// A certificate and its private key.
    Pair,
    /// The conditions of a route, below `when`.
    When,
    /// A field that answers get, below `add_headers`.
    AddedField,
    /// The limits of one client address, below `per_ip`.
    PerIp,
    /// One entry of `tests`.
    Test,
    /// One group of `upstreams`.
    Group,
    /// One entry of a group's `servers`.
    Server,
    /// A `balance` that is more than a word.
    Balance,
    /// A cookie of `sticky`.
    Cookie,
    /// A `health_check` that is more than a word.
    HealthCheck,
}

impl Within {
    /// Every map that a file may have.
    pub(super) const ALL: [Self; 13] = [
        Self::Top,
        Self::Listen,
        Self::Route,
        Self::Pair,
        Self::When,
        Self::AddedField,
        Self::PerIp,
        Self::Test,
        Self::Group,
        Self::Server,
        Self::Balance,
        Self::Cookie,
        Self::HealthCheck,
    ];

    /// The keys of this map, in the order in which messages list them.
    pub(super) fn keys(self) -> &'static [KnownKey] {
        match self {
            Self::Top => TOP,
            Self::Listen => LISTEN,
            Self::Route => ROUTE,
            Self::Pair => PAIR,
            Self::When => WHEN,
            Self::AddedField => ADDED_FIELD,
            Self::PerIp => PER_IP,
            Self::Test => TEST,
            Self::Group => GROUP,
            Self::Server => SERVER,
            Self::Balance => BALANCE,
            Self::Cookie => COOKIE,
            Self::HealthCheck => HEALTH_CHECK,
        }
    }

    /// The key of this name, if it stands in this map.
    pub(super) fn key(self, name: &str) -> Option<&'static str> {
        let mut names = self.keys().iter().map(|key| key.name);
        names.find(|known| *known == name)
    }

    /// Whether a key of this name is the user's own, which wsgate does not look into: it holds what other values repeat by
    /// an alias. Only the top of the file has such keys.
    pub(super) fn is_of_the_user(self, name: &str) -> bool {
        self == Self::Top && name.starts_with(OF_THE_USER)
    }

    /// Whether its keys describe a group of servers, or a part of one.
    pub(super) fn is_of_a_group(self) -> bool {
        matches!(
            self,
            Self::Group | Self::Server | Self::Balance | Self::Cookie | Self::HealthCheck
        )
    }

    /// What a message calls this map.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Listen => "this `listen` entry",
            Self::Route => "this route",
            Self::Pair => "this certificate pair",
            Self::When => "this `when`",
            Self::AddedField => "this field",
            Self::PerIp => "`per_ip`",
            Self::Test => "this test",
            Self::Group => "this group",
            Self::Server => "this server",
            Self::Balance => "`balance`",
            Self::Cookie => "this cookie",
            Self::HealthCheck => "`health_check`",
        }
    }

    /// The place of this map's keys, as a message says it.
    pub(super) fn belongs(self) -> &'static str {
        match self {
            Self::Top => "at the top of the file",
            Self::Listen => "in an entry of `listen`",
            Self::Route => "in an entry of `routes`",
            Self::Pair => "below `tls` in an entry of `listen`",
            Self::When => "below `when` in an entry of `routes`",
            Self::AddedField => "below a field of `add_headers` in an entry of `routes`",
            Self::PerIp => "below `per_ip` at the top of the file",
            Self::Test => "in an entry of `tests`",
            Self::Group => "in a group of `upstreams`",
            Self::Server => "in an entry of `servers` in a group of `upstreams`",
            Self::Balance => "below `balance` in a group of `upstreams`",
            Self::Cookie => "below `sticky` in a group of `upstreams`",
            Self::HealthCheck => "below `health_check` in a group of `upstreams`",
        }
    }
}

/// How keys of the user's own begin, as those of Compose files.
pub(super) const OF_THE_USER: &str = "x-";

/// The keys at the top of the file.
const TOP: &[KnownKey] = &[
    key("listen"),
    key("upstreams"),
    key("routes"),
    key("handshake_timeout"),
    key("response_timeout"),
    named("connect_timeout", &["proxy_connect_timeout"]),
    key("tunnel_timeout"),
    key("half_closed_timeout"),
    named("header_timeout", &["client_header_timeout"]),
    key("keepalive_timeout"),
    named("body_timeout", &["client_body_timeout"]),
    key("tls_handshake_timeout"),
    named("drain_timeout", &["worker_shutdown_timeout"]),
    named(
        "trusted_proxies",
        &["set_real_ip_from", "trusted_proxy", "trust_proxy"],
    ),
    key("access_log"),
    named("threads", &["worker_processes", "workers"]),
    named("max_connections", &["worker_connections", "maxconn"]),
    key("per_ip"),
    key("tests"),
];

/// The keys of a listener.
const LISTEN: &[KnownKey] = &[
    named("address", &["port", "bind", "addr", "ip"]),
    named("tls", &["ssl", "https"]),
    key("redirect"),
    key("reuseport"),
    named("mode", &["socket_mode"]),
    key("proxy_protocol"),
];

/// The keys of a route.
const ROUTE: &[KnownKey] = &[
    key("name"),
    named("host", &["server_name", "hostname", "domain"]),
    named("location", &["path", "prefix", "match"]),
    key("when"),
    named(
        "proxy_pass",
        &["backend", "target", "to", "url", "uri", "proxy"],
    ),
    named(
        "rewrite",
        &[
            "rewrites",
            "path_rewrite",
            "pathrewrite",
            "rewrite_path",
            "url_rewrite",
            "strip_prefix",
        ],
    ),
    named(
        "ca",
        &[
            "proxy_ssl_trusted_certificate",
            "ca_file",
            "cafile",
            "cacert",
            "ca_cert",
        ],
    ),
    named("tls_name", &["proxy_ssl_name", "ssl_name", "sni"]),
    key("return"),
    key("set_headers"),
    named("add_headers", &["add_header", "response_headers"]),
    named("hide_headers", &["proxy_hide_header", "hide_header"]),
    key("proxy_redirect"),
    key("proxy_cookie_path"),
    key("allow"),
    key("deny"),
    named(
        "allowed_origins",
        &["origin", "origins", "allowed_origin", "allow_origin"],
    ),
    key("missing_origin"),
    key("handshake_timeout"),
    key("response_timeout"),
    key("connect_timeout"),
    key("tunnel_timeout"),
];

/// The keys of a certificate pair.
const PAIR: &[KnownKey] = &[
    named(
        "cert",
        &[
            "certificate",
            "crt",
            "certfile",
            "fullchain",
            "ssl_certificate",
        ],
    ),
    named(
        "key",
        &[
            "certificate_key",
            "private_key",
            "keyfile",
            "privkey",
            "ssl_certificate_key",
        ],
    ),
];

/// The keys of conditions.
const WHEN: &[KnownKey] = &[
    key("query"),
    key("header"),
    key("method"),
    key("port"),
    named("websocket", &["upgrade", "is_websocket"]),
];

/// The keys of a field that answers get.
const ADDED_FIELD: &[KnownKey] = &[key("value"), key("always")];

/// The keys of `per_ip`.
const PER_IP: &[KnownKey] = &[key("connections"), key("handshakes_per_second")];

/// The keys of a test.
const TEST: &[KnownKey] = &[key("url"), key("expect"), key("client"), key("path")];

/// The keys of a group of servers.
const GROUP: &[KnownKey] = &[
    named("servers", &["endpoints"]),
    named(
        "balance",
        &["load_balance", "load_balancing", "lb_policy", "algorithm"],
    ),
    named(
        "sticky",
        &["affinity", "session_affinity", "sticky_sessions"],
    ),
    named("health_check", &["healthcheck", "health_checks"]),
    named("slow_start", &["slowstart"]),
    key("close_tunnels"),
    key("valid"),
];

/// The keys of a server of a group.
const SERVER: &[KnownKey] = &[
    named("server", &["endpoint"]),
    key("weight"),
    key("max_fails"),
    key("fail_timeout"),
    key("max_conns"),
    key("backup"),
    named("down", &["disabled"]),
    named("drain", &["draining"]),
    key("resolve"),
];

/// The keys of a `balance` that is more than a word.
const BALANCE: &[KnownKey] = &[key("hash")];

/// The keys of a cookie of `sticky`.
const COOKIE: &[KnownKey] = &[
    key("cookie"),
    named("expires", &["max_age"]),
    key("domain"),
    key("path"),
    named("httponly", &["http_only"]),
    key("secure"),
    named("samesite", &["same_site"]),
];

/// The keys of a `health_check` that is more than a word.
const HEALTH_CHECK: &[KnownKey] = &[key("http"), named("engine_io", &["engineio", "socket_io"])];

/// Keys that are planned and not there yet, and what to do without them. To ignore one would be to do something else
/// than what was written.
const PLANNED: &[(&str, &str)] = &[
    (
        "zone",
        "take it out: all threads share what they know of a group, and a server is asked whether a session is its own",
    ),
    (
        "service",
        "name the servers by host and port; with `resolve: true` all addresses of a host are used",
    ),
    (
        "learn",
        "take it out: the sessions of Engine.IO are learned by `sticky: sid`; for others there is `sticky: { cookie: NAME }`",
    ),
];

/// What to do without the key `name`, if it is planned and not there yet.
pub(super) fn without_planned(name: &str) -> Option<&'static str> {
    let mut planned = PLANNED.iter();
    planned
        .find(|(key, _)| *key == name)
        .map(|(_, without)| *without)
}

/// The key that nginx or another proxy calls `name`.
pub(super) fn renamed(name: &str) -> Option<&'static str> {
    let mut keys = Within::ALL.iter().flat_map(|within| within.keys());
    keys.find(|key| key.also.contains(&name))
        .map(|key| key.name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::config::check::keys::Within;
    use crate::config::check::keys::renamed;
    use crate::config::check::keys::without_planned;
    use crate::config::unsupported::instead_of;

    #[test]
    fn no_known_key_is_called_unknown_elsewhere() {
        let known = Within::ALL.iter().flat_map(|within| within.keys());
        let known = known.map(|key| key.name);
        // A condition's `port` and `websocket` and a test's `path` and `url` are others than what people mean elsewhere;
        // `http`, `server` and `servers` are blocks of nginx at the top of a file; `domain`, `secure` and `expires` mean something else
        // where no cookie is described, and `hash` is a directive.
        let others = [
            "port",
            "websocket",
            "path",
            "url",
            "domain",
            "http",
            "server",
            "servers",
            "secure",
            "expires",
            "hash",
        ];
        for key in known.filter(|key| !others.contains(key)) {
            assert_eq!(
                (without_planned(key), renamed(key), instead_of(key)),
                (None, None, None),
                "{key}"
            );
        }
    }

    #[test]
    fn a_name_from_elsewhere_means_one_key() {
        let mut meant = HashMap::new();
        for key in Within::ALL.iter().flat_map(|within| within.keys()) {
            for also in key.also {
                let other = meant.insert(*also, key.name);
                assert_eq!(other, None, "{also} is also `{}`", key.name);
            }
        }
    }
}
