//! One socket, be it plain TCP, TCP under TLS, or a Unix socket, as the other modules see it.
//!
//! The holder of a [`Stream`] reads and writes bytes and need not know what is below. The TLS handshake is over when a
//! `Stream` exists. Accepting, connecting, and decisions by what the bytes say are left to other modules.

mod byte_queue;
mod client_addr;
mod listen_addr;
mod look;
mod peer_addr;
mod rewound;
mod tls;
pub mod vanished;

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use rustls::AlertDescription;
use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use crate::stream::vanished::Doubt;

pub use crate::stream::client_addr::ClientAddr;
pub use crate::stream::listen_addr::ListenAddr;
pub use crate::stream::look::Look;
pub use crate::stream::peer_addr::PeerAddr;
pub use crate::stream::rewound::Rewound;
pub use crate::stream::tls::Tls;
#[cfg(test)]
pub(crate) use crate::stream::tls::test_support;

/// How many bytes [`Stream::poll_take`] takes at most: two TLS records.
const TAKEN: usize = 32 * 1024;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; TAKEN].into_boxed_slice());
}

/// A connected socket. The TLS state is boxed, so that a plain tunnel does not carry its kilobyte.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS over TCP with a client.
    Tls(Box<Tls<TcpStream>>),
    /// TLS over TCP with an upstream.
    UpstreamTls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over a Unix socket with a client.
    UnixTls(Box<Tls<UnixStream>>),
}

impl Stream {
    /// Closes the socket so that the peer does not take it for an end in order: by a reset, under TLS without a
    /// close_notify.
    pub fn break_off(self) {
        if let Self::Plain(tcp) = &self {
            // SO_LINGER of zero is the opposite of lingering: it makes the close a reset. Where the system refuses, nothing else
            // can be done.
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    /// Tells the system that the peer may have vanished, or that it has spoken.
    pub fn doubt(&self, doubt: Doubt) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.socket(),
            Self::UpstreamTls(tls) => tls.get_ref().0,
            // Nothing is lost on the way to it.
            Self::Unix(_) | Self::UnixTls(_) => return,
        };
        // Where the system refuses, a lost peer is found later.
        let _ = vanished::doubt(SockRef::from(tcp), doubt);
    }

    /// Looks for the end of what the peer sends, while nobody reads it: ready when the peer has ended its direction, or with the error
    /// that broke the socket. Bytes that come before the end go into `early`, and are looked behind only when they are gone from there.
    ///
    /// A FIN is an end under TLS too, without the close_notify that tells it from an attack: what the peer has said is not judged here.
    pub fn poll_end(&mut self, early: &mut Bytes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !early.is_empty() {
            return Poll::Pending;
        }
        let mut room = [MaybeUninit::uninit(); 512];
        let mut came = ReadBuf::uninit(&mut room);
        match ready!(Pin::new(self).poll_read(cx, &mut came)) {
            Ok(()) if !came.filled().is_empty() => {
                *early = Bytes::copy_from_slice(came.filled());
                Poll::Pending
            }
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads the bytes that are there, and returns a copy of exactly their size. No bytes are the end.
    ///
    /// It reads into a buffer of the thread, so that a connection that waits owns none.
    pub fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        SHARED.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            Pin::new(self)
                .poll_read(cx, &mut buffer)
                .map_ok(|()| Bytes::copy_from_slice(buffer.filled()))
        })
    }
}

/// Why a socket broke, in words for a log line. `None` where the error's own text will do; it would not where it has a
/// number of the system's, a link to a library's manual, or an alert that says nothing to the reader.
pub fn in_words(error: &io::Error) -> Option<&'static str> {
    // Hyper calls an answer that is too short the same kind of error, also without TLS.
    if error.kind() == io::ErrorKind::UnexpectedEof && error.to_string().contains("close_notify") {
        return Some(NO_CLOSE_NOTIFY);
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset => return Some("connection reset"),
        io::ErrorKind::TimedOut => return Some("connection timed out"),
        io::ErrorKind::HostUnreachable => return Some("host unreachable"),
        _ => {}
    }
    match error.get_ref()?.downcast_ref()? {
        // In TLS 1.3 this alert comes when the client's part of the handshake is over already.
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Some(NO_CLIENT_CERTIFICATE)
        }
        _ => None,
    }
}

/// The text for an end under TLS without a close_notify, which anyone on the way could have made.
const NO_CLOSE_NOTIFY: &str = "the connection ended without a TLS close_notify";

/// The text for an upstream that asks for a client certificate.
pub const NO_CLIENT_CERTIFICATE: &str =
    "it asks for a client certificate, and wsgate has none to show";

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Self::UnixTls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
            Self::UnixTls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
            Self::UnixTls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::UpstreamTls(tls) => tls.is_write_vectored(),
            Self::Unix(unix) => unix.is_write_vectored(),
            Self::UnixTls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            Self::UnixTls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// Ends the writing half: a FIN, under TLS a close_notify before it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Self::UnixTls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
