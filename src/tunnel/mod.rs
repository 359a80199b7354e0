//! Bytes both ways after a 101, until both ends are done.
//!
//! [`relay`] takes two streams, whatever was read from each beyond its head, and limits; it returns what passed and
//! who ended it. It has no HTTP, no route, no log and no lock. An idle tunnel owns no buffer: every read goes into one
//! buffer of the thread and is written on at once; only what the other end would not take is kept, and then that
//! direction stops reading until it is gone. The end of one direction is passed on (a half-close) and is not the end
//! of the other.
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
use crate::tunnel::direction::Broken;
use crate::tunnel::direction::Direction;
use crate::tunnel::direction::Ends;
use crate::tunnel::direction::Farewell;
use crate::tunnel::direction::State;
use crate::tunnel::keeper::Tab;
use crate::tunnel::keeper::Told;

pub use crate::stream::vanished::Doubt;
pub use crate::tunnel::keeper::Keeper;

/// What a tunnel obeys.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest silence in both directions; counted in steps of [`Keeper::STEP`].
    pub idle: Duration,
    /// Longest silence once one end is done, if that is shorter; counted likewise.
    pub half_closed: Duration,
}

/// One end of a tunnel as the opening handshake leaves it.
#[derive(Debug)]
pub struct End<S> {
    /// The socket.
    pub stream: S,
    /// What was read from it beyond the head. It is owed to the other end before anything else.
    pub early: Bytes,
}

/// Which end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The one that asked for the upgrade.
    Client,
    /// The one that agreed.
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
    /// The process is going away.
    Drained,
}

/// What a finished tunnel has to report.
#[derive(Debug)]
pub struct Passed {
    /// Bytes handed to the upstream's socket.
    pub to_upstream: u64,
    /// Bytes handed to the client's socket.
    pub to_client: u64,
    /// Why it is over.
    pub ended: Ended,
}

/// A socket at an end of a tunnel.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether closing it tells its other end all that shutting it down would.
    fn close_says_the_end(&self) -> bool;

    /// Its other end has been silent for [`Keeper::DOUBT`], and may have vanished; or it has spoken. At first it is doubted.
    fn doubt(&self, doubt: Doubt) {
        let _ = doubt;
    }
}

/// TLS has a close_notify to send first.
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

/// Looks at nothing.
impl Hook for () {}

/// Moves bytes between `client` and `upstream` until both ends are done, one breaks, or `keeper` ends it.
///
/// # Cancel safety
/// Dropping the future closes both sockets; bytes that one end had not taken are lost.
pub fn relay<C, U, H>(
    client: End<C>,
    upstream: End<U>,
    limits: Limits,
    keeper: &Rc<Keeper>,
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
        tab: keeper.open(limits),
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
    /// Who was the first to be done.
    first: Option<Ended>,
    tab: Rc<Tab>,
    hook: H,
}

