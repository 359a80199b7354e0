//! From a 101 to a tunnel.
//!
//! The 101 of the upstream was checked; the client's is on its way. When it is out, the listener hands over the client's
//! socket and the tunnel begins, in a small task of its own, so that everything that spoke HTTP is gone by then.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;

use crate::observe::EndedBy;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::proxy::report::Report;
use crate::proxy::told::Ear;
use crate::proxy::told::Told;
use crate::stream::Stream;
use crate::stream::in_words;
use crate::tunnel;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::Keeper;
use crate::tunnel::Relay;
use crate::tunnel::Side;

/// The upstream's end of a tunnel, waiting for the client's.
#[derive(Debug)]
pub struct Switch {
    pub(super) upstream: End<Stream>,
    pub(super) limits: tunnel::Limits,
    /// Reports, if the 101 never gets out.
    pub(super) report: Report,
}

impl Switch {
    pub(super) fn new(
        stream: Stream,
        early: Bytes,
        limits: tunnel::Limits,
        mut report: Report,
    ) -> Self {
        report.reason = Some(Reason::Client("the client left before its 101".to_owned()));
        Self {
            upstream: End { stream, early },
            limits,
            report,
        }
    }

    /// Begins the tunnel; returns it as a future to be spawned, which holds `guard` until it has ended.
    pub fn begin<G: Unpin>(self, client: End<Stream>, keeper: &Rc<Keeper>, guard: G) -> Tunnel<G> {
        let Self {
            upstream,
            limits,
            report,
        } = self;
        let (told, ear) = match report.into_tunnel() {
            Some(telling) => {
                let (told, ear) = Told::begin(telling, limits, &upstream.early);
                (Some(told), ear)
            }
            None => (None, Ear::default()),
        };
        Tunnel {
            relay: tunnel::relay(client, upstream, limits, keeper, ear),
            begun: Instant::now(),
            told,
            _guard: guard,
        }
    }
}

/// A tunnel, and what is said when it ends. Written by hand, since it is what an idle tunnel costs: an `async` block would
/// hold the relay twice.
#[derive(Debug)]
pub struct Tunnel<G> {
    relay: Relay<Stream, Stream, Ear>,
    begun: Instant,
    told: Option<Rc<Told>>,
    _guard: G,
}

impl<G: Unpin> Future for Tunnel<G> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Poll::Ready(passed) = Pin::new(&mut this.relay).poll(cx) else {
            return Poll::Pending;
        };
        if let Some(told) = this.told.take() {
            let reason = match &passed.ended {
                Ended::Broken(_, error) => {
                    Some(in_words(error).map_or_else(|| error.to_string(), str::to_owned))
                }
                Ended::Idle => Some(format!(
                    "no byte within {:?} (`tunnel_timeout`)",
                    told.limits.idle
                )),
                Ended::HalfClosed(side) => {
                    let (done, silent) = match side {
                        Side::Client => ("client", "upstream"),
                        Side::Upstream => ("upstream", "client"),
                    };
                    Some(format!(
                        "the {done} was done, and no byte came from the {silent} within {:?} (`half_closed_timeout`)",
                        told.limits.half_closed
                    ))
                }
                Ended::Closed(_) | Ended::Drained => None,
            };
            let ended_by = match passed.ended {
                Ended::Closed(Side::Client) | Ended::Broken(Side::Client, _) => EndedBy::Client,
                Ended::Closed(Side::Upstream) | Ended::Broken(Side::Upstream, _) => {
                    EndedBy::Upstream
                }
                Ended::Idle => EndedBy::Idle(told.limits.idle),
                Ended::HalfClosed(_) => EndedBy::HalfClosed,
                Ended::Drained => EndedBy::Drain,
            };
            let end = TunnelEnd {
                bytes_to_upstream: passed.to_upstream,
                bytes_to_client: passed.to_client,
                duration: this.begun.elapsed(),
                ended_by,
                reason,
                said: None,
            };
            told.end(end);
        }
        Poll::Ready(())
    }
}

/// A tunnel that a panic ends says so itself.
impl<G> Drop for Tunnel<G> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(told) = self.told.take()
        {
            told.end(TunnelEnd {
                bytes_to_upstream: self.relay.passed_to(Side::Upstream),
                bytes_to_client: self.relay.passed_to(Side::Client),
                duration: self.begun.elapsed(),
                ended_by: EndedBy::Panic,
                reason: None,
                said: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::proxy::switch::Tunnel;

    #[test]
    fn an_idle_tunnel_is_small_with_all_that_is_said_of_it() {
        let size = size_of::<Tunnel<[usize; 1]>>();
        assert!(size <= 256, "{size} bytes");
    }
}
