//! Plans which server answers for which hosts and ports. nginx has a table of names for each address; wsgate has one
//! for all addresses, with `when: { port: … }`.
//!
//! In wsgate a route for every host answers only where no name of any port does. Each name that is known on one port is
//! therefore resolved on all other ports too, as nginx would resolve it there.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::nginx::listen::Listen;
use crate::routing::HostPattern;
use crate::stream::ListenAddr;

/// The addresses and names of a server.
#[derive(Clone, Debug)]
pub(super) struct VirtualServer {
    /// The addresses of the server.
    pub(super) listens: Vec<Listen>,
    /// The names of the server.
    pub(super) names: Vec<HostPattern>,
    /// Whether all that it does is `return 301 https://$host$request_uri`.
    pub(super) redirects: bool,
}

/// An entry of `listen` in `routes.yaml`.
#[derive(Debug)]
pub(super) struct PlannedListener {
    /// The address.
    pub(super) listen: Listen,
    /// The servers at this address, as indices of all servers; the default server is first.
    pub(super) servers: Vec<usize>,
    /// Whether the entry has `redirect: https`.
    pub(super) redirects: bool,
}

/// What nginx tells servers apart by before their names, as far as `routes.yaml` may do it too: a port has `when: { port: … }`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Entrance {
    /// All addresses of a port.
    Port(u16),
    /// A Unix socket, for which no condition holds.
    Socket(Arc<Path>),
}

/// The routes of one server for some hosts and ports.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Site {
    /// The server, as an index of all servers.
    pub(super) server: usize,
    /// The hosts; empty for every host that no other site has.
    pub(super) hosts: Vec<HostPattern>,
    /// The ports; empty for every port.
    pub(super) ports: Vec<u16>,
}

/// The entries of `listen`, and which server's routes stand for which hosts and ports.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The entries of `listen`, in file order.
    pub(super) listeners: Vec<PlannedListener>,
    /// The sites, by server.
    pub(super) sites: Vec<Site>,
    /// Servers that answer at every address of a port, and in nginx at some of them only; each with one such address.
    pub(super) spread: Vec<(usize, Listen)>,
    /// Servers that some hosts do not reach through a Unix socket, each with its `listen`.
    pub(super) beyond: Vec<(usize, Listen)>,
    /// Names such as `www.*` that a server has on a port, while `*.name` of another port goes before them in `routes.yaml`.
    pub(super) hidden: Vec<HiddenName>,
}

/// A name that does not lead to its server for all hosts that it covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HiddenName {
    /// The server, as an index of all servers.
    pub(super) server: usize,
    /// The name with a star at its end.
    pub(super) name: HostPattern,
    /// The name with a star at its beginning, which goes first.
    pub(super) first: HostPattern,
    /// Where only `name` is known.
    pub(super) entrance: Entrance,
}

/// The servers of one port, merged over its addresses, or of one Unix socket.
#[derive(Debug)]
struct PortTable {
    /// The server for names that no server has.
    default: usize,
    /// The names of all servers of the port, each with its server.
    names: Vec<(HostPattern, usize)>,
}

/// Plans the listeners and sites of these servers.
pub(super) fn plan(servers: &[VirtualServer]) -> Plan {
    let mut plan = Plan {
        listeners: listeners(servers),
        ..Plan::default()
    };
    let mut entrances: Vec<Entrance> = Vec::new();
    for listener in &plan.listeners {
        let entrance = Entrance::of(&listener.listen.address);
        if !entrances.contains(&entrance) {
            entrances.push(entrance);
        }
    }
    let mut with_tls = plan.listeners.iter().filter(|listener| listener.listen.tls);
    let to_tls = with_tls.find_map(|listener| listener.listen.address.port());
    for entrance in &entrances {
        let is_here = |listener: &&PlannedListener| entrance.leads(listener);
        let redirects = to_tls == Some(443)
            && plan.listeners.iter().filter(is_here).all(|listener| {
                !listener.listen.tls
                    && listener
                        .servers
                        .iter()
                        .all(|server| servers[*server].redirects)
            });
        let mut here = plan.listeners.iter_mut();
        while let Some(listener) = here.find(|listener| entrance.leads(listener)) {
            listener.redirects = redirects;
        }
    }
    let mut tables = BTreeMap::new();
    for entrance in entrances {
        let here = plan.listeners.iter();
        let listeners: Vec<&PlannedListener> =
            here.filter(|listener| entrance.leads(listener)).collect();
        if listeners.iter().all(|listener| !listener.redirects) {
            plan.spread.extend(spread(&listeners, servers));
            tables.insert(entrance, table(&listeners, servers));
        }
    }
    let sites = sites(&tables, servers.len());
    plan.beyond = beyond(&sites, servers);
    plan.sites = sites.into_iter().filter_map(WideSite::written).collect();
    plan.hidden = hidden(&tables);
    plan.listeners = opened(plan.listeners);
    plan
}

