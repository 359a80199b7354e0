//! Translates a `server` block: its addresses, names and certificates, and its locations as routes.

use crate::nginx::content_type;
use crate::nginx::context::FileContext;
use crate::nginx::context::ServerContext;
use crate::nginx::listen;
use crate::nginx::listen::Listen;
use crate::nginx::location;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::route;
use crate::nginx::route::RouteEntry;
use crate::nginx::scope::Scope;
use crate::nginx::sites::VirtualServer;
use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::variables::Constants;
use crate::routing::HostPattern;

/// A `server` block as `routes.yaml` has it.
#[derive(Debug)]
pub(super) struct TranslatedServer {
    /// Where the block stands.
    pub(super) place: SourceLine,
    /// The addresses and names of the server.
    pub(super) virtual_server: VirtualServer,
    /// The files of its certificates, each with that of its key.
    pub(super) pairs: Vec<(String, String)>,
    /// The routes of the server, in their order.
    pub(super) routes: Vec<RouteEntry>,
    /// The comments above the routes.
    pub(super) comments: Vec<String>,
}

/// A `server` block of which the addresses and names were read.
///
/// The locations come later: to see that a `proxy_pass` leads back, the addresses of all servers must be known.
#[derive(Debug)]
pub(super) struct Outline<'t> {
    block: &'t Directive,
    scope: Scope<'t>,
    pub(super) listens: Vec<Listen>,
    names: Vec<HostPattern>,
    comments: Vec<String>,
}

/// Reads the addresses and names of a server.
pub(super) fn outline<'t>(
    block: &'t Directive,
    http: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> Outline<'t> {
    let mut comments = Vec::new();
    Outline {
        listens: listen::listens(block, notes, &mut comments),
        names: listen::names(block, notes, &mut comments),
        scope: http.within(block.inside()),
        block,
        comments,
    }
}

/// Translates a server.
///
/// The first is the server itself. Others follow for the names to which Certbot's `if ($host = …)` gives an answer of
/// their own.
pub(super) fn servers(
    mut outline: Outline<'_>,
    file: FileContext<'_, '_>,
    notes: &mut Notes<'_>,
) -> Vec<TranslatedServer> {
    let ports = outline.listens.iter();
    let ports = ports
        .map(|listen| (listen.address.port(), listen.tls))
        .collect();
    let constants = Constants::of(&outline.names, ports)
        .with(file.maps)
        .within(outline.block.inside());
    let answered = answers_of_hosts(&mut outline, &constants, notes);
    let Outline {
        block,
        scope,
        listens,
        names,
        mut comments,
    } = outline;
    let pairs = pairs(&scope, file.dir, notes, &mut comments);
    let surroundings = ServerContext {
        server: block,
        scope: &scope,
        constants: &constants,
        file,
    };
    let routes = routes(&surroundings, notes, &mut comments);
    let virtual_server = VirtualServer {
        redirects: matches!(routes.as_slice(), [only] if only.goes_to_https())
            && answered.is_empty(),
        listens,
        names,
    };
    let main = TranslatedServer {
        place: block.place,
        virtual_server,
        pairs,
        routes,
        comments,
    };
    let others: Vec<TranslatedServer> = answered
        .into_iter()
        .map(|(host, route)| main.answering(host, route))
        .collect();
    std::iter::once(main).chain(others).collect()
}

impl TranslatedServer {
    /// A server at the same addresses that answers one host by one route.
    fn answering(&self, host: HostPattern, route: RouteEntry) -> Self {
        let mut virtual_server = self.virtual_server.clone();
        virtual_server.names = vec![host];
        virtual_server.redirects = route.goes_to_https();
        for listen in &mut virtual_server.listens {
            listen.is_default = false;
        }
        Self {
            place: route.place,
            virtual_server,
            pairs: self.pairs.clone(),
            routes: vec![route],
            comments: Vec::new(),
        }
    }
}

