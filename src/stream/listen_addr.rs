//! What a listener listens on, as the file writes it and as a start shows it.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// An address to listen on. Cheap to clone: a path is shared with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddr {
    /// An address and a port; port 0 lets the system choose.
    Ip(SocketAddr),
    /// The file of a Unix socket.
    Unix(Arc<Path>),
}

impl ListenAddr {
    /// The address and the port, if it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The port that clients connect to; `None` where there is no port.
    pub fn port(&self) -> Option<u16> {
        self.ip().map(|address| address.port())
    }

    /// The file, if it is that of a Unix socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Whether the system is to choose the port.
    pub fn is_any_port(&self) -> bool {
        self.port() == Some(0)
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// As it is written: `127.0.0.1:8080`, `unix:/run/wsgate.sock`.
impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