impl Entrance {
    /// The entrance to which an address belongs.
    fn of(address: &ListenAddr) -> Self {
        match address {
            ListenAddr::Ip(address) => Self::Port(address.port()),
            ListenAddr::Unix(path) => Self::Socket(Arc::clone(path)),
        }
    }

    /// Whether clients of this listener come through this entrance.
    fn leads(&self, listener: &PlannedListener) -> bool {
        Self::of(&listener.listen.address) == *self
    }
}

/// As comments name it: `port 80`, or `unix:/run/x.sock`.
impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The routes of one server for some hosts and entrances, of which `routes.yaml` may not say each.
struct WideSite {
    server: usize,
    hosts: Vec<HostPattern>,
    /// The entrances; empty for all.
    entrances: Vec<Entrance>,
}

impl WideSite {
    /// The site as `routes.yaml` can say it. `None` if it is for Unix sockets alone: no condition holds there, and without one
    /// the routes would be open at every port.
    fn written(self) -> Option<Site> {
        let is_for_all = self.entrances.is_empty();
        let ports: Vec<u16> = self
            .entrances
            .into_iter()
            .filter_map(|entrance| match entrance {
                Entrance::Port(port) => Some(port),
                Entrance::Socket(_) => None,
            })
            .collect();
        (is_for_all || !ports.is_empty()).then_some(Site {
            server: self.server,
            hosts: self.hosts,
            ports,
        })
    }
}

/// The servers that are not reached through a Unix socket where they are in nginx, each once for each socket.
fn beyond(sites: &[WideSite], servers: &[VirtualServer]) -> Vec<(usize, Listen)> {
    let mut beyond: Vec<(usize, Listen)> = Vec::new();
    for site in sites {
        let lost = servers[site.server].listens.iter().filter(|listen| {
            let entrance = Entrance::of(&listen.address);
            listen.address.path().is_some() && site.entrances.contains(&entrance)
        });
        for listen in lost {
            let known = |(server, other): &(usize, Listen)| {
                *server == site.server && other.address == listen.address
            };
            if !beyond.iter().any(known) {
                beyond.push((site.server, listen.clone()));
            }
        }
    }
    beyond
}

/// A listener for each address, in file order.
fn listeners(servers: &[VirtualServer]) -> Vec<PlannedListener> {
    let mut listeners: Vec<PlannedListener> = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        for listen in &server.listens {
            let known = listeners
                .iter_mut()
                .find(|listener| listener.listen.address == listen.address);
            let Some(listener) = known else {
                listeners.push(PlannedListener {
                    listen: listen.clone(),
                    servers: vec![number],
                    redirects: false,
                });
                continue;
            };
            // In nginx an address has TLS if any server says so.
            listener.listen.tls |= listen.tls;
            if listener.servers.contains(&number) {
                continue;
            }
            if listen.is_default && !listener.listen.is_default {
                listener.listen.is_default = true;
                listener.servers.insert(0, number);
            } else {
                listener.servers.push(number);
            }
        }
    }
    listeners
}

/// The server for names that no server has at `address`.
pub(super) fn default_at(servers: &[VirtualServer], address: &ListenAddr) -> Option<usize> {
    let all = listeners(servers);
    let here = all.iter().find(|one| one.listen.address == *address);
    here.and_then(|listener| listener.servers.first()).copied()
}

