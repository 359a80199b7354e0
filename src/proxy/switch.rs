//! From a 101 to a tunnel.
//!
//! The 101 of the upstream was checked; the client's is on its way. When it is out, the listener hands over the client's
//! socket and the tunnel begins, in a small task of its own, so that everything that spoke HTTP is gone by then.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use crate::observe::EndedBy;
use crate::observe::TunnelEnd;
use crate::proxy::report::Report;
use crate::proxy::report::TunnelRecord;
use crate::proxy::tunnel_log::FirstWords;
use crate::proxy::tunnel_log::TunnelLog;
use crate::stream::Stream;
use crate::stream::in_words;
use crate::tunnel;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::IdleSweep;
use crate::tunnel::Relay;
use crate::tunnel::Side;

/// The upstream's end of a tunnel, waiting for the client's.
#[derive(Debug)]
pub struct Switch {
    upstream: End<Stream>,
    timeouts: tunnel::TunnelTimeouts,
    /// Reports, if the 101 never gets out.
    report: Report,
}

impl Switch {
    pub(super) fn new(
        upstream: End<Stream>,
        timeouts: tunnel::TunnelTimeouts,
        report: Report,
    ) -> Self {
        Self {
            upstream,
            timeouts,
            report,
        }
    }

    /// Begins the tunnel; returns it as a future to be spawned, which holds `guard` until it has ended.
    pub fn begin<G: Unpin>(
        self,
        client: End<Stream>,
        sweep: &Rc<IdleSweep>,
        guard: G,
    ) -> Tunnel<G> {
        let Self {
            upstream,
            timeouts,
            report,
        } = self;
        let record = report.into_tunnel();
        let owner = record.as_ref().and_then(TunnelRecord::owner);
        let (log, first_words) = match record {
            Some(record) => {
                let (log, first_words) = TunnelLog::begin(record, timeouts, &upstream.early);
                (Some(log), first_words)
            }
            None => (None, FirstWords::default()),
        };
        let activity = sweep.watch_of(owner, timeouts);
        Tunnel {
            relay: tunnel::relay(client, upstream, activity, first_words),
            begun: Instant::now(),
            log,
            _guard: guard,
        }
    }
}

/// A tunnel, and what is said when it ends. Written by hand, since it is what an idle tunnel costs: an `async` block would
/// hold the relay twice.
#[derive(Debug)]
pub struct Tunnel<G> {
    relay: Relay<Stream, Stream, FirstWords>,
    begun: Instant,
    log: Option<Rc<TunnelLog>>,
    _guard: G,
}

impl<G: Unpin> Future for Tunnel<G> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Poll::Ready(passed) = Pin::new(&mut this.relay).poll(cx) else {
            return Poll::Pending;
        };
        if let Some(log) = this.log.take() {
            log.end(TunnelEnd {
                bytes_to_upstream: passed.to_upstream,
                bytes_to_client: passed.to_client,
                duration: this.begun.elapsed(),
                ended_by: ended_by(&passed.ended, log.timeouts),
                reason: reason(&passed.ended, log.timeouts),
                said: None,
            });
        }
        Poll::Ready(())
    }
}

/// A tunnel that a panic ends says so itself.
impl<G> Drop for Tunnel<G> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(log) = self.log.take()
        {
            log.end(TunnelEnd {
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

fn ended_by(ended: &Ended, timeouts: tunnel::TunnelTimeouts) -> EndedBy {
    match ended {
        Ended::Closed(Side::Client) | Ended::Broken(Side::Client, _) => EndedBy::Client,
        Ended::Closed(Side::Upstream) | Ended::Broken(Side::Upstream, _) => EndedBy::Upstream,
        Ended::Idle => EndedBy::Idle(timeouts.idle),
        Ended::HalfClosed(_) => EndedBy::HalfClosed,
        Ended::Drained => EndedBy::Drain,
        Ended::Down => EndedBy::Down,
    }
}

/// What is to be said of an end beside who ended the tunnel.
fn reason(ended: &Ended, timeouts: tunnel::TunnelTimeouts) -> Option<String> {
    match ended {
        Ended::Broken(_, error) => {
            Some(in_words(error).map_or_else(|| error.to_string(), str::to_owned))
        }
        Ended::Idle => Some(format!(
            "no byte within {:?} (`tunnel_timeout`)",
            timeouts.idle
        )),
        Ended::HalfClosed(side) => {
            let (done, silent) = match side {
                Side::Client => ("client", "upstream"),
                Side::Upstream => ("upstream", "client"),
            };
            Some(format!(
                "the {done} was done, and no byte came from the {silent} within {:?} (`half_closed_timeout`)",
                timeouts.half_closed
            ))
        }
        Ended::Down => {
            Some("a health check has found the server down (`close_tunnels`)".to_owned())
        }
        Ended::Closed(_) | Ended::Drained => None,
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
