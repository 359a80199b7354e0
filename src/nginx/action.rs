//! Translates what answers the requests of a `location` block that may pass: they go to an upstream, or get an answer that
//! keeps them from going to another location.

use crate::nginx::context::ServerContext;
use crate::nginx::fields;
use crate::nginx::next_upstream;
use crate::nginx::notes::Notes;
use crate::nginx::pass;
use crate::nginx::pass::PassedPath;
use crate::nginx::redirects::Asked;
use crate::nginx::redirects::Reader;
use crate::nginx::rewrites;
use crate::nginx::route::Does;
use crate::nginx::route::ProxyTimeouts;
use crate::nginx::route::RouteEntry;
use crate::nginx::route::answering;
use crate::nginx::route::beside;
use crate::nginx::scope::Scope;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::upstream_tls::UNVERIFIED;
use crate::nginx::upstream_tls::Verification;
use crate::nginx::upstreams::AnsweredBy;
use crate::nginx::upstreams::ResolvedUpstream;

/// Directives that answer a request in a way that wsgate does not have.
const HANDLERS: [&str; 6] = [
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "stub_status",
];

/// What answers the requests of a location that may pass.
#[derive(Debug)]
pub(super) enum ContentHandler<'t> {
    /// One route, without its path.
    Route(Box<RouteEntry>),
    /// The named location to which this `try_files` leads.
    Named(&'t Directive),
}

/// What answers the requests of the location `block`; `pass` is the `proxy_pass` that an `if` in it has chosen.
pub(super) fn content<'t>(
    block: &'t Directive,
    pass: Option<&'t Directive>,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> ContentHandler<'t> {
    let inside = block.inside();
    if let Some(pass) = pass.or(last(inside, "proxy_pass")) {
        return ContentHandler::Route(Box::new(proxy_pass(pass, block, around, scope, notes)));
    }
    if let Some(handler) = inside
        .iter()
        .find(|one| HANDLERS.contains(&one.name.as_str()))
    {
        let why = "only http is spoken with upstreams: this answers 501";
        return left_out(block, "501", notes.left(handler, why));
    }
    if let Some(files) = last(inside, "try_files") {
        if leads_to_upstream(files, around) {
            return ContentHandler::Named(files);
        }
        let why = "wsgate serves no files: this answers 404";
        return left_out(block, "404", notes.left(files, why));
    }
    let why =
        "wsgate serves no files: name the file server that does in `proxy_pass`; until then 404";
    left_out(block, "404", notes.left(block, why))
}

/// The answer of a location that does what wsgate does not do, which a comment says.
fn left_out<'t>(block: &Directive, status: &str, comment: String) -> ContentHandler<'t> {
    let mut route = answering(block.place, status);
    route.comments.push(comment);
    ContentHandler::Route(Box::new(route))
}

/// Whether `try_files … @name` leads to a location that asks an upstream.
fn leads_to_upstream(files: &Directive, around: &ServerContext<'_, '_>) -> bool {
    let name = files.args.last().map_or("", String::as_str);
    let mut locations = all(around.server.inside(), "location");
    let named = locations.find(|location| name.starts_with('@') && location.arg(0) == name);
    named.is_some_and(|named| last(named.inside(), "proxy_pass").is_some())
}

/// The route to the upstream that `pass` names, the `proxy_pass` of `block` or of an `if` in it.
fn proxy_pass<'t>(
    pass: &'t Directive,
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let target = pass::target(pass, block, around.constants);
    let read = target.and_then(|target| {
        let upstream = upstream(&target.text, block, around, notes)?;
        Ok((target.path, upstream))
    });
    let (path, mut upstream) = match read {
        Ok(read) => read,
        Err(why) => {
            let mut route = answering(block.place, "501");
            let why = format!("{why}; this answers 501");
            route.comments.push(notes.left(pass, why));
            return route;
        }
    };
    let set_headers = fields::set_headers(&scope.fields, &mut upstream, around.constants, notes);
    let verification = verification(pass, &mut upstream, around, scope, notes);
    let mut comments = upstream.comments;
    let (group, servers) = match upstream.answered_by {
        AnsweredBy::Group { name, servers } => (Some(name), Some(servers)),
        AnsweredBy::Server(_) => (None, None),
    };
    next_upstream::note(scope, servers, notes, &mut comments);
    let is_fixed = !pass.arg(0).contains('$');
    if let Some(check) = last(block.inside(), "health_check") {
        let why = match group {
            None => Some("one server is asked, whatever a check says"),
            Some(_) if is_fixed => None,
            Some(_) => Some("the group that a variable names has no check here"),
        };
        comments.extend(why.map(|why| notes.left(check, why)));
    }
    let own_host = upstream.proxy_host;
    let of_default = scope.default_redirect.unwrap_or((pass, block));
    let asked = Asked {
        pass: of_default.0,
        block: of_default.1,
        by_own_host: set_headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("host") && *value == own_host),
    };
    let mut reader = Reader {
        constants: around.constants,
        notes,
        comments: &mut comments,
    };
    let redirects = reader.redirects(scope, asked);
    let cookie_paths = reader.cookie_paths(scope);
    let timeouts = timeouts(scope, notes, &mut comments);
    let rewritten = rewrites::rewrites(block, around.constants, notes, &mut comments);
    let rewrites = match path {
        PassedPath::AsUsual => rewritten,
        PassedPath::Unchanged => Vec::new(),
        PassedPath::Rewritten(regex, replacement) => vec![(regex, replacement)],
    };
    RouteEntry {
        does: Does::ProxyPass(upstream.to),
        groups: group.into_iter().collect(),
        timeouts,
        rewrites,
        set_headers,
        redirects,
        cookie_paths,
        verification,
        comments,
        ..answering(block.place, "")
    }
}

/// How the certificate of the upstream that `pass` names is verified: by a file whose path is complete.
fn verification(
    pass: &Directive,
    upstream: &mut ResolvedUpstream,
    around: &ServerContext<'_, '_>,
    scope: &Scope<'_>,
    notes: &mut Notes<'_>,
) -> Verification {
    let mut verification = Verification::of(upstream, scope, around.constants, notes);
    if let Some(ca) = &mut verification.ca {
        *ca = beside(around.file.dir, ca);
    }
    if verification.is_new {
        upstream.comments.push(notes.left(pass, UNVERIFIED));
    }
    verification
}

/// The upstream that the value `pass` of a `proxy_pass` names for the location `block`.
///
/// # Errors
/// The reason why no route can lead there.
fn upstream(
    pass: &str,
    block: &Directive,
    around: &ServerContext<'_, '_>,
    notes: &mut Notes<'_>,
) -> Result<ResolvedUpstream, String> {
    let file = around.file;
    let upstream = file.groups.resolve(pass, file.listens, notes)?;
    // nginx refuses a path in both: a named location can be reached from a regex.
    let regex = block.arg(0).starts_with(['~', '@']);
    if regex && upstream.has_path {
        let why = "a regex location has no part that the path in `proxy_pass` could replace";
        return Err(why.to_owned());
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
