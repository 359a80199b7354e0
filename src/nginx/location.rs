//! A `location` block becomes a route, or an answer that keeps its requests from going anywhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config;
use crate::nginx::fields;
use crate::nginx::listen::Listen;
use crate::nginx::notes::Notes;
use crate::nginx::scope::Guard;
use crate::nginx::scope::Scope;
use crate::nginx::server;
use crate::nginx::server::File;
use crate::nginx::time;
use crate::nginx::tree::Directive;
pub(super) use crate::nginx::tree::Place;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::variables::Constants;
use crate::returns::Return;
use crate::routing::Kind;
use crate::routing::Location;
use crate::upstream::Address;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;

/// An entry of `routes`, but for host and port.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) place: Place,
    pub(super) location: String,
    pub(super) does: Does,
    pub(super) timeouts: Timeouts,
    pub(super) set_headers: Vec<(String, String)>,
    pub(super) ca: Option<String>,
    pub(super) comments: Vec<String>,
}

/// What a route does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Does {
    ProxyPass(String),
    Return(String),
}

/// Time limits, where nginx's file sets one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeouts {
    pub(super) connect: Option<Duration>,
    pub(super) read: Option<Duration>,
}

/// What a location stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a, 't> {
    pub(super) server: &'t Directive,
    pub(super) scope: &'a Scope<'t>,
    pub(super) constants: &'a Constants,
    pub(super) file: File<'a, 't>,
}

/// A location that another one stands in.
#[derive(Clone, Copy, Debug)]
struct Outer {
    is_regex: bool,
    /// Whether `^~` keeps the regexes of the server from being asked.
    no_regex: bool,
}

/// Directives that answer in ways that wsgate does not know.
const HANDLERS: [&str; 6] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "stub_status",
];

/// The routes of a server's locations, in its order.
pub(super) fn routes<'t>(
    around: &Surroundings<'_, 't>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let inside = around.server.inside();
    let named: BTreeSet<&str> = all(inside, "location")
        .flat_map(|location| all(location.inside(), "try_files"))
        .filter_map(|files| files.args.last())
        .map(String::as_str)
        .collect();
    for location in all(inside, "location") {
        if location.arg(0).starts_with('@') {
            if !named.contains(location.arg(0)) {
                comments.push(notes.left(location, "a named location is asked by no client"));
            }
            continue;
        }
        let mut found = Found {
            routes: &mut routes,
            comments,
        };
        one(location, around, around.scope, None, notes, &mut found);
    }
    routes
}

/// What locations have become so far, and what there is to say that belongs to none of them.
struct Found<'f> {
    routes: &'f mut Vec<Route>,
    comments: &'f mut Vec<String>,
}

fn one<'t>(
    block: &'t Directive,
    around: &Surroundings<'_, 't>,
    outside: &Scope<'t>,
    outer: Option<Outer>,
    notes: &mut Notes<'_>,
    found: &mut Found<'_>,
) {
    let scope = outside.within(block.inside());
    let mut comments = Vec::new();
    let name = match location(block, outer) {
        Ok(name) => name,
        Err(why) => {
            lost(block, why, &scope, notes, found);
            return;
        }
    };
    server::note_rest(block.inside(), &scope, notes, &mut comments);
    let mut route = action(block, around, &scope, notes);
    route.place = block.place;
    let again = |known: &Route| {
        let both = (
            known.location.parse::<Location>(),
            name.to_string().parse::<Location>(),
        );
        matches!(both, (Ok(one), Ok(other)) if one.same_as(&other))
    };
    if let Some(first) = found.routes.iter().find(|known| again(known)) {
        let first = notes.show(first.place);
        let why = format!("the location of {first} answers before it");
        found.comments.push(notes.left(block, why));
    } else {
        comments.append(&mut route.comments);
        found.routes.push(Route {
            location: name.to_string(),
            comments,
            ..route
        });
    }
    let here = Outer {
        is_regex: name.kind().is_regex(),
        no_regex: name.kind() == Kind::PrefixNoRegex,
    };
    for inner in all(block.inside(), "location") {
        one(inner, around, &scope, Some(here), notes, found);
    }
}

