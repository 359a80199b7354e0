//! Finds what a person should know about a URL, whatever becomes of its requests.

use crate::clients::RequestKind;
use crate::config::Action;
use crate::config::Config;
use crate::config::Listener;
use crate::config::Tls;
use crate::explain::Explanation;
use crate::explain::Outcome;
use crate::explain::listener;
use crate::routing::Location;
use crate::routing::LocationKind;

/// Something that a person should know about a URL. A number is an index of [`Config::routes`] or, where the text says
/// so, of [`Config::listeners`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Warning {
    /// The path of a location is a namespace to the client, which never requests it.
    NamespaceIsNoPath {
        /// The route, as an index of [`Config::routes`].
        route: usize,
        /// The namespace of the client.
        namespace: String,
    },
    /// The namespace is `/socket.io`, the path at which servers answer, which was probably meant as a path.
    NamespaceIsThePath(String),
    /// The path is `/socket.io` without the slash, at which no Socket.IO server answers.
    NoSlash(String),
    /// The prefix of a route does not end in a slash, so that it also answers paths that go on with a letter.
    OpenPrefix {
        /// The route, as an index of [`Config::routes`].
        route: usize,
        /// A path that nobody expects the route to answer.
        example: String,
    },
    /// A page on https cannot open a plain address.
    Plain,
    /// A mini program opens only `wss://`, and only names that are registered for it.
    WeappNeedsTls,
    /// Phones do not trust the self-signed certificate of this listener, and a mini program cannot be told to.
    WeappNeedsTrust(usize),
    /// Browsers do not trust the self-signed certificate of this listener, and a WebSocket fails without a word.
    SelfSigned(usize),
    /// No certificate of this listener is for the host.
    OtherName(usize),
    /// This listener is on the loopback, so that only this machine reaches it.
    Loopback(usize),
    /// The client speaks `EIO=3`, to which a server of version 3 or 4 answers only with `allowEIO3`.
    AllowEio3,
    /// No request can reach this route, since no listener has the port that its `when` wants.
    NeverOnPort(usize),
    /// No request can reach this route, since a regex that matches every path goes before it.
    NeverBesideRegex {
        /// The route, as an index of [`Config::routes`].
        route: usize,
        /// The route with the regex, as an index of [`Config::routes`].
        regex: usize,
    },
    /// An upgrade request is redirected, which no WebSocket client follows.
    UpgradeNotRedirected,
    /// Only clients at some addresses may use this route.
    OnlyAddresses(usize),
    /// Only some pages may open a WebSocket at this route.
    OnlyOrigins(usize),
    /// The polls of this client come to any server of this route's group, of which only one knows the session.
    NotSticky(usize),
}

impl Warning {
    /// The name of the warning, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NamespaceIsNoPath { .. } => "namespace_is_no_path",
            Self::NamespaceIsThePath(_) => "namespace_is_the_path",
            Self::NoSlash(_) => "no_slash",
            Self::OpenPrefix { .. } => "open_prefix",
            Self::Plain => "plain",
            Self::WeappNeedsTls => "weapp_needs_tls",
            Self::WeappNeedsTrust(_) => "weapp_needs_trust",
            Self::SelfSigned(_) => "self_signed",
            Self::OtherName(_) => "other_name",
            Self::Loopback(_) => "loopback",
            Self::AllowEio3 => "allow_eio3",
            Self::NeverOnPort(_) => "never_on_port",
            Self::NeverBesideRegex { .. } => "never_beside_regex",
            Self::UpgradeNotRedirected => "upgrade_not_redirected",
            Self::OnlyAddresses(_) => "only_addresses",
            Self::OnlyOrigins(_) => "only_origins",
            Self::NotSticky(_) => "not_sticky",
        }
    }
}

/// The regexes for every path, as people write them.
const EVERY_PATH: [&str; 11] = [
    "^/", "/", ".", ".*", "^.*$", "^.*", ".*$", "^/.*$", "^/.*", "/.*", "^",
];

/// All warnings about a URL.
pub(super) fn of(config: &Config, explanation: &Explanation) -> Vec<Warning> {
    let mut warnings = Vec::new();
    namespaces(config, explanation, &mut warnings);
    paths(config, explanation, &mut warnings);
    if let Ok(listener) = explanation.listener {
        way_to_listener(
            &config.listeners[listener],
            listener,
            explanation,
            &mut warnings,
        );
    }
    let eio3 = |target: &str| target.contains("EIO=3&");
    let requests = &explanation.asks.requests;
    if explanation.asks.kind.is_socket_io() && requests.iter().any(|one| eio3(&one.target)) {
        warnings.push(Warning::AllowEio3);
    }
    restricted_routes(config, explanation, &mut warnings);
    groups(config, explanation, &mut warnings);
    unreachable_routes(config, &mut warnings);
    warnings
}

