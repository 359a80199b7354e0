//! Translates what a `location` block does with requests: they go to an upstream, or get an answer that keeps them from
//! going to another location.

use crate::config;
use crate::nginx::content_type;
use crate::nginx::context::ServerContext;
use crate::nginx::fields;
use crate::nginx::listen::Listen;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::pass;
use crate::nginx::route::Does;
use crate::nginx::route::ProxyTimeouts;
use crate::nginx::route::RouteEntry;
use crate::nginx::route::answering;
use crate::nginx::route::beside;
use crate::nginx::route::returned;
use crate::nginx::scope::Guard;
use crate::nginx::scope::Scope;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::upstreams::ResolvedUpstream;
use crate::upstream::Address;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;

/// Directives that answer a request in a way that wsgate does not have.
const HANDLERS: [&str; 6] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "stub_status",
];

/// The route for the location `block`, without its path and the comments about the rest of the block.
pub(super) fn action<'t>(
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let inside = block.inside();
    if let Some(returns) = last(inside, "return") {
        let mut route = returned(returns, around.constants, notes);
        let other_type = content_type::lost(returns, block.args.as_slice(), scope);
        let comment = other_type.map(|why| notes.left(returns, why));
        route.comments.extend(comment);
        return route;
    }
    if let Some(internal) = last(inside, "internal") {
        notes.needless(internal, "404 is what clients get from it in nginx too");
        return answering(block.place, "404");
    }
    let guard = scope.guard(inside);
    if let Some(Guard::Closed) = guard {
        return answering(block.place, "403");
    }
    let mut route = unrestricted(block, around, scope, notes);
    match guard {
        None | Some(Guard::Closed) => restrict(&mut route, scope),
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

/// Gives a route with an upstream the addresses that may use it. Everybody may get an answer that wsgate makes itself.
fn restrict(route: &mut RouteEntry, scope: &Scope<'_>) {
    let addresses = scope.access_rules().unwrap_or_default();
    if !matches!(route.does, Does::ProxyPass(_)) || addresses.is_open() {
        return;
    }
    if route.access_rules.is_open() || route.access_rules == addresses {
        route.access_rules = addresses;
        return;
    }
    // With `try_files … @name` nginx asks the list of the location and that of the named one.
    let mut closed = answering(route.place, "403");
    closed.comments.append(&mut route.comments);
    closed
        .comments
        .push("two lists say who may pass: this answers 403, so that nobody does".to_owned());
    *route = closed;
}

/// The route for a location, before it is said who may use it.
fn unrestricted<'t>(
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let inside = block.inside();
    if last(inside, "proxy_pass").is_some() {
        return proxy_pass(block, around, scope, notes);
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
        return try_files(files, block, around, notes);
    }
    let mut route = answering(block.place, "404");
    let why =
        "wsgate serves no files: name the file server that does in `proxy_pass`; until then 404";
    route.comments.push(notes.left(block, why));
    route
}

/// The route for `try_files … @name`, which goes to the named location's upstream without looking for files.
fn try_files<'t>(
    files: &'t Directive,
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let name = files.args.last().map_or("", String::as_str);
    let named = all(around.server.inside(), "location")
        .find(|location| name.starts_with('@') && location.arg(0) == name);
    if let Some(named) = named
        && last(named.inside(), "proxy_pass").is_some()
    {
        // The named location inherits from the server, not from the one that leads to it.
        let scope = around.scope.within(named.inside());
        let constants = around.constants.within(named.inside());
        let around = &ServerContext {
            constants: &constants,
            ..*around
        };
        let mut comments = Vec::new();
        note_rest(named.inside(), &scope, notes, &mut comments);
        let mut route = match scope.guard(named.inside()) {
            None => proxy_pass(named, around, &scope, notes),
            Some(_) => answering(named.place, "403"),
        };
        restrict(&mut route, &scope);
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

/// The route to the upstream that the `proxy_pass` of `block` names.
fn proxy_pass<'t>(
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let pass = last(block.inside(), "proxy_pass").unwrap_or(block);
    let mut upstream = match upstream(pass, block, around, notes) {
        Ok(upstream) => upstream,
        Err(why) => {
            let mut route = answering(block.place, "501");
            let why = format!("{why}; this answers 501");
            route.comments.push(notes.left(pass, why));
            return route;
        }
    };
    let set_headers = fields::set_headers(&scope.fields, &mut upstream, around.constants, notes);
    let mut comments = upstream.comments;
    let https = is_https(&upstream.to);
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
    let timeouts = timeouts(scope, notes, &mut comments);
    RouteEntry {
        does: Does::ProxyPass(upstream.to.to_string()),
        timeouts,
        set_headers,
        ca,
        comments,
        ..answering(block.place, "")
    }
}

/// The upstream that `pass` names for the location `block`.
///
/// # Errors
/// The reason why no route can lead there.
fn upstream(
    pass: &Directive,
    block: &Directive,
    around: &ServerContext<'_, '_>,
    notes: &mut Notes<'_>,
) -> Result<ResolvedUpstream, String> {
    let target = pass::target(pass, around.constants)?;
    let upstream = around.file.groups.resolve(&target, notes)?;
    // nginx refuses a path in both: a named location can be reached from a regex.
    let regex = block.arg(0).starts_with(['~', '@']);
    if regex && upstream.to.uri().is_some() {
        let why = "a regex location has no part that the path in `proxy_pass` could replace";
        return Err(why.to_owned());
    }
    if let Address::Port { host, port, .. } = upstream.to.address() {
        let own = |listen: &&Listen| config::leads_to(host, *port, listen.address);
        if let Some(listen) = around.file.listens.iter().find(own) {
            let own = notes.show(listen.place);
            return Err(format!(
                "it leads back to the listener of {own}; name the server behind that"
            ));
        }
    }
    Ok(upstream)
}

/// The time limits that are in force in `scope`; one that is no time is noted in `comments`.
fn timeouts(scope: &Scope<'_>, notes: &mut Notes<'_>, comments: &mut Vec<String>) -> ProxyTimeouts {
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
    ProxyTimeouts {
        connect: limit(scope.connect_timeout),
        read: limit(scope.read_timeout),
    }
}

/// Whether an upstream is asked over TLS.
fn is_https(to: &ProxyPass) -> bool {
    matches!(
        to.address(),
        Address::Port {
            scheme: Scheme::Https,
            ..
        }
    )
}
