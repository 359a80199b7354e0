//! What a tunnel's observer hears: that it opened, what the upstream said first if somebody listens, and that it ended.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;

use crate::observe::EndedBy;
use crate::observe::FIRST_WORDS;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::proxy::report::TunnelRecord;
use crate::tunnel;
use crate::tunnel::Hook;
use crate::tunnel::Side;

/// Tells the observer of one tunnel. Apart from the tunnel, since it is touched only at both ends of its life.
#[derive(Debug)]
pub(super) struct TunnelLog {
    id: TunnelId,
    record: TunnelRecord,
    /// What the tunnel obeys.
    pub(super) timeouts: tunnel::TunnelTimeouts,
    /// The upstream's first words, if somebody listens and for as long as they are not enough.
    said: RefCell<Option<Vec<u8>>>,
    ended: Cell<bool>,
}

impl TunnelLog {
    /// A tunnel opens; `early` is what was read behind the head of the upstream's 101. The hook that is returned collects what is still
    /// to be heard.
    pub(super) fn begin(
        record: TunnelRecord,
        timeouts: tunnel::TunnelTimeouts,
        early: &[u8],
    ) -> (Rc<Self>, FirstWords) {
        let log = Rc::new(Self {
            id: TunnelId::next(),
            record,
            timeouts,
            said: RefCell::default(),
            ended: Cell::default(),
        });
        let TunnelRecord {
            exchange, observer, ..
        } = &log.record;
        observer.tunnel_opened(log.id, exchange);
        let listens = observer.listens(exchange, StatusCode::SWITCHING_PROTOCOLS);
        let mut first_words = FirstWords(listens.then(|| {
            log.said.replace(Some(Vec::new()));
            Rc::clone(&log)
        }));
        first_words.read(Side::Upstream, early);
        (log, first_words)
    }

    /// The tunnel is over.
    pub(super) fn end(&self, mut end: TunnelEnd) {
        self.ended.set(true);
        end.said = self.said.take();
        let TunnelRecord {
            exchange, observer, ..
        } = &self.record;
        observer.tunnel_ended(self.id, exchange, &end);
    }

    /// The upstream said this. Returns whether the observer has heard enough.
    fn hear(&self, bytes: &[u8]) -> bool {
        let TunnelRecord {
            exchange, observer, ..
        } = &self.record;
        let mut kept = self.said.borrow_mut();
        let Some(said) = &mut *kept else {
            return true;
        };
        let room = FIRST_WORDS - said.len();
        said.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if said.len() < FIRST_WORDS && !observer.is_enough(exchange, said) {
            return false;
        }
        observer.tunnel_said(self.id, exchange, said);
        *kept = None;
        true
    }
}

/// A tunnel that a panic ends before it has begun says so too.
impl Drop for TunnelLog {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.ended.get() {
            self.end(TunnelEnd {
                bytes_to_upstream: 0,
                bytes_to_client: 0,
                duration: Duration::ZERO,
                ended_by: EndedBy::Panic,
                reason: None,
                said: None,
            });
        }
    }
}

/// Collects what the upstream says first in a tunnel, until the observer has heard enough. A tunnel whose observer does not listen,
/// or has heard enough, pays for a look at whether it is there.
#[derive(Debug, Default)]
pub(super) struct FirstWords(Option<Rc<TunnelLog>>);

impl Hook for FirstWords {
    fn read(&mut self, from: Side, bytes: &[u8]) {
        if let Some(log) = &self.0
            && from == Side::Upstream
            && !bytes.is_empty()
            && log.hear(bytes)
        {
            self.0 = None;
        }
    }
}
