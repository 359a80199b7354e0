//! What belongs to one client connection: who it is, the upstream connection it keeps, and the tunnel it becomes.

use std::cell::Cell;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::HeaderValue;
use http::StatusCode;
use tokio::sync::Notify;

use crate::headers::forwarded;
use crate::headers::forwarded::Scheme;
use crate::limits::Exceeded;
use crate::limits::Share;
use crate::observe::Exchange;
use crate::observe::Opening;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::observe::UpstreamAddr;
use crate::proxy::error::Innermost;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange;
use crate::proxy::exchange::Answer;
use crate::proxy::handle::Handle;
use crate::proxy::report::Report;
use crate::proxy::request_body::RequestBody;
use crate::proxy::request_body::Upload;
use crate::proxy::route::Proxy;
use crate::proxy::route::Route;
use crate::proxy::switch::Switch;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::upstream::Connection;
use crate::upstream::Resting;

/// The client's side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its socket address; an IPv4 address in IPv6's clothes is shown as IPv4. For a request behind a believed proxy that of
    /// the client before it, whose port is 0 if it was not said.
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

/// One client connection's state, for as long as it speaks HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session(Rc<State>);

/// What a [`Session`] leads to.
#[derive(Debug)]
pub struct State {
    handle: Handle,
    /// Its `redirect` is that of the moment at which it connected.
    client: Client,
    redirect: Rc<Cell<Option<Redirect>>>,
    /// The client's address as upstreams are told.
    pub(super) address: HeaderValue,
    /// The upstream connection between two requests.
    keep: RefCell<Option<Keep>>,
    /// The tunnel that a 101 has promised.
    pub(super) switch: RefCell<Option<Switch>>,
    /// The answer that the next request finds.
    pub(super) ready: RefCell<Option<Ready>>,
    /// Upgrade requests under way.
    upgrading: Cell<usize>,
    upgraded: Notify,
    /// An Upgrade line or a CONNECT was seen, and nothing came of it.
    pub(super) refused_upgrade: Cell<bool>,
    /// Only the end of the connection ends the answer that is under way.
    pub(super) unframed: Cell<bool>,
    /// Apart from the rest, since reports know it and stand in `switch` and `ready`.
    cut: Rc<Cell<bool>>,
    /// What is counted of the client: the connection, until a tunnel takes it over.
    share: RefCell<Option<Box<Share>>>,
}

impl Deref for Session {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Session {
    /// A fresh one, whose requests are decided by what `handle` and `redirect` lead to when they come.
    pub fn new(handle: Handle, client: Client, redirect: Rc<Cell<Option<Redirect>>>) -> Self {
        Self(Rc::new(State {
            handle,
            client,
            redirect,
            address: forwarded::address(client.address.ip()),
            keep: RefCell::default(),
            switch: RefCell::default(),
            ready: RefCell::default(),
            upgrading: Cell::default(),
            upgraded: Notify::default(),
            refused_upgrade: Cell::default(),
            unframed: Cell::default(),
            cut: Rc::default(),
            share: RefCell::default(),
        }))
    }

    /// The connection, or the tunnel that it becomes, is counted as this. If it is one too many, every request is refused.
    pub fn counts_as(&self, share: Option<Box<Share>>) {
        self.share.replace(share);
    }

    /// What the connection is counted as, for whoever sees to its end.
    pub fn take_share(&self) -> Option<Box<Share>> {
        self.share.take()
    }

    /// The tunnel that a 101 has promised, once.
    pub fn take_switch(&self) -> Option<Switch> {
        self.switch.borrow_mut().take()
    }

    /// Whether a request had an Upgrade line, or was a CONNECT, and nothing came of it; once.
    pub fn take_refused_upgrade(&self) -> bool {
        self.switch.borrow().is_none() && self.refused_upgrade.take()
    }

    /// Whether only the end of the connection ends the answer that is under way, so that one in order would complete it.
    pub fn is_unframed(&self) -> bool {
        self.unframed.get()
    }

    /// Whether an answer is ready for the next request, other than a 101.
    pub fn is_answered(&self) -> bool {
        let ready = self.ready.borrow();
        let answer = ready.as_ref().map(|ready| &ready.answer);
        answer.is_some_and(|answer| !matches!(answer, Ok(Answer::Switch(..))))
    }

    /// Waits until no upgrade request is under way. One that was agreed to stays under way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn not_upgrading(&self) {
        while self.upgrading.get() > 0 {
            self.upgraded.notified().await;
        }
    }

    /// The process ends what is under way here: that, and not the client, is why it ends.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// A head that could not be read was answered by hyper; here it gets its line in the log.
    pub fn unreadable(&self, error: &hyper::Error) {
        let mut report = self.report(&self.proxy(), RequestLine::unreadable());
        report.status = Some(if error.is_parse_too_large() {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        });
        report.reason = Some(Reason::Client(format!("refused: {}", Innermost(error))));
    }

