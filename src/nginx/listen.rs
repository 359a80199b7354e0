//! Translates `listen` and `server_name`: the addresses at which a server is reached, and its names.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::config;
use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::routing::HostPattern;
use crate::stream::ListenAddr;

/// One address of a server: a `listen`, or a part of one that means two addresses.
#[derive(Clone, Debug)]
pub(super) struct Listen {
    pub(super) address: ListenAddr,
    /// Whether the `listen` has the parameter `default_server`.
    pub(super) is_default: bool,
    /// Whether the `listen` has the parameter `ssl`, or the server has `ssl on`.
    pub(super) tls: bool,
    /// Where the directive stands.
    pub(super) place: SourceLine,
}

/// The address at which nginx listens for a server without `listen`.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

/// The addresses of a server. What cannot be carried over is added to `comments`; an error of `sockets` is why no Unix
/// socket is.
pub(super) fn listens(
    server: &Directive,
    sockets: Result<(), &str>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<Listen> {
    let always_tls = last(server.inside(), "ssl").is_some_and(|ssl| ssl.arg(0) == "on");
    let mut listens: Vec<Listen> = Vec::new();
    for directive in all(server.inside(), "listen") {
        match address(directive.arg(0)) {
            Ok(ListenAddr::Unix(_)) if let Err(why) = sockets => {
                comments.push(notes.left(directive, why));
            }
            Ok(address) => match one(directive, address, notes) {
                Ok(mut one) => {
                    comments.append(&mut one.1);
                    listens.extend(one.0);
                }
                Err(why) => comments.push(notes.left(directive, why)),
            },
            Err(why) => comments.push(notes.left(directive, why)),
        }
    }
    for listen in &mut listens {
        listen.tls |= always_tls;
    }
    if all(server.inside(), "listen").next().is_none() {
        listens.push(Listen {
            address: DEFAULT.into(),
            is_default: false,
            tls: always_tls,
            place: server.place,
        });
    }
    listens
}

/// Whether the server with these addresses is reached on `port` from fewer places than others of `all` addresses are:
/// from this machine, or from a private network.
pub(super) fn is_kept_inside(
    own: &[Listen],
    all: impl Iterator<Item = SocketAddr>,
    port: u16,
) -> bool {
    let widest = |addresses: &mut dyn Iterator<Item = SocketAddr>| {
        let of_port = addresses.filter(|address| address.port() == port);
        of_port.map(|address| reach(address.ip())).max()
    };
    let own = widest(&mut own.iter().filter_map(|listen| listen.address.ip()));
    own < widest(&mut { all })
}

/// Whether one of the addresses of a server on `port` is every address of the machine.
pub(super) fn is_everywhere(own: &[Listen], port: u16) -> bool {
    let mut own = own.iter().filter_map(|listen| listen.address.ip());
    own.any(|address| address.port() == port && address.ip().is_unspecified())
}

/// From how far an address is reached: from this machine, from a private network, or from anywhere.
fn reach(ip: IpAddr) -> u8 {
    let is_private = match ip {
        // 100.64.0.0/10 is for the networks of providers, and of VPNs (RFC 6598).
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    match (ip.is_loopback(), is_private) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 2,
    }
}

/// The addresses of one `listen`, of which `[::]:80 ipv6only=off` has two, and comments about its parameters.
///
/// # Errors
/// The reason why it cannot be carried over.
fn one(
    directive: &Directive,
    address: ListenAddr,
    notes: &mut Notes<'_>,
) -> Result<(Vec<Listen>, Vec<String>), String> {
    let mut comments = Vec::new();
    let ip = address.ip();
    let mut listen = Listen {
        address,
        is_default: false,
        tls: false,
        place: directive.place,
    };
    let mut both = false;
    let mut speaks_http2 = false;
    for parameter in directive.args.iter().skip(1) {
        match parameter.split('=').next().unwrap_or_default() {
            "default_server" | "default" => listen.is_default = true,
            "ssl" => listen.tls = true,
            "ipv6only" => {
                let is_any = |address: SocketAddr| address.ip() == Ipv6Addr::UNSPECIFIED;
                both = parameter.ends_with("=off") && ip.is_some_and(is_any);
            }
            "http2" | "spdy" => speaks_http2 = true,
            "reuseport" | "so_keepalive" | "backlog" | "deferred" | "bind" | "fastopen"
            | "rcvbuf" | "sndbuf" => {
                notes.needless(
                    directive,
                    "its options for sockets: wsgate's have sound ones",
                );
            }
            "quic" => return Err("no WebSocket client comes over HTTP/3".to_owned()),
            "proxy_protocol" => {
                let proxies = match ip {
                    Some(_) => "the proxies that send it",
                    None => "`\"unix:\"`",
                };
                let why = format!(
                    "write `proxy_protocol: true` at this listener, and {proxies} under `trusted_proxies`; until \
                     then what comes with it is refused"
                );
                comments.push(notes.left(directive, why));
            }
            other => comments.push(notes.left(directive, format!("wsgate has no `{other}`"))),
        }
    }
    match speaks_http2 {
        true if listen.tls => notes.needless(
            directive,
            "its `http2`: HTTP/1.1 is all that clients are offered, which every one of them speaks",
        ),
        // Without TLS a client cannot be offered anything: it begins with HTTP/2.
        true => comments.push(notes.left(directive, "HTTP/2 without TLS is not spoken")),
        false => {}
    }
    let mut listens = Vec::new();
    if let Some(ip) = ip.filter(|_| both) {
        listens.push(Listen {
            address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), ip.port()).into(),
            ..listen.clone()
        });
    }
    listens.push(listen);
    Ok((listens, comments))
}

