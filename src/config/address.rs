//! The `address` of a listener, as nginx's `listen` takes it. Texts in, values out.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// Reads `8080` and `*:8080` (every IPv4 interface), `127.0.0.1:8080` and `[::]:8080`. Port 0 lets the system choose.
pub(super) fn read(text: &str) -> Result<SocketAddr, AddressError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if let Some(error) = something_else(text) {
        return Err(error);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port(text)?));
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (ip, rest) = inside.split_once(']').ok_or(AddressError::NotIpv6)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| AddressError::NotIpv6)?;
        let rest = rest.strip_prefix(':').ok_or(AddressError::NoPort {
            address: text.to_owned(),
        })?;
        return Ok(SocketAddr::new(ip.into(), port(rest)?));
    }
    if text.matches(':').count() > 1 {
        return Err(AddressError::BareIpv6);
    }
    match text.split_once(':') {
        Some((host, written)) => {
            let port = port(written)?;
            Ok(SocketAddr::new(IpAddr::V4(ipv4(host, port)?), port))
        }
        None if text.parse::<Ipv4Addr>().is_ok() => Err(AddressError::NoPort {
            address: text.to_owned(),
        }),
        None => Err(AddressError::Nothing),
    }
}

/// Why a text is no address, if it is a Unix socket, a URL, or has parameters as nginx's `listen` takes them.
fn something_else(text: &str) -> Option<AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(AddressError::Unix {
            path: path.to_owned(),
        });
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let instead = rest.split('/').next().unwrap_or_default().to_owned();
        return Some(AddressError::Url {
            instead,
            tls: matches!(scheme, "https" | "wss"),
        });
    }
    let (address, parameters) = text.split_once(char::is_whitespace)?;
    Some(AddressError::Parameters {
        address: address.to_owned(),
        parameters: parameters.trim().to_owned(),
    })
}

/// The address before the colon; `*` is every interface.
fn ipv4(host: &str, port: u16) -> Result<Ipv4Addr, AddressError> {
    match host {
        "" => Err(AddressError::NoHost { port }),
        "*" => Ok(Ipv4Addr::UNSPECIFIED),
        host => host.parse().map_err(|_| {
            let is_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            if host.bytes().all(is_number) {
                AddressError::NotIpv4
            } else {
                AddressError::Name {
                    host: host.to_owned(),
                    port,
                }
            }
        }),
    }
}

/// Reads a port, from 0 to 65535.
fn port(text: &str) -> Result<u16, AddressError> {
    // `parse` would accept a plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse().ok().filter(|_| digits);
    read.ok_or_else(|| AddressError::Port {
        text: text.to_owned(),
    })
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum AddressError {
    Empty,
    Unix { path: String },
    Url { instead: String, tls: bool },
    Parameters { address: String, parameters: String },
    Port { text: String },
    NoPort { address: String },
    NoHost { port: u16 },
    NotIpv4,
    NotIpv6,
    BareIpv6,
    Name { host: String, port: u16 },
    Nothing,
}

impl AddressError {
    /// What to write instead of this address.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Empty | Self::Nothing | Self::NotIpv4 => {
                "write a port for every interface, as in `8080`, or address and port, as in `127.0.0.1:8080`".to_owned()
            }
            Self::Unix { .. } => "listen on a port of 127.0.0.1".to_owned(),
            Self::Url { instead, tls: false } => format!("write `{instead}`, without scheme and path"),
            Self::Url { instead, tls: true } => {
                format!("write `{instead}` and, below it, the key `tls` with `cert` and `key`")
            }
            Self::Parameters { address, parameters } => {
                let instead = match parameters.split_whitespace().next() {
                    Some("ssl") => "and the key `tls`",
                    Some("reuseport") => "and the key `reuseport: true`",
                    Some("default_server") => "alone: the first route that fits answers on every address",
                    _ => "alone",
                };
                format!("write `{address}` {instead}")
            }
            Self::Port { .. } => "a port is a number from 1 to 65535, or 0 for any that is free".to_owned(),
            Self::NoPort { address } if address.starts_with('[') => {
                format!("write `\"{address}:80\"`, in quotes, for the port that nginx would take")
            }
            Self::NoPort { address } => format!("write `{address}:80` for the port that nginx would take"),
            Self::NoHost { port } => format!("write `{port}` for every interface, or `127.0.0.1:{port}`"),
            Self::NotIpv6 | Self::BareIpv6 => {
                "write an IPv6 address in brackets, and all of it in quotes: `\"[::1]:8080\"`".to_owned()
            }
            Self::Name { host, port } if host.eq_ignore_ascii_case("localhost") => {
                format!("write an IP address: `127.0.0.1:{port}`")
            }
            Self::Name { port, .. } => {
                format!("write an IP address of this machine, or `{port}` for every interface")
            }
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("`address` is empty"),
            Self::Unix { path } => write!(f, "cannot listen on a Unix socket: `{path}`"),
            Self::Url { .. } => f.write_str("`address` is no URL"),
            Self::Parameters { parameters, .. } => {
                write!(
                    f,
                    "`address` takes no parameters as nginx's `listen` does: `{parameters}`"
                )
            }
            Self::Port { text } if text.is_empty() => {
                f.write_str("`address` has no port after the colon")
            }
            Self::Port { text } => write!(f, "no such port: `{text}`"),
            Self::NoPort { .. } => f.write_str("`address` has no port"),
            Self::NoHost { .. } => f.write_str("`address` has nothing before the colon"),
            Self::NotIpv4 => f.write_str("`address` is no IPv4 address"),
            Self::NotIpv6 => f.write_str("`address` is no IPv6 address"),
            Self::BareIpv6 => f.write_str("`address` is an IPv6 address without brackets"),
            Self::Name { host, .. } => {
                write!(f, "`address` is a name, not an IP address: `{host}`")
            }
            Self::Nothing => {
                f.write_str("`address` is neither a port nor an IP address with a port")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::address::read;

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, address) in [
            ("8080", "0.0.0.0:8080"),
            ("*:80", "0.0.0.0:80"),
            ("0", "0.0.0.0:0"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            (" 10.0.0.1:65535 ", "10.0.0.1:65535"),
            ("[::]:443", "[::]:443"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(
                read(text).map(|address| address.to_string()),
                Ok(address.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for (text, message) in [
            ("", "`address` is empty"),
            ("unix:/x", "cannot listen on a Unix socket: `/x`"),
            ("https://*:443/", "`address` is no URL"),
            (
                "443 ssl",
                "`address` takes no parameters as nginx's `listen` does: `ssl`",
            ),
            ("65536", "no such port: `65536`"),
            ("-1", "no such port: `-1`"),
            ("127.0.0.1:+1", "no such port: `+1`"),
            ("127.0.0.1:", "`address` has no port after the colon"),
            ("127.0.0.1", "`address` has no port"),
            ("[::1]", "`address` has no port"),
            (":80", "`address` has nothing before the colon"),
            ("127.0.1:80", "`address` is no IPv4 address"),
            ("[::g]:80", "`address` is no IPv6 address"),
            ("[::1:80", "`address` is no IPv6 address"),
            ("::1:80", "`address` is an IPv6 address without brackets"),
            (
                "localhost:80",
                "`address` is a name, not an IP address: `localhost`",
            ),
            (
                "x",
                "`address` is neither a port nor an IP address with a port",
            ),
        ] {
            let error = read(text);
            assert_eq!(
                error.clone().map_err(|error| error.to_string()),
                Err(message.to_owned()),
                "{text}"
            );
            assert!(error.is_err_and(|error| !error.help().is_empty()));
        }
    }
}
