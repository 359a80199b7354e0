//! The address of a client, as rules judge it and as log lines and upstreams are told.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;

/// From where a client comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAddr {
    /// From an address and a port, which is 0 if nobody knows it.
    Ip(SocketAddr),
    /// Through a Unix socket, whose other end has no name.
    Unix,
}

/// What nginx calls every client that comes through a Unix socket.
const UNIX: &str = "unix:";

impl ClientAddr {
    /// The client's address; `None` for one that comes through a Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// The same without its port, as nginx's `$remote_addr`: `192.0.2.7`, `unix:`.
    pub fn without_port(self) -> impl fmt::Display {
        fmt::from_fn(move |f| match self {
            Self::Ip(address) => write!(f, "{}", address.ip()),
            Self::Unix => f.write_str(UNIX),
        })
    }

    /// The same with an IPv4-mapped IPv6 address as the IPv4 address that it stands for.
    pub fn canonical(self) -> Self {
        match self {
            Self::Ip(address) => {
                Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Self::Unix => Self::Unix,
        }
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// As log lines have it: `192.0.2.7:50000`, `192.0.2.7` where the port is not known, `unix:`.
impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) if address.port() == 0 => write!(f, "{}", address.ip()),
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix => f.write_str(UNIX),
        }
    }
}
