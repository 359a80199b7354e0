//! What stands behind a listening socket on one thread, while connections come through it.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::decision::Redirect;

/// What a listener is, beside its socket.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// TLS, if it is behind it.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The port that clients connect to.
    pub port: u16,
    /// Whether it only sends clients elsewhere.
    pub redirect: Option<Redirect>,
}

/// An [`Entrance`] that can be changed while its socket stays open. A connection keeps the TLS that it came through; where
/// it is sent is looked up for each of its requests.
#[derive(Debug)]
pub struct Door {
    tls: RefCell<Option<Arc<ServerConfig>>>,
    proxy_protocol: Cell<bool>,
    port: u16,
    redirect: Rc<Cell<Option<Redirect>>>,
    closing: Notify,
}

impl Door {
    /// An open one.
    pub fn new(entrance: Entrance) -> Self {
        Self {
            tls: RefCell::new(entrance.tls),
            proxy_protocol: Cell::new(entrance.proxy_protocol),
            port: entrance.port,
            redirect: Rc::new(Cell::new(entrance.redirect)),
            closing: Notify::new(),
        }
    }

    /// What is behind it from now on. The port is its socket's, which does not change.
    pub fn change(&self, entrance: Entrance) {
        self.tls.replace(entrance.tls);
        self.proxy_protocol.set(entrance.proxy_protocol);
        self.redirect.set(entrance.redirect);
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
