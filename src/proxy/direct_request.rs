//! A request without hyper, on its way: it goes out over a new connection or a kept one, and what comes back first is read.

use bytes::Bytes;
use http::request;
use tokio::time::timeout_at;

use crate::affinity::SessionKey;
use crate::http1::AnswerState;
use crate::proxy::connect::connect;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Begun;
use crate::proxy::first_bytes::FirstBytes;
use crate::proxy::first_bytes::first_bytes;
use crate::proxy::lease::BareConnection;
use crate::proxy::report::Report;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::PeerAddr;
use crate::stream::Stream;
use crate::upstream::Connected;

/// A request on its way.
pub(super) struct DirectRequest<'a, A> {
    /// The client whose poll it may be. An upgrade request is none.
    pub(super) polls_for: Option<&'a ClientConnection>,
    pub(super) to: &'a mut UpstreamRequest,
    /// Its head and its body.
    pub(super) message: &'a [u8],
    pub(super) clock: &'a AnswerClock,
    /// Finds the answer in what the upstream says.
    pub(super) read: fn(&Bytes) -> AnswerState<A>,
}

/// What the upstream said first, and over which connection.
pub(super) struct HeardAnswer<A> {
    pub(super) stream: Stream,
    pub(super) address: PeerAddr,
    /// The session for which the connection was kept.
    pub(super) session: Option<SessionKey>,
    pub(super) first: FirstBytes<A>,
}

impl<A> DirectRequest<'_, A> {
    /// Asks over a new connection.
    pub(super) async fn ask_anew(
        &mut self,
        report: &mut Report,
    ) -> Result<HeardAnswer<A>, ProxyError> {
        let Connected {
            stream,
            address,
            sent,
        } = connect(self.to, self.message, report).await?;
        self.to.is_connected(self.clock);
        let anew = BareConnection {
            stream,
            address,
            session: None,
        };
        self.ask_over(anew, sent).await
    }

    /// Asks over this connection, to which `sent` bytes of the message were written before.
    pub(super) async fn ask_over(
        &self,
        over: BareConnection,
        sent: usize,
    ) -> Result<HeardAnswer<A>, ProxyError> {
        let BareConnection {
            mut stream,
            address,
            session,
        } = over;
        let deadline = self.clock.moved() + self.to.longest_wait();
        let _polls = self.polls_for.map(|connection| connection.polls(self.to));
        let first = first_bytes(&mut stream, &self.message[sent..], self.read);
        let first = timeout_at(deadline, first).await;
        Ok(HeardAnswer {
            first: first.map_err(|_| self.to.timed_out())?,
            stream,
            address,
            session,
        })
    }
}

impl<A> HeardAnswer<A> {
    /// The exchange for hyper, which goes on with it.
    pub(super) fn begun(self, head: request::Parts, clock: AnswerClock) -> Begun {
        Begun {
            head,
            clock,
            stream: self.first.rewind(self.stream),
            address: self.address,
            session: self.session,
        }
    }
}