/// A location that cannot be written. If it keeps clients out by a regex with look-around, the regex without it, which
/// matches more, keeps them out too.
fn lost<'t>(
    block: &'t Directive,
    why: String,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
    found: &mut Found<'_>,
) {
    let closed = scope.guard(block.inside()).is_some();
    let wider = without_look_around(&block.args.join(" "))
        .parse::<Location>()
        .ok();
    if let Some(wider) = wider.filter(|wider| closed && wider.kind().is_regex()) {
        let mut route = answering(block.place, "403");
        route.location = wider.to_string();
        let why = format!("{why}: without it this answers 403 for more paths than nginx does");
        route.comments.push(notes.left(block, why));
        found.routes.push(route);
        return;
    }
    let so = match closed {
        true => "what it keeps closed is open here: close it by another route",
        false => "its requests go to the other locations",
    };
    found
        .comments
        .push(notes.left(block, format!("{why}; {so}")));
}

/// A regex without its `(?!…)` and the like.
fn without_look_around(regex: &str) -> String {
    let mut rest = regex;
    let mut plain = String::new();
    while let Some(at) = ["(?!", "(?=", "(?<!", "(?<="]
        .iter()
        .filter_map(|begin| rest.find(begin))
        .min()
    {
        plain += &rest[..at];
        let mut open = 0_usize;
        let mut escaped = false;
        let end = rest[at..].char_indices().find(|(_, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            open == 0
        });
        rest = end.map_or("", |(end, _)| &rest[at + end + 1..]);
    }
    plain + rest
}

/// The location as `routes.yaml` writes it; one in another stands on its own there.
fn location(block: &Directive, outer: Option<Outer>) -> Result<Location, String> {
    if block.arg(0).starts_with('@') {
        return Err("a named location is asked by no client".to_owned());
    }
    let text = block.args.join(" ");
    let location: Location = text.parse().map_err(|error| format!("{error}"))?;
    if block.args.len() > 1 && location.pattern() != block.arg(1) {
        return Err("its path begins or ends with white space".to_owned());
    }
    let Some(outer) = outer else {
        return Ok(location);
    };
    if location.kind().is_regex() || outer.is_regex {
        return Err(
            "a regex in a location, or a location in a regex, has no place of its own".to_owned(),
        );
    }
    // In nginx it is the outer location that says whether the server's regexes are asked.
    let text = match location.kind() {
        Kind::Exact => location.to_string(),
        _ if outer.no_regex => format!("^~ {}", location.pattern()),
        _ => location.pattern().to_owned(),
    };
    text.parse().map_err(|error| format!("{error}"))
}

/// What becomes of the requests of a location.
fn action<'t>(
    block: &'t Directive,
    around: &Surroundings<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> Route {
    let inside = block.inside();
    if let Some(returns) = last(inside, "return") {
        return returned(returns, around.constants, notes);
    }
    if let Some(internal) = last(inside, "internal") {
        notes.needless(internal, "404 is what clients get from it in nginx too");
        return answering(block.place, "404");
    }
    let guard = scope.guard(inside);
    if let Some(Guard::Closed) = guard {
        return answering(block.place, "403");
    }
    let mut route = unguarded(block, around, scope, notes);
    match guard {
        None | Some(Guard::Closed) => {}
        Some(Guard::Some(guard)) => {
            let mut closed = answering(block.place, "403");
            let why = "wsgate cannot tell who may pass: this answers 403, so that nobody does";
            closed.comments.append(&mut route.comments);
            closed.comments.push(notes.left(guard, why));
            if let Does::ProxyPass(to) = &route.does {
                closed.comments.push(format!(
                    "to let everybody pass, write instead: proxy_pass: {to}"
                ));
            }
            route = closed;
        }
    }
    route
}

fn unguarded<'t>(
    block: &'t Directive,
    around: &Surroundings<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> Route {
    let inside = block.inside();
    if let Some(pass) = last(inside, "proxy_pass") {
        return proxied(pass, block, around, scope, notes);
    }
    if let Some(handler) = inside
        .iter()
        .find(|one| HANDLERS.contains(&one.name.as_str()))
    {
        let mut route = answering(block.place, "501");
        route.comments.push(notes.left(
            handler,
            "only http is spoken with upstreams: this answers 501",
        ));
        return route;
    }
    if let Some(files) = last(inside, "try_files") {
        return tried(files, block, around, notes);
    }
    let mut route = answering(block.place, "404");
    let why =
        "wsgate serves no files: name the file server that does in `proxy_pass`; until then 404";
    route.comments.push(notes.left(block, why));
    route
}

