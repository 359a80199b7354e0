//! What happened, as values, and who hears of it.
//!
//! An [`Observer`] hears of connections, requests, tunnels, reloads and the servers of groups; not yet of attempts that were repeated, TLS handshakes
//! that succeeded, kept connections that were used again, refused reloads, and probes. [`AccessLog`], [`ConnectionLog`] and
//! [`GroupLog`] write log lines; more observers can be put beside them, in pairs, without a change elsewhere. Nothing here decides
//! anything, and nothing is called per byte: an observer may have a look at the first ones that an upstream says, if it asks
//! for that.

mod access_log;
mod beside;
mod connection;
mod connection_log;
mod group_event;
mod group_log;
mod line_encoder;
mod line_sink;
mod log_line;
mod request_line;
mod rule_label;
mod timestamp;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use crate::stream::ClientAddr;
use crate::stream::PeerAddr;

pub use crate::observe::access_log::AccessLog;
pub use crate::observe::access_log::OrdinaryLines;
pub use crate::observe::connection::AcceptPause;
pub use crate::observe::connection::ConnectionFailure;
pub use crate::observe::connection::ProxyHeaderFailure;
pub use crate::observe::connection::TlsFailure;
pub use crate::observe::connection_log::ConnectionLog;
pub use crate::observe::group_event::GroupEvent;
pub use crate::observe::group_log::GroupLog;
pub use crate::observe::line_encoder::LineFormat;
pub use crate::observe::line_sink::LineSink;
pub use crate::observe::request_line::RequestLine;
pub use crate::observe::rule_label::GroupLabel;
pub use crate::observe::rule_label::RuleLabel;
pub use crate::observe::rule_label::StickyBy;

/// The most that is kept of what an upstream says, for an observer that wants to listen.
pub const FIRST_WORDS: usize = 512;

/// Hears of every connection, every exchange and every tunnel. Each method does nothing unless an observer says otherwise.
///
/// All threads that serve call it, between two steps of what they serve: it must not wait.
///
/// A new method must also be forwarded in `beside.rs`, twice; a test there fails where it is not.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A client's connection was taken from the system.
    fn connection_accepted(&self) {}

    /// A client's connection is over, together with the tunnel that it may have become.
    fn connection_ended(&self) {}

    /// A connection ended before there was a request on it. The address is the client's as far as it was known: that of the
    /// proxy in front where its PROXY header is what failed. [`connection_ended`](Self::connection_ended) follows.
    fn connection_failed(&self, client: ClientAddr, failure: ConnectionFailure<'_>) {
        let _ = (client, failure);
    }

    /// No connection is accepted for the moment. Each listener on each thread calls it whenever it has looked again, many
    /// times a second.
    fn accepting_paused(&self, pause: AcceptPause<'_>) {
        let _ = pause;
    }

    /// Another configuration is served from now on, by every thread. What began before goes on under the old one.
    fn reloaded(&self) {}

    /// Something has happened to a server of this group, or to all of them. The main thread calls it, which serves nobody.
    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        let _ = (upstream, event);
    }

    /// A request was answered, or its client went away. Not called for a request that became a tunnel: all requests are these
    /// and those of [`tunnel_opened`](Self::tunnel_opened) together.
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        let _ = (exchange, end);
    }

    /// An upstream and a client agreed to a tunnel.
    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange) {
        let _ = (id, exchange);
    }

    /// A tunnel is over.
    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        let _ = (id, exchange, end);
    }

    /// Whether the first bytes are wanted of the body that the upstream sends with this status, or, if that is a 101, of what
    /// it says in the tunnel. Asked when the head of the answer is there.
    fn listens(&self, exchange: &Exchange, status: StatusCode) -> bool {
        let _ = (exchange, status);
        false
    }

    /// Whether these first words of the upstream in a tunnel are all that is wanted. Asked while there are fewer than
    /// [`FIRST_WORDS`].
    fn is_enough(&self, exchange: &Exchange, said: &[u8]) -> bool {
        let _ = (exchange, said);
        true
    }

    /// What the upstream said first in a tunnel, as soon as that is enough; once, and only if somebody listens. If the tunnel
    /// ends before, it is in [`TunnelEnd`].
    fn tunnel_said(&self, id: TunnelId, exchange: &Exchange, said: &[u8]) {
        let _ = (id, exchange, said);
    }
}

/// What is known of a request while it is under way.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The client's address. Its port is 0 if it is known by the word of a proxy in front alone.
    pub remote_addr: ClientAddr,
    /// The request line as it may be shown.
    pub request: RequestLine,
    /// What it had of a WebSocket's opening handshake.
    pub opening: Opening,
    /// The address that took the connection or, if none did, refused it last. `None` if nothing was tried, or nothing answered
    /// in time.
    pub upstream_addr: Option<PeerAddr>,
    /// The addresses of a group that were tried before that one, and did not answer or did not keep the request. Boxed, since most
    /// requests go to one server.
    pub tried_before: Option<Box<TriedBefore>>,
    /// Why the server was chosen, in a group: `sid`, `cookie`, `asked` or `balance`.
    pub chosen_by: Option<&'static str>,
    /// The rule that took the request.
    pub rule: Option<Arc<RuleLabel>>,
}

