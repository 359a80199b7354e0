//! Relays bytes both ways after a 101, until both ends are done.
//!
//! [`relay`] takes two streams, what was read from each beyond its head, and a record under limits; it returns how many
//! bytes passed and who ended the tunnel. It has no HTTP, no route, no log and no lock. An idle tunnel owns no buffer:
//! every read goes into one buffer of the thread and is written on at once; only what the other end would not take is
//! kept, and that direction reads no more until it is taken. The end of one direction is passed on (a half-close) and
//! is not the end of the other.
//!
//! An abrupt end (a reset, or TLS that stops without close_notify) ends both sockets at once. The other end then sees
//! an orderly end if it has nothing unread in it, not a reset that could destroy bytes which it has yet to read.

mod direction;
mod keeper;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::stream::Stream;
use crate::tunnel::direction::Direction;
use crate::tunnel::direction::DirectionError;
use crate::tunnel::direction::DirectionState;
use crate::tunnel::direction::EndSignal;
use crate::tunnel::direction::Ends;
use crate::tunnel::keeper::EndRequest;

pub use crate::stream::vanished::Doubt;
pub use crate::tunnel::keeper::Activity;
pub use crate::tunnel::keeper::Keeper;

/// How long a tunnel may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest silence in both directions; counted in steps of [`Keeper::STEP`].
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
    /// No byte came from either end for [`Limits::idle`].
    Idle,
    /// This end was done, and no byte came from the other one for [`Limits::half_closed`].
    HalfClosed(Side),
    /// The process drains.
    Drained,
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

    /// Told when a doubt begins (the peer has been silent for [`Keeper::DOUBT`] and may have vanished) and when it is
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

/// Moves bytes between `client` and `upstream` until both ends are done, one breaks, or the sweep
/// that gave `activity` ends the tunnel.
///
/// # Cancel safety
/// Dropping the future closes both sockets; bytes that one end had not taken are lost.
pub fn relay<C, U, H>(
    client: End<C>,
    upstream: End<U>,
    activity: Rc<Activity>,
    hook: H,
) -> Relay<C, U, H>
where
    C: Socket,
    U: Socket,
    H: Hook,
{
    Relay {
        client: client.stream,
        upstream: upstream.stream,
        to_upstream: Direction::owing(client.early),
        to_client: Direction::owing(upstream.early),
        first: None,
        activity,
        hook,
    }
}

/// The future of [`relay`].
#[derive(Debug)]
pub struct Relay<C, U, H> {
    client: C,
    upstream: U,
    to_upstream: Direction,
    to_client: Direction,
    /// How the first of the two ends was done, once one is.
    first: Option<Ended>,
    activity: Rc<Activity>,
    hook: H,
}