/// The names that an `if` of the server answers, which are taken out of its names. Notes the rest of its block.
fn answers_of_hosts(
    outline: &mut Outline<'_>,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Vec<(HostPattern, RouteEntry)> {
    let mut answered: Vec<(HostPattern, RouteEntry)> = Vec::new();
    let comments = &mut outline.comments;
    for one in outline.block.inside() {
        match one.name.as_str() {
            "if" => match answer_of_host(one, constants, notes) {
                Some((host, route)) if outline.names.contains(&host) => {
                    outline.names.retain(|name| *name != host);
                    answered.push((host, route));
                }
                _ => {
                    let why = "a condition has no place in a server; `when` says for which requests a route is";
                    comments.push(notes.left(one, why));
                }
            },
            // One that a request can reach is a location by now.
            "try_files" => notes.needless(
                one,
                "every request has a location, none of which inherits it",
            ),
            _ => note_rest(std::slice::from_ref(one), &outline.scope, notes, comments),
        }
    }
    answered
}

/// The routes of a server: the one for its `return`, which comes before every location, or those of its locations.
fn routes(
    around: &ServerContext<'_, '_>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<RouteEntry> {
    let block = around.server;
    if let Some(returns) = last(block.inside(), "return") {
        let mut route = route::returned(returns, around.constants, notes);
        "/".clone_into(&mut route.location);
        let other_type = content_type::lost(returns, &[], around.scope);
        let comment = other_type.map(|why| notes.left(returns, why));
        route.comments.extend(comment);
        for location in all(block.inside(), "location") {
            notes.needless(
                location,
                "the server's `return` comes before it, in nginx too",
            );
        }
        return vec![route];
    }
    let mut routes = location::routes(around, notes, comments);
    let has_root = routes
        .iter()
        .any(|route| matches!(route.location.as_str(), "/" | "^~ /"));
    if let Some(root) = around
        .scope
        .root
        .filter(|_| !has_root && !routes.is_empty())
    {
        comments.push(notes.left(
            root,
            "wsgate serves no files: what no location answers is 404",
        ));
    }
    if routes.is_empty() {
        routes.push(route::nothing_else(block.place));
    }
    routes
}

/// The name and the answer of `if ($host = name) { return …; }`, which Certbot writes; `None` for any other `if`.
fn answer_of_host(
    condition: &Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Option<(HostPattern, RouteEntry)> {
    let written = condition.args.join(" ");
    let inside = written.strip_prefix('(')?.strip_suffix(')')?.trim();
    let (variable, name) = inside.split_once('=')?;
    if !matches!(variable.trim(), "$host" | "$http_host" | "$server_name") {
        return None;
    }
    let host: HostPattern = name.trim().parse().ok()?;
    match condition.inside() {
        [returns] if returns.name == "return" && matches!(host, HostPattern::Exact(_)) => {
            let mut route = route::returned(returns, constants, notes);
            "/".clone_into(&mut route.location);
            Some((host, route))
        }
        _ => None,
    }
}

/// The files of a server's certificates, each with that of its key. Others are noted in `comments`.
fn pairs(
    scope: &Scope<'_>,
    dir: &str,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (number, certificate) in scope.certificates.iter().enumerate() {
        let Some(key) = scope.keys.get(number) else {
            comments.push(notes.left(certificate, "it has no `ssl_certificate_key`"));
            continue;
        };
        let odd = [certificate, key].into_iter().find(|one| {
            let path = one.arg(0);
            path.is_empty()
                || path.contains(['$', '\0'])
                || path.starts_with("data:")
                || path.starts_with("engine:")
        });
        match odd {
            Some(odd) => comments.push(notes.left(odd, "a certificate and its key are files")),
            None => pairs.push((
                route::beside(dir, certificate.arg(0)),
                route::beside(dir, key.arg(0)),
            )),
        }
    }
    pairs
}