    /// A head that did not come whole in time gets its line too.
    pub fn late(&self, limit: Duration) {
        let mut report = self.report(&self.proxy(), RequestLine::unreadable());
        report.status = Some(StatusCode::REQUEST_TIMEOUT);
        report.reason = Some(Reason::Rule(format!(
            "refused: no whole head within {limit:?} (`header_timeout`)"
        )));
    }

    /// Why the client is refused everything, if it is.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.share.borrow().as_ref()?.exceeded()
    }

    /// The connection becomes the tunnel of this request, which is counted in its place, if it is not itself.
    pub(super) fn hand_over(&self, report: &mut Report) {
        if report.share.is_none() {
            report.share = self.share.take();
        }
    }

    /// What decides about a request that has just come. Asked once for each, so that all of it uses one state.
    pub(super) fn proxy(&self) -> Rc<Proxy> {
        self.handle.load()
    }

    /// The client, as it is for a request that has just come.
    pub(super) fn client(&self) -> Client {
        Client {
            redirect: self.redirect.get(),
            ..self.client
        }
    }

    /// Of a request that has just come.
    pub(super) fn report(&self, proxy: &Proxy, request: RequestLine) -> Report {
        let exchange = Exchange {
            remote_addr: self.client.address,
            request,
            opening: Opening::Nothing,
            upstream_addr: None,
            location: None,
            route: None,
        };
        Report::new(exchange, Arc::clone(&proxy.observer), Rc::clone(&self.cut))
    }

    /// An upgrade request is under way for as long as this lives.
    pub(super) fn upgrade_begins(&self) -> UpgradeUnderWay {
        self.upgrading.set(self.upgrading.get() + 1);
        UpgradeUnderWay(Some(self.clone()))
    }

    /// Keeps an upstream connection for the next request.
    pub(super) fn keep(&self, mut kept: Kept) {
        if let Some(upload) = kept.upload.take() {
            upload.answered(kept.route.limits.body);
        }
        kept.connection.rest();
        self.keep.replace(Some(Keep::Http(kept)));
    }

    /// The same for one over which hyper does not speak.
    pub(super) fn keep_bare(&self, route: Arc<Route>, resting: Resting) {
        self.keep.replace(Some(Keep::Resting(route, resting)));
    }

    /// Closes the kept connection as soon as it is of no use any more. For while nobody asks; hyper sees to its own.
    pub fn poll_kept(&self, cx: &mut Context<'_>) {
        let mut keep = self.keep.borrow_mut();
        if let Some(Keep::Resting(_, resting)) = &mut *keep
            && resting.poll_over(cx).is_ready()
        {
            *keep = None;
        }
    }

    /// The kept connection if it is for `route` and may be used; one that is not is closed. A route of before a reload is
    /// the same one if its upstream is.
    pub(super) async fn kept(&self, route: &Arc<Route>) -> Option<Kept> {
        let keep = self.keep.take()?;
        match keep {
            Keep::Http(mut kept) => {
                let same = kept.route.upstream.is(&route.upstream);
                let fits = same && kept.connection.is_reusable().await;
                kept.route = Arc::clone(route);
                fits.then_some(kept)
            }
            keep @ Keep::Resting(..) => {
                let (stream, address) = keep.wake(route)?;
                let stream = Rewound::untouched(stream);
                exchange::start(route, stream, address).await.ok()
            }
        }
    }

    /// The same, where hyper is not to speak.
    pub(super) fn kept_bare(&self, route: &Arc<Route>) -> Option<(Stream, UpstreamAddr)> {
        self.keep.take()?.wake(route)
    }
}

/// An answer that was found before hyper read its request.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) answer: Result<Answer, ProxyError>,
    pub(super) report: Report,
}

/// An upgrade request without its answer.
#[derive(Debug)]
pub(super) struct UpgradeUnderWay(Option<Session>);

impl UpgradeUnderWay {
    /// It was agreed to: HTTP ends here, and what a drain would do to it must not happen any more.
    pub(super) fn agreed(mut self) {
        self.0 = None;
    }
}

impl Drop for UpgradeUnderWay {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.upgrading.set(session.upgrading.get() - 1);
            session.upgraded.notify_waiters();
        }
    }
}

/// An upstream connection between two requests.
#[derive(Debug)]
enum Keep {
    /// Hyper speaks over it.
    Http(Kept),
    /// Nobody does. Opened for this route.
    Resting(Arc<Route>, Resting),
}

impl Keep {
    /// The bare connection, if it is one and for `route`.
    fn wake(self, route: &Arc<Route>) -> Option<(Stream, UpstreamAddr)> {
        match self {
            Self::Resting(of, resting) if of.upstream.is(&route.upstream) => resting.wake(),
            // Once hyper speaks with an upstream, it does with the client, to the end.
            Self::Resting(..) | Self::Http(_) => None,
        }
    }
}

/// An upstream connection over which hyper speaks, and the route that it was opened for.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) route: Arc<Route>,
    pub(super) connection: Connection<RequestBody>,
    /// The body of the request that was answered last, which may still be on its way.
    pub(super) upload: Option<Rc<Upload>>,
}
