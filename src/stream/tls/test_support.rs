//! What tests of TLS and of tunnels over it are written with: rustls' own client at the far end, and sockets in memory
//! that read and write in pieces.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs;
use rustls::server::UnbufferedServerConnection;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::Tls;

static IDENTITY: LazyLock<(CertificateDer<'static>, PrivateKeyDer<'static>)> =
    LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(["chat.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        (made.cert.der().clone(), key)
    });

pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), test).await.unwrap() })
}

pub(crate) fn server(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let (cert, key) = &*IDENTITY;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key.clone_key())
        .unwrap();
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

pub(crate) fn client(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(IDENTITY.0.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

pub(crate) fn name() -> ServerName<'static> {
    "chat.example".try_into().unwrap()
}

pub(crate) fn ours(version: &'static SupportedProtocolVersion) -> UnbufferedServerConnection {
    UnbufferedServerConnection::new(server(version)).unwrap()
}

/// The server's end over `near`, and its client's over `far`, after a TLS handshake.
pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    version: &'static SupportedProtocolVersion,
    near: S,
    far: DuplexStream,
) -> (Box<Tls<S>>, TlsStream<DuplexStream>) {
    let connector = TlsConnector::from(client(version));
    let peer = connector.connect(name(), far);
    let (tls, peer) = tokio::join!(Tls::handshake(near, ours(version)), peer);
    (tls.unwrap(), peer.unwrap())
}

/// `length` bytes, of which no two neighbours are alike.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// A socket that reads and writes in pieces of these sizes, over and over; at a 0 it has to be asked again.
pub(crate) struct Choppy {
    inner: DuplexStream,
    reads: Vec<usize>,
    writes: Vec<usize>,
    turn: [usize; 2],
}

impl Choppy {
    /// Reads in other pieces from now on.
    pub(crate) fn read_in(&mut self, pieces: &[usize]) {
        self.reads = pieces.to_vec();
        self.turn = [0; 2];
    }

    pub(crate) fn new(inner: DuplexStream, reads: &[usize], writes: &[usize]) -> Self {
        Self {
            inner,
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            turn: [0; 2],
        }
    }

    fn next(sizes: &[usize], turn: &mut usize) -> usize {
        *turn += 1;
        sizes[(*turn - 1) % sizes.len()]
    }
}

impl AsyncRead for Choppy {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let size = Self::next(&this.reads, &mut this.turn[0]);
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(size.min(buf.remaining())));
        let polled = Pin::new(&mut this.inner).poll_read(cx, &mut piece);
        let length = piece.filled().len();
        buf.advance(length);
        polled
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let size = Self::next(&this.writes, &mut this.turn[1]);
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_write(cx, &buf[..size.min(buf.len())])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Sizes of pieces, 0 for a pause; there is always one that brings something.
pub(crate) fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![Just(0), 1..40usize, 1..3000usize, 1..70_000usize];
    (prop::collection::vec(size, 0..6), 20..70_000usize).prop_map(|(mut sizes, last)| {
        sizes.push(last);
        sizes
    })
}

/// Sends `sent` in writes of `sizes`, then ends.
pub(crate) async fn send(mut to: impl AsyncWrite + Unpin, sent: &[u8], sizes: &[usize]) {
    let mut rest = sent;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(rest.len().min(*size));
        to.write_all(now).await.unwrap();
        if size % 2 == 0 {
            to.flush().await.unwrap();
        }
        rest = later;
    }
    to.shutdown().await.unwrap();
}

/// Reads to the end, in reads of `sizes`.
pub(crate) async fn receive(mut from: impl AsyncRead + Unpin, sizes: &[usize]) -> Vec<u8> {
    let mut received = Vec::new();
    for size in sizes.iter().cycle() {
        let mut piece = vec![0; (*size).max(1)];
        let length = from.read(&mut piece).await.unwrap();
        if length == 0 {
            break;
        }
        received.extend_from_slice(&piece[..length]);
    }
    received
}
