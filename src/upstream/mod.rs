//! Where requests go: which address, how a connection to it is made, and HTTP/1.1 over it.
//!
//! [`ProxyPass`] is what the configuration says, [`Server`] is that with what its TLS needs, [`Upstream::pick`] chooses a
//! server for one request, [`connect`] opens a socket, [`Connection`] speaks HTTP over it,
//! [`Resting`] is one that nobody speaks over. A connection belongs to one client connection; nothing here is
//! shared between clients, since a shared pool breaks Engine.IO workers that keep sessions per connection.

mod connect;
mod connect_error;
mod connection;
mod proxy_pass;
mod resting;
mod server;

use std::sync::Arc;
use std::time::Duration;

pub use crate::upstream::connect::Connected;
pub use crate::upstream::connect::connect;
pub use crate::upstream::connect_error::ConnectError;
pub use crate::upstream::connection::Connection;
pub use crate::upstream::connection::SendError;
pub use crate::upstream::connection::close;
pub use crate::upstream::proxy_pass::Address;
pub use crate::upstream::proxy_pass::Host;
pub use crate::upstream::proxy_pass::ProxyPass;
pub use crate::upstream::proxy_pass::ProxyPassError;
pub use crate::upstream::proxy_pass::Scheme;
pub use crate::upstream::resting::Resting;
pub use crate::upstream::server::Server;

/// Longest idleness after which a connection is used again. Node's servers close theirs after 5 s
/// (`server.keepAliveTimeout`), and a request that crosses that end is lost.
const REUSE_WITHIN: Duration = Duration::from_secs(4);

/// What a connection to an upstream obeys.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time to look up the name and to be accepted, over all its addresses, and for the TLS handshake.
    pub connect: Duration,
}

/// One or more servers that answer the same requests. Clones are one: a connection to one is a connection to the other.
#[derive(Clone, Debug)]
pub struct Upstream {
    server: Arc<Server>,
}

impl Upstream {
    /// The one server of a `proxy_pass`.
    pub fn new(server: Server) -> Self {
        Self {
            server: Arc::new(server),
        }
    }

    /// The server for the next request.
    pub fn pick(&self) -> &Server {
        &self.server
    }

    /// Whether one is a clone of the other, so that what was connected for the other will do.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.server, &other.server)
    }

    /// Whether both say the same, so that one could stand for the other.
    pub fn means(&self, other: &Self) -> bool {
        self.server.means(&other.server)
    }
}
