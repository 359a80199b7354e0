//! One exchange's line in the log, written when the exchange ends, however it ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderName;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;

use crate::headers::lists::has_member;
use crate::headers::upgrade::Asked;
use crate::limits::Share;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::FIRST_WORDS;
use crate::observe::Lost;
use crate::observe::Observer;
use crate::observe::Opening;
use crate::observe::Reason;
use crate::observe::Said;

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
    /// What is counted of the client, for as long as the exchange lasts.
    pub(super) share: Option<Box<Share>>,
    /// How the answer's body begins, if somebody listens.
    said: Option<Said>,
    /// Whether the process ended it.
    cut: Rc<Cell<bool>>,
    started: Instant,
    observer: Option<Arc<dyn Observer>>,
}

/// What a tunnel takes over of its request.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) exchange: Exchange,
    /// Who hears of it.
    pub(super) observer: Arc<dyn Observer>,
    /// The tunnel is counted for as long as this is there.
    _share: Option<Box<Share>>,
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
            share: None,
            said: None,
            cut,
            started: Instant::now(),
            observer: Some(observer),
        }
    }

    /// The request asks for this, by a head that is still the client's.
    pub(super) fn asks(&mut self, asked: &Asked, head: &request::Parts) {
        self.exchange.opening = match asked {
            Asked::WebSocket(_) => Opening::Whole,
            Asked::Nothing => without(head).map_or(Opening::Nothing, Opening::Without),
        };
    }

    /// The upstream answers with these fields, and its body follows.
    pub(super) fn answers<'a>(
        &mut self,
        status: StatusCode,
        field: impl Fn(&HeaderName) -> Option<&'a [u8]>,
    ) {
        self.status = Some(status);
        let listens = self
            .observer
            .as_ref()
            .is_some_and(|observer| observer.listens(&self.exchange, status));
        if !listens {
            return;
        }
        self.said = if field(&header::CONTENT_ENCODING).is_none() {
            Some(Said::Words(Vec::new()))
        } else {
            let page = field(&header::CONTENT_TYPE)
                .and_then(|value| value.get(..b"text/html".len()))
                .is_some_and(|begin| begin.eq_ignore_ascii_case(b"text/html"));
            page.then_some(Said::EncodedPage)
        };
    }

    /// This is of the answer's body.
    pub(super) fn hears(&mut self, data: &[u8]) {
        if let Some(Said::Words(said)) = &mut self.said {
            let room = FIRST_WORDS - said.len();
            said.extend_from_slice(&data[..room.min(data.len())]);
        }
    }

    /// Ends without a line: a tunnel has its own two.
    pub(super) fn into_tunnel(mut self) -> Option<Telling> {
        let observer = self.observer.take()?;
        let exchange = Exchange {
            remote_addr: self.exchange.remote_addr,
            request: self.exchange.request.detached(),
            opening: self.exchange.opening,
            upstream_addr: self.exchange.upstream_addr.take(),
            location: self.exchange.location.take(),
            route: self.exchange.route.take(),
        };
        Some(Telling {
            exchange,
            observer,
            _share: self.share.take(),
        })
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
            if std::thread::panicking() {
                self.reason = Some(Reason::Panic);
            }
            let end = ExchangeEnd {
                status: self.status,
                body_bytes_sent: self.body_bytes_sent,
                duration: self.started.elapsed(),
                reason: self.reason.take(),
                said: self.said.take(),
            };
            observer.exchange_ended(&self.exchange, &end);
        }
    }
}

/// What an ordinary request lacks of an opening handshake, if it has a key, which only such a handshake has.
fn without(head: &request::Parts) -> Option<Lost> {
    let headers = &head.headers;
    if head.method != Method::GET || !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        return None;
    }
    let upgrade = has_member(headers, header::UPGRADE, "websocket");
    let connection = has_member(headers, header::CONNECTION, "upgrade");
    match (upgrade, connection) {
        (true, true) => (head.version == Version::HTTP_10).then_some(Lost::Version),
        (false, true) => Some(Lost::Upgrade),
        (true, false) => Some(Lost::Connection),
        (false, false) => Some(Lost::Both),
    }
}