/// The listeners without those whose address another one at every address of the same port includes: it would be in use
/// already.
fn opened(listeners: Vec<PlannedListener>) -> Vec<PlannedListener> {
    let all: Vec<SocketAddr> = listeners
        .iter()
        .filter_map(|listener| listener.listen.address.ip())
        .collect();
    let is_open = |listener: &PlannedListener| {
        let Some(address) = listener.listen.address.ip() else {
            return true;
        };
        address.ip().is_unspecified()
            || !all.iter().any(|other| {
                other.port() == address.port()
                    && other.is_ipv4() == address.is_ipv4()
                    && other.ip().is_unspecified()
            })
    };
    listeners.into_iter().filter(is_open).collect()
}

/// The names and the default server of the `listeners` of one entrance.
fn table(listeners: &[&PlannedListener], servers: &[VirtualServer]) -> PortTable {
    let main = listeners
        .iter()
        .find(|listener| ip(&listener.listen).is_some_and(|ip| ip.is_unspecified()));
    let default = main
        .or(listeners.first())
        .and_then(|listener| listener.servers.first())
        .copied();
    let mut names: Vec<(HostPattern, usize)> = Vec::new();
    for server in listeners.iter().flat_map(|listener| &listener.servers) {
        for name in &servers[*server].names {
            if names.iter().all(|(known, _)| known != name) {
                names.push((name.clone(), *server));
            }
        }
    }
    PortTable {
        default: default.unwrap_or_default(),
        names,
    }
}

/// The IP address of a `listen`; `None` for a Unix socket.
fn ip(listen: &Listen) -> Option<IpAddr> {
    listen.address.ip().map(|address| address.ip())
}

/// The servers of a port that are not at all of its addresses. `0.0.0.0` and `[::]` count as one address.
fn spread(listeners: &[&PlannedListener], servers: &[VirtualServer]) -> Vec<(usize, Listen)> {
    let kind = |listen: &Listen| ip(listen).filter(|ip| !ip.is_unspecified());
    let mut kinds: Vec<Option<IpAddr>> = Vec::new();
    for listener in listeners {
        let kind = kind(&listener.listen);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut spread = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let here: Vec<&Listen> = server
            .listens
            .iter()
            .filter(|listen| {
                listeners
                    .iter()
                    .any(|listener| listener.listen.address == listen.address)
            })
            .collect();
        let has = |kind_of: &Option<IpAddr>| here.iter().any(|listen| kind(listen) == *kind_of);
        if let Some(first) = here.first()
            && !kinds.iter().all(has)
        {
            spread.push((number, (*first).clone()));
        }
    }
    spread
}

/// The server that nginx chooses for `host`, and whether one of its names led to it.
fn resolve(table: &PortTable, host: &HostPattern) -> (usize, bool) {
    if let Some((_, server)) = table.names.iter().find(|(name, _)| name == host) {
        return (*server, true);
    }
    let covering = table.names.iter().filter(|(name, _)| covers(name, host));
    let nearest = covering.max_by_key(|(name, _)| {
        let at_beginning = matches!(name, HostPattern::Below(_));
        (at_beginning, name.to_string().len())
    });
    nearest.map_or((table.default, false), |(_, server)| (*server, true))
}

/// Whether `wide` is a wildcard that covers every name of `host`.
fn covers(wide: &HostPattern, host: &HostPattern) -> bool {
    match (wide, host) {
        (HostPattern::Below(_), HostPattern::Exact(name) | HostPattern::Below(name))
        | (HostPattern::AnyEnding(_), HostPattern::Exact(name) | HostPattern::AnyEnding(name)) => {
            wide.covers(name)
        }
        _ => false,
    }
}

/// Whether `wide` gets some names of `host` where `host` is not written.
fn takes(wide: &HostPattern, host: &HostPattern) -> bool {
    let cross = matches!(
        (wide, host),
        (HostPattern::AnyEnding(_), HostPattern::Below(_))
    );
    cross || covers(wide, host)
}