/// The addresses that a request was sent to, or that refused it, before the last one, in this order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TriedBefore(pub Vec<PeerAddr>);

impl Exchange {
    /// The client's address as it is shown: without a port that nobody knows.
    pub fn shown_addr(&self) -> String {
        self.remote_addr.to_string()
    }

    /// The location that answered, as written.
    pub fn location(&self) -> Option<&str> {
        self.rule.as_ref().map(|rule| &*rule.location)
    }

    /// Where that location is written: `routes.yaml:9`.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.rule.as_ref().map(|rule| &rule.route)
    }

    /// The group of servers that the location leads to, if there are several.
    pub fn group(&self) -> Option<&GroupLabel> {
        self.rule.as_ref()?.group.as_ref()
    }

    /// The addresses that were tried, the one that answered last: `10.0.0.1:3000, 10.0.0.2:3000`, as nginx's `$upstream_addr` has
    /// them. `None` if none was tried.
    pub fn shown_upstream_addr(&self) -> Option<String> {
        let mut text = String::new();
        // Writing to a String cannot go wrong.
        let _ = self.write_tried(&mut text);
        (!text.is_empty()).then_some(text)
    }

    fn write_tried(&self, to: &mut impl fmt::Write) -> fmt::Result {
        let before = self.tried_before.as_deref().map(|tried| &*tried.0);
        let before = before.unwrap_or_default().iter();
        for (at, address) in before.chain(&self.upstream_addr).enumerate() {
            if at > 0 {
                to.write_str(", ")?;
            }
            write!(to, "{address}")?;
        }
        Ok(())
    }

    /// This address took the connection or refused it; `None` if none did in time. In a group, the one before stays in the list of
    /// those that were tried, unless it is the same.
    pub fn sent_to(&mut self, address: Option<PeerAddr>) {
        if self.chosen_by.is_some() && self.upstream_addr != address {
            let before = self.upstream_addr.take();
            if let Some(before) = before {
                self.tried_before.get_or_insert_default().0.push(before);
            }
        }
        self.upstream_addr = address;
    }
}

/// What a request had of a WebSocket's opening handshake (RFC 6455 §4.1) when it came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Opening {
    /// Nothing, or it could not be read.
    #[default]
    Nothing,
    /// All: it asked for a WebSocket.
    Whole,
    /// The fields that only such a handshake has, and not this, without which it is none.
    Without(Lost),
}

/// What a proxy in front drops unless it is told to pass it on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// HTTP/1.1: it came as HTTP/1.0.
    Version,
    /// `Upgrade: websocket`.
    Upgrade,
    /// `Connection: Upgrade`.
    Connection,
    /// `Upgrade` and `Connection`.
    Both,
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
    /// What is known of the upstream's body, if somebody listened.
    pub said: Option<Said>,
}

/// What is known of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// How it begins: up to [`FIRST_WORDS`].
    Words(Vec<u8>),
    /// It is a page of HTML, in a content coding that nobody here reads.
    EncodedPage,
}

/// Whose fault a reason is, and so how loud it is said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The client's: part of a public address's day.
    Client(String),
    /// A rule or a limit of the configuration, which it names: whoever wrote it may have meant another one.
    Rule(String),
    /// The upstream's: somebody may have to act.
    Upstream(String),
    /// The upstream's too: it closed the connection without an answer.
    Unanswered(String),
    /// Nobody's but wsgate's: a panic ended the connection.
    Panic,
}

/// What is said of a connection that a panic has ended.
pub const PANIC: &str =
    "a panic ended the connection: this is a bug in wsgate, and the line `panic` says where";

/// How a tunnel ended.
#[derive(Clone, Debug)]
pub struct TunnelEnd {
    /// Bytes handed to the upstream's socket.
    pub bytes_to_upstream: u64,
    /// Bytes handed to the client's socket.
    pub bytes_to_client: u64,
    /// From the 101 to here.
    pub duration: Duration,
    /// Who or what ended it.
    pub ended_by: EndedBy,
    /// The socket's error or the time limit that was reached, in words.
    pub reason: Option<String>,
    /// All that the upstream said, if somebody listened and it never was enough.
    pub said: Option<Vec<u8>>,
}

/// Who or what ended a tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndedBy {
    /// The client was the first to close, or broke.
    Client,
    /// The upstream was.
    Upstream,
    /// `tunnel_timeout`, which is this long.
    Idle(Duration),
    /// `half_closed_timeout`: one end was done, and the other silent.
    HalfClosed,
    /// The process, which is going away.
    Drain,
    /// A health check, which has found the server down: `close_tunnels`.
    Down,
    /// A panic in wsgate.
    Panic,
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Idle(_) => "idle",
            Self::HalfClosed => "half_closed",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Panic => "panic",
        })
    }
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

#[cfg(test)]
mod tests {
    use crate::observe::Exchange;

    /// An idle tunnel keeps its exchange, so what only groups need must not make it larger.
    #[test]
    fn an_exchange_is_no_larger_for_what_groups_need() {
        let size = size_of::<Exchange>();
        assert!(size <= 128, "{size} bytes");
    }
}
