//! What belongs to a client's connection while it speaks HTTP, whichever of its requests is under way.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;

use crate::decision::Client;
use crate::decision::Redirect;
use crate::headers::forwarded;
use crate::limits::AddressPermit;
use crate::limits::Exceeded;
use crate::observe::Observer;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::proxy::current_proxy::CurrentProxy;
use crate::proxy::lease::Lease;
use crate::proxy::report::Report;
use crate::proxy::unreadable::Unreadable;
use crate::proxy::upstream_request::UpstreamRequest;

/// A client's connection, for as long as it speaks HTTP: who the client is, what it counts as, and the upstream connection
/// that is kept for it between two requests.
///
/// What belongs to one request is no field here: a request's report, its answer and the tunnel that it may become travel as values,
/// so that several requests could be under way at once.
#[derive(Debug)]
pub struct ClientConnection {
    current_proxy: CurrentProxy,
    /// Its `redirect` is that of the moment at which it connected.
    client: Client,
    /// Where the listener sends its clients now, which a reload may change.
    redirect: Rc<Cell<Option<Redirect>>>,
    /// The client's address as upstreams are told.
    address: HeaderValue,
    lease: RefCell<Option<Lease>>,
    /// Counts the connection for its address, until a tunnel takes that over.
    permit: RefCell<Option<Box<AddressPermit>>>,
    /// How many polls upstreams have of this client and may hold back.
    polls: Cell<usize>,
    /// Whether the process is ending what is under way here. Shared, since reports may outlive the connection.
    is_cut: Rc<Cell<bool>>,
}

impl ClientConnection {
    /// A connection of `client`, whose requests are decided by what `current_proxy` and `redirect` hold when they come. The
    /// connection, or the tunnel that it becomes, is counted by `permit`; if that says that it is one too many, every request is
    /// refused.
    pub fn new(
        current_proxy: CurrentProxy,
        client: Client,
        redirect: Rc<Cell<Option<Redirect>>>,
        permit: Option<Box<AddressPermit>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            current_proxy,
            client,
            redirect,
            address: forwarded::address(client.address.without_port()),
            lease: RefCell::default(),
            permit: RefCell::new(permit),
            polls: Cell::default(),
            is_cut: Rc::default(),
        })
    }

    /// Notes that an upstream has this request, for as long as the guard is there, if it is one that it may hold back.
    pub(super) fn polls(&self, to: &UpstreamRequest) -> Option<PollUnderWay<'_>> {
        to.is_poll.then(|| {
            self.polls.set(self.polls.get() + 1);
            PollUnderWay(&self.polls)
        })
    }

    /// Whether an upstream holds a poll of this client back: if the client sends no more, then nobody waits for its answer.
    pub fn is_polling(&self) -> bool {
        self.polls.get() > 0
    }

    /// What the connection is counted by, for the tunnel that it becomes.
    pub(super) fn take_permit(&self) -> Option<Box<AddressPermit>> {
        self.permit.take()
    }

    /// Closes the upstream connection that is kept: there will be no other request.
    pub fn end_lease(&self) {
        self.lease.take();
    }

    /// Notes that the process ends what is under way here: that, and not the client, is why it ends.
    pub fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Closes the upstream connection that is kept between two requests, as soon as it is of no use any more. To be polled for as
    /// long as the connection is, also while a request is under way, which may use another one. A kept connection over which hyper
    /// speaks sees to itself.
    pub fn poll_lease(&self, cx: &mut Context<'_>) {
        let mut lease = self.lease.borrow_mut();
        if lease
            .as_mut()
            .is_some_and(|lease| lease.poll_over(cx).is_ready())
        {
            *lease = None;
        }
    }

    /// Writes the log line of a request whose head hyper could not read, of which `beginning` is known; returns what its client is
    /// told.
    pub fn unreadable(&self, error: &hyper::Error, beginning: &[u8]) -> Bytes {
        let unreadable = Unreadable::new(error);
        let reason = Reason::Client(format!("refused: {}", unreadable.reason()));
        let line = RequestLine::unread(beginning);
        self.report_without_head(line)
            .refused(unreadable.status(), reason);
        unreadable.message().into()
    }

    /// Writes the log line of a head that was not complete within `limit`.
    pub fn late(&self, limit: Duration) {
        let reason = format!("refused: no whole head within {limit:?} (`header_timeout`)");
        self.report_without_head(RequestLine::unread(&[]))
            .refused(StatusCode::REQUEST_TIMEOUT, Reason::Rule(reason));
    }

    fn report_without_head(&self, line: RequestLine) -> Report {
        let observer = Arc::clone(&self.current_proxy.load().observer);
        self.report(line, observer)
    }

    /// The report of a request that has just come.
    pub(super) fn report(&self, request: RequestLine, observer: Arc<dyn Observer>) -> Report {
        let is_cut = Rc::clone(&self.is_cut);
        Report::begin(self.client.address, request, observer, is_cut)
    }

    pub(super) fn current_proxy(&self) -> &CurrentProxy {
        &self.current_proxy
    }

    /// The client, as it is for a request that has just come.
    pub(super) fn client(&self) -> Client {
        Client {
            redirect: self.redirect.get(),
            ..self.client
        }
    }

    /// The client's address as upstreams are told.
    pub(super) fn address(&self) -> &HeaderValue {
        &self.address
    }

    /// Why every request is refused, if the connection is one too many of its address.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.permit.borrow().as_ref()?.exceeded()
    }

    /// Keeps an upstream connection for the next request.
    pub(super) fn keep(&self, lease: Lease) {
        self.lease.replace(Some(lease));
    }

    /// The upstream connection that was kept, if there is one; from now on it is the caller's.
    pub(super) fn take_lease(&self) -> Option<Lease> {
        self.lease.take()
    }
}

/// A poll that an upstream has.
#[derive(Debug)]
pub(super) struct PollUnderWay<'c>(&'c Cell<usize>);

impl Drop for PollUnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
