//! A listener on one thread, whose settings a reload may change while connections come through it.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::decision::Redirect;

/// The settings of a listener, beside its socket.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// How TLS is spoken with its clients; `None` for a plain listener.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The port that clients connect to.
    pub port: u16,
    /// Where it sends its clients, if it serves none of them.
    pub redirect: Option<Redirect>,
}

/// A listener whose settings can be changed while its socket stays open. A connection keeps the TLS that it began with; where its
/// client is sent is looked up for each of its requests.
#[derive(Debug)]
pub struct LiveListener {
    tls: RefCell<Option<Arc<ServerConfig>>>,
    proxy_protocol: Cell<bool>,
    port: u16,
    redirect: Rc<Cell<Option<Redirect>>>,
    closing: Notify,
}

impl LiveListener {
    /// A listener that accepts.
    pub fn new(settings: ListenerSettings) -> Self {
        Self {
            tls: RefCell::new(settings.tls),
            proxy_protocol: Cell::new(settings.proxy_protocol),
            port: settings.port,
            redirect: Rc::new(Cell::new(settings.redirect)),
            closing: Notify::new(),
        }
    }

    /// Serves by these settings from now on. The port is its socket's, which does not change.
    pub fn change(&self, settings: ListenerSettings) {
        self.tls.replace(settings.tls);
        self.proxy_protocol.set(settings.proxy_protocol);
        self.redirect.set(settings.redirect);
    }

    /// Ends accepting: what the system has accepted already is still taken.
    pub fn close(&self) {
        self.closing.notify_one();
    }

    /// Waits for [`close`](Self::close).
    pub(super) async fn closed(&self) {
        self.closing.notified().await;
    }

    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.borrow().clone()
    }

    /// Whether connections that are accepted now begin with a PROXY header.
    pub(super) fn proxy_protocol(&self) -> bool {
        self.proxy_protocol.get()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where connections through it look up whether they are sent elsewhere.
    pub(super) fn redirect(&self) -> &Rc<Cell<Option<Redirect>>> {
        &self.redirect
    }
}
