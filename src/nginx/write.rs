//! The text of a `routes.yaml`, with comments where something was lost.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::config;
use crate::nginx::Top;
use crate::nginx::addresses;
use crate::nginx::notes::Notes;
use crate::nginx::route;
use crate::nginx::route::Does;
use crate::nginx::route::Route;
use crate::nginx::server::Server;
use crate::nginx::sites::Door;
use crate::nginx::sites::Plan;
use crate::nginx::sites::Site;
use crate::nginx::time;
use crate::nginx::yaml::comment;
use crate::nginx::yaml::flow;
use crate::nginx::yaml::scalar;

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) yaml: String,
    pub(super) listeners: usize,
    pub(super) routes: usize,
}

/// The time limits of a route, by the keys of `routes.yaml`.
type Limits = Vec<(&'static str, Duration)>;

/// What is to be written.
#[derive(Debug)]
pub(super) struct Content<'a> {
    pub(super) top: &'a Top,
    pub(super) servers: &'a [Server],
    pub(super) plan: &'a Plan,
}

/// Writes it all.
pub(super) fn write(file: &Path, content: &Content<'_>, notes: &Notes<'_>) -> Written {
    let Content { top, servers, plan } = content;
    let mut text = comment(
        &format!(
            "From {} by `wsgate import`. What is not carried over is said where it stood, what is not needed at the end.",
            file.display()
        ),
        0,
    );
    for line in &top.comments {
        text += &comment(line, 0);
    }
    text.push('\n');
    let shared = shared(servers, plan);
    for (key, limit) in &shared {
        text += &format!("{key}: {}\n", time::write(*limit));
    }
    if let Some(limit) = top.drain_timeout {
        text += &format!("drain_timeout: {}\n", time::write(limit));
    }
    if let Some(threads) = &top.threads {
        text += &format!("threads: {threads}\n");
    }
    if top.access_log_off {
        text += "access_log: off\n";
    }
    text += "listen:\n";
    for door in &plan.doors {
        listener(door, servers, notes, &mut text);
    }
    text += "routes:\n";
    let mut routes = 0;
    for site in &plan.sites {
        let (site, count) = of_site(site, &servers[site.server], &shared, notes);
        text += &site;
        routes += count;
    }
    for (number, server) in servers.iter().enumerate() {
        let has_site = plan.sites.iter().any(|site| site.server == number);
        let comments: Vec<&String> = server
            .comments
            .iter()
            .chain(server.routes.iter().flat_map(|route| &route.comments))
            .collect();
        if !has_site && !comments.is_empty() {
            text += &comment(
                &format!("{}: server without a route here", notes.show(server.place)),
                2,
            );
            for line in comments {
                text += &comment(line, 2);
            }
        }
    }
    let needless = notes.all_needless();
    if !needless.is_empty() {
        text += "\n# Not needed here:\n";
        for line in needless {
            text += &comment(&line, 0);
        }
    }
    Written {
        yaml: text,
        listeners: plan.doors.len(),
        routes,
    }
}