/// Warnings about a namespace that was meant as a path.
fn namespaces(config: &Config, explanation: &Explanation, warnings: &mut Vec<Warning>) {
    let Some(namespace) = explanation.asks.namespace.as_deref() else {
        return;
    };
    let without_slash = namespace.trim_end_matches('/');
    if without_slash == "/socket.io" {
        warnings.push(Warning::NamespaceIsThePath(namespace.to_owned()));
        return;
    }
    if without_slash.is_empty() {
        return;
    }
    let meant = |location: &Location| {
        !location.kind().is_regex()
            && location.pattern() != "/"
            && location.matches(namespace.as_bytes())
    };
    let answers = |at: usize| {
        let mut traces = explanation.traces.iter();
        traces.any(|trace| trace.outcome.route() == Some(at))
    };
    let mut routes = config.routes.iter().enumerate();
    if let Some((route, _)) = routes.find(|(at, route)| meant(&route.location) && !answers(*at)) {
        warnings.push(Warning::NamespaceIsNoPath {
            route,
            namespace: namespace.to_owned(),
        });
    }
}

/// Warnings about the paths that are requested, and the locations that answer them.
fn paths(config: &Config, explanation: &Explanation, warnings: &mut Vec<Warning>) {
    for request in &explanation.asks.requests {
        let path = request.target.split('?').next().unwrap_or_default();
        if matches!(request.what, RequestKind::WebSocket | RequestKind::Page)
            && path == "/socket.io"
        {
            warnings.push(Warning::NoSlash(path.to_owned()));
        }
    }
    for trace in &explanation.traces {
        let Some(route) = trace.outcome.route() else {
            continue;
        };
        let location = &config.routes[route].location;
        let is_open = matches!(
            location.kind(),
            LocationKind::Prefix | LocationKind::PrefixNoRegex
        ) && !location.pattern().ends_with('/');
        let warning = Warning::OpenPrefix {
            route,
            example: format!("{}x", location.pattern()),
        };
        let said = |said: &Warning| {
            matches!((said, &warning), (
            Warning::OpenPrefix { example: one, .. },
            Warning::OpenPrefix { example: other, .. },
        ) if one == other)
        };
        if is_open && !warnings.iter().any(said) {
            warnings.push(warning);
        }
    }
    let upgrades = explanation.asks.requests.iter().zip(&explanation.traces);
    let redirected = |outcome: &Outcome| {
        outcome
            .status()
            .is_some_and(|status| status.is_redirection())
    };
    let mut upgrades = upgrades.filter(|(request, _)| request.is_upgrade());
    if upgrades.any(|(_, trace)| redirected(&trace.outcome)) {
        warnings.push(Warning::UpgradeNotRedirected);
    }
}

/// Warnings about the way to the listener, whose index is `at`.
fn way_to_listener(
    listener: &Listener,
    at: usize,
    explanation: &Explanation,
    warnings: &mut Vec<Warning>,
) {
    let (url, kind) = (&explanation.url, explanation.asks.kind);
    match &listener.tls {
        None if kind.is_weapp() => warnings.push(Warning::WeappNeedsTls),
        None if explanation
            .asks
            .requests
            .iter()
            .any(|one| one.what != RequestKind::Page)
            && !listener::is_local(url) =>
        {
            warnings.push(Warning::Plain);
        }
        None => {}
        Some(Tls::SelfSigned { .. }) if kind.is_weapp() => {
            warnings.push(Warning::WeappNeedsTrust(at));
        }
        Some(Tls::SelfSigned { .. }) => warnings.push(Warning::SelfSigned(at)),
        Some(Tls::Pairs(pairs)) if !pairs.iter().any(|pair| pair.is_for(url.host())) => {
            warnings.push(Warning::OtherName(at));
        }
        Some(Tls::Pairs(_)) => {}
    }
    if listener::is_hidden(listener, url) {
        warnings.push(Warning::Loopback(at));
    }
}

/// Warnings about routes that ask for a client's address or its page, neither of which a URL tells.
fn restricted_routes(config: &Config, explanation: &Explanation, warnings: &mut Vec<Warning>) {
    for (request, trace) in explanation.asks.requests.iter().zip(&explanation.traces) {
        let Some(route) = trace.outcome.route() else {
            continue;
        };
        let access = &config.routes[route].access;
        let addresses = Warning::OnlyAddresses(route);
        if access.asks_for_addresses() && !warnings.contains(&addresses) {
            warnings.push(addresses);
        }
        let origins = Warning::OnlyOrigins(route);
        if access.origins.is_some() && request.is_upgrade() && !warnings.contains(&origins) {
            warnings.push(origins);
        }
    }
}

