//! From a 101 to a tunnel.
//!
//! The 101 of the upstream was checked; the client's is on its way. When it is out, the listener hands over the client's
//! socket and the tunnel begins, in a small task of its own, so that everything that spoke HTTP is gone by then.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::proxy::report::Report;
use crate::stream::Stream;
use crate::stream::in_words;
use crate::tunnel;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::Keeper;

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

    /// Begins the tunnel; returns it as a future to be spawned.
    pub fn begin(
        self,
        client: End<Stream>,
        keeper: &Rc<Keeper>,
    ) -> impl Future<Output = ()> + use<> {
        let Self {
            upstream,
            limits,
            report,
        } = self;
        let relay = tunnel::relay(client, upstream, limits, keeper, ());
        let begun = Instant::now();
        let id = TunnelId::next();
        // Boxed: it is touched twice in a tunnel's life.
        let lines = report.into_tunnel().map(Box::new);
        if let Some((exchange, observer)) = lines.as_deref() {
            observer.tunnel_opened(id, exchange);
        }
        async move {
            let passed = relay.await;
            if let Some((exchange, observer)) = lines.as_deref() {
                let reason = match &passed.ended {
                    Ended::Broken(_, error) => {
                        Some(in_words(error).map_or_else(|| error.to_string(), str::to_owned))
                    }
                    Ended::Idle => Some(format!(
                        "no byte within {:?} (`tunnel_timeout`)",
                        limits.idle
                    )),
                    Ended::Closed(_) | Ended::Drained => None,
                };
                let end = TunnelEnd {
                    bytes_to_upstream: passed.to_upstream,
                    bytes_to_client: passed.to_client,
                    duration: begun.elapsed(),
                    ended_by: passed.ended.to_string(),
                    reason,
                };
                observer.tunnel_ended(id, exchange, &end);
            }
        }
    }
}
