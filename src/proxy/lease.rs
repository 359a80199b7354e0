//! The upstream connection that is kept for a client between two of its requests. It belongs to that client alone, and to the
//! server that it leads to.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use crate::proxy::request_body::AnswerClock;
use crate::proxy::request_body::RequestBody;
use crate::proxy::route::Hop;
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
    /// One over which nobody speaks, to this server.
    Idle(Arc<Server>, IdleConnection),
}

impl Lease {
    /// Ready when the connection is of no use any more.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Idle(_, idle) => idle.poll_over(cx),
            // Its own task sees to it.
            Self::Http(_) => Poll::Pending,
        }
    }

    /// The connection for a request to this hop without hyper, if it leads to that server and nobody speaks over it; otherwise
    /// it is closed. Once hyper speaks with an upstream, it does with the client, to the end.
    pub(super) fn bare(self, hop: &Hop) -> Option<(Stream, PeerAddr)> {
        match self {
            Self::Idle(server, idle) if Arc::ptr_eq(&server, &hop.server) => idle.wake(),
            Self::Idle(..) | Self::Http(_) => None,
        }
    }

    /// The connection for a request to this hop through hyper, if it leads to that server and may be used; otherwise it is closed.
    pub(super) async fn http(self, hop: &Hop) -> Option<HttpLease> {
        match self {
            Self::Http(mut http) => {
                let fits = Arc::ptr_eq(&http.hop.server, &hop.server)
                    && http.connection.is_reusable().await;
                // After a reload the route is another one, with other limits perhaps, and the server the same.
                http.hop = hop.clone();
                fits.then_some(http)
            }
            idle @ Self::Idle(..) => {
                let (stream, address) = idle.bare(hop)?;
                HttpLease::start(hop, Rewound::untouched(stream), address)
                    .await
                    .ok()
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