impl<C, U, H> Relay<C, U, H>
where
    C: Socket,
    U: Socket,
    H: Hook,
{
    /// How many bytes were handed so far to the socket of this end.
    pub fn passed_to(&self, end: Side) -> u64 {
        match end {
            Side::Client => self.to_client.passed,
            Side::Upstream => self.to_upstream.passed,
        }
    }

    /// Polls both directions once. Returns why the tunnel is over, if it is.
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<Ended> {
        let end_signal = self.end_signal(&self.to_upstream, &self.client);
        let hook = &mut self.hook;
        let ends = Ends {
            from: &mut self.upstream,
            to: &mut self.client,
            end_signal,
        };
        let seen = |bytes: &[u8]| hook.read(Side::Upstream, bytes);
        let to_client = self.to_client.poll(cx, ends, seen);
        if let Poll::Ready(Err(broken)) = to_client
            && let Some(end) = self.broken(Side::Upstream, broken)
        {
            return Some(end);
        }
        let end_signal = self.end_signal(&self.to_client, &self.upstream);
        let hook = &mut self.hook;
        let ends = Ends {
            from: &mut self.client,
            to: &mut self.upstream,
            end_signal,
        };
        let seen = |bytes: &[u8]| hook.read(Side::Client, bytes);
        let to_upstream = self.to_upstream.poll(cx, ends, seen);
        if let Poll::Ready(Err(broken)) = to_upstream
            && let Some(end) = self.broken(Side::Client, broken)
        {
            return Some(end);
        }
        if self.first.is_none() {
            if matches!(
                self.to_client.state,
                DirectionState::Ending | DirectionState::Closed
            ) {
                self.note_end(Ended::Closed(Side::Upstream));
            } else if matches!(
                self.to_upstream.state,
                DirectionState::Ending | DirectionState::Closed
            ) {
                self.note_end(Ended::Closed(Side::Client));
            }
        }
        if self.to_client.state == DirectionState::Closed
            && self.to_upstream.state == DirectionState::Closed
        {
            return self.first.take();
        }
        None
    }

    /// Notes that one end is done, unless the other one was before. The one that is left may not be silent for long.
    fn note_end(&mut self, how: Ended) {
        if self.first.is_none() {
            self.first = Some(how);
            self.activity.half_close();
        }
    }

    /// Notes from which ends bytes came since these numbers had passed, and doubts an end that is silent.
    fn note_activity(&mut self, to_upstream: u64, to_client: u64) {
        let from_client = self.to_upstream.passed != to_upstream;
        let from_upstream = self.to_client.passed != to_client;
        if from_client || from_upstream {
            self.activity.touch();
        }
        if from_client && self.activity.note_byte_from(Side::Client) {
            self.client.doubt(Doubt::Over);
        }
        if from_upstream && self.activity.note_byte_from(Side::Upstream) {
            self.upstream.doubt(Doubt::Over);
        }
        if self.activity.take_new_doubt(Side::Client) {
            self.client.doubt(Doubt::Begins);
        }
        if self.activity.take_new_doubt(Side::Upstream) {
            self.upstream.doubt(Doubt::Begins);
        }
    }

    /// Why the tunnel is over when the sweep requests its end.
    fn ended_by(&mut self, request: EndRequest) -> Ended {
        match (request, self.first.take()) {
            (EndRequest::Drained, _) => Ended::Drained,
            (EndRequest::HalfClosed, Some(Ended::Closed(side))) => Ended::HalfClosed(side),
            (EndRequest::HalfClosed, Some(broken)) => broken,
            (EndRequest::Idle | EndRequest::HalfClosed, _) => Ended::Idle,
        }
    }

    /// Shuts down both sockets, as far as they take it at once: no end broke, though TLS that stops without a
    /// close_notify would say so. An end that is owed bytes is not told that it has them all, and no end is told twice.
    fn shut_down_ends(&mut self, cx: &mut Context<'_>) {
        if self.to_client.may_end() {
            let _ = Pin::new(&mut self.client).poll_shutdown(cx);
        }
        if self.to_upstream.may_end() {
            let _ = Pin::new(&mut self.upstream).poll_shutdown(cx);
        }
    }

    /// How `to` is told that no more will come. `other` is the direction that reads from it: once that has seen its
    /// end, no unread byte is left in the socket that would turn a close into a reset.
    fn end_signal(&self, other: &Direction, to: &impl Socket) -> EndSignal {
        let orderly = matches!(self.first, Some(Ended::Closed(_)));
        if orderly && other.state == DirectionState::Closed && to.close_says_the_end() {
            EndSignal::Close
        } else {
            EndSignal::Shutdown
        }
    }

    /// Handles an error in the direction that reads from `from`. Returns why the tunnel is over, if it is.
    ///
    /// If reading broke, that end is gone, and so is the tunnel. If writing broke, what the dead end had sent before is
    /// still there to be read, so the tunnel lives until that has passed. Bytes are lost then, so that the tunnel does
    /// not end in order, whichever end was done before. No byte is lost if only telling the end broke.
    fn broken(&mut self, from: Side, broken: DirectionError) -> Option<Ended> {
        match (broken, from) {
            (DirectionError::Reading(error), side) => match self.first.take() {
                Some(first @ Ended::Broken(..)) => Some(first),
                _ => Some(Ended::Broken(side, error)),
            },
            (broken @ (DirectionError::Writing(_) | DirectionError::Ending(_)), from) => {
                let to = match from {
                    Side::Client => {
                        self.to_upstream.abandon();
                        Side::Upstream
                    }
                    Side::Upstream => {
                        self.to_client.abandon();
                        Side::Client
                    }
                };
                let (lost, error) = match broken {
                    DirectionError::Writing(error) => (true, error),
                    DirectionError::Ending(error) | DirectionError::Reading(error) => {
                        (false, error)
                    }
                };
                if lost && matches!(self.first, Some(Ended::Closed(_))) {
                    self.first = None;
                }
                self.note_end(Ended::Broken(to, error));
                None
            }
        }
    }
}

impl<C, U, H> Future for Relay<C, U, H>
where
    C: Socket,
    U: Socket,
    H: Hook + Unpin,
{
    type Output = Passed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Passed> {
        let this = self.get_mut();
        let (to_upstream, to_client) = (this.to_upstream.passed, this.to_client.passed);
        let ended = match this.activity.end_request(cx) {
            Some(request) => {
                this.shut_down_ends(cx);
                Some(this.ended_by(request))
            }
            None => this.turn(cx),
        };
        if let Some(ended) = ended {
            return Poll::Ready(Passed {
                to_upstream: this.to_upstream.passed,
                to_client: this.to_client.passed,
                ended,
            });
        }
        this.note_activity(to_upstream, to_client);
        Poll::Pending
    }
}

#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod tests;
