//! One request's line in the log, written once, when the request is over, however it ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderName;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;
use tokio::time::Instant;

use crate::headers::lists::has_member;
use crate::headers::upgrade::Asked;
use crate::limits::AddressPermit;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::FIRST_WORDS;
use crate::observe::Lost;
use crate::observe::Observer;
use crate::observe::Opening;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::observe::Said;
use crate::proxy::route::ServedRule;
use crate::stream::ClientAddr;
use crate::stream::PeerAddr;
use crate::tunnel::TunnelOwner;
use crate::upstream::OpenGuard;

/// Travels with a request, then with its answer, and is told what happens to both; the observer hears of it when it is dropped.
/// Nobody else writes a request's line, and nothing is read of the report but when the request came.
#[derive(Debug)]
pub(super) struct Report {
    exchange: Exchange,
    /// What the client was told.
    status: Option<StatusCode>,
    body_bytes_sent: u64,
    /// Why wsgate itself answered, or what went wrong on the way.
    reason: Option<Reason>,
    /// How far the request is, and so what it means if it is dropped now.
    progress: Progress,
    /// What is counted of the client, for as long as the request lasts.
    permit: Option<Box<AddressPermit>>,
    /// How the answer's body begins, if somebody listens.
    said: Option<Said>,
    /// Whether the process ends what is under way.
    is_cut: Rc<Cell<bool>>,
    /// The request counts at its server for as long as this is there, if that is one of a group.
    open: Option<OpenGuard>,
    started: Instant,
    observer: Option<Arc<dyn Observer>>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// There is no answer yet.
    Waiting,
    /// The upstream's answer is on its way.
    Answering,
    /// The 101 is on its way.
    Switching,
    /// The client has all that it will get.
    Complete,
}

impl Progress {
    /// What went wrong, if the request is dropped at this point.
    fn abandoned(self) -> Option<&'static str> {
        match self {
            Self::Waiting => Some("the client left before the answer"),
            Self::Answering => Some("the client left before the end of the answer"),
            Self::Switching => Some("the client left before its 101"),
            Self::Complete => None,
        }
    }
}

/// What a tunnel takes over of its request.
#[derive(Debug)]
pub(super) struct TunnelRecord {
    pub(super) exchange: Exchange,
    /// Who hears of it.
    pub(super) observer: Arc<dyn Observer>,
    /// The tunnel is counted for as long as this is there.
    _permit: Option<Box<AddressPermit>>,
    /// It counts at its server for as long as this is there.
    open: Option<OpenGuard>,
}

impl TunnelRecord {
    /// With which other tunnels it may have to end: those of its server, if that is one of a group.
    pub(super) fn owner(&self) -> Option<TunnelOwner> {
        let open = self.open.as_ref();
        open.map(|open| TunnelOwner::new(open.number()))
    }
}

impl Report {
    /// A request of this client that has just come. `is_cut` is set once the process ends what is under way.
    pub(super) fn begin(
        remote_addr: ClientAddr,
        request: RequestLine,
        observer: Arc<dyn Observer>,
        is_cut: Rc<Cell<bool>>,
    ) -> Self {
        Self {
            exchange: Exchange {
                remote_addr,
                request,
                opening: Opening::Nothing,
                upstream_addr: None,
                tried_before: None,
                chosen_by: None,
                rule: None,
            },
            status: None,
            body_bytes_sent: 0,
            reason: None,
            progress: Progress::Waiting,
            permit: None,
            said: None,
            is_cut,
            open: None,
            started: Instant::now(),
            observer: Some(observer),
        }
    }

    /// When the request came.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// A trusted proxy says that this is its client.
    pub(super) fn comes_from(&mut self, client: ClientAddr) {
        self.exchange.remote_addr = client;
    }

    /// The request asks for this, by a head that is still the client's.
    pub(super) fn asks(&mut self, asked: &Asked, head: &request::Parts) {
        self.exchange.opening = match asked {
            Asked::WebSocket(_) => Opening::Whole,
            Asked::Nothing => lacking(head).map_or(Opening::Nothing, Opening::Without),
        };
    }

    /// This rule has taken the request.
    pub(super) fn taken_by(&mut self, rule: &ServedRule) {
        self.exchange.rule = Some(Arc::clone(&rule.label));
    }

    /// A server of the route's group was chosen for it, in this way. Said once more if another one is chosen since.
    pub(super) fn goes_in_group(&mut self, chosen_by: &'static str) {
        self.exchange.chosen_by = Some(chosen_by);
    }

