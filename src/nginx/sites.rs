//! Which server answers which host on which port, in wsgate's terms: nginx has a table of names for each address,
//! wsgate one for all, with `when: { port: … }`.
//!
//! What is written for every host answers only where no name of any port does, so each name that is known on one port is
//! resolved on all others too, as nginx would there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use crate::nginx::listen::Listen;
use crate::routing::HostPattern;

/// A server as this module sees it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) listens: Vec<Listen>,
    pub(super) names: Vec<HostPattern>,
    /// Whether it does nothing but `return 301 https://$host$request_uri`.
    pub(super) redirects: bool,
}

/// A listener of `routes.yaml`.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listen: Listen,
    /// The servers behind it, by number, the default one first.
    pub(super) servers: Vec<usize>,
    /// `redirect: https`
    pub(super) redirects: bool,
}

/// The routes of one server for some hosts and ports.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Site {
    pub(super) server: usize,
    /// None: every host that no other site has.
    pub(super) hosts: Vec<HostPattern>,
    /// None: every port.
    pub(super) ports: Vec<u16>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) doors: Vec<Door>,
    pub(super) sites: Vec<Site>,
    /// Servers that answer here at every address of a port, and in nginx at one of them only.
    pub(super) spread: Vec<(usize, Listen)>,
}

/// The servers of one port, merged over its addresses.
#[derive(Debug)]
struct Table {
    default: usize,
    names: Vec<(HostPattern, usize)>,
}

/// Plans listeners and sites.
pub(super) fn plan(servers: &[Known]) -> Plan {
    let mut plan = Plan {
        doors: doors(servers),
        ..Plan::default()
    };
    let mut ports: Vec<u16> = Vec::new();
    for door in &plan.doors {
        if !ports.contains(&door.listen.address.port()) {
            ports.push(door.listen.address.port());
        }
    }
    let to_tls = plan
        .doors
        .iter()
        .find(|door| door.listen.tls)
        .map(|door| door.listen.address.port());
    for port in &ports {
        let of_port = |door: &&Door| door.listen.address.port() == *port;
        let redirects = to_tls == Some(443)
            && plan.doors.iter().filter(of_port).all(|door| {
                !door.listen.tls && door.servers.iter().all(|server| servers[*server].redirects)
            });
        for door in plan
            .doors
            .iter_mut()
            .filter(|door| door.listen.address.port() == *port)
        {
            door.redirects = redirects;
        }
    }
    let mut tables = BTreeMap::new();
    for port in ports {
        let doors: Vec<&Door> = plan
            .doors
            .iter()
            .filter(|door| door.listen.address.port() == port)
            .collect();
        if doors.iter().all(|door| !door.redirects) {
            tables.insert(port, table(&doors, servers));
            plan.spread.extend(spread(&doors, servers));
        }
    }
    plan.sites = sites(&tables, servers.len());
    plan.doors = opened(plan.doors);
    plan
}

/// A door for each address, in file order.
fn doors(servers: &[Known]) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        for listen in &server.listens {
            let known = doors
                .iter_mut()
                .find(|door| door.listen.address == listen.address);
            let Some(door) = known else {
                doors.push(Door {
                    listen: listen.clone(),
                    servers: vec![number],
                    redirects: false,
                });
                continue;
            };
            // nginx: TLS is the address's, whichever server says so.
            door.listen.tls |= listen.tls;
            if door.servers.contains(&number) {
                continue;
            }
            if listen.is_default && !door.listen.is_default {
                door.listen.is_default = true;
                door.servers.insert(0, number);
            } else {
                door.servers.push(number);
            }
        }
    }
    doors
}

/// The doors that are opened: one at an address is part of the one at all addresses of its port, which would be in use.
fn opened(doors: Vec<Door>) -> Vec<Door> {
    let all: Vec<SocketAddr> = doors.iter().map(|door| door.listen.address).collect();
    let is_open = |door: &Door| {
        let address = door.listen.address;
        address.ip().is_unspecified()
            || !all.iter().any(|other| {
                other.port() == address.port()
                    && other.is_ipv4() == address.is_ipv4()
                    && other.ip().is_unspecified()
            })
    };
    doors.into_iter().filter(is_open).collect()
}

