//! Where requests go: which address, how a connection to it is made, and HTTP/1.1 over it.
//!
//! [`ProxyPass`] is what the configuration says, [`Server`] is that with what its TLS needs, [`Upstream::pick`] chooses a
//! server for one request, [`connect`] opens a socket, [`Connection`] speaks HTTP over it through hyper, and
//! [`IdleConnection`] is one between two requests, over which hyper does not speak. [`answers`] and [`ask`] ask a server outside
//! of any client's request. A connection belongs to one client connection; nothing here is shared between clients, since a
//! shared pool breaks Engine.IO workers that keep sessions per connection.

mod connect;
mod connect_error;
mod connection;
mod idle_connection;
mod lookup;
mod probe;
mod proxy_pass;
mod server;

use std::sync::Arc;
use std::time::Duration;

use crate::tls::UpstreamName;
pub use crate::upstream::connect::Connected;
pub use crate::upstream::connect::connect;
pub use crate::upstream::connect_error::ConnectError;
pub use crate::upstream::connection::Connection;
pub use crate::upstream::connection::SendError;
pub use crate::upstream::connection::close;
pub use crate::upstream::idle_connection::IdleConnection;
pub use crate::upstream::probe::AskTimeouts;
pub use crate::upstream::probe::ProbeAnswer;
pub use crate::upstream::probe::ProbeError;
pub use crate::upstream::probe::answers;
pub use crate::upstream::probe::ask;
pub use crate::upstream::proxy_pass::Address;
pub use crate::upstream::proxy_pass::Host;
pub use crate::upstream::proxy_pass::ProxyPass;
pub use crate::upstream::proxy_pass::ProxyPassError;
pub use crate::upstream::proxy_pass::Scheme;
pub use crate::upstream::server::Server;

/// Longest idleness after which a connection is used again. Node's servers close theirs after 5 s
/// (`server.keepAliveTimeout`), and a request that crosses that end is lost.
const REUSE_WITHIN: Duration = Duration::from_secs(4);

/// One or more servers that answer the same requests. Clones share their servers.
#[derive(Clone, Debug)]
pub struct Upstream {
    servers: Servers,
}

#[derive(Clone, Debug)]
enum Servers {
    One(Arc<Server>),
    /// Each pick takes the next one, so that a test sees whether a request asks twice.
    #[cfg(test)]
    Alternating(Arc<tests::Alternating>),
}

impl Upstream {
    /// The one server of a `proxy_pass`.
    pub fn new(server: Server) -> Self {
        Self {
            servers: Servers::One(Arc::new(server)),
        }
    }

    /// Chooses the server for one request, which is where load balancing belongs.
    /// Each call may choose another one: a request asks once, and what it was given is the
    /// server that it connects to, keeps, and names in its errors and in the log.
    pub fn pick(&self) -> Arc<Server> {
        match &self.servers {
            Servers::One(server) => Arc::clone(server),
            #[cfg(test)]
            Servers::Alternating(servers) => servers.next(),
        }
    }

    /// All of its servers.
    pub fn servers(&self) -> &[Arc<Server>] {
        match &self.servers {
            Servers::One(server) => std::slice::from_ref(server),
            #[cfg(test)]
            Servers::Alternating(servers) => &servers.all,
        }
    }

    /// What `proxy_pass` says.
    pub fn proxy_pass(&self) -> &ProxyPass {
        match &self.servers {
            Servers::One(server) => server.proxy_pass(),
            #[cfg(test)]
            Servers::Alternating(servers) => servers.all[0].proxy_pass(),
        }
    }

    /// What `tls_name` says, if it is set.
    pub fn tls_name(&self) -> Option<&UpstreamName> {
        self.servers().iter().find_map(|server| server.tls_name())
    }

    /// Whether one is a clone of the other, so that what was connected for the other will do.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        let pairs = self.servers().iter().zip(other.servers());
        self.servers().len() == other.servers().len()
            && pairs
                .into_iter()
                .all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// Whether the configuration says the same of all their servers, so that one upstream could stand for the other.
    pub fn is_configured_alike(&self, other: &Self) -> bool {
        let mut pairs = self.servers().iter().zip(other.servers());
        self.servers().len() == other.servers().len()
            && pairs.all(|(own, other)| own.is_configured_alike(other))
    }

    /// Whether the same authorities vouch for all their servers.
    pub fn has_same_roots(&self, other: &Self) -> bool {
        let mut pairs = self.servers().iter().zip(other.servers());
        pairs.all(|(own, other)| own.has_same_roots(other))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use crate::upstream::Server;
    use crate::upstream::Servers;
    use crate::upstream::Upstream;

    /// Servers that take turns.
    #[derive(Debug)]
    pub(super) struct Alternating {
        pub(super) all: Vec<Arc<Server>>,
        picked: AtomicUsize,
    }

    impl Alternating {
        pub(super) fn next(&self) -> Arc<Server> {
            let picked = self.picked.fetch_add(1, Ordering::Relaxed);
            Arc::clone(&self.all[picked % self.all.len()])
        }
    }

    /// An upstream whose servers take turns: each [`Upstream::pick`] is another one.
    pub(crate) fn alternating(upstreams: &[&Upstream]) -> Upstream {
        let all = upstreams.iter().flat_map(|upstream| upstream.servers());
        Upstream {
            servers: Servers::Alternating(Arc::new(Alternating {
                all: all.cloned().collect(),
                picked: AtomicUsize::new(0),
            })),
        }
    }
}