fn listener(door: &Door, servers: &[Server], notes: &Notes<'_>, text: &mut String) {
    let address = door.listen.address;
    let shown = if address.ip().is_unspecified() && address.is_ipv4() {
        address.port().to_string()
    } else {
        scalar(&address.to_string())
    };
    *text += &format!("  - address: {shown} # {}\n", notes.show(door.listen.place));
    if door.redirects {
        text.push_str("    redirect: https\n");
    }
    if !door.listen.tls {
        return;
    }
    let mut pairs: Vec<&(String, String)> = Vec::new();
    for pair in door
        .servers
        .iter()
        .flat_map(|server| &servers[*server].pairs)
    {
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let written =
        |(cert, key): &(String, String)| format!("{{ cert: {}, key: {} }}", flow(cert), flow(key));
    match pairs.as_slice() {
        [] => {
            text.push_str("    # nginx has no certificate for it: name one in place of this\n");
            text.push_str("    tls: self_signed\n");
        }
        [pair] => *text += &format!("    tls: {}\n", written(pair)),
        pairs => {
            text.push_str("    tls:\n");
            for pair in pairs {
                *text += &format!("      - {}\n", written(pair));
            }
        }
    }
}

/// Writes the routes of a site and returns how many there are.
fn of_site(site: &Site, server: &Server, shared: &Limits, notes: &Notes<'_>) -> (String, usize) {
    let mut written = String::new();
    let text = &mut written;
    let names: Vec<String> = server.known.names.iter().map(ToString::to_string).collect();
    let mut title = format!("{}: server", notes.show(server.place));
    if !names.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(title, " {}", names.join(" "));
    }
    if site.hosts.is_empty() {
        title += if names.is_empty() {
            " for every host"
        } else {
            ", and every other host"
        };
    }
    *text += &comment(&title, 2);
    for line in &server.comments {
        *text += &comment(line, 2);
    }
    let mut head = String::new();
    match site.hosts.as_slice() {
        [] => {}
        [host] => head = format!("host: {}\n    ", scalar(&host.to_string())),
        hosts => {
            let hosts: Vec<String> = hosts.iter().map(|host| flow(&host.to_string())).collect();
            head = format!("host: [{}]\n    ", hosts.join(", "));
        }
    }
    let when = match site.ports.as_slice() {
        [] => String::new(),
        [port] => format!("    when: {{ port: {port} }}\n"),
        ports => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            format!("    when: {{ port: [{}] }}\n", ports.join(", "))
        }
    };
    let all = |route: &Route| matches!(route.location.as_str(), "/" | "^~ /");
    let mut routes = server.routes.clone();
    if !site.hosts.is_empty() && !routes.iter().any(all) {
        let mut last = route::nothing_else(server.place);
        last.comments.push(
            "the server has no `location /`: what no other answers is 404, in nginx too".to_owned(),
        );
        routes.push(last);
    }
    for route in &routes {
        for line in &route.comments {
            *text += &comment(line, 2);
        }
        *text += &format!(
            "  - {head}location: {} # {}\n{when}",
            scalar(&route.location),
            notes.show(route.place)
        );
        match &route.does {
            Does::ProxyPass(to) => *text += &format!("    proxy_pass: {}\n", scalar(to)),
            Does::Return(answer) => *text += &format!("    return: {}\n", scalar(answer)),
        }
        for (key, networks) in [
            ("allow", &route.addresses.allow),
            ("deny", &route.addresses.deny),
        ] {
            let networks: Vec<String> = addresses::written(networks)
                .iter()
                .map(|text| flow(text))
                .collect();
            match networks.as_slice() {
                [] => {}
                [one] => *text += &format!("    {key}: {one}\n"),
                several => *text += &format!("    {key}: [{}]\n", several.join(", ")),
            }
        }
        if let Some(ca) = &route.ca {
            *text += &format!("    ca: {}\n", scalar(ca));
        }
        for (key, limit) in limits(route) {
            if !shared.contains(&(key, limit)) {
                *text += &format!("    {key}: {}\n", time::write(limit));
            }
        }
        if !route.set_headers.is_empty() {
            text.push_str("    set_headers:\n");
        }
        for (name, value) in &route.set_headers {
            *text += &format!("      {}: {}\n", scalar(name), scalar(value));
        }
    }
    (written, routes.len())
}

/// The limits that a route sets: those of nginx's file, where they are not wsgate's own.
fn limits(route: &Route) -> Limits {
    let own = config::Timeouts::default();
    let read = route.timeouts.read;
    let limits = [
        ("connect_timeout", route.timeouts.connect, own.connect),
        // nginx waits as long for the answer to an upgrade; longer than wsgate's own limit is no use there.
        (
            "handshake_timeout",
            read.filter(|read| *read < own.handshake),
            own.handshake,
        ),
        ("response_timeout", read, own.response),
        ("tunnel_timeout", read, own.tunnel),
    ];
    let set = limits
        .into_iter()
        .filter_map(|(key, limit, own)| Some((key, limit.filter(|limit| *limit != own)?)));
    set.collect()
}

/// The limits that all routes with an upstream have alike, which are written once.
fn shared(servers: &[Server], plan: &Plan) -> Limits {
    let mut all = plan
        .sites
        .iter()
        .flat_map(|site| &servers[site.server].routes)
        .filter(|route| matches!(route.does, Does::ProxyPass(_)))
        .map(limits);
    let Some(mut shared) = all.next() else {
        return Vec::new();
    };
    for limits in all {
        shared.retain(|limit| limits.contains(limit));
    }
    shared
}
