//! Writes the text of a `routes.yaml`, with comments where something is not carried over.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;

use crate::nginx::Top;
use crate::nginx::notes::Notes;
use crate::nginx::route;
use crate::nginx::route::Does;
use crate::nginx::route::RouteEntry;
use crate::nginx::route_when::RouteWhen;
use crate::nginx::server::TranslatedServer;
use crate::nginx::sites::Plan;
use crate::nginx::sites::PlannedListener;
use crate::nginx::sites::Site;
use crate::nginx::time;
use crate::nginx::write_group::AskedGroups;
use crate::nginx::write_route;
use crate::nginx::write_route::TimeLimits;
use crate::nginx::write_route::limits;
use crate::nginx::yaml::comment;
use crate::nginx::yaml::flow;
use crate::nginx::yaml::scalar;

/// The text, and how much is in it.
#[derive(Debug)]
pub(super) struct Written {
    /// The text of the file.
    pub(super) yaml: String,
    /// How many entries of `listen` it has.
    pub(super) listeners: usize,
    /// How many entries of `routes` it has.
    pub(super) routes: usize,
}

/// What an nginx.conf was translated to, ready to be written.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    /// The keys at the top of the file.
    pub(super) top: &'a Top,
    /// All servers, in file order.
    pub(super) servers: &'a [TranslatedServer],
    /// Which server's routes stand for which hosts and ports.
    pub(super) plan: &'a Plan,
    /// The groups of servers that the routes ask.
    pub(super) groups: &'a AskedGroups,
}

/// Writes the whole file; `file` is the nginx.conf that it comes from.
pub(super) fn write(file: &Path, translation: &Translation<'_>, notes: &Notes<'_>) -> Written {
    let Translation {
        top,
        servers,
        plan,
        groups,
    } = translation;
    let mut writer = Writer {
        servers,
        notes,
        shared: shared(servers, plan),
        text: String::new(),
    };
    writer.comment(
        &format!(
            "From {} by `wsgate import`. What is not carried over is said where it stood, what is not needed at the end.",
            file.display()
        ),
        0,
    );
    writer.comments(&top.comments, 0);
    writer.text.push('\n');
    writer.top(top);
    writer.text.push_str("listen:\n");
    for listener in &plan.listeners {
        writer.listener(listener);
    }
    writer.text += &groups.text;
    writer.text.push_str("routes:\n");
    let mut routes = 0;
    for site in &plan.sites {
        routes += writer.site(site);
    }
    writer.comments_without_site(plan);
    writer.needless();
    Written {
        yaml: writer.text,
        listeners: plan.listeners.len(),
        routes,
    }
}

/// Writes one part of the file after the other.
struct Writer<'a> {
    /// All servers, to which the plan refers by number.
    servers: &'a [TranslatedServer],
    notes: &'a Notes<'a>,
    /// The time limits that stand at the top of the file and not at the routes.
    shared: TimeLimits,
    text: String,
}

