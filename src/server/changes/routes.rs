//! Finds the differences between the routes of two configurations.

use std::collections::HashMap;

use crate::config::Action;
use crate::config::Config;
use crate::config::Route;
use crate::routing::HostPattern;
use crate::server::changes::Change;
use crate::server::changes::ChangeSign;
use crate::server::changes::from_to;
use crate::tls::UpstreamName;
use crate::upstream::Upstream;

/// The routes that were added, removed or changed. A route is the same if it is for the same requests.
pub(super) fn routes(before: &Config, after: &Config, changes: &mut Vec<Change>) {
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
pub(in crate::server) type Requests<'c> = (String, &'c [HostPattern]);

/// The requests that a route is for.
pub(in crate::server) fn requests(route: &Route) -> Requests<'_> {
    (route.location.to_string(), &route.hosts)
}

/// The routes of a file, as indices, by the requests that they are for. Several may have the same, under different
/// conditions.
pub(in crate::server) fn by_requests(config: &Config) -> HashMap<Requests<'_>, Vec<usize>> {
    let mut found: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, route) in config.routes.iter().enumerate() {
        found.entry(requests(route)).or_default().push(at);
    }
    found
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
        Action::ProxyPass(to) => format!("-> {to}"),
        Action::Return(written) => format!("-> return {}", written.status().as_u16()),
    }
}

/// What is different between two routes that are for the same requests.
fn differences(before: &Route, after: &Route) -> Vec<String> {
    let mut found = Vec::new();
    let (was, is) = (to(before), to(after));
    match (&before.to, &after.to) {
        // The lines of the group say what is different about its servers.
        (Action::ProxyPass(before), Action::ProxyPass(after)) if is_same_list(before, after) => {
            found.extend(of_upstream_tls(before, after));
        }
        _ if was != is => found.push(format!("{is} (was {})", was.trim_start_matches("-> "))),
        // `keep_upstreams` has put in the old upstream where both are configured alike.
        (Action::ProxyPass(before), Action::ProxyPass(after)) if !after.is_clone_of(before) => {
            found.extend(of_upstream_tls(before, after));
        }
        (Action::Return(before), Action::Return(after)) if before != after => {
            found.push(is);
        }
        _ => {}
    }
    if before.name != after.name {
        found.push("name".to_owned());
    }
    if before.rewrites != after.rewrites {
        found.push("rewrite".to_owned());
    }
    if before.set_headers != after.set_headers {
        found.push("set_headers".to_owned());
    }
    found.extend(of_answer_fields(before, after));
    found.extend(of_access(before, after));
    let (mut was, mut is) = (before.timeouts, after.timeouts);
    for ((key, was), (_, is)) in was.by_key().zip(is.by_key()) {
        if was != is {
            found.push(format!("{key} {}", from_to(*was, *is)));
        }
    }
    found
}

/// Whether both are the list of one location, asked in the same way, though maybe of other servers.
fn is_same_list(before: &Upstream, after: &Upstream) -> bool {
    let (Some(was), Some(is)) = (before.group(), after.group()) else {
        return false;
    };
    was.is_nameless_list()
        && was.settings().name == is.settings().name
        && before.uri() == after.uri()
        && before.scheme() == after.scheme()
}

/// What is different in how an upstream's certificate is verified.
fn of_upstream_tls(before: &Upstream, after: &Upstream) -> Vec<String> {
    let mut found = Vec::new();
    if !after.has_same_roots(before) {
        found.push("ca".to_owned());
    }
    let (was, is) = (before.tls_name(), after.tls_name());
    if was != is {
        let shown = |name: Option<&UpstreamName>| match name {
            Some(name) => name.to_string(),
            None => "the host of `proxy_pass`".to_owned(),
        };
        found.push(format!("tls_name {} (was {})", shown(is), shown(was)));
    }
    found
}

/// What is different in what becomes of the fields of answers.
fn of_answer_fields(before: &Route, after: &Route) -> Vec<String> {
    let mut found = Vec::new();
    let (was, is) = (&before.answer_fields, &after.answer_fields);
    if was.added != is.added {
        found.push("add_headers".to_owned());
    }
    if was.hidden != is.hidden {
        found.push("hide_headers".to_owned());
    }
    // What `default` means may be another thing with another `proxy_pass`, of which the log says so anyhow.
    if was.written_redirects() != is.written_redirects() {
        found.push("proxy_redirect".to_owned());
    }
    if was.cookie_paths != is.cookie_paths {
        found.push("proxy_cookie_path".to_owned());
    }
    found
}

/// What is different in who may ask.
fn of_access(before: &Route, after: &Route) -> Vec<String> {
    let mut found = Vec::new();
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
    found
}
