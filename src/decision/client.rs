//! Who sends a request, as far as that decides about it.

use crate::headers::forwarded::Scheme;
use crate::stream::ClientAddr;

/// The client's side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// From where it comes; an IPv4-mapped IPv6 address is an IPv4 one. For a request that a trusted proxy passes on, the address
    /// of the client before that proxy, whose port is 0 if it was not said.
    pub address: ClientAddr,
    /// Whether it came over TLS.
    pub scheme: Scheme,
    /// The port that it connected to; 0 for a Unix socket, which has none.
    pub port: u16,
    /// Where its listener sends all clients, if it serves none of them.
    pub redirect: Option<Redirect>,
}

/// `redirect: https`: where the clients of a plain listener are sent.
#[derive(Clone, Copy, Debug)]
pub struct Redirect {
    /// The port of the TLS listener.
    pub port: u16,
}
