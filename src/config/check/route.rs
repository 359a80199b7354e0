//! The rules of `routes`: each location stands there once, and leads to an upstream or an answer.

use std::collections::HashMap;

use crate::config::Action;
use crate::config::Listener;
use crate::config::Route;
use crate::config::Timeouts;
use crate::config::check::Checker;
use crate::config::check::ROUTE;
use crate::config::check::RouteHosts;
use crate::config::check::access;
use crate::config::check::answers;
use crate::config::check::fields::Fields;
use crate::config::check::https::Https;
use crate::config::check::https::HttpsKeys;
use crate::config::check::keys::Within;
use crate::config::check::request;
use crate::config::check::rewrite;
use crate::config::check::timeouts;
use crate::config::diagnostic::quoted;
use crate::config::own_listener::leads_to;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::headers::spelling::WrittenName;
use crate::routing::HostPattern;
use crate::routing::Location;
use crate::routing::LocationKind;
use crate::routing::Rewrite;
use crate::routing::When;
use crate::stream::ListenAddr;
use crate::template::Template;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::ProxyPass;
use crate::upstream::Upstream;

/// What a route is checked against: the listeners of the file, and the routes before it.
struct RouteContext<'l> {
    /// The time limits of a route that sets none.
    defaults: Timeouts,
    /// The listeners, to which no route may lead back.
    listeners: &'l [Listener],
    /// The authorities and TLS clients of the routes before this one.
    https: Https,
    /// The routes before this one, by the pattern of their location.
    before: HashMap<String, Vec<RouteSelector>>,
}

/// Which requests a route is for: two routes with the same selector could not both answer.
struct RouteSelector {
    location: Location,
    hosts: Vec<HostPattern>,
    when: When,
    /// The line of the route's `location`, counted from 1.
    line: usize,
}

/// The routes of `routes`, as far as they are right; none may lead back to one of `listeners`.
pub(super) fn routes(
    node: &Node,
    defaults: Timeouts,
    listeners: &[Listener],
    checker: &mut Checker<'_>,
) -> Vec<Route> {
    let Some(entries) = checker.entries(node, "routes", ROUTE) else {
        return Vec::new();
    };
    let mut routes = Vec::new();
    let mut context = RouteContext {
        defaults,
        listeners,
        https: Https::default(),
        before: HashMap::new(),
    };
    for entry in entries {
        let Some(map) = checker.entry(entry, "routes", ROUTE) else {
            continue;
        };
        let fields = Fields::of(entry, map, Within::Route, checker);
        routes.extend(route(&fields, &mut context, checker));
    }
    routes
}

/// Reads one route; `None` if its location, its hosts or its upstream are wrong.
fn route(
    fields: &Fields<'_>,
    context: &mut RouteContext<'_>,
    checker: &mut Checker<'_>,
) -> Option<Route> {
    let timeouts = timeouts(fields, context.defaults, checker);
    let node = fields.require("location", "location: /socket.io", checker);
    let location = node.and_then(|node| location(node, checker));
    let hosts = match fields.get("host") {
        Some(node) => request::hosts(node, checker),
        None => Some(Vec::new()),
    };
    let when = fields
        .get("when")
        .map(|node| request::when(node, checker))
        .unwrap_or_default();
    let placed = fields.get("host").map(|node| node.span.clone());
    checker.hosts.push(RouteHosts {
        placed: placed.map(|place| (place, hosts.clone().unwrap_or_default())),
        has_tls: has_tls(&when, context.listeners),
    });
    let line = node.map_or(0, |node| checker.source.line(node.span.start));
    if let (Some(node), Some(location), Some(hosts)) = (node, &location, &hosts)
        && !fields.has_planned
    {
        let selector = RouteSelector {
            location: location.clone(),
            hosts: hosts.clone(),
            when: when.clone(),
            line,
        };
        note_duplicate_location(selector, node, context, checker);
    }
    let access = access::access(fields, checker);
    let rewrites = rewrites(fields, checker);
    let set_headers = set_headers(fields, checker);
    let to = action(fields, location.as_ref(), context, checker);
    let answer_fields = answers::answer_fields(fields, location.as_ref(), to.as_ref(), checker);
    Some(Route {
        location: location?,
        hosts: hosts?,
        when,
        access,
        to: to?,
        rewrites,
        set_headers,
        answer_fields,
        timeouts,
        line,
    })
}

