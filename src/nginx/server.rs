//! Translates a `server` block: its addresses, names and certificates, and its locations as routes.

use crate::nginx::conditions::Condition;
use crate::nginx::context::FileContext;
use crate::nginx::context::ServerContext;
use crate::nginx::handed_on::Targets;
use crate::nginx::listen;
use crate::nginx::listen::Listen;
use crate::nginx::location;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::phases;
use crate::nginx::rewrite_phase;
use crate::nginx::rewrite_phase::Step;
use crate::nginx::rewrites::is_break;
use crate::nginx::route;
use crate::nginx::route::Does;
use crate::nginx::route::RouteEntry;
use crate::nginx::scope::Scope;
use crate::nginx::sites::VirtualServer;
use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::tree::all;
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

/// Reads the addresses and names of a server; an error of `sockets` is why no Unix socket is carried over.
pub(super) fn outline<'t>(
    block: &'t Directive,
    http: &Scope<'t>,
    sockets: Result<(), &str>,
    notes: &mut Notes<'_>,
) -> Outline<'t> {
    let mut comments = Vec::new();
    Outline {
        listens: listen::listens(block, sockets, notes, &mut comments),
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
    let (mut answered, directives) = answers_of_hosts(&mut outline, &constants, notes);
    let Outline {
        block,
        scope,
        mut listens,
        names,
        mut comments,
    } = outline;
    let mut steps = rewrite_phase::steps(directives, &constants, notes, &mut comments);
    let targets = Targets::of(block, &scope);
    // The others are noted already, and must not hide what comes behind them.
    steps.retain(|step| match step {
        Step::HandOn(rewrite) => targets.may_refuse(rewrite, block, &scope),
        _ => true,
    });
    let everywhere = listens.clone();
    let mut moved = answers_of_ports(&mut steps, &mut listens, &constants, notes);
    let of_hosts = answered.iter_mut().map(|(_, route)| route);
    for route in of_hosts.chain(moved.iter_mut().map(|(_, route)| route)) {
        route.change_fields(&scope, &constants, notes);
    }
    // A certificate is asked for before anything else, but not of clients without TLS.
    if let Some((guard, why)) = scope.tls_guard() {
        steps.insert(0, Step::Unknown(guard, why.to_owned(), None));
    }
    let pairs = pairs(&scope, file.dir, notes, &mut comments);
    let surroundings = ServerContext {
        server: block,
        scope: &scope,
        constants: &constants,
        steps: &steps,
        targets: &targets,
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
    main.with_answers(answered, &everywhere, moved)
}

/// The addresses of a server, as far as one route answers all that comes there.
type AnsweredListens = (Vec<Listen>, RouteEntry);

/// The addresses for which the first steps are an answer, as `if ($scheme = http) { return … }` is. They are taken out
/// of `listens`, and the steps out of `steps`.
fn answers_of_ports(
    steps: &mut Vec<Step<'_>>,
    listens: &mut Vec<Listen>,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Vec<AnsweredListens> {
    let mut answered = Vec::new();
    while let Some(Step::Some(Condition::When(when), outcome, _)) = steps.first()
        && when.is_of_ports()
        && let Some(mut route) = phases::answer(outcome, constants, notes)
    {
        "/".clone_into(&mut route.location);
        let is_of_route = |listen: &Listen| {
            let port = listen.address.port();
            port.is_some_and(|port| when.port.contains(&port))
        };
        let (there, here) = listens.drain(..).partition(is_of_route);
        *listens = here;
        answered.push((there, route));
        steps.remove(0);
    }
    answered
}

impl TranslatedServer {
    /// This server, and one for each host, `everywhere`, and for each of the addresses that one route answers.
    fn with_answers(
        self,
        of_hosts: Vec<(HostPattern, RouteEntry)>,
        everywhere: &[Listen],
        of_ports: Vec<AnsweredListens>,
    ) -> Vec<Self> {
        let has_hosts = !of_hosts.is_empty();
        let mut others: Vec<Self> = of_hosts
            .into_iter()
            .map(|(host, route)| self.answering(everywhere.to_vec(), host, route))
            .collect();
        for (listens, route) in of_ports {
            let mut other = self.answering_at(listens, route);
            other.virtual_server.redirects &= !has_hosts;
            others.push(other);
        }
        std::iter::once(self).chain(others).collect()
    }

    /// A server at these addresses that answers one host by one route.
    fn answering(&self, mut listens: Vec<Listen>, host: HostPattern, route: RouteEntry) -> Self {
        for listen in &mut listens {
            listen.is_default = false;
        }
        let virtual_server = VirtualServer {
            redirects: route.goes_to_https(),
            listens,
            names: vec![host],
        };
        Self {
            place: route.place,
            virtual_server,
            pairs: self.pairs.clone(),
            routes: vec![route],
            comments: Vec::new(),
        }
    }

    /// Closes all that leads to an upstream, because of what `directive` keeps closed.
    pub(super) fn close(&mut self, directive: &Directive, why: &str, notes: &mut Notes<'_>) {
        let mut routes = std::mem::take(&mut self.routes);
        while let Some(first) = routes.first() {
            let location = first.location.clone();
            let (same, others) = routes.into_iter().partition(|one| one.location == location);
            routes = others;
            let closed = phases::behind(directive, why, same, notes).into_iter();
            self.routes.extend(closed.map(|route| RouteEntry {
                location: location.clone(),
                ..route
            }));
        }
    }

    /// Whether a route keeps somebody out.
    pub(super) fn keeps_out(&self) -> bool {
        let refuses = |route: &RouteEntry| match &route.does {
            Does::Return(text) => text.starts_with('4'),
            Does::ProxyPass(_) => !route.access_rules.is_open(),
        };
        self.routes.iter().any(refuses)
    }

    /// A server that does the same as the default server at these addresses, for hosts that no server has.
    pub(super) fn as_default(&self, mut listens: Vec<Listen>) -> Self {
        for listen in &mut listens {
            listen.is_default = true;
        }
        Self {
            place: self.place,
            virtual_server: VirtualServer {
                redirects: false,
                listens,
                names: Vec::new(),
            },
            pairs: self.pairs.clone(),
            routes: self.routes.clone(),
            comments: Vec::new(),
        }
    }

    /// A server of the same names that answers at these addresses by one route.
    fn answering_at(&self, listens: Vec<Listen>, route: RouteEntry) -> Self {
        Self {
            place: route.place,
            virtual_server: VirtualServer {
                redirects: route.goes_to_https(),
                listens,
                names: self.virtual_server.names.clone(),
            },
            pairs: self.pairs.clone(),
            routes: vec![route],
            comments: Vec::new(),
        }
    }
}

/// The names that an `if` of the server answers, which are taken out of its names, and the directives but for those.
/// Notes the rest of its block.
fn answers_of_hosts<'t>(
    outline: &mut Outline<'t>,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> (Vec<(HostPattern, RouteEntry)>, Vec<&'t Directive>) {
    let mut answered: Vec<(HostPattern, RouteEntry)> = Vec::new();
    let mut others = Vec::new();
    let comments = &mut outline.comments;
    for one in outline.block.inside() {
        match one.name.as_str() {
            "if" => match answer_of_host(one, constants, notes) {
                Some((host, route)) if outline.names.contains(&host) => {
                    outline.names.retain(|name| *name != host);
                    answered.push((host, route));
                    continue;
                }
                _ => {}
            },
            // One that a request can reach is a location by now.
            "try_files" => notes.needless(
                one,
                "every request has a location, none of which inherits it",
            ),
            "rewrite" if is_break(one) => {
                let why =
                    "the location of another path answers in nginx; `rewrite` stands in a route";
                comments.push(notes.left(one, why));
            }
            _ => note_rest(std::slice::from_ref(one), &outline.scope, notes, comments),
        }
        others.push(one);
    }
    (answered, others)
}

/// The routes of a server: those for what comes before every location if that answers all requests, or those of its
/// locations.
fn routes(
    around: &ServerContext<'_, '_>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<RouteEntry> {
    let block = around.server;
    if matches!(around.steps.last(), Some(Step::All(..))) {
        for location in all(block.inside(), "location") {
            notes.needless(
                location,
                "the server's `return` comes before it, in nginx too",
            );
        }
        return without_location(around, notes);
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
    if routes.is_empty() || (!has_root && !around.steps.is_empty()) {
        routes.extend(without_location(around, notes));
    }
    routes
}

/// The routes for `/` of what comes before every location.
fn without_location(around: &ServerContext<'_, '_>, notes: &mut Notes<'_>) -> Vec<RouteEntry> {
    let mut routes = phases::without_location(around, notes);
    for route in &mut routes {
        "/".clone_into(&mut route.location);
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
