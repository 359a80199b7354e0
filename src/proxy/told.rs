//! What is told of a tunnel: that it opened, what the upstream said first if somebody listens, and that it ended.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;

use crate::observe::EndedBy;
use crate::observe::FIRST_WORDS;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::proxy::report::Telling;
use crate::tunnel;
use crate::tunnel::Hook;
use crate::tunnel::Side;

/// A tunnel's exchange and who hears of it. Apart from the tunnel, since it is touched only at both ends of its life.
#[derive(Debug)]
pub(super) struct Told {
    id: TunnelId,
    telling: Telling,
    /// What the tunnel obeys.
    pub(super) limits: tunnel::Limits,
    /// The upstream's first words, if somebody listens and for as long as they are not enough.
    said: RefCell<Option<Vec<u8>>>,
    ended: Cell<bool>,
}

impl Told {
    /// A tunnel opens, with what was read behind the head of the upstream's 101. Whoever has not heard enough by that is the
    /// tunnel's hook.
    pub(super) fn begin(telling: Telling, limits: tunnel::Limits, early: &[u8]) -> (Rc<Self>, Ear) {
        let told = Rc::new(Self {
            id: TunnelId::next(),
            telling,
            limits,
            said: RefCell::default(),
            ended: Cell::default(),
        });
        let Telling {
            exchange, observer, ..
        } = &told.telling;
        observer.tunnel_opened(told.id, exchange);
        let listens = observer.listens(exchange, StatusCode::SWITCHING_PROTOCOLS);
        let mut ear = Ear(listens.then(|| {
            told.said.replace(Some(Vec::new()));
            Rc::clone(&told)
        }));
        ear.read(Side::Upstream, early);
        (told, ear)
    }

    /// The tunnel is over.
    pub(super) fn end(&self, mut end: TunnelEnd) {
        self.ended.set(true);
        end.said = self.said.take();
        let Telling {
            exchange, observer, ..
        } = &self.telling;
        observer.tunnel_ended(self.id, exchange, &end);
    }

    /// Whether that is enough.
    fn hear(&self, bytes: &[u8]) -> bool {
        let Telling {
            exchange, observer, ..
        } = &self.telling;
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
impl Drop for Told {
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

/// Listens to the upstream for as long as it has not heard enough. A tunnel without one, or past that, pays for a look at
/// whether it is there.
#[derive(Debug, Default)]
pub(super) struct Ear(Option<Rc<Told>>);

impl Hook for Ear {
    fn read(&mut self, from: Side, bytes: &[u8]) {
        if let Some(told) = &self.0
            && from == Side::Upstream
            && !bytes.is_empty()
            && told.hear(bytes)
        {
            self.0 = None;
        }
    }
}
