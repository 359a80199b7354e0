//! The address of an upstream, as log lines show it.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// What took a connection to an upstream, or refused it. Cheap to clone: a path is shared with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpstreamAddr {
    /// An address and a port.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(Arc<Path>),
}

impl fmt::Display for UpstreamAddr {
    /// As nginx's `$upstream_addr`: `127.0.0.1:5002`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