impl Writer<'_> {
    /// Writes a comment behind `indent` spaces.
    fn comment(&mut self, text: &str, indent: usize) {
        self.text += &comment(text, indent);
    }

    /// Writes several comments behind `indent` spaces.
    fn comments<'c>(&mut self, all: impl IntoIterator<Item = &'c String>, indent: usize) {
        for text in all {
            self.comment(text, indent);
        }
    }

    /// Writes the keys that stand beside `listen` and `routes`.
    fn top(&mut self, top: &Top) {
        for (key, limit) in &self.shared {
            self.text += &format!("{key}: {}\n", time::write(*limit));
        }
        for (key, limit) in &top.client_limits {
            self.text += &format!("{key}: {}\n", time::write(*limit));
        }
        if !top.trusted_proxies.is_empty() {
            let networks: Vec<String> = top.trusted_proxies.iter().map(|one| flow(one)).collect();
            self.text += &format!("trusted_proxies: [{}]\n", networks.join(", "));
        }
        if let Some(limit) = top.drain_timeout {
            self.text += &format!("drain_timeout: {}\n", time::write(limit));
        }
        if let Some(threads) = &top.threads {
            self.text += &format!("threads: {threads}\n");
        }
        if top.access_log_off {
            self.text += "access_log: off\n";
        }
    }

    /// Writes an entry of `listen`.
    fn listener(&mut self, listener: &PlannedListener) {
        let address = &listener.listen.address;
        let everywhere = |address: &SocketAddr| address.ip() == Ipv4Addr::UNSPECIFIED;
        let shown = match address.ip().filter(everywhere) {
            Some(address) => address.port().to_string(),
            None => scalar(&address.to_string()),
        };
        let place = self.notes.show(listener.listen.place);
        self.text += &format!("  - address: {shown} # {place}\n");
        if address.path().is_some() {
            // nginx lets everybody on the machine connect.
            self.text.push_str("    mode: \"0666\"\n");
        }
        if listener.redirects {
            self.text.push_str("    redirect: https\n");
        }
        if listener.listen.tls {
            self.tls(listener);
        }
    }

    /// Writes the certificates of the servers at a listener, each once.
    fn tls(&mut self, listener: &PlannedListener) {
        let mut pairs: Vec<&(String, String)> = Vec::new();
        let all = listener.servers.iter();
        for pair in all.flat_map(|server| &self.servers[*server].pairs) {
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        let written = |(cert, key): &(String, String)| {
            format!("{{ cert: {}, key: {} }}", flow(cert), flow(key))
        };
        let text = &mut self.text;
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

    /// Writes the routes of a site, and returns how many there are.
    fn site(&mut self, site: &Site) -> usize {
        let server = &self.servers[site.server];
        self.comment(&title(site, server, self.notes), 2);
        self.comments(&server.comments, 2);
        let is_for_all = |route: &RouteEntry| matches!(route.location.as_str(), "/" | "^~ /");
        let mut routes = server.routes.clone();
        if !site.hosts.is_empty() && !routes.iter().any(is_for_all) {
            let mut last = route::nothing_else(server.place);
            last.comments.push(
                "the server has no `location /`: what no other answers is 404, in nginx too"
                    .to_owned(),
            );
            routes.push(last);
        }
        let of_site = RouteWhen {
            port: site.ports.clone(),
            ..RouteWhen::default()
        };
        let mut written: Vec<(&str, RouteWhen)> = Vec::new();
        for route in &routes {
            // A condition on ports of which the site has none is never met, and where it has no others than those of
            // the condition, no other route is asked.
            let when = route.when.and(&of_site);
            let when = when.map(|when| (route.location.as_str(), when));
            if let Some(when) = when.filter(|when| !written.contains(when)) {
                self.route(route, site, &when.1.written());
                written.push(when);
            }
        }
        written.len()
    }

    /// Writes an entry of `routes`, with this value of `when`.
    fn route(&mut self, route: &RouteEntry, site: &Site, when: &str) {
        self.comments(&route.comments, 2);
        let location = scalar(&route.location);
        let place = self.notes.show(route.place);
        let host = host(site);
        self.text += &format!("  - {host}location: {location} # {place}\n");
        if !when.is_empty() {
            self.text += &format!("    when: {when}\n");
        }
        self.text += &write_route::keys(route, &self.shared);
    }

    /// Writes the comments of servers whose routes stand nowhere.
    fn comments_without_site(&mut self, plan: &Plan) {
        for (number, server) in self.servers.iter().enumerate() {
            let has_site = plan.sites.iter().any(|site| site.server == number);
            let of_routes = server.routes.iter().flat_map(|route| &route.comments);
            let comments: Vec<&String> = server.comments.iter().chain(of_routes).collect();
            if !has_site && !comments.is_empty() {
                let place = self.notes.show(server.place);
                self.comment(&format!("{place}: server without a route here"), 2);
                self.comments(comments, 2);
            }
        }
    }

    /// Writes the list of what wsgate makes unnecessary.
    fn needless(&mut self) {
        let needless = self.notes.all_needless();
        if !needless.is_empty() {
            self.text += "\n# Not needed here:\n";
            self.comments(&needless, 0);
        }
    }
}

/// The comment above the routes of a site, which names their server.
fn title(site: &Site, server: &TranslatedServer, notes: &Notes<'_>) -> String {
    let names: Vec<String> = server
        .virtual_server
        .names
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut title = format!("{}: server", notes.show(server.place));
    if !names.is_empty() {
        title += " ";
        title += &names.join(" ");
    }
    if site.hosts.is_empty() {
        title += if names.is_empty() {
            " for every host"
        } else {
            ", and every other host"
        };
    }
    title
}

/// The key `host` of a site's routes, with the line end and the indent behind it; empty for every host.
fn host(site: &Site) -> String {
    match site.hosts.as_slice() {
        [] => String::new(),
        [host] => format!("host: {}\n    ", scalar(&host.to_string())),
        hosts => {
            let hosts: Vec<String> = hosts.iter().map(|host| flow(&host.to_string())).collect();
            format!("host: [{}]\n    ", hosts.join(", "))
        }
    }
}

/// The time limits that all routes with an upstream have in common, which are written once.
fn shared(servers: &[TranslatedServer], plan: &Plan) -> TimeLimits {
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
