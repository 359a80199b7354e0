//! What `upstreams` says of a group.

use std::time::Duration;

use crate::upstream::HashKey;

/// The longest sequence in which the servers of a group take turns: the sum of the weights, once all are divided by what divides them
/// all. It is made when the configuration is read, and each of its turns takes eight bytes.
pub const MOST_TURNS: u32 = 65_535;

/// What `upstreams` says of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// The name of the group; of a list in `proxy_pass`, the name of its route.
    pub name: String,
    /// How a server is chosen for a request that belongs to none of them.
    pub balance: Balance,
    /// How a request finds the server that it belongs to.
    pub sticky: Sticky,
    /// How servers are asked whether they are well, beside what requests show.
    pub health_check: Option<HealthCheck>,
    /// How long a server that has recovered is given less than its share.
    pub slow_start: Duration,
    /// Whether the tunnels of a server end that a health check has found down.
    pub close_tunnels: bool,
    /// How often names with `resolve` are looked up.
    pub valid: Duration,
}

impl GroupSettings {
    /// What holds for a group that says no more than its servers.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            balance: Balance::default(),
            sticky: Sticky::default(),
            health_check: None,
            slow_start: Duration::from_secs(10),
            close_tunnels: false,
            valid: Duration::from_secs(5),
        }
    }
}

/// How a server is chosen for a request that belongs to none of them: `balance`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balance {
    /// The server with the fewest open requests and tunnels by its weight.
    #[default]
    LeastConn,
    /// Servers in turn, by nginx's smooth weighted sequence.
    RoundRobin,
    /// By the address of the client.
    IpHash,
    /// By the value of these variables; where that is empty, by [`LeastConn`](Self::LeastConn).
    Hash(HashKey),
}

/// How a request finds the server that it belongs to: `sticky`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sticky {
    /// Whether by its Engine.IO session.
    pub sid: bool,
    /// Whether by a cookie, and by which one.
    pub cookie: Option<StickyCookie>,
}

impl Default for Sticky {
    /// By the session, which needs nothing of a client.
    fn default() -> Self {
        Self {
            sid: true,
            cookie: None,
        }
    }
}

/// The cookie with which a client comes back to its server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// What follows its value in `Set-Cookie`: `; Path=/; Secure`.
    pub attributes: String,
}

/// How servers are asked whether they are well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HealthCheck {
    /// By connecting.
    Tcp,
    /// By a GET for this path, which must be answered 2xx or 3xx.
    Http(String),
    /// By a poll at this path for a session that cannot exist, which an Engine.IO server refuses.
    EngineIo(String),
}
