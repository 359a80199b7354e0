//! The upstream connection that is kept for a client between two of its requests. It belongs to that client alone, to the
//! server that it leads to, and to the session that began over it, if there is one.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use crate::affinity::SessionKey;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::request_body::RequestBody;
use crate::proxy::route::Hop;
use crate::proxy::session::admits;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::PeerAddr;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::upstream::Connection;
use crate::upstream::IdleConnection;
use crate::upstream::Server;

/// An upstream connection between two requests.
#[derive(Debug)]
pub(super) enum Lease {
    /// One over which hyper speaks.
    Http(HttpLease),
    /// One over which nobody speaks.
    Idle(IdleLease),
}

/// An upstream connection over which nobody speaks.
#[derive(Debug)]
pub(super) struct IdleLease {
    /// Where it leads to.
    pub(super) server: Arc<Server>,
    pub(super) connection: IdleConnection,
    /// The session for which it is kept.
    pub(super) session: Option<SessionKey>,
}

/// An upstream connection for a request without hyper.
#[derive(Debug)]
pub(super) struct BareConnection {
    pub(super) stream: Stream,
    pub(super) address: PeerAddr,
    /// The session for which it was kept.
    pub(super) session: Option<SessionKey>,
}

impl Lease {
    /// Ready when the connection is of no use any more.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Idle(idle) => idle.connection.poll_over(cx),
            // Its own task sees to it.
            Self::Http(_) => Poll::Pending,
        }
    }

    /// Whether it leads to the server of this request, and to the session that the request belongs to.
    fn fits(&self, to: &UpstreamRequest) -> bool {
        let (server, session) = match self {
            Self::Http(http) => (&http.hop.server, http.session),
            Self::Idle(idle) => (&idle.server, idle.session),
        };
        Arc::ptr_eq(server, &to.hop.server) && admits(to.session, session)
    }

    /// The connection for this request without hyper, if it fits and nobody speaks over it; otherwise it is closed. Once hyper speaks
    /// with an upstream, it does with the client, to the end.
    pub(super) fn bare(self, to: &UpstreamRequest) -> Option<BareConnection> {
        if !self.fits(to) {
            return None;
        }
        let Self::Idle(idle) = self else {
            return None;
        };
        let (stream, address) = idle.connection.wake()?;
        Some(BareConnection {
            stream,
            address,
            session: idle.session,
        })
    }

    /// The connection for this request through hyper, if it fits and may be used; otherwise it is closed.
    pub(super) async fn http(self, to: &UpstreamRequest) -> Option<HttpLease> {
        if !self.fits(to) {
            return None;
        }
        match self {
            Self::Http(mut http) => {
                let is_reusable = http.connection.is_reusable().await;
                // After a reload the route is another one, with other limits perhaps, and the server the same.
                http.hop = to.hop.clone();
                is_reusable.then_some(http)
            }
            idle @ Self::Idle(_) => {
                let BareConnection {
                    stream,
                    address,
                    session,
                } = idle.bare(to)?;
                let stream = Rewound::untouched(stream);
                let mut http = HttpLease::start(&to.hop, stream, address).await.ok()?;
                http.session = session;
                Some(http)
            }
        }
    }
}

/// An upstream connection over which hyper speaks.
#[derive(Debug)]
pub(super) struct HttpLease {
    /// Where it leads to, and what the request over it obeys.
    pub(super) hop: Hop,
    pub(super) connection: Connection<RequestBody>,
    /// The clock of the request that was answered last, whose body may still be on its way.
    pub(super) clock: Option<Rc<AnswerClock>>,
    /// The session for which it is kept.
    pub(super) session: Option<SessionKey>,
}

impl HttpLease {
    /// Begins to speak HTTP through hyper over a connection to this hop's server.
    ///
    /// # Errors
    /// Hyper's, of which it has none for HTTP/1.1.
    pub(super) async fn start(
        hop: &Hop,
        stream: Rewound,
        address: PeerAddr,
    ) -> Result<Self, hyper::Error> {
        Ok(Self {
            hop: hop.clone(),
            connection: Connection::start(stream, address).await?,
            clock: None,
            session: None,
        })
    }

    /// For another request, once the answer of the last one is over.
    pub(super) fn into_idle(mut self) -> Lease {
        if let Some(clock) = self.clock.take() {
            clock.answered(self.hop.route.timeouts.body);
        }
        self.connection.rest();
        Lease::Http(self)
    }
}