fn table(doors: &[&Door], servers: &[Known]) -> Table {
    let main = doors
        .iter()
        .find(|door| door.listen.address.ip().is_unspecified());
    let default = main
        .or(doors.first())
        .and_then(|door| door.servers.first())
        .copied();
    let mut names: Vec<(HostPattern, usize)> = Vec::new();
    for server in doors.iter().flat_map(|door| &door.servers) {
        for name in &servers[*server].names {
            if names.iter().all(|(known, _)| known != name) {
                names.push((name.clone(), *server));
            }
        }
    }
    Table {
        default: default.unwrap_or_default(),
        names,
    }
}

/// The servers of a port that are not behind all of its addresses; the two that mean every interface count as one.
fn spread(doors: &[&Door], servers: &[Known]) -> Vec<(usize, Listen)> {
    let kind = |ip: IpAddr| (!ip.is_unspecified()).then_some(ip);
    let mut kinds: Vec<Option<IpAddr>> = Vec::new();
    for door in doors {
        let kind = kind(door.listen.address.ip());
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
                doors
                    .iter()
                    .any(|door| door.listen.address == listen.address)
            })
            .collect();
        let has = |kind_of: &Option<IpAddr>| {
            here.iter()
                .any(|listen| kind(listen.address.ip()) == *kind_of)
        };
        if let Some(first) = here.first()
            && !kinds.iter().all(has)
        {
            spread.push((number, (*first).clone()));
        }
    }
    spread
}

/// The server that nginx asks for `host`, and whether it was found by a name.
fn resolve(table: &Table, host: &HostPattern) -> (usize, bool) {
    if let Some((_, server)) = table.names.iter().find(|(name, _)| name == host) {
        return (*server, true);
    }
    let covering = table.names.iter().filter(|(name, _)| covers(name, host));
    let longest = covering.max_by_key(|(name, _)| name.to_string().len());
    longest.map_or((table.default, false), |(_, server)| (*server, true))
}

/// Whether every host that `host` means is below the wildcard `wide`.
fn covers(wide: &HostPattern, host: &HostPattern) -> bool {
    let (HostPattern::Exact(name) | HostPattern::Below(name)) = host;
    matches!(wide, HostPattern::Below(_)) && wide.covers(name)
}

