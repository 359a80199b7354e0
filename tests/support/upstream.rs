//! Upstreams: a listener whose connections a test answers by hand, or one that gives the same answer to everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::support::message::Head;
use crate::support::peer::Peer;
use crate::support::within;

/// A listening upstream. Dropping it closes its port, not its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepted: mpsc::UnboundedReceiver<Peer>,
    received: mpsc::UnboundedReceiver<Received>,
    accepting: AbortHandle,
}

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// On which connection, from 1.
    pub(crate) connection: usize,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Upstream {
    /// One whose connections the test answers: see [`accept`](Self::accept).
    pub(crate) async fn scripted() -> Self {
        let (hand_over, accepted) = mpsc::unbounded_channel();
        Self::listen(accepted, mpsc::unbounded_channel().1, move |_, peer| {
            // Nobody takes it when the test is over.
            let _ = hand_over.send(peer);
        })
        .await
    }

    /// One that answers every request with these bytes, on a connection that it keeps open.
    pub(crate) async fn answering(answer: impl AsRef<[u8]>) -> Self {
        let answer: Arc<[u8]> = answer.as_ref().into();
        let (record, received) = mpsc::unbounded_channel();
        let serve = move |connection, mut peer: Peer| {
            let (answer, record) = (Arc::clone(&answer), record.clone());
            tokio::spawn(async move {
                while peer.has_more().await {
                    let (head, body) = peer.request().await;
                    let _ = record.send(Received {
                        connection,
                        head,
                        body,
                    });
                    if peer.try_send(&answer).await.is_err() {
                        return;
                    }
                }
            });
        };
        Self::listen(mpsc::unbounded_channel().1, received, serve).await
    }

    /// One that says 200 and this text.
    pub(crate) async fn saying(text: &str) -> Self {
        let length = text.len();
        Self::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await
    }

    async fn listen(
        accepted: mpsc::UnboundedReceiver<Peer>,
        received: mpsc::UnboundedReceiver<Received>,
        serve: impl Fn(usize, Peer) + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let serve = serve.clone();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    // wsgate tries each upstream at its start by connecting only.
                    if matches!(tcp.peek(&mut [0]).await, Ok(1)) {
                        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                        serve(number, Peer::plain(tcp));
                    }
                });
            }
        })
        .abort_handle();
        Self {
            address,
            connections,
            accepted,
            received,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections on which anything was said so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next connection on which something was said.
    pub(crate) async fn accept(&mut self) -> Peer {
        within("a connection to the upstream", self.accepted.recv())
            .await
            .unwrap()
    }

    /// The next request of an answering upstream.
    pub(crate) async fn received(&mut self) -> Received {
        within("a request at the upstream", self.received.recv())
            .await
            .unwrap()
    }

    /// No further request or connection has come so far.
    pub(crate) fn has_nothing_more(&mut self) -> bool {
        self.received.try_recv().is_err() && self.accepted.try_recv().is_err()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
