//! The address of a socket's other end, as log lines show it.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The address that took a connection, or refused it. Cheap to clone: a path is shared with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerAddr {
    /// An address and a port.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(Arc<Path>),
}

impl fmt::Display for PeerAddr {
    /// As nginx's `$upstream_addr`: `127.0.0.1:5002`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
