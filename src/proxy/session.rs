//! What belongs to one client connection: who it is, the upstream connection it keeps, and the tunnel it becomes.

use std::cell::Cell;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use http::StatusCode;
use tokio::sync::Notify;

use crate::headers::forwarded;
use crate::headers::forwarded::Scheme;
use crate::observe::Exchange;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::proxy::error::Innermost;
use crate::proxy::report::Report;
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
    /// The port that it connected to.
    pub port: u16,
    /// Whether this listener only sends clients elsewhere.
    pub redirect: Option<Redirect>,
}

/// `redirect: https`: where the clients of a plain listener are sent.
#[derive(Clone, Copy, Debug)]
pub struct Redirect {
    /// The port of the TLS listener.
    pub port: u16,
}

/// One client connection's state, for as long as it speaks HTTP.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) proxy: Arc<Proxy>,
    pub(super) client: Client,
    /// The client's address as upstreams are told.
    pub(super) address: HeaderValue,
    pub(super) keep: Keep,
    pub(super) switch: Rc<RefCell<Option<Switch>>>,
    upgrading: Rc<Upgrading>,
    /// An Upgrade line or a CONNECT was seen, and nothing came of it.
    pub(super) refused_upgrade: Rc<Cell<bool>>,
    cut: Rc<Cell<bool>>,
}

impl Session {
    /// A fresh one.
    pub fn new(proxy: Arc<Proxy>, client: Client) -> Self {
        Self {
            proxy,
            client,
            address: forwarded::address(client.address.ip()),
            keep: Keep::default(),
            switch: Rc::default(),
            upgrading: Rc::default(),
            refused_upgrade: Rc::default(),
            cut: Rc::default(),
        }
    }

    /// The tunnel that a 101 has promised, once.
    pub fn take_switch(&self) -> Option<Switch> {
        self.switch.borrow_mut().take()
    }

    /// Whether a request had an Upgrade line, or was a CONNECT, and nothing came of it; once.
    pub fn take_refused_upgrade(&self) -> bool {
        self.switch.borrow().is_none() && self.refused_upgrade.take()
    }

    /// Waits until no upgrade request is under way. One that was agreed to stays under way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn not_upgrading(&self) {
        while self.upgrading.count.get() > 0 {
            self.upgrading.refused.notified().await;
        }
    }

    /// The process ends what is under way here: that, and not the client, is why it ends.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// A head that could not be read was answered by hyper; here it gets its line in the log.
    pub fn unreadable(&self, error: &hyper::Error) {
        let exchange = Exchange {
            remote_addr: self.client.address,
            request: RequestLine::unreadable(),
            upstream_addr: None,
            location: None,
            route: None,
        };
        let mut report = self.report(exchange);
        report.status = Some(if error.is_parse_too_large() {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        });
        report.reason = Some(Reason::Client(format!("refused: {}", Innermost(error))));
    }

    pub(super) fn report(&self, exchange: Exchange) -> Report {
        Report::new(
            exchange,
            Arc::clone(&self.proxy.observer),
            Rc::clone(&self.cut),
        )
    }

    /// An upgrade request is under way for as long as this lives.
    pub(super) fn upgrade_begins(&self) -> UpgradeUnderWay {
        self.upgrading.count.set(self.upgrading.count.get() + 1);
        UpgradeUnderWay(Some(Rc::clone(&self.upgrading)))
    }
}

#[derive(Debug, Default)]
struct Upgrading {
    count: Cell<usize>,
    refused: Notify,
}

/// An upgrade request without its answer.
#[derive(Debug)]
pub(super) struct UpgradeUnderWay(Option<Rc<Upgrading>>);

impl UpgradeUnderWay {
    /// It was agreed to: HTTP ends here, and what a drain would do to it must not happen any more.
    pub(super) fn agreed(mut self) {
        self.0 = None;
    }
}

impl Drop for UpgradeUnderWay {
    fn drop(&mut self) {
        if let Some(upgrading) = self.0.take() {
            upgrading.count.set(upgrading.count.get() - 1);
            upgrading.refused.notify_waiters();
        }
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
