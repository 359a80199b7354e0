//! One exchange's line in the log, written when the exchange ends, however it ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::Reason;

/// Travels with a request, then with its answer's body; reports when it is dropped.
#[derive(Debug)]
pub(super) struct Report {
    /// What is known so far.
    pub(super) exchange: Exchange,
    /// What the client was told.
    pub(super) status: Option<StatusCode>,
    /// Bytes of the answer's body handed on.
    pub(super) body_bytes_sent: u64,
    /// What went wrong.
    pub(super) reason: Option<Reason>,
    /// Whether the process ended it.
    cut: Rc<Cell<bool>>,
    started: Instant,
    observer: Option<Arc<dyn Observer>>,
}

impl Report {
    /// Begins now.
    pub(super) fn new(
        exchange: Exchange,
        observer: Arc<dyn Observer>,
        cut: Rc<Cell<bool>>,
    ) -> Self {
        Self {
            exchange,
            status: None,
            body_bytes_sent: 0,
            reason: None,
            cut,
            started: Instant::now(),
            observer: Some(observer),
        }
    }

    /// Ends without a line: a tunnel has its own two.
    pub(super) fn into_tunnel(mut self) -> Option<(Exchange, Arc<dyn Observer>)> {
        let observer = self.observer.take()?;
        let exchange = Exchange {
            remote_addr: self.exchange.remote_addr,
            request: self.exchange.request.detached(),
            upstream_addr: self.exchange.upstream_addr.take(),
            location: self.exchange.location.take(),
            route: self.exchange.route.take(),
        };
        Some((exchange, observer))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            if self.status.is_none() && self.reason.is_none() {
                self.reason = Some(Reason::Client(
                    "the client left before the answer".to_owned(),
                ));
            }
            if self.cut.get() && matches!(self.reason, Some(Reason::Client(_))) {
                self.reason = Some(Reason::Client(
                    "wsgate ended before the answer did".to_owned(),
                ));
            }
            let end = ExchangeEnd {
                status: self.status,
                body_bytes_sent: self.body_bytes_sent,
                duration: self.started.elapsed(),
                reason: self.reason.take(),
            };
            observer.exchange_ended(&self.exchange, &end);
        }
    }
}
