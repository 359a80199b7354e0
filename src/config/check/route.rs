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
use crate::config::check::groups;
use crate::config::check::https::HttpsKeys;
use crate::config::check::keys::Within;
use crate::config::check::proxy_pass;
use crate::config::check::proxy_pass::AskingRoute;
use crate::config::check::proxy_pass::Upstreams;
use crate::config::check::request;
use crate::config::check::rewrite;
use crate::config::check::timeouts;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::headers::spelling::WrittenName;
use crate::routing::HostPattern;
use crate::routing::Location;
use crate::routing::LocationKind;
use crate::routing::Rewrite;
use crate::routing::When;
use crate::template::Template;

/// What a route is checked against: what it may lead to, and the routes before it.
struct RouteContext<'u, 'n, 'l> {
    /// The time limits of a route that sets none.
    defaults: Timeouts,
    /// The groups that it may name, and the listeners, to which no route may lead back.
    upstreams: &'u mut Upstreams<'n, 'l>,
    /// The routes before this one, by the pattern of their location.
    before: HashMap<String, Vec<RouteSelector>>,
    /// The names of the routes before this one, in lower case, each with the line of its `name`.
    names: HashMap<String, usize>,
}

/// Which requests a route is for: two routes with the same selector could not both answer.
struct RouteSelector {
    location: Location,
    hosts: Vec<HostPattern>,
    when: When,
    /// The line of the route's `location`, counted from 1.
    line: usize,
}

/// The routes of `routes`, as far as they are right, which lead to one of `upstreams` or give an answer.
pub(super) fn routes(
    node: &Node,
    defaults: Timeouts,
    upstreams: &mut Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) -> Vec<Route> {
    let Some(entries) = checker.entries(node, "routes", ROUTE) else {
        return Vec::new();
    };
    let mut routes = Vec::new();
    let mut context = RouteContext {
        defaults,
        upstreams,
        before: HashMap::new(),
        names: HashMap::new(),
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
    context: &mut RouteContext<'_, '_, '_>,
    checker: &mut Checker<'_>,
) -> Option<Route> {
    let timeouts = timeouts(fields, context.defaults, checker);
    let name = fields
        .get("name")
        .and_then(|node| name(node, &mut context.names, checker));
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
        has_tls: has_tls(&when, context.upstreams.listeners),
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
    let to = match fields.get("return") {
        Some(node) => answer(node, fields, checker),
        None => {
            let passing = AskingRoute {
                keys: HttpsKeys::of(fields),
                name,
                location: location.as_ref(),
            };
            passes_on(fields, &passing, context, checker)
        }
    };
    let answer_fields = answers::answer_fields(fields, location.as_ref(), to.as_ref(), checker);
    Some(Route {
        name: name.map(str::to_owned),
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

/// The name of a route, which no other route has.
fn name<'n>(
    node: &'n Node,
    names: &mut HashMap<String, usize>,
    checker: &mut Checker<'_>,
) -> Option<&'n str> {
    let text = checker.text(node, "name", "a name such as `chat`")?;
    if !groups::is_name(text) {
        checker
            .error(
                &node.span,
                format!("no route can be called {}", quoted(text)),
            )
            .help("a name has letters, digits, `-`, `_` and dots, as that of a host");
        return None;
    }
    let line = checker.source.line(node.span.start);
    if let Some(first) = names.insert(text.to_ascii_lowercase(), line) {
        let message = format!(
            "{} is already the name of the route on line {first}",
            quoted(text)
        );
        checker
            .error(&node.span, message)
            .label("a name is that of one route")
            .help("give this route another name");
        return None;
    }
    Some(text)
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

/// The answer of a route with `return`, beside which a `proxy_pass` is an error.
fn answer(node: &Node, fields: &Fields<'_>, checker: &mut Checker<'_>) -> Option<Action> {
    if let Some(other) = fields.get("proxy_pass") {
        checker
            .error(&other.span, "a route with `return` asks no upstream")
            .label("this would never be asked")
            .help("remove `proxy_pass` or `return`");
    }
    HttpsKeys::of(fields).note_without_upstream(checker);
    request::returns(node, checker).map(Action::Return)
}

/// The upstream of a route.
fn passes_on(
    fields: &Fields<'_>,
    passing: &AskingRoute<'_>,
    context: &mut RouteContext<'_, '_, '_>,
    checker: &mut Checker<'_>,
) -> Option<Action> {
    let node = if fields.has_planned {
        fields.get("proxy_pass")
    } else {
        fields.require("proxy_pass", "proxy_pass: http://127.0.0.1:3000", checker)
    };
    let Some(node) = node else {
        context.upstreams.check_keys(passing.keys, checker);
        return None;
    };
    proxy_pass::upstream(node, passing, context.upstreams, checker).map(Action::ProxyPass)
}

/// Notes a location that a route before this one has, for one of the same hosts and under the same conditions. nginx
/// calls it a duplicate location.
fn note_duplicate_location(
    selector: RouteSelector,
    node: &Node,
    context: &mut RouteContext<'_, '_, '_>,
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