    /// The request is counted for its client's address by this, for as long as it lasts.
    pub(super) fn counts_by(&mut self, permit: Option<Box<AddressPermit>>) {
        self.permit = permit;
    }

    /// This address took the connection, or, if none did, refused it last. `None` if nothing was tried or answered in time. In a
    /// group the addresses before are told too.
    pub(super) fn sent_to(&mut self, address: Option<PeerAddr>) {
        self.exchange.sent_to(address);
    }

    /// The request counts at its server by this guard, from now on to its end.
    pub(super) fn counts_at_server(&mut self, open: Option<OpenGuard>) {
        self.open = open;
    }

    /// wsgate answers itself, and nothing went wrong.
    pub(super) fn answered_here(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.progress = Progress::Complete;
    }

    /// wsgate answers itself, for this reason.
    pub(super) fn failed(&mut self, status: StatusCode, reason: Reason) {
        self.answered_here(status);
        self.reason = Some(reason);
    }

    /// A request without a head that could be read was refused, for this reason.
    pub(super) fn refused(mut self, status: StatusCode, reason: Reason) {
        self.failed(status, reason);
    }

    /// The upstream answers with these fields, and its body follows.
    pub(super) fn answered<'a>(
        &mut self,
        status: StatusCode,
        field: impl Fn(&HeaderName) -> Option<&'a [u8]>,
    ) {
        self.status = Some(status);
        self.progress = Progress::Answering;
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

    /// The upstream agreed to the upgrade. The tunnel is counted by `permit`, unless the request is counted itself.
    pub(super) fn switches(&mut self, permit: impl FnOnce() -> Option<Box<AddressPermit>>) {
        self.status = Some(StatusCode::SWITCHING_PROTOCOLS);
        self.progress = Progress::Switching;
        if self.permit.is_none() {
            self.permit = permit();
        }
    }

    /// These bytes of the answer's body are handed to the client's connection.
    pub(super) fn sends(&mut self, data: &[u8]) {
        self.body_bytes_sent += data.len() as u64;
        self.hears(data);
    }

    /// The upstream said these bytes of its answer's body, which may not have been handed on yet.
    pub(super) fn hears(&mut self, data: &[u8]) {
        if let Some(Said::Words(said)) = &mut self.said {
            let room = FIRST_WORDS - said.len();
            said.extend_from_slice(&data[..room.min(data.len())]);
        }
    }

    /// The upstream's answer broke off.
    pub(super) fn broke_off(mut self, error: &str) {
        self.reason = Some(Reason::Upstream(format!(
            "the upstream's answer broke off: {error}"
        )));
    }

    /// The client's connection has all of the answer: so many bytes of body that were not counted yet.
    pub(super) fn completed(mut self, body_bytes: u64) {
        self.body_bytes_sent += body_bytes;
        self.progress = Progress::Complete;
    }

    /// Ends without a line: a tunnel has its own two.
    pub(super) fn into_tunnel(mut self) -> Option<TunnelRecord> {
        let observer = self.observer.take()?;
        let exchange = Exchange {
            remote_addr: self.exchange.remote_addr,
            request: self.exchange.request.detached(),
            opening: self.exchange.opening,
            upstream_addr: self.exchange.upstream_addr.take(),
            tried_before: self.exchange.tried_before.take(),
            chosen_by: self.exchange.chosen_by,
            rule: self.exchange.rule.take(),
        };
        Some(TunnelRecord {
            exchange,
            observer,
            _permit: self.permit.take(),
            open: self.open.take(),
        })
    }

    /// Why the request ended as it does, now that it does.
    fn last_reason(&mut self) -> Option<Reason> {
        if std::thread::panicking() {
            return Some(Reason::Panic);
        }
        if let Some(reason) = self.reason.take() {
            return Some(reason);
        }
        let abandoned = self.progress.abandoned()?;
        Some(Reason::Client(if self.is_cut.get() {
            "wsgate ended before the answer did".to_owned()
        } else {
            abandoned.to_owned()
        }))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            let end = ExchangeEnd {
                status: self.status,
                body_bytes_sent: self.body_bytes_sent,
                duration: self.started.elapsed(),
                reason: self.last_reason(),
                said: self.said.take(),
            };
            observer.exchange_ended(&self.exchange, &end);
        }
    }
}

/// What an ordinary request lacks of an opening handshake, if it has a key, which only such a handshake has.
fn lacking(head: &request::Parts) -> Option<Lost> {
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
