//! Why there is no connection to an upstream.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name has no address.
    Resolve {
        /// `host:port` as in `proxy_pass`.
        upstream: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Every address said no; the last one's words.
    Refused {
        /// `host:port` as in `proxy_pass`.
        upstream: String,
        /// The last one.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No address answered in time.
    Timeout {
        /// `host:port` as in `proxy_pass`.
        upstream: String,
        /// [`Limits::connect`](crate::upstream::Limits::connect).
        limit: Duration,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { upstream, source } => write!(
                f,
                "cannot find the address of upstream {upstream}: {source}"
            ),
            Self::Refused {
                upstream, source, ..
            } => {
                write!(
                    f,
                    "cannot connect to upstream {upstream}: {}",
                    Plainly(source)
                )
            }
            Self::Timeout { upstream, limit } => {
                write!(
                    f,
                    "cannot connect to upstream {upstream}: no answer within {limit:?} (`connect_timeout`)"
                )
            }
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::Refused { source, .. } => Some(source),
            Self::Timeout { .. } => None,
        }
    }
}

/// The system's error in words, without its number, in lower case.
struct Plainly<'a>(&'a io::Error);

impl fmt::Display for Plainly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
            io::ErrorKind::HostUnreachable => f.write_str("host unreachable"),
            io::ErrorKind::NetworkUnreachable => f.write_str("network unreachable"),
            io::ErrorKind::ConnectionReset => f.write_str("connection reset"),
            _ => write!(f, "{}", self.0),
        }
    }
}
