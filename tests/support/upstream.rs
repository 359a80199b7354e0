//! Upstreams: a listener whose connections a test answers by hand, or one that gives the same answer to everything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::message::Head;
use crate::support::peer::Peer;
use crate::support::within;

/// A listening upstream. Dropping it closes its port, not its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: Option<SocketAddr>,
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

/// Where an upstream listens.
enum Door {
    Plain(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
    Unix(UnixListener),
}

/// Who has connected, and may only have tried whether that works.
enum Caller {
    Plain(TcpStream),
    Tls(TcpStream, Arc<ServerConfig>),
    Unix(UnixStream),
}

impl Door {
    async fn plain() -> Self {
        Self::Plain(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    async fn tls(config: Arc<ServerConfig>) -> Self {
        Self::Tls(TcpListener::bind("127.0.0.1:0").await.unwrap(), config)
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(listener) | Self::Tls(listener, _) => Some(listener.local_addr().unwrap()),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> Caller {
        match self {
            Self::Plain(listener) => Caller::Plain(listener.accept().await.unwrap().0),
            Self::Tls(listener, config) => {
                Caller::Tls(listener.accept().await.unwrap().0, Arc::clone(config))
            }
            Self::Unix(listener) => Caller::Unix(listener.accept().await.unwrap().0),
        }
    }
}

impl Caller {
    /// The connection when its first byte is there. None comes at the start, when wsgate tries each upstream by
    /// connecting only, and where a TLS handshake fails.
    async fn speaks(self) -> Option<Peer> {
        match self {
            Self::Plain(tcp) => matches!(tcp.peek(&mut [0]).await, Ok(1)).then(|| Peer::plain(tcp)),
            Self::Tls(tcp, config) => {
                let mut peer = Peer::tls(TlsAcceptor::from(config).accept(tcp).await.ok()?);
                peer.has_more().await.then_some(peer)
            }
            Self::Unix(unix) => {
                let mut peer = Peer::unix(unix);
                peer.has_more().await.then_some(peer)
            }
        }
    }
}

impl Upstream {
    /// One whose connections the test answers: see [`accept`](Self::accept).
    pub(crate) async fn scripted() -> Self {
        Self::scripted_at(Door::plain().await).await
    }

    /// The same, where it listens already.
    pub(crate) async fn scripted_on(listener: TcpListener) -> Self {
        Self::scripted_at(Door::Plain(listener)).await
    }

    /// The same under TLS.
    pub(crate) async fn scripted_tls(config: Arc<ServerConfig>) -> Self {
        Self::scripted_at(Door::tls(config).await).await
    }

    /// The same at a Unix socket.
    pub(crate) async fn scripted_unix(path: &Path) -> Self {
        Self::scripted_at(Door::Unix(UnixListener::bind(path).unwrap())).await
    }

    async fn scripted_at(door: Door) -> Self {
        let (hand_over, accepted) = mpsc::unbounded_channel();
        let serve = move |_, peer| {
            // Nobody takes it when the test is over.
            let _ = hand_over.send(peer);
        };
        Self::listen(door, accepted, mpsc::unbounded_channel().1, serve).await
    }

    /// One that answers every request with these bytes, on a connection that it keeps open.
    pub(crate) async fn answering(answer: impl AsRef<[u8]>) -> Self {
        Self::answering_at(Door::plain().await, answer).await
    }

    /// The same under TLS.
    pub(crate) async fn answering_tls(config: Arc<ServerConfig>, answer: impl AsRef<[u8]>) -> Self {
        Self::answering_at(Door::tls(config).await, answer).await
    }

    /// The same at a Unix socket.
    pub(crate) async fn answering_unix(listener: UnixListener, answer: impl AsRef<[u8]>) -> Self {
        Self::answering_at(Door::Unix(listener), answer).await
    }

    async fn answering_at(door: Door, answer: impl AsRef<[u8]>) -> Self {
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
        Self::listen(door, mpsc::unbounded_channel().1, received, serve).await
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
        door: Door,
        accepted: mpsc::UnboundedReceiver<Peer>,
        received: mpsc::UnboundedReceiver<Received>,
        serve: impl Fn(usize, Peer) + Clone + Send + 'static,
    ) -> Self {
        let address = door.address();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let caller = door.accept().await;
                let serve = serve.clone();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    if let Some(peer) = caller.speaks().await {
                        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                        serve(number, peer);
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

    /// Where it listens, unless that is a Unix socket.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
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
