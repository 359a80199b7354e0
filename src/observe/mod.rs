//! What happened, as values, and who hears of it.
//!
//! Everything worth counting or logging passes an [`Observer`]. [`AccessLog`] is the one that writes log lines; more can
//! be put beside it without a change elsewhere. Nothing here decides anything, and nothing is called per byte.

mod access_log;
mod request_line;
mod upstream_addr;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

pub use crate::observe::access_log::AccessLog;
pub use crate::observe::request_line::RequestLine;
pub use crate::observe::upstream_addr::UpstreamAddr;

/// Hears of every exchange and every tunnel.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A request was answered, or its client went away.
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd);
    /// An upstream and a client agreed to a tunnel.
    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange);
    /// A tunnel is over.
    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd);
}

/// What is known of a request while it is under way.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The client's socket address.
    pub remote_addr: SocketAddr,
    /// The request line as it may be shown.
    pub request: RequestLine,
    /// Where it was sent: what took the connection.
    pub upstream_addr: Option<UpstreamAddr>,
    /// The location that answered, as written.
    pub location: Option<Arc<str>>,
    /// Where that location is written: `routes.yaml:9`.
    pub route: Option<Arc<str>>,
}

/// How an exchange ended.
#[derive(Clone, Debug)]
pub struct ExchangeEnd {
    /// What the client was told; `None` if it was gone before.
    pub status: Option<StatusCode>,
    /// Bytes of the answer's body handed to the client's connection.
    pub body_bytes_sent: u64,
    /// From the request's head to here.
    pub duration: Duration,
    /// Why wsgate itself answered, or what went wrong on the way.
    pub reason: Option<Reason>,
}

/// Whose fault a reason is, and so how loud it is said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The client's: part of a public address's day.
    Client(String),
    /// The upstream's: somebody may have to act.
    Upstream(String),
}

/// How a tunnel ended.
#[derive(Clone, Debug)]
pub struct TunnelEnd {
    /// Bytes handed to the upstream's socket.
    pub bytes_to_upstream: u64,
    /// Bytes handed to the client's socket.
    pub bytes_to_client: u64,
    /// From the 101 to here.
    pub duration: Duration,
    /// `client`, `upstream`, `idle` or `drain`.
    pub ended_by: String,
    /// The socket's error, if it was one.
    pub reason: Option<String>,
}

/// Ties the two lines of a tunnel together; counts from 1 in each process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TunnelId(u64);

impl TunnelId {
    /// The next one.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// As a number.
    pub fn number(self) -> u64 {
        self.0
    }
}