fn sites(tables: &BTreeMap<u16, Table>, servers: usize) -> Vec<Site> {
    let mut all: Vec<&HostPattern> = Vec::new();
    for (name, _) in tables.values().flat_map(|table| &table.names) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let mut sites: Vec<Site> = Vec::new();
    for server in 0..servers {
        let mut add = |hosts: Vec<HostPattern>, port: u16| {
            let known = sites
                .iter_mut()
                .find(|site| site.server == server && site.hosts == hosts);
            match known {
                Some(site) => site.ports.push(port),
                None => sites.push(Site {
                    server,
                    hosts,
                    ports: vec![port],
                }),
            }
        };
        for (port, table) in tables {
            let is_default = table.default == server;
            let answers = |host: &&HostPattern| match resolve(table, host) {
                (found, true) if found == server && !is_default => true,
                // The default server's own name needs to be written only where a wildcard of another would take it.
                (found, true) if found == server => all
                    .iter()
                    .any(|wide| covers(wide, host) && resolve(table, wide).0 != server),
                _ => false,
            };
            let hosts: Vec<HostPattern> = all.iter().copied().filter(answers).cloned().collect();
            if !hosts.is_empty() {
                add(hosts, *port);
            }
            if is_default {
                add(Vec::new(), *port);
            }
        }
    }
    for site in &mut sites {
        if site.ports.len() == tables.len() {
            site.ports.clear();
        }
    }
    sites
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::nginx::listen::Listen;
    use crate::nginx::sites::Known;
    use crate::nginx::sites::plan;
    use crate::nginx::tree::Place;
    use crate::routing::HostPattern;

    fn server(listens: &[(&str, bool)], names: &[&str]) -> Known {
        let listens = listens.iter().map(|(address, is_default)| Listen {
            address: address.parse().unwrap(),
            is_default: *is_default,
            tls: address.ends_with(":443"),
            place: Place { file: 0, line: 1 },
        });
        Known {
            listens: listens.collect(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            redirects: false,
        }
    }

    /// `server hosts ports` of each site.
    fn shown(servers: &[Known]) -> Vec<String> {
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
    fn plain_servers_that_only_redirect_become_a_redirect() {
        let mut servers = [
            server(&[("0.0.0.0:80", false)], &[]),
            server(&[("0.0.0.0:443", false)], &[]),
        ];
        servers[0].redirects = true;
        let made = plan(&servers);
        assert_eq!(
            made.doors
                .iter()
                .map(|door| door.redirects)
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(shown(&servers), ["1 [] []"]);
        servers[1].listens[0].address.set_port(8443);
        assert!(plan(&servers).doors.iter().all(|door| !door.redirects));
    }

    #[test]
    fn an_address_is_part_of_all_addresses() {
        let servers = [
            server(&[("127.0.0.1:80", false)], &["a"]),
            server(&[("0.0.0.0:80", false)], &["b"]),
        ];
        let made = plan(&servers);
        assert_eq!(made.doors.len(), 1);
        let spread: Vec<usize> = made.spread.iter().map(|(server, _)| *server).collect();
        assert_eq!(spread, [0, 1]);
        assert_eq!(shown(&servers), ["0 [a] []", "1 [] []"]);
    }

    const HOSTS: [&str; 7] = [
        "a.test",
        "*.test",
        "a.b.test",
        "*.b.test",
        "b.test",
        "c.a.b.test",
        "*.a.b.test",
    ];

    /// The site that wsgate would choose: the nearest table that any site has, then those without host.
    fn chosen(servers: &[Known], host: &str, port: u16) -> Option<usize> {
        let sites = plan(servers).sites;
        let fits = |pattern: &HostPattern| match pattern {
            HostPattern::Exact(name) => name == host,
            HostPattern::Below(name) => host.ends_with(&format!(".{name}")),
        };
        let patterns = sites
            .iter()
            .flat_map(|site| &site.hosts)
            .filter(|pattern| fits(pattern));
        let rank = |pattern: &&HostPattern| {
            (
                matches!(pattern, HostPattern::Exact(_)),
                pattern.to_string().len(),
            )
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
    fn slow(servers: &[Known], host: &str, port: u16) -> Option<usize> {
        let at = |server: &Known| {
            server
                .listens
                .iter()
                .any(|listen| listen.address.port() == port)
        };
        let here: Vec<usize> = (0..servers.len())
            .filter(|number| at(&servers[*number]))
            .collect();
        let mut best = None;
        for number in &here {
            for name in &servers[*number].names {
                let rank = match name {
                    HostPattern::Exact(name) if name == host => usize::MAX,
                    HostPattern::Below(name) if host.ends_with(&format!(".{name}")) => name.len(),
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
            let servers: Vec<Known> = servers.iter().map(|(addresses, names)| {
                let listens: Vec<(&str, bool)> = addresses.iter().map(|address| (*address, false)).collect();
                server(&listens, names)
            }).collect();
            for host in ["a.test", "b.test", "x.test", "a.b.test", "x.b.test", "c.a.b.test", "d.a.b.test", "other"] {
                for port in [80, 81, 443] {
                    if slow(&servers, host, port).is_none() {
                        continue; // nobody listens there
                    }
                    prop_assert_eq!(
                        chosen(&servers, host, port), slow(&servers, host, port), "{}:{}", host, port
                    );
                }
            }
        }
    }
}
