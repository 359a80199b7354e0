//! Translates an nginx.conf into a `routes.yaml`, for `wsgate import`.
//!
//! The text of the file becomes tokens (`lexer`), directives (`reader`, `tree`), servers with their routes (`server`,
//! `location`), a plan of hosts and ports (`sites`), and the text of the result (`write`). What cannot be carried over
//! becomes a comment at its place and is counted; what wsgate makes unnecessary is listed at the end. A location that
//! only some may use (`auth_…`, `limit_except`) answers 403 rather than letting everybody in; `if` and limits are only
//! noted.

mod access_rules;
mod action;
mod added_fields;
mod alternatives;
mod client_limits;
mod conditions;
mod content_type;
mod context;
mod desugar;
mod directives;
mod fields;
mod glob;
mod group;
mod group_balance;
mod group_check;
mod group_note;
mod group_server;
mod group_sticky;
mod handed_on;
mod lexer;
mod listen;
mod location;
mod next_upstream;
mod notes;
mod other_directives;
mod own_listeners;
mod pass;
mod phases;
mod reader;
mod real_ip;
mod redirect;
mod redirects;
mod rewrite_phase;
mod rewrites;
mod route;
mod route_when;
mod scope;
mod server;
mod sites;
mod time;
mod tree;
mod unknown;
mod upstream_tls;
mod upstreams;
mod uses;
mod values;
mod variables;
mod wider;
mod write;
mod write_group;
mod write_route;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::Diagnostic;
use crate::config::MOST_THREADS;
use crate::config::Severity;
use crate::nginx::context::FileContext;
use crate::nginx::listen::Listen;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::route::RouteEntry;
use crate::nginx::scope::Scope;
use crate::nginx::server::Outline;
use crate::nginx::server::TranslatedServer;
use crate::nginx::sites::Plan;
use crate::nginx::sites::VirtualServer;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::upstreams::Groups;
use crate::nginx::uses::Uses;
use crate::nginx::write::Translation;
use crate::nginx::write_group::AskedGroups;

/// An nginx.conf as a `routes.yaml`, with what was lost on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// The text of a `routes.yaml`.
    pub yaml: String,
    /// How many entries of `listen` it has.
    pub listeners: usize,
    /// How many entries of `routes` it has.
    pub routes: usize,
    /// How many directives of the nginx.conf wsgate makes unnecessary.
    pub needless: usize,
    /// The directives that are not carried over, in file order.
    pub left: Vec<Left>,
}

/// A directive that is not carried over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Left {
    /// The place of the directive: `nginx.conf:12`.
    pub place: String,
    /// The name of the directive.
    pub what: String,
    /// The reason, and what to do.
    pub why: String,
}

/// Why an nginx.conf cannot be translated.
#[derive(Clone, Debug)]
pub enum ImportError {
    /// The file cannot be read.
    Unreadable(Box<Diagnostic>),
    /// The file is no nginx.conf, or has no server that wsgate could be.
    Refused(Box<Diagnostic>),
}

/// What `routes.yaml` says beside listeners and routes: the directives in `http`, and around it.
#[derive(Debug, Default)]
struct Top {
    /// nginx's `worker_shutdown_timeout`.
    drain_timeout: Option<Duration>,
    /// nginx's `worker_processes`, but for `auto`.
    threads: Option<String>,
    /// Whether `http` has `access_log off`.
    access_log_off: bool,
    /// The time limits of clients, by their keys.
    client_limits: Vec<(&'static str, Duration)>,
    /// The networks of `trusted_proxies`.
    trusted_proxies: Vec<String>,
    /// The comments at the top of the file.
    comments: Vec<String>,
}

/// The directives that the import has a rule for. One that ends with `*` is the beginning of several.
pub fn known_directives() -> impl Iterator<Item = &'static str> {
    directives::names()
}