/// The names that are hidden: `www.*` on one port by `*.test` on another, since `www.a.test` is found under the latter. No `host`
/// is for the names that both cover.
fn hidden(tables: &BTreeMap<Entrance, PortTable>) -> Vec<HiddenName> {
    let all = || tables.values().flat_map(|table| &table.names);
    let mut hidden = Vec::new();
    for (entrance, table) in tables {
        for (name, server) in &table.names {
            let is_hidden = |(first, _): &&(HostPattern, usize)| {
                matches!(first, HostPattern::Below(_))
                    && *server != table.default
                    && !resolve(table, first).1
            };
            if let (HostPattern::AnyEnding(_), Some((first, _))) = (name, all().find(is_hidden)) {
                hidden.push(HiddenName {
                    server: *server,
                    name: name.clone(),
                    first: first.clone(),
                    entrance: entrance.clone(),
                });
            }
        }
    }
    hidden
}

/// The sites of all servers: for each entrance the hosts for which nginx would choose the server there.
fn sites(tables: &BTreeMap<Entrance, PortTable>, servers: usize) -> Vec<WideSite> {
    let mut all: Vec<&HostPattern> = Vec::new();
    for (name, _) in tables.values().flat_map(|table| &table.names) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let mut sites: Vec<WideSite> = Vec::new();
    for server in 0..servers {
        let mut add = |hosts: Vec<HostPattern>, entrance: &Entrance| {
            let known = sites
                .iter_mut()
                .find(|site| site.server == server && site.hosts == hosts);
            match known {
                Some(site) => site.entrances.push(entrance.clone()),
                None => sites.push(WideSite {
                    server,
                    hosts,
                    entrances: vec![entrance.clone()],
                }),
            }
        };
        for (entrance, table) in tables {
            let is_default = table.default == server;
            let answers = |host: &&HostPattern| match resolve(table, host) {
                (found, true) if found == server && !is_default => true,
                // The default server's own name needs to be written only where a wildcard of another would take it.
                (found, true) if found == server => all
                    .iter()
                    .any(|wide| takes(wide, host) && resolve(table, wide).0 != server),
                _ => false,
            };
            let hosts: Vec<HostPattern> = all.iter().copied().filter(answers).cloned().collect();
            if !hosts.is_empty() {
                add(hosts, entrance);
            }
            if is_default {
                add(Vec::new(), entrance);
            }
        }
    }
    for site in &mut sites {
        if site.entrances.len() == tables.len() {
            site.entrances.clear();
        }
    }
    sites
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use crate::nginx::listen::Listen;
    use crate::nginx::sites::Entrance;
    use crate::nginx::sites::VirtualServer;
    use crate::nginx::sites::plan;
    use crate::nginx::tree::SourceLine;
    use crate::routing::HostPattern;
    use crate::stream::ListenAddr;

    fn server(listens: &[(&str, bool)], names: &[&str]) -> VirtualServer {
        let listens = listens.iter().map(|(address, is_default)| Listen {
            address: match address.strip_prefix("unix:") {
                Some(path) => ListenAddr::Unix(Path::new(path).into()),
                None => ListenAddr::Ip(address.parse().unwrap()),
            },
            is_default: *is_default,
            tls: address.ends_with(":443"),
            place: SourceLine { file: 0, line: 1 },
        });
        VirtualServer {
            listens: listens.collect(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            redirects: false,
        }
    }

    /// `server hosts ports` of each site.
    fn shown(servers: &[VirtualServer]) -> Vec<String> {
        let sites = plan(servers).sites.into_iter().map(|site| {
            let hosts: Vec<String> = site.hosts.iter().map(ToString::to_string).collect();
            format!("{} [{}] {:?}", site.server, hosts.join(" "), site.ports)
        });
        sites.collect()
    }

    const BOTH: [(&str, bool); 2] = [("0.0.0.0:80", false), ("0.0.0.0:443", false)];

    #[test]
    fn the_first_server_of_a_port_answers_every_host() {
        let servers = [
            server(&BOTH, &["a.test"]),
            server(&BOTH, &["b.test", "*.b.test"]),
        ];
        assert_eq!(shown(&servers), ["0 [] []", "1 [b.test *.b.test] []"]);
    }

    #[test]
    fn default_server_comes_before_the_order() {
        let servers = [
            server(&BOTH, &["a.test"]),
            server(&[("0.0.0.0:80", true)], &[]),
        ];
        assert_eq!(
            shown(&servers),
            ["0 [a.test] [80]", "0 [] [443]", "1 [] [80]"]
        );
    }

    #[test]
    fn a_name_of_one_port_does_not_hide_a_wildcard_of_another() {
        let servers = [
            server(&BOTH, &[]),
            server(&[("0.0.0.0:443", false)], &["a.b.test"]),
            server(&[("0.0.0.0:80", false)], &["*.b.test"]),
        ];
        let sites = [
            "0 [] []",
            "1 [a.b.test] [443]",
            "2 [*.b.test a.b.test] [80]",
        ];
        assert_eq!(shown(&servers), sites);
    }

    #[test]
    fn a_wildcard_does_not_take_the_name_of_the_default_server() {
        let servers = [server(&BOTH, &["a.b.test"]), server(&BOTH, &["*.b.test"])];
        assert_eq!(
            shown(&servers),
            ["0 [a.b.test] []", "0 [] []", "1 [*.b.test] []"]
        );
    }

    #[test]
    fn a_star_at_the_end_of_one_port_is_hidden_by_one_at_the_beginning_of_another() {
        let servers = [
            server(&BOTH, &[]),
            server(&[("0.0.0.0:80", false)], &["www.*"]),
            server(&[("0.0.0.0:443", false)], &["*.test"]),
        ];
        let made = plan(&servers);
        let [hidden] = made.hidden.as_slice() else {
            panic!("{made:?}");
        };
        assert_eq!(
            (hidden.server, &hidden.entrance, hidden.name.to_string()),
            (1, &Entrance::Port(80), "www.*".to_owned())
        );
        let together = [
            server(&BOTH, &[]),
            server(&BOTH, &["www.*"]),
            server(&BOTH, &["*.test"]),
        ];
        assert_eq!(plan(&together).hidden, []);
        // The default server's own star at the beginning is written, so that it comes first as in nginx.
        let of_default = [server(&BOTH, &["*.test"]), server(&BOTH, &["www.*"])];
        assert_eq!(
            shown(&of_default),
            ["0 [*.test] []", "0 [] []", "1 [www.*] []"]
        );
    }

    #[test]
    fn plain_servers_that_only_redirect_become_a_redirect() {
        let mut servers = [
            server(&[("0.0.0.0:80", false)], &[]),
            server(&[("0.0.0.0:443", false)], &[]),
        ];
        servers[0].redirects = true;
        let made = plan(&servers);
        assert_eq!(
            made.listeners
                .iter()
                .map(|listener| listener.redirects)
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(shown(&servers), ["1 [] []"]);
        servers[1].listens[0].address = ListenAddr::Ip("0.0.0.0:8443".parse().unwrap());
        assert!(
            plan(&servers)
                .listeners
                .iter()
                .all(|listener| !listener.redirects)
        );
    }

    #[test]
    fn an_address_is_part_of_all_addresses() {
        let servers = [
            server(&[("127.0.0.1:80", false)], &["a"]),
            server(&[("0.0.0.0:80", false)], &["b"]),
        ];
        let made = plan(&servers);
        assert_eq!(made.listeners.len(), 1);
        let spread: Vec<usize> = made.spread.iter().map(|(server, _)| *server).collect();
        assert_eq!(spread, [0, 1]);
        assert_eq!(shown(&servers), ["0 [a] []", "1 [] []"]);
    }

    #[test]
    fn a_site_of_a_unix_socket_is_written_where_it_is_that_of_every_port_too() {
        let socket = ("unix:/run/x.sock", false);
        let port = ("0.0.0.0:80", false);
        for (servers, sites, lost) in [
            // The same servers everywhere, or the socket alone.
            (
                vec![
                    server(&[socket, port], &[]),
                    server(&[socket, port], &["a"]),
                ],
                vec!["0 [] []", "1 [a] []"],
                vec![],
            ),
            (vec![server(&[socket], &[])], vec!["0 [] []"], vec![]),
            // One of the socket alone is not opened at a port.
            (
                vec![server(&[socket], &["a"]), server(&[port], &["b"])],
                vec!["1 [] [80]"],
                vec![0],
            ),
            (
                vec![server(&[socket, port], &[]), server(&[socket], &["a"])],
                vec!["0 [] []"],
                vec![1],
            ),
            // One of a port alone is not opened at the socket.
            (
                vec![server(&[socket, port], &[]), server(&[port], &["a"])],
                vec!["0 [] []", "1 [a] [80]"],
                vec![],
            ),
        ] {
            assert_eq!(shown(&servers), sites);
            let beyond = plan(&servers).beyond;
            let beyond: Vec<usize> = beyond.iter().map(|(server, _)| *server).collect();
            assert_eq!(beyond, lost);
        }
    }

    const HOSTS: [&str; 10] = [
        "a.*",
        "a.b.*",
        "c.*",
        "a.test",
        "*.test",
        "a.b.test",
        "*.b.test",
        "b.test",
        "c.a.b.test",
        "*.a.b.test",
    ];

    /// The site that wsgate would choose: the nearest table that any site has, then those without host.
    fn chosen(servers: &[VirtualServer], host: &str, port: u16) -> Option<usize> {
        let sites = plan(servers).sites;
        let patterns = sites
            .iter()
            .flat_map(|site| &site.hosts)
            .filter(|pattern| pattern.covers(host));
        let rank = |pattern: &&HostPattern| {
            let kind = match pattern {
                HostPattern::Exact(_) => 2,
                HostPattern::Below(_) => 1,
                HostPattern::AnyEnding(_) => 0,
            };
            (kind, pattern.to_string().len())
        };
        let table = patterns.max_by_key(rank);
        let admitted = |ports: &[u16]| ports.is_empty() || ports.contains(&port);
        let of_host = sites.iter().find(|site| {
            table.is_some_and(|table| site.hosts.contains(table)) && admitted(&site.ports)
        });
        let of_all = sites
            .iter()
            .find(|site| site.hosts.is_empty() && admitted(&site.ports));
        of_host.or(of_all).map(|site| site.server)
    }

    /// What nginx does, told without any table.
    fn slow(servers: &[VirtualServer], host: &str, port: u16) -> Option<usize> {
        let at = |server: &VirtualServer| {
            server
                .listens
                .iter()
                .any(|listen| listen.address.port() == Some(port))
        };
        let here: Vec<usize> = (0..servers.len())
            .filter(|number| at(&servers[*number]))
            .collect();
        let mut best = None;
        for number in &here {
            for name in &servers[*number].names {
                let rank = match name {
                    HostPattern::Exact(name) if name == host => (2, name.len()),
                    HostPattern::Below(name) if host.ends_with(&format!(".{name}")) => {
                        (1, name.len())
                    }
                    HostPattern::AnyEnding(name) if host.starts_with(&format!("{name}.")) => {
                        (0, name.len())
                    }
                    _ => continue,
                };
                if best.is_none_or(|(known, _)| rank > known) {
                    best = Some((rank, *number));
                }
            }
        }
        best.map(|(_, number)| number).or(here.first().copied())
    }

    proptest! {
        #[test]
        fn the_server_is_the_one_that_nginx_chooses(
            servers in proptest::collection::vec(
                (proptest::sample::subsequence(vec!["0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:81"], 1..=3),
                 proptest::sample::subsequence(HOSTS.to_vec(), 0..=3)),
                1..6,
            ),
        ) {
            let servers: Vec<VirtualServer> = servers.iter().map(|(addresses, names)| {
                let listens: Vec<(&str, bool)> = addresses.iter().map(|address| (*address, false)).collect();
                server(&listens, names)
            }).collect();
            let hidden = plan(&servers).hidden;
            let is_hidden = |host: &str, port: u16| {
                let mut hidden = hidden.iter();
                hidden.any(|one| one.entrance == Entrance::Port(port) && one.name.covers(host))
            };
            for host in ["a.test", "a.com", "a.b.com", "c.com", "b.test", "x.test", "a.b.test", "x.b.test", "c.a.b.test", "d.a.b.test", "other"] {
                for port in [80, 81, 443] {
                    if slow(&servers, host, port).is_none() || is_hidden(host, port) {
                        continue; // nobody listens there, or it is said to be lost
                    }
                    prop_assert_eq!(
                        chosen(&servers, host, port), slow(&servers, host, port), "{}:{}", host, port
                    );
                }
            }
        }
    }
}