impl<C, U, H> Relay<C, U, H>
where
    C: Socket,
    U: Socket,
    H: Hook,
{
    /// Bytes handed so far to the socket of this end.
    pub fn passed_to(&self, end: Side) -> u64 {
        match end {
            Side::Client => self.to_client.passed,
            Side::Upstream => self.to_upstream.passed,
        }
    }

    /// One turn of both directions; the end, if it has come.
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<Ended> {
        let farewell = self.farewell(&self.to_upstream, &self.client);
        let hook = &mut self.hook;
        let ends = Ends {
            from: &mut self.upstream,
            to: &mut self.client,
            farewell,
        };
        let seen = |bytes: &[u8]| hook.read(Side::Upstream, bytes);
        let to_client = self.to_client.poll(cx, ends, seen);
        if let Poll::Ready(Err(broken)) = to_client
            && let Some(end) = self.broken(Side::Upstream, broken)
        {
            return Some(end);
        }
        let farewell = self.farewell(&self.to_client, &self.upstream);
        let hook = &mut self.hook;
        let ends = Ends {
            from: &mut self.client,
            to: &mut self.upstream,
            farewell,
        };
        let seen = |bytes: &[u8]| hook.read(Side::Client, bytes);
        let to_upstream = self.to_upstream.poll(cx, ends, seen);
        if let Poll::Ready(Err(broken)) = to_upstream
            && let Some(end) = self.broken(Side::Client, broken)
        {
            return Some(end);
        }
        if self.first.is_none() {
            if matches!(self.to_client.state, State::Ending | State::Closed) {
                self.is_done(Ended::Closed(Side::Upstream));
            } else if matches!(self.to_upstream.state, State::Ending | State::Closed) {
                self.is_done(Ended::Closed(Side::Client));
            }
        }
        if self.to_client.state == State::Closed && self.to_upstream.state == State::Closed {
            return self.first.take();
        }
        None
    }

    /// One end is done, unless one was before: from now on the other one may not be silent for long.
    fn is_done(&mut self, how: Ended) {
        if self.first.is_none() {
            self.first = Some(how);
            self.tab.half_close();
        }
    }

    /// Notes from whom bytes came since `before`, and doubts who is silent.
    fn listen(&mut self, before: (u64, u64)) {
        let came = (
            self.to_upstream.passed != before.0,
            self.to_client.passed != before.1,
        );
        if came.0 || came.1 {
            self.tab.touch();
        }
        if came.0 && self.tab.hears(Side::Client) {
            self.client.doubt(Doubt::Over);
        }
        if came.1 && self.tab.hears(Side::Upstream) {
            self.upstream.doubt(Doubt::Over);
        }
        if self.tab.begins_to_doubt(Side::Client) {
            self.client.doubt(Doubt::Begins);
        }
        if self.tab.begins_to_doubt(Side::Upstream) {
            self.upstream.doubt(Doubt::Begins);
        }
    }

    /// What the keeper has decided.
    fn obey(&mut self, told: Told) -> Ended {
        match (told, self.first.take()) {
            (Told::Drained, _) => Ended::Drained,
            (Told::HalfClosed, Some(Ended::Closed(side))) => Ended::HalfClosed(side),
            (Told::HalfClosed, Some(broken)) => broken,
            (Told::Idle | Told::HalfClosed, _) => Ended::Idle,
        }
    }

    /// Says the end to both ends, as far as their sockets take it at once: nobody broke, but TLS that stops without a
    /// close_notify would say so. An end that is owed bytes is not told that it has them all, and
    /// none is told twice.
    fn take_leave(&mut self, cx: &mut Context<'_>) {
        if self.to_client.may_end() {
            let _ = Pin::new(&mut self.client).poll_shutdown(cx);
        }
        if self.to_upstream.may_end() {
            let _ = Pin::new(&mut self.upstream).poll_shutdown(cx);
        }
    }

    /// How a direction ends that writes to `to`, when the `other` one, which reads from it, is as far as it is. If that has
    /// seen the end of `to`, nothing unread is left in it that would turn the close into a reset.
    fn farewell(&self, other: &Direction, to: &impl Socket) -> Farewell {
        let orderly = matches!(self.first, Some(Ended::Closed(_)));
        if orderly && other.state == State::Closed && to.close_says_the_end() {
            Farewell::Close
        } else {
            Farewell::Shutdown
        }
    }

    /// The direction that reads from `from` broke. Reading broke: that end is gone, and so is the tunnel. Writing
    /// broke: what the dead end had sent before is still there to be read, so the tunnel lives until that is passed. It did
    /// not end in order then, whoever was done before, since bytes are lost; none are if all that broke is the telling of the end.
    fn broken(&mut self, from: Side, broken: Broken) -> Option<Ended> {
        match (broken, from) {
            (Broken::Reading(error), side) => match self.first.take() {
                Some(first @ Ended::Broken(..)) => Some(first),
                _ => Some(Ended::Broken(side, error)),
            },
            (broken @ (Broken::Writing(_) | Broken::Ending(_)), from) => {
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
                    Broken::Writing(error) => (true, error),
                    Broken::Ending(error) | Broken::Reading(error) => (false, error),
                };
                if lost && matches!(self.first, Some(Ended::Closed(_))) {
                    self.first = None;
                }
                self.is_done(Ended::Broken(to, error));
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
        let before = (this.to_upstream.passed, this.to_client.passed);
        let ended = match this.tab.told(cx) {
            Some(told) => {
                this.take_leave(cx);
                Some(this.obey(told))
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
        this.listen(before);
        Poll::Pending
    }
}

#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod tests;