/// Translates the nginx.conf `file` and the files that it includes.
///
/// # Errors
/// If the file cannot be read, if one of the files breaks nginx's syntax, or if no server listens at an address that
/// wsgate can have.
pub fn import(file: &Path) -> Result<Imported, ImportError> {
    let (directives, files) = reader::read(file)?;
    let mut notes = Notes::new(&files);
    let mut top = Top::default();
    let nowhere = Scope::default();
    let (main, mut http) = contexts(directives);
    desugar::try_files_of_servers(&mut http);
    let choosing = desugar::maps_of_upstreams(&mut http);
    read_main(&main, &nowhere, &mut top, &mut notes);
    let mut scope = nowhere.within(&http);
    let uses = Uses::of(&http, choosing);
    read_http(&http, &scope, &uses, &mut top, &mut notes);
    scope.has_real_ip = !top.trusted_proxies.is_empty();

    let sockets = real_ip::judges_nobody_without_address(&http, &top.trusted_proxies);
    let outlines: Vec<_> = all(&http, "server")
        .map(|block| server::outline(block, &scope, sockets, &mut notes))
        .collect();
    let listens: Vec<_> = outlines
        .iter()
        .flat_map(|outline| outline.listens.clone())
        .collect();
    if listens.is_empty() {
        return Err(no_listener(file, &outlines));
    }
    let dir = file.parent().unwrap_or(Path::new("")).display().to_string();
    let groups = Groups::of(&http, &listens, &mut notes, &mut top.comments);
    let maps = uses::constant_maps(&http);
    let file_of = FileContext {
        groups: &groups,
        maps: &maps,
        listens: &listens,
        dir: &dir,
    };
    let mut servers: Vec<TranslatedServer> = Vec::new();
    for outline in outlines {
        servers.extend(server::servers(outline, file_of, &mut notes));
    }
    close_hosts_of_regexes(&mut servers, &http, &mut notes);
    let virtual_servers = virtual_servers(&servers);
    let plan = sites::plan(&virtual_servers);
    note_plan(&plan, &mut servers, &http, &mut notes);
    let asked = AskedGroups::of(&groups, &servers, &plan, &mut notes);
    let translation = Translation {
        top: &top,
        servers: &servers,
        plan: &plan,
        groups: &asked,
    };
    let written = write::write(file, &translation, &notes);
    let left = notes.all_left().into_iter();
    Ok(Imported {
        yaml: written.yaml,
        listeners: written.listeners,
        routes: written.routes,
        needless: notes.needless_count(),
        left: left
            .map(|(place, what, why)| Left { place, what, why })
            .collect(),
    })
}

/// Reads what stands around `http`, in nginx's main context.
fn read_main(directives: &[Directive], scope: &Scope<'_>, top: &mut Top, notes: &mut Notes<'_>) {
    for directive in directives {
        let comment = match directive.name.as_str() {
            "worker_shutdown_timeout" => {
                top.drain_timeout = time::read(directive.arg(0));
                let unread = top.drain_timeout.is_none();
                unread.then(|| notes.left(directive, "this is no time limit"))
            }
            "worker_processes" if directive.arg(0) == "auto" => None,
            "worker_processes" => {
                top.threads = threads(directive.arg(0));
                let unread = top.threads.is_none();
                unread.then(|| notes.left(directive, "so many `threads` there cannot be"))
            }
            _ => {
                let one = std::slice::from_ref(directive);
                note_rest(one, scope, notes, &mut top.comments);
                None
            }
        };
        top.comments.extend(comment);
    }
}

/// Reads what stands in `http`, but for its servers.
fn read_http(
    http: &[Directive],
    scope: &Scope<'_>,
    uses: &Uses<'_>,
    top: &mut Top,
    notes: &mut Notes<'_>,
) {
    for directive in http {
        match directive.name.as_str() {
            "map" => match uses.why_needless(directive) {
                Some(why) => notes.needless(directive, why),
                None => top
                    .comments
                    .push(notes.left(directive, uses.why_lost(directive))),
            },
            "access_log" if directive.arg(0) == "off" => top.access_log_off = true,
            _ => note_rest(
                std::slice::from_ref(directive),
                scope,
                notes,
                &mut top.comments,
            ),
        }
    }
    top.client_limits = client_limits::limits(http, notes, &mut top.comments);
    top.trusted_proxies = real_ip::trusted_proxies(http, notes, &mut top.comments);
}