/// Whether requests over TLS can meet the ports of `when`.
fn has_tls(when: &When, listeners: &[Listener]) -> bool {
    let mut listeners = listeners.iter().filter(|listener| listener.tls.is_some());
    listeners.any(|listener| {
        when.port.is_empty()
            || (listener.address.port()).is_some_and(|port| when.port.contains(&port))
    })
}

/// The pairs of `rewrite`, which only a route with an upstream can have.
fn rewrites(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Vec<Rewrite> {
    let Some(node) = fields.get("rewrite") else {
        return Vec::new();
    };
    if fields.get("return").is_some() {
        checker
            .error(
                &node.span,
                "`rewrite` has no request to write another path for",
            )
            .label("nothing goes on from a route with `return`")
            .help("remove `rewrite`");
    }
    rewrite::rewrites(node, checker)
}

/// The fields of `set_headers`, which only a route with an upstream can have.
fn set_headers(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Vec<(WrittenName, Template)> {
    let Some(node) = fields.get("set_headers") else {
        return Vec::new();
    };
    if fields.get("return").is_some() {
        checker
            .error(&node.span, "`set_headers` has no request to set them on")
            .label("nothing goes on from a route with `return`")
            .help("remove `set_headers`");
    }
    request::set_headers(node, checker)
}

/// The path of a route.
fn location(node: &Node, checker: &mut Checker<'_>) -> Option<Location> {
    if matches!(node.value, Value::Nothing)
        && checker.source.text().get(node.span.clone()) == Some("~")
    {
        let message = "`location` has no value: `~` alone is nothing in YAML";
        checker
            .error(&node.span, message)
            .help("write a regex after it, as in `~ ^/room/[0-9]+$`");
        return None;
    }
    let text = checker.text(node, "location", "a path prefix such as `/socket.io`")?;
    if let Some((_, rest)) = text.split_once("://").filter(|_| text.starts_with("http")) {
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        checker
            .error(&node.span, "`location` is a path, not a URL")
            .help(format!("write `{path}`"));
        return None;
    }
    match text.parse::<Location>() {
        Ok(location) => {
            if let Some(doubt) = location.doubt() {
                let start = text.trim_end().len() - location.pattern().len();
                let span = start + doubt.span.start..start + doubt.span.end;
                checker
                    .warning(&node.part(Some(span)), doubt.to_string())
                    .label(doubt.label())
                    .help(doubt.help());
            }
            Some(location)
        }
        Err(error) => {
            let span = node.part(error.span());
            checker.error(&span, error.to_string()).help(error.help());
            None
        }
    }
}

/// What becomes of the requests of a route: its `return`, or its `proxy_pass`. Both together are an error.
fn action(
    fields: &Fields<'_>,
    location: Option<&Location>,
    context: &mut RouteContext<'_>,
    checker: &mut Checker<'_>,
) -> Option<Action> {
    let keys = HttpsKeys::of(fields);
    if let Some(node) = fields.get("return") {
        if let Some(other) = fields.get("proxy_pass") {
            checker
                .error(&other.span, "a route with `return` asks no upstream")
                .label("this would never be asked")
                .help("remove `proxy_pass` or `return`");
        }
        keys.note_without_upstream(checker);
        return request::returns(node, checker).map(Action::Return);
    }
    let node = if fields.has_planned {
        fields.get("proxy_pass")
    } else {
        fields.require("proxy_pass", "proxy_pass: http://127.0.0.1:3000", checker)
    };
    let to = node.and_then(|node| Some((proxy_pass(node, checker)?, node)));
    let Some((to, node)) = to else {
        context.https.check_keys(keys, checker);
        return None;
    };
    note_loop(&to, node, context.listeners, checker);
    if location.is_some_and(|location| location.kind().is_regex()) && to.uri().is_some() {
        path_after_regex(&to, node, checker);
    }
    let server = context.https.server(to, node, keys, checker)?;
    Some(Action::ProxyPass(Upstream::new(server)))
}

/// The address of a `proxy_pass`.
fn proxy_pass(node: &Node, checker: &mut Checker<'_>) -> Option<ProxyPass> {
    let text = checker.text(
        node,
        "proxy_pass",
        "an address such as `http://127.0.0.1:3000`",
    )?;
    match text.parse::<ProxyPass>() {
        Ok(proxy_pass) => Some(proxy_pass),
        Err(error) => {
            let span = node.part(Some(error.span()));
            checker.error(&span, error.to_string()).help(error.help());
            None
        }
    }
}

/// Notes a location that a route before this one has, for one of the same hosts and under the same conditions. nginx
/// calls it a duplicate location.
fn note_duplicate_location(
    selector: RouteSelector,
    node: &Node,
    context: &mut RouteContext<'_>,
    checker: &mut Checker<'_>,
) {
    let pattern = selector.location.pattern().to_owned();
    let alike = context.before.entry(pattern).or_default();
    let Some(first) = alike.iter().find(|other| other.clashes_with(&selector)) else {
        alike.push(selector);
        return;
    };
    let location = &selector.location;
    let (this, other) = (location.to_string(), first.location.to_string());
    let written = if this == other {
        String::new()
    } else {
        format!(", as {}", quoted(&other))
    };
    let message = format!(
        "location {} is already used on line {}{written}",
        quoted(&this),
        first.line
    );
    let help = if location.kind().is_regex() {
        "remove this route or change its regex"
    } else if location.kind() == LocationKind::Exact {
        "remove this route or change its path"
    } else {
        "remove this route or give it a longer prefix"
    };
    checker
        .error(&node.span, message)
        .label("only the first would ever answer")
        .help(help);
}

impl RouteSelector {
    /// Whether two routes with these selectors stand in each other's way, so that only the first would ever answer.
    fn clashes_with(&self, other: &Self) -> bool {
        let share = if self.hosts.is_empty() {
            other.hosts.is_empty()
        } else {
            self.hosts.iter().any(|host| other.hosts.contains(host))
        };
        share && self.location.same_as(&other.location) && self.when == other.when
    }
}

/// Notes a `proxy_pass` with a path in a location that is a regex, which nginx refuses too: "proxy_pass" cannot have
/// URI part in location given by regular expression.
fn path_after_regex(proxy_pass: &ProxyPass, node: &Node, checker: &mut Checker<'_>) {
    let uri = proxy_pass.uri().unwrap_or_default();
    let span = match (node.verbatim, &node.value) {
        (Some(start), Value::Text(text)) => start + text.len() - uri.len()..start + text.len(),
        _ => node.span.clone(),
    };
    checker
        .error(
            &span,
            "`proxy_pass` cannot have a path in a location that is a regex",
        )
        .label("which part of the path would it replace?")
        .help(format!(
            "write `{}`, or use a prefix as location",
            proxy_pass.without_uri()
        ));
}

/// Notes a `proxy_pass` that leads back to a listener of this file.
fn note_loop(to: &ProxyPass, node: &Node, listeners: &[Listener], checker: &mut Checker<'_>) {
    let is_own = |listener: &&Listener| match (to.address(), &listener.address) {
        (Address::Port { host, port, .. }, ListenAddr::Ip(address)) => {
            leads_to(host, *port, *address)
        }
        (Address::Unix(to), ListenAddr::Unix(path)) => to == path,
        (Address::Port { .. }, ListenAddr::Unix(_)) | (Address::Unix(_), ListenAddr::Ip(_)) => {
            false
        }
    };
    let Some(listener) = listeners.iter().find(is_own) else {
        return;
    };
    let message = format!(
        "`proxy_pass` leads back to wsgate: it listens there, see line {}",
        listener.line
    );
    let help = match to.address() {
        Address::Port {
            scheme,
            host: Host::Name(_),
            port,
        } => format!(
            "give the port of the server behind it; if that listens on [::1] alone, write `{scheme}[::1]:{port}`"
        ),
        Address::Port { .. } => "give the port of the server behind it".to_owned(),
        Address::Unix(_) => "give the socket of the server behind it".to_owned(),
    };
    checker
        .error(&node.span, message)
        .label("each request would go round for ever")
        .help(help);
}
