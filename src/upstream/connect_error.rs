//! Why there is no connection to an upstream.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::stream::PeerAddr;
use crate::tls::UpstreamTlsError;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name has no address.
    Resolve {
        /// The server: `host:port` as in `proxy_pass`.
        upstream: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Every address said no; the last one's words.
    Refused {
        /// The server: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// The last one.
        address: PeerAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No address answered in time.
    Timeout {
        /// The server: `host:port` or `unix:/path` as in `proxy_pass`.
        upstream: String,
        /// `connect_timeout`.
        limit: Duration,
    },
    /// An address took the connection, and the TLS handshake came to nothing.
    Tls {
        /// The server: `host:port` as in `proxy_pass`.
        upstream: String,
        /// The address.
        address: PeerAddr,
        /// Why.
        source: Box<UpstreamTlsError>,
    },
    /// An address took the connection, and the TLS handshake did not end in time.
    TlsTimeout {
        /// The server: `host:port` as in `proxy_pass`.
        upstream: String,
        /// The address.
        address: PeerAddr,
        /// `connect_timeout`.
        limit: Duration,
    },
}

impl ConnectError {
    /// The address that it is about, if it is about one.
    pub fn address(&self) -> Option<&PeerAddr> {
        match self {
            Self::Resolve { .. } | Self::Timeout { .. } => None,
            Self::Refused { address, .. }
            | Self::Tls { address, .. }
            | Self::TlsTimeout { address, .. } => Some(address),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { upstream, source } => write!(
                f,
                "cannot find the address of upstream {upstream}: {source}"
            ),
            Self::Refused {
                upstream,
                address,
                source,
            } => {
                write!(f, "cannot connect to upstream {upstream}: ")?;
                match (address, source.kind()) {
                    (PeerAddr::Unix(_), io::ErrorKind::NotFound) => {
                        f.write_str("there is no such file")
                    }
                    (PeerAddr::Unix(_), io::ErrorKind::PermissionDenied) => f.write_str(
                        "permission denied: the user that runs wsgate must be allowed to write to it",
                    ),
                    _ => write!(f, "{}", Plainly(source)),
                }
            }
            Self::Timeout { upstream, limit } => {
                write!(
                    f,
                    "cannot connect to upstream {upstream}: no answer within {limit:?} (`connect_timeout`)"
                )
            }
            Self::Tls {
                upstream, source, ..
            } => write!(f, "upstream {upstream}: {source}"),
            Self::TlsTimeout {
                upstream, limit, ..
            } => write!(
                f,
                "upstream {upstream}: no end of the TLS handshake within {limit:?} (`connect_timeout`); if it speaks no \
                 TLS, use `http://`"
            ),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::Refused { source, .. } => Some(source),
            Self::Tls { source, .. } => Some(source),
            Self::Timeout { .. } | Self::TlsTimeout { .. } => None,
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
            _ if is_out_of_descriptors(self.0) => f.write_str(
                "wsgate has no descriptor left: raise the limit (`ulimit -n`, in systemd LimitNOFILE=)",
            ),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Whether it is this process, or this machine, that has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}
