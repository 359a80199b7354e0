//! What belongs to one client connection: who it is, the upstream connection it keeps, and the tunnel it becomes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::headers::forwarded::Scheme;
use crate::proxy::request_body::RequestBody;
use crate::proxy::route::Proxy;
use crate::proxy::route::Route;
use crate::proxy::switch::Switch;
use crate::upstream::Connection;

/// The client's side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its socket address; an IPv4 address in IPv6's clothes is shown as IPv4.
    pub address: SocketAddr,
    /// Over what it came.
    pub scheme: Scheme,
}

/// One client connection's state, for as long as it speaks HTTP.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) proxy: Arc<Proxy>,
    pub(super) client: Client,
    pub(super) keep: Keep,
    pub(super) switch: Rc<RefCell<Option<Switch>>>,
}

impl Session {
    /// A fresh one.
    pub fn new(proxy: Arc<Proxy>, client: Client) -> Self {
        Self {
            proxy,
            client,
            keep: Keep::default(),
            switch: Rc::default(),
        }
    }

    /// The tunnel that a 101 has promised, once.
    pub fn take_switch(&self) -> Option<Switch> {
        self.switch.borrow_mut().take()
    }
}

/// An upstream connection and the route that it was opened for.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) route: Arc<Route>,
    pub(super) connection: Connection<RequestBody>,
}

/// Where a client connection keeps its upstream connection between two requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Keep(Rc<RefCell<Option<Kept>>>);

impl Keep {
    pub(super) fn put(&self, mut kept: Kept) {
        kept.connection.rest();
        *self.0.borrow_mut() = Some(kept);
    }

    /// The kept connection if it is for `route` and may be used; one that is not is closed.
    pub(super) async fn take(&self, route: &Arc<Route>) -> Option<Kept> {
        let mut kept = self.0.borrow_mut().take()?;
        if Arc::ptr_eq(&kept.route, route) && kept.connection.is_reusable().await {
            Some(kept)
        } else {
            None
        }
    }
}
