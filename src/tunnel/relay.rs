//! Polls the two directions of a tunnel, and says when and why the tunnel is over.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use crate::tunnel::Doubt;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::Hook;
use crate::tunnel::Passed;
use crate::tunnel::Side;
use crate::tunnel::Socket;
use crate::tunnel::direction::Direction;
use crate::tunnel::direction::DirectionError;
use crate::tunnel::direction::DirectionState;
use crate::tunnel::direction::EndSignal;
use crate::tunnel::direction::Ends;
use crate::tunnel::idle_sweep::Activity;
use crate::tunnel::idle_sweep::EndRequest;

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

/// The future of [`relay()`].
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
            (EndRequest::Down, _) => Ended::Down,
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