/// Warnings about groups whose servers know no more of a session than the one that opened it.
fn groups(config: &Config, explanation: &Explanation, warnings: &mut Vec<Warning>) {
    for (request, trace) in explanation.asks.requests.iter().zip(&explanation.traces) {
        let Outcome::Upstream { route, .. } = &trace.outcome else {
            continue;
        };
        let Action::ProxyPass(upstream) = &config.routes[*route].to else {
            continue;
        };
        let loses = upstream.group().is_some_and(|group| group.loses_sessions());
        let warning = Warning::NotSticky(*route);
        if request.what == RequestKind::Polling && loses && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// Warnings about routes that no request reaches.
fn unreachable_routes(config: &Config, warnings: &mut Vec<Warning>) {
    let ports: Vec<u16> = config
        .listeners
        .iter()
        .filter_map(|listener| listener.address.port())
        .collect();
    for (at, route) in config.routes.iter().enumerate() {
        let wanted = &route.when.port;
        if !wanted.is_empty()
            && !ports.contains(&0)
            && !wanted.iter().any(|port| ports.contains(port))
        {
            warnings.push(Warning::NeverOnPort(at));
        }
    }
    let takes_all = |at: usize| {
        let route = &config.routes[at];
        route.location.kind().is_regex()
            && route.when.is_empty()
            && EVERY_PATH.contains(&route.location.pattern())
    };
    for (at, route) in config.routes.iter().enumerate() {
        let regex = (0..config.routes.len()).find(|other| {
            let hosts = &config.routes[*other].hosts;
            let beside = if route.hosts.is_empty() {
                hosts.is_empty()
            } else {
                route.hosts.iter().all(|host| hosts.contains(host))
            };
            let goes_before = match route.location.kind() {
                LocationKind::Prefix => true,
                LocationKind::Regex | LocationKind::RegexIgnoreCase => *other < at,
                LocationKind::Exact | LocationKind::PrefixNoRegex => false,
            };
            *other != at && beside && goes_before && takes_all(*other)
        });
        // A path that lacks only the slash of a location leads to it before regexes are tried.
        let by_slash = route.location.pattern().ends_with('/')
            && route.location.pattern() != "/"
            && matches!(route.to, Action::ProxyPass(_))
            && !route.location.kind().is_regex();
        if let (Some(regex), false) = (regex, by_slash) {
            warnings.push(Warning::NeverBesideRegex { route: at, regex });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::clients::ClientKind;
    use crate::clients::Options;
    use crate::explain::Warning;
    use crate::explain::explain;
    use crate::explain::verdict::test_support::Short;
    use crate::explain::verdict::test_support::config;

    const TO: &str = "http://127.0.0.1:1";

    fn of(routes: &[Short<'_>], url: &str, kind: Option<ClientKind>) -> Vec<Warning> {
        let listeners = ["0.0.0.0:80", "tls 0.0.0.0:443", "127.0.0.1:8080"];
        let options = Options { kind, path: None };
        let config = config(&listeners, routes);
        explain(&config, &url.parse().unwrap(), &options)
            .unwrap()
            .warnings
    }

    #[test]
    fn the_traps_of_socket_io_are_named() {
        let routes = [
            ("", "/hello", TO, ""),
            ("", "/socket.io", TO, ""),
            ("", "/", TO, ""),
        ];
        let open = Warning::OpenPrefix {
            route: 1,
            example: "/socket.iox".to_owned(),
        };
        assert_eq!(
            of(&routes, "ws://localhost/hello", None),
            [
                Warning::NamespaceIsNoPath {
                    route: 0,
                    namespace: "/hello".to_owned()
                },
                open.clone()
            ]
        );
        assert_eq!(
            of(&routes, "ws://localhost/socket.io/", None),
            [
                Warning::NamespaceIsThePath("/socket.io/".to_owned()),
                open.clone()
            ]
        );
        assert_eq!(
            of(
                &routes,
                "ws://localhost/socket.io",
                Some(ClientKind::WebSocket)
            ),
            [Warning::NoSlash("/socket.io".to_owned()), open.clone()]
        );
        assert_eq!(
            of(&routes, "ws://localhost", Some(ClientKind::SocketIo2)),
            [open, Warning::AllowEio3]
        );
    }

    #[test]
    fn the_way_to_the_listener_has_its_traps() {
        let routes = [("", "/", TO, "")];
        assert_eq!(of(&routes, "ws://a.test", None), [Warning::Plain]);
        assert_eq!(of(&routes, "http://a.test", Some(ClientKind::Http)), []);
        assert_eq!(
            of(&routes, "ws://a.test", Some(ClientKind::Weapp3)),
            [Warning::WeappNeedsTls]
        );
        assert_eq!(
            of(&routes, "wss://a.test", Some(ClientKind::Weapp3)),
            [Warning::WeappNeedsTrust(1)]
        );
        assert_eq!(of(&routes, "wss://a.test", None), [Warning::SelfSigned(1)]);
        assert_eq!(
            of(&routes, "ws://a.test:8080", None),
            [Warning::Plain, Warning::Loopback(2)]
        );
    }

    #[test]
    fn routes_that_nothing_reaches_are_named() {
        let routes = [
            ("", "/a", TO, ""),
            ("", "~ ^/", TO, ""),
            ("", "~ b", TO, ""),
            ("", "^~ /c", TO, ""),
            ("", "= /d", TO, ""),
            ("a.test", "/e", TO, ""),
        ];
        assert_eq!(
            of(&routes, "http://localhost/", Some(ClientKind::Http)),
            [
                Warning::NeverBesideRegex { route: 0, regex: 1 },
                Warning::NeverBesideRegex { route: 2, regex: 1 }
            ]
        );
    }
}