/// The error of a file without an address to listen at.
fn no_listener(file: &Path, servers: &[Outline<'_>]) -> ImportError {
    let (message, help) = if servers.is_empty() {
        (
            "there is no `server` block in it",
            "name nginx's main file, as in `wsgate import /etc/nginx/nginx.conf`",
        )
    } else {
        (
            "none of its servers listens on a port",
            "a listener has a port, as in `listen 80;`",
        )
    };
    let name = file.display().to_string();
    let mut diagnostic = Diagnostic::new(Severity::Error, &name, None, message);
    diagnostic.help(help);
    ImportError::Refused(Box::new(diagnostic))
}

/// The directives around `http`, and those in it. A file of `sites-available`, which has no `http`, stands in it as a
/// whole.
fn contexts(directives: Vec<Directive>) -> (Vec<Directive>, Vec<Directive>) {
    let is_site = all(&directives, "http").next().is_none();
    let (mut main, mut http) = (Vec::new(), Vec::new());
    for directive in directives {
        match directive.name.as_str() {
            "http" => http.extend(directive.block.unwrap_or_default()),
            "worker_shutdown_timeout" | "worker_processes" => main.push(directive),
            _ if is_site => http.push(directive),
            _ => main.push(directive),
        }
    }
    (main, http)
}

/// The number of threads, if `routes.yaml` takes it.
fn threads(text: &str) -> Option<String> {
    let number: u32 = text.parse().ok()?;
    (1..=MOST_THREADS)
        .contains(&number)
        .then(|| number.to_string())
}

/// The addresses and names of all servers.
fn virtual_servers(servers: &[TranslatedServer]) -> Vec<VirtualServer> {
    let all = servers.iter();
    all.map(|server| server.virtual_server.clone()).collect()
}

/// Closes each default server that would get the hosts of a server which keeps clients out, and whose `server_name` is a
/// regex. Its own names stay as they are.
fn close_hosts_of_regexes(
    servers: &mut Vec<TranslatedServer>,
    http: &[Directive],
    notes: &mut Notes<'_>,
) {
    for number in 0..servers.len() {
        let guarded = &servers[number];
        let mut blocks = all(http, "server");
        let block = blocks.find(|block| block.place == guarded.place);
        let names = block.and_then(|block| {
            let is_regex = |name: &String| name.starts_with('~');
            all(block.inside(), "server_name").find(|one| one.args.iter().any(is_regex))
        });
        let Some(names) = names.filter(|_| guarded.keeps_out()) else {
            continue;
        };
        let known = virtual_servers(servers);
        let mut defaults: BTreeMap<usize, Vec<Listen>> = BTreeMap::new();
        for listen in &known[number].listens {
            let default = sites::default_at(&known, &listen.address);
            let opens = |default: &usize| servers[*default].routes.iter().any(RouteEntry::opens);
            if let Some(default) = default.filter(|default| *default != number).filter(opens) {
                defaults.entry(default).or_default().push(listen.clone());
            }
        }
        for (default, listens) in defaults {
            let place = notes.show(servers[default].place);
            let why = format!("the hosts of its regex come to the server of {place} here");
            if known[default].names.is_empty() {
                servers[default].close(names, &why, notes);
                continue;
            }
            let mut closed = servers[default].as_default(listens.clone());
            closed.close(names, &why, notes);
            let others = servers.iter_mut();
            for other in others.flat_map(|server| &mut server.virtual_server.listens) {
                other.is_default &= listens.iter().all(|one| one.address != other.address);
            }
            servers.push(closed);
        }
    }
}

/// Notes the servers that answer at more addresses than in nginx, and those that no request reaches.
fn note_plan(
    plan: &Plan,
    servers: &mut [TranslatedServer],
    http: &[Directive],
    notes: &mut Notes<'_>,
) {
    let block_of = |place| all(http, "server").find(|block| block.place == place);
    for (number, listen) in &plan.spread {
        let server = &mut servers[*number];
        let Some(block) = block_of(server.place) else {
            continue;
        };
        let directive = all(block.inside(), "listen")
            .find(|one| one.place == listen.place)
            .unwrap_or(block);
        let port = listen.address.port().unwrap_or_default();
        let why = format!(
            "wsgate tells ports apart, not addresses: this server answers at every address of port {port}"
        );
        server.comments.push(notes.left(directive, why));
        let all = plan.listeners.iter();
        let all = all.filter_map(|one| one.listen.address.ip());
        let own = &server.virtual_server.listens;
        let why = if listen::is_kept_inside(own, all, port) {
            "its address is reached from fewer places than the others of its port"
        } else if !listen::is_everywhere(own, port) {
            "other servers of its port are at other addresses, and answer there in its place in nginx"
        } else {
            continue;
        };
        server.close(directive, why, notes);
    }
    for (number, listen) in &plan.beyond {
        let server = &mut servers[*number];
        let Some(block) = block_of(server.place) else {
            continue;
        };
        let directive = all(block.inside(), "listen")
            .find(|one| one.place == listen.place)
            .unwrap_or(block);
        let why = format!(
            "no route is for {} alone: through it this server answers only what it answers at every port too",
            listen.address
        );
        server.comments.push(notes.left(directive, why));
    }
    for hidden in &plan.hidden {
        let server = &mut servers[hidden.server];
        let Some(block) = block_of(server.place) else {
            continue;
        };
        let directive = all(block.inside(), "server_name").next().unwrap_or(block);
        let why = format!(
            "`{}` on {}: a host that `{}` of another port covers too does not come here",
            hidden.name, hidden.entrance, hidden.first
        );
        server.comments.push(notes.left(directive, why));
    }
    for (number, server) in servers.iter().enumerate() {
        let reached = plan.sites.iter().any(|site| site.server == number);
        let redirects = plan
            .listeners
            .iter()
            .any(|listener| listener.redirects && listener.servers.contains(&number));
        if !reached
            && !redirects
            && server.comments.is_empty()
            && let Some(block) = block_of(server.place)
        {
            notes.needless(block, "no request reaches it: it has no name of its own, and is not the first of its port");
        }
    }
}

#[cfg(test)]
mod tests;
