//! A `server` block: its addresses, names and certificates, and its locations as routes.

use crate::nginx::context::File;
use crate::nginx::context::Surroundings;
use crate::nginx::listen;
use crate::nginx::listen::Listen;
use crate::nginx::location;
use crate::nginx::notes::Notes;
use crate::nginx::route;
use crate::nginx::route::Does;
use crate::nginx::route::Route;
use crate::nginx::scope::Scope;
use crate::nginx::sites::Known;
use crate::nginx::tree::Directive;
use crate::nginx::tree::Place;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::variables::Constants;
use crate::nginx::words::note_rest;
use crate::routing::HostPattern;

/// A server, translated.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: Place,
    pub(super) known: Known,
    /// Certificates and their keys, as files.
    pub(super) pairs: Vec<(String, String)>,
    pub(super) routes: Vec<Route>,
    pub(super) comments: Vec<String>,
}

/// What is read of a server before any of its locations: all listeners must be known to see a loop.
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

/// Translates a server; a second one where Certbot's `if ($host = …)` gives some names an answer of their own.
pub(super) fn servers(
    outline: Outline<'_>,
    file: File<'_, '_>,
    notes: &mut Notes<'_>,
) -> Vec<Server> {
    let Outline {
        block,
        scope,
        listens,
        mut names,
        mut comments,
    } = outline;
    let ports = listens
        .iter()
        .map(|listen| (listen.address.port(), listen.tls))
        .collect();
    let constants = Constants::of(&names, ports);
    let mut answered: Vec<(HostPattern, Route)> = Vec::new();
    for one in block.inside() {
        match one.name.as_str() {
            "if" => match answer_of_host(one, &constants, notes) {
                Some((host, route)) if names.contains(&host) => {
                    names.retain(|name| *name != host);
                    answered.push((host, route));
                }
                _ => {
                    let why = "a condition has no place in a server; `when` says for which requests a route is";
                    comments.push(notes.left(one, why));
                }
            },
            "try_files" => comments.push(notes.left(one, "no file is served")),
            _ => note_rest(std::slice::from_ref(one), &scope, notes, &mut comments),
        }
    }
    let pairs = pairs(&scope, file.dir, notes, &mut comments);
    let mut routes = Vec::new();
    if let Some(returns) = last(block.inside(), "return") {
        let mut route = route::returned(returns, &constants, notes);
        "/".clone_into(&mut route.location);
        routes.push(route);
        for location in all(block.inside(), "location") {
            notes.needless(
                location,
                "the server's `return` comes before it, in nginx too",
            );
        }
    } else {
        let surroundings = Surroundings {
            server: block,
            scope: &scope,
            constants: &constants,
            file,
        };
        routes = location::routes(&surroundings, notes, &mut comments);
        let has_root = routes
            .iter()
            .any(|route| matches!(route.location.as_str(), "/" | "^~ /"));
        if let Some(root) = scope.root.filter(|_| !has_root && !routes.is_empty()) {
            comments.push(notes.left(
                root,
                "wsgate serves no files: what no location answers is 404",
            ));
        }
        if routes.is_empty() {
            routes.push(route::nothing_else(block.place));
        }
    }
    let known = Known {
        redirects: matches!(routes.as_slice(), [only] if only.goes_to_https())
            && answered.is_empty(),
        listens,
        names,
    };
    let place = block.place;
    let mut servers = Vec::new();
    for (host, route) in answered {
        let mut known = known.clone();
        known.names = vec![host];
        known.redirects = route.goes_to_https();
        for listen in &mut known.listens {
            listen.is_default = false;
        }
        servers.push(Server {
            place: route.place,
            known,
            pairs: pairs.clone(),
            routes: vec![route],
            comments: Vec::new(),
        });
    }
    servers.insert(
        0,
        Server {
            place,
            known,
            pairs,
            routes,
            comments,
        },
    );
    servers
}

/// `if ($host = name) { return …; }`, as Certbot writes it.
fn answer_of_host(
    condition: &Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Option<(HostPattern, Route)> {
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

/// The certificates of a server with their keys.
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

impl Route {
    /// Whether it sends everybody to https, as `redirect: https` does.
    fn goes_to_https(&self) -> bool {
        let to = "https://$host$request_uri";
        self.location == "/"
            && self.comments.is_empty()
            && matches!(&self.does, Does::Return(text)
                if [format!("301 {to}"), format!("308 {to}")].contains(text))
    }
}