/// `try_files … @name`: to the named location's upstream at once.
fn tried<'t>(
    files: &'t Directive,
    block: &'t Directive,
    around: &Surroundings<'_, 't>,
    notes: &mut Notes<'_>,
) -> Route {
    let name = files.args.last().map_or("", String::as_str);
    let named = all(around.server.inside(), "location")
        .find(|location| name.starts_with('@') && location.arg(0) == name);
    if let Some(named) = named
        && let Some(pass) = last(named.inside(), "proxy_pass")
    {
        // The named location inherits from the server, not from the one that leads to it.
        let scope = around.scope.within(named.inside());
        let mut comments = Vec::new();
        server::note_rest(named.inside(), &scope, notes, &mut comments);
        let mut route = proxied(pass, named, around, &scope, notes);
        comments.append(&mut route.comments);
        let why = format!("no file is looked for: all goes to the upstream of {name} at once");
        comments.push(notes.left(files, why));
        route.comments = comments;
        return route;
    }
    let mut route = answering(block.place, "404");
    route
        .comments
        .push(notes.left(files, "wsgate serves no files: this answers 404"));
    route
}

fn proxied<'t>(
    pass: &'t Directive,
    block: &'t Directive,
    around: &Surroundings<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> Route {
    let fail = |why: String, notes: &mut Notes<'_>| {
        let mut route = answering(block.place, "501");
        route
            .comments
            .push(notes.left(pass, format!("{why}; this answers 501")));
        route
    };
    let asked = match around.file.groups.resolve(pass, notes) {
        Ok(asked) => asked,
        Err(why) => return fail(why, notes),
    };
    let regex = block.arg(0).starts_with('~');
    if regex && asked.to.uri().is_some() {
        return fail(
            "a regex location has no part that the path in `proxy_pass` could replace".to_owned(),
            notes,
        );
    }
    if let Address::Port { host, port, .. } = asked.to.address() {
        let own = |listen: &&Listen| config::leads_to(host, *port, listen.address);
        if let Some(listen) = around.file.listens.iter().find(own) {
            let own = notes.show(listen.place);
            return fail(
                format!("it leads back to the listener of {own}; name the server behind that"),
                notes,
            );
        }
    }
    let mut comments = asked.comments.clone();
    let set_headers = fields::set_headers(
        &scope.fields,
        &asked,
        around.constants,
        notes,
        &mut comments,
    );
    let https = is_https(&asked.to);
    let ca = scope
        .ca
        .filter(|_| https)
        .map(|ca| beside(around.file.dir, ca.arg(0)));
    let verifies = last(block.inside(), "proxy_ssl_verify").is_some();
    if https && ca.is_none() && !verifies {
        comments.push(
            "its certificate is verified here: name its authority's, or its own, as `ca` if the system's do not know it"
                .to_owned(),
        );
    }
    let mut limit = |directive: Option<&Directive>| {
        let directive = directive?;
        match time::read(directive.arg(0)) {
            Some(time) if !time.is_zero() => Some(time),
            _ => {
                comments.push(notes.left(directive, "this is no time limit"));
                None
            }
        }
    };
    let timeouts = Timeouts {
        connect: limit(scope.connect_timeout),
        read: limit(scope.read_timeout),
    };
    Route {
        does: Does::ProxyPass(asked.to.to_string()),
        timeouts,
        set_headers,
        ca,
        comments,
        ..answering(block.place, "")
    }
}

fn is_https(to: &ProxyPass) -> bool {
    matches!(
        to.address(),
        Address::Port {
            scheme: Scheme::Https,
            ..
        }
    )
}

/// What a `return` says, as a route for no location yet.
pub(super) fn returned(
    directive: &Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Route {
    let written = directive.args.join(" ");
    let read = constants
        .fill(&written, &[])
        .and_then(|text| match text.parse::<Return>() {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        });
    match read {
        Ok(text) => answering(directive.place, &text),
        Err(why) => {
            let (status, why) = match written.as_str() {
                "444" => (
                    "404",
                    "wsgate answers every request: 404 instead of nothing".to_owned(),
                ),
                _ => ("501", format!("{why}; this answers 501")),
            };
            let mut route = answering(directive.place, status);
            route.comments.push(notes.left(directive, why));
            route
        }
    }
}

/// What answers where no location does.
pub(super) fn nothing_else(place: Place) -> Route {
    Route {
        location: "/".to_owned(),
        ..answering(place, "404")
    }
}

fn answering(place: Place, returns: &str) -> Route {
    Route {
        place,
        location: String::new(),
        does: Does::Return(returns.to_owned()),
        timeouts: Timeouts::default(),
        set_headers: Vec::new(),
        ca: None,
        comments: Vec::new(),
    }
}

/// A file's path, which nginx reads relative to the directory of its main file.
pub(super) fn beside(dir: &str, path: &str) -> String {
    if path.starts_with('/') || dir.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", dir.trim_end_matches('/'))
    }
}
