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

/// Whose fault it is that there is no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The server's: it counts to `max_fails`.
    Server,
    /// Nobody's, as far as is known: this machine lacks something, or the server had too little time to be blamed.
    Nobody,
}

/// How long a server may take in any case until it is blamed for taking too long: several servers share `connect_timeout`, and a share
/// of a short one is no time for a TLS handshake. After a second TCP repeats a SYN that was lost (RFC 6298 §2).
const TIME_ENOUGH: Duration = Duration::from_secs(1);

impl ConnectError {
    /// Whose fault it is, where `connect_timeout` is this long, of which the attempt may have had a share.
    pub fn blame(&self, connect_timeout: Duration) -> Blame {
        let is_servers = match self {
            Self::Timeout { limit, .. } | Self::TlsTimeout { limit, .. } => {
                *limit >= connect_timeout.min(TIME_ENOUGH)
            }
            Self::Resolve { .. } | Self::Refused { .. } | Self::Tls { .. } => {
                !self.is_of_this_machine()
            }
        };
        if is_servers {
            Blame::Server
        } else {
            Blame::Nobody
        }
    }

    /// The address that it is about, if it is about one.
    pub fn address(&self) -> Option<&PeerAddr> {
        match self {
            Self::Resolve { .. } | Self::Timeout { .. } => None,
            Self::Refused { address, .. }
            | Self::Tls { address, .. }
            | Self::TlsTimeout { address, .. } => Some(address),
        }
    }

    /// Whether this machine is why there is no connection, which has no descriptor, no memory or no port left for one. It says nothing
    /// of the server, and clients can bring it about by being many.
    pub fn is_of_this_machine(&self) -> bool {
        let source = match self {
            Self::Resolve { source, .. } | Self::Refused { source, .. } => source,
            Self::Timeout { .. } | Self::Tls { .. } | Self::TlsTimeout { .. } => return false,
        };
        let errno = Errno::from_io_error(source);
        errno.is_some_and(|errno| {
            [
                Errno::MFILE,
                Errno::NFILE,
                Errno::NOBUFS,
                Errno::NOMEM,
                Errno::ADDRNOTAVAIL,
                Errno::ADDRINUSE,
            ]
            .contains(&errno)
        })
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use rustix::io::Errno;

    use crate::stream::PeerAddr;
    use crate::upstream::ConnectError;

    #[test]
    fn what_this_machine_lacks_says_nothing_of_a_server() {
        for (errno, is_of_this_machine) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOBUFS, true),
            (Errno::NOMEM, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
            (Errno::HOSTUNREACH, false),
            (Errno::NETUNREACH, false),
            (Errno::TIMEDOUT, false),
            (Errno::CONNRESET, false),
            (Errno::NOENT, false),
        ] {
            let refused = ConnectError::Refused {
                upstream: "127.0.0.1:1".to_owned(),
                address: PeerAddr::Ip(([127, 0, 0, 1], 1).into()),
                source: io::Error::from(errno),
            };
            assert_eq!(refused.is_of_this_machine(), is_of_this_machine, "{errno}");
        }
        let timeout = ConnectError::Timeout {
            upstream: "127.0.0.1:1".to_owned(),
            limit: Duration::from_secs(5),
        };
        assert!(!timeout.is_of_this_machine());
    }
}
