//! Relays bytes both ways after a 101, until both ends are done.
//!
//! [`relay()`] takes two streams, what was read from each beyond its head, and a record under limits; it returns how many
//! bytes passed and who ended the tunnel. It has no HTTP, no route, no log and no lock. An idle tunnel owns no buffer:
//! every read goes into one buffer of the thread and is written on at once; only what the other end would not take is
//! kept, and that direction reads no more until it is taken. The end of one direction is passed on (a half-close) and
//! is not the end of the other.
//!
//! An abrupt end (a reset, or TLS that stops without close_notify) ends both sockets at once. The other end then sees
//! an orderly end if it has nothing unread in it, not a reset that could destroy bytes which it has yet to read.

mod direction;
mod idle_sweep;
mod relay;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::stream::Stream;

pub use crate::stream::vanished::Doubt;
pub use crate::tunnel::idle_sweep::Activity;
pub use crate::tunnel::idle_sweep::IdleSweep;
pub use crate::tunnel::idle_sweep::TunnelOwner;
pub use crate::tunnel::relay::Relay;
pub use crate::tunnel::relay::relay;

/// How long a tunnel may be silent.
#[derive(Clone, Copy, Debug)]
pub struct TunnelTimeouts {
    /// Longest silence in both directions; counted in steps of [`IdleSweep::STEP`].
    pub idle: Duration,
    /// Longest silence once one end is done, if that is shorter; counted in the same steps.
    pub half_closed: Duration,
}

/// One end of a tunnel as the opening handshake leaves it.
#[derive(Debug)]
pub struct End<S> {
    /// The socket.
    pub stream: S,
    /// The bytes that were read from it beyond the head. They go to the other end before any others.
    pub early: Bytes,
}

/// An end of a tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The end that asked for the upgrade.
    Client,
    /// The end that agreed to it.
    Upstream,
}

/// Why a tunnel is over.
#[derive(Debug)]
pub enum Ended {
    /// This end was the first to say that it will send no more; then the other end did too.
    Closed(Side),
    /// This end broke.
    Broken(Side, io::Error),
    /// No byte came from either end for [`TunnelTimeouts::idle`].
    Idle,
    /// This end was done, and no byte came from the other one for [`TunnelTimeouts::half_closed`].
    HalfClosed(Side),
    /// The drain is over: `drain_timeout` has passed, or a second signal came.
    Drained,
    /// A health check has found the server down, and its tunnels are to end: `close_tunnels`.
    Down,
}

/// What a finished tunnel has to report.
#[derive(Debug)]
pub struct Passed {
    /// Bytes handed to the upstream's socket.
    pub to_upstream: u64,
    /// Bytes handed to the client's socket.
    pub to_client: u64,
    /// Why the tunnel is over.
    pub ended: Ended,
}

/// A socket at an end of a tunnel.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether its peer learns as much from a close as from a shutdown of the writing half.
    fn close_says_the_end(&self) -> bool;

    /// Told when a doubt begins (the peer has been silent for [`IdleSweep::DOUBT`] and may have vanished) and when it is
    /// over (a byte came). A new socket is doubted.
    fn doubt(&self, doubt: Doubt) {
        let _ = doubt;
    }
}

/// Under TLS a close alone would not do: a close_notify goes first.
impl Socket for Stream {
    fn close_says_the_end(&self) -> bool {
        matches!(self, Self::Plain(_) | Self::Unix(_))
    }

    fn doubt(&self, doubt: Doubt) {
        Stream::doubt(self, doubt);
    }
}

/// Looks at the bytes of each direction as they are read; it cannot change them.
pub trait Hook {
    /// `bytes` were read from `from`.
    fn read(&mut self, from: Side, bytes: &[u8]) {
        let _ = (from, bytes);
    }
}

/// The hook that looks at nothing.
impl Hook for () {}

#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod tests;