/// Reads what stands behind `listen`: an address, or `unix:` and a path.
///
/// # Errors
/// The reason why wsgate cannot listen there.
fn address(text: &str) -> Result<ListenAddr, String> {
    match text.strip_prefix("unix:") {
        Some(path) => config::socket_path(path)
            .map(ListenAddr::Unix)
            .map_err(|error| error.to_string()),
        None => ip(text).map(ListenAddr::Ip),
    }
}

/// Reads an address: `80`, `*:80`, `127.0.0.1`, `127.0.0.1:80` or `[::]:80`. Without a port it is 80.
///
/// # Errors
/// The reason why wsgate cannot listen there.
fn ip(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
        port.ok_or_else(|| format!("no such port: `{text}`"))
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port(text)?));
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (ip, rest) = inside.split_once(']').ok_or("this is no IPv6 address")?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| "this is no IPv6 address")?;
        let port = match rest.strip_prefix(':') {
            Some(text) => port(text)?,
            None => 80,
        };
        return Ok(SocketAddr::new(ip.into(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, text)) => (host, port(text)?),
        None => (text, 80),
    };
    let ip = match host {
        "*" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        host => host
            .parse()
            .map_err(|_| "a listener has an IP address, not a name")?,
    };
    Ok(SocketAddr::new(ip.into(), port))
}

/// The names of a server that the key `host` can have, each once. Others are noted in `comments`.
pub(super) fn names(
    server: &Directive,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<HostPattern> {
    let mut names = Vec::new();
    for directive in all(server.inside(), "server_name") {
        for name in &directive.args {
            // By convention these are names for which no client asks.
            if name.is_empty() || name == "_" || name == "__" {
                continue;
            }
            let read: Result<Vec<HostPattern>, String> = if name.starts_with('~') {
                Err(format!("`{name}`: a host is no regex; write its names out"))
            } else if name.starts_with('$') {
                Err(format!("`{name}`: write this machine's name out"))
            } else if let Some(below) = name.strip_prefix('.') {
                [below.to_owned(), format!("*.{below}")]
                    .iter()
                    .map(|name| pattern(name))
                    .collect()
            } else {
                pattern(name).map(|name| vec![name])
            };
            match read {
                Ok(read) => names.extend(read),
                Err(why) => comments.push(notes.left(directive, why)),
            }
        }
    }
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// Reads one name as a `host`.
///
/// # Errors
/// The name, and why it is none.
fn pattern(name: &str) -> Result<HostPattern, String> {
    name.parse().map_err(|error| format!("`{name}`: {error}"))
}

#[cfg(test)]
mod tests {
    use crate::nginx::listen::address;

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, read) in [
            ("80", "0.0.0.0:80"),
            ("*:8080", "0.0.0.0:8080"),
            ("*", "0.0.0.0:80"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("localhost:81", "127.0.0.1:81"),
            ("[::]:443", "[::]:443"),
            ("[::1]", "[::1]:80"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
        ] {
            assert_eq!(
                address(text).map(|address| address.to_string()).as_deref(),
                Ok(read),
                "{text}"
            );
        }
        for (text, why) in [
            (
                "unix:run/x",
                "the path of a Unix socket does not begin with a slash",
            ),
            ("0", "no such port: `0`"),
            ("99999", "no such port: `99999`"),
            ("[::", "this is no IPv6 address"),
            ("a.test:80", "a listener has an IP address, not a name"),
            ("", "a listener has an IP address, not a name"),
        ] {
            assert_eq!(address(text), Err(why.to_owned()), "{text}");
        }
    }
}
