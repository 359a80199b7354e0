//! The `address` of a listener, as nginx's `listen` takes it. Texts in, values out.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::stream::ListenAddr;

/// Reads `8080` and `*:8080` (every IPv4 interface), `127.0.0.1:8080`, `[::]:8080`, and `unix:/run/wsgate.sock`. Port 0 lets the
/// system choose.
pub(super) fn read(text: &str) -> Result<ListenAddr, AddressError> {
    let text = text.trim();
    match text.strip_prefix("unix:") {
        Some(path) => socket_path(path).map(ListenAddr::Unix),
        None => ip(text).map(ListenAddr::Ip),
    }
}

/// The longest path that a socket's address holds: `sun_path` has 108 bytes, and the last is a NUL (unix(7)).
const LONGEST_PATH: usize = 107;

/// Reads the path of a Unix socket.
///
/// # Errors
/// No socket can be listened on there.
pub(crate) fn socket_path(path: &str) -> Result<Arc<Path>, AddressError> {
    if path.is_empty() {
        Err(AddressError::NoSocket)
    } else if path.starts_with('@') {
        Err(AddressError::AbstractSocket)
    } else if !path.starts_with('/') {
        Err(AddressError::RelativeSocket)
    } else if path.contains(char::is_control) {
        Err(AddressError::ControlInSocket)
    } else if path.len() > LONGEST_PATH {
        Err(AddressError::LongSocket { length: path.len() })
    } else if path.ends_with('/') {
        Err(AddressError::Folder)
    } else {
        Ok(Path::new(path).into())
    }
}

/// Reads the permission bits of a Unix socket's file: `0660`, `660`, or `0o660`, which is how YAML 1.2 writes octal numbers.
pub(super) fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(digits, 8).ok()?;
    ((3..=4).contains(&digits.len()) && is_octal && mode <= 0o777).then_some(mode)
}

/// Reads an address and a port.
fn ip(text: &str) -> Result<SocketAddr, AddressError> {
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

/// Why a text is no address, if it is a URL, or has parameters as nginx's `listen` takes them.
fn something_else(text: &str) -> Option<AddressError> {
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
pub(crate) enum AddressError {
    Empty,
    NoSocket,
    AbstractSocket,
    RelativeSocket,
    ControlInSocket,
    LongSocket { length: usize },
    Folder,
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
            Self::NoSocket | Self::RelativeSocket | Self::Folder => {
                "write the whole path of a file that is made at the start, as in `unix:/run/wsgate/wsgate.sock`".to_owned()
            }
            Self::AbstractSocket => {
                "everybody on this machine could connect to it; write a path, whose `mode` says who may".to_owned()
            }
            Self::ControlInSocket => "write a path that can be seen".to_owned(),
            Self::LongSocket { .. } => format!("a path to a socket has at most {LONGEST_PATH} bytes; write a shorter one"),
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
            Self::NoSocket => f.write_str("`address` has no path after `unix:`"),
            Self::AbstractSocket => {
                f.write_str("`address` is an abstract socket, which has no permissions")
            }
            Self::RelativeSocket => {
                f.write_str("the path of a Unix socket does not begin with a slash")
            }
            Self::ControlInSocket => {
                f.write_str("the path of a Unix socket has a control character")
            }
            Self::LongSocket { length } => {
                write!(
                    f,
                    "the path of a Unix socket has {length} bytes, which is too long"
                )
            }
            Self::Folder => f.write_str("the path of a Unix socket is that of a folder"),
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
    use crate::config::address::AddressError;
    use crate::config::address::mode;
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
            ("unix:/run/a b:c.sock", "unix:/run/a b:c.sock"),
        ] {
            assert_eq!(
                read(text).map(|address| address.to_string()),
                Ok(address.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_may_be_as_long_as_the_system_allows() {
        let path = |length| format!("unix:/{}", "x".repeat(length - 1));
        assert!(read(&path(107)).is_ok());
        let length = 108;
        assert_eq!(
            read(&path(length)),
            Err(AddressError::LongSocket { length })
        );
    }

    #[test]
    fn a_mode_is_octal() {
        for (text, bits) in [
            ("0660", Some(0o660)),
            ("660", Some(0o660)),
            ("0o600", Some(0o600)),
            ("777", Some(0o777)),
            ("1777", None),
            ("0888", None),
            ("66", None),
            ("00660", None),
            ("+660", None),
            ("", None),
            ("rw-rw----", None),
            ("432", Some(0o432)),
        ] {
            assert_eq!(mode(text), bits, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for (text, message) in [
            ("", "`address` is empty"),
            ("unix:", "`address` has no path after `unix:`"),
            (
                "unix:@x",
                "`address` is an abstract socket, which has no permissions",
            ),
            (
                "unix:x",
                "the path of a Unix socket does not begin with a slash",
            ),
            (
                "unix:/a\tb",
                "the path of a Unix socket has a control character",
            ),
            ("unix:/", "the path of a Unix socket is that of a folder"),
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
