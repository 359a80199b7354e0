//! One socket, plain, under TLS, or of this machine alone, as the rest of the house sees it.
//!
//! Whoever holds a [`Stream`] reads and writes bytes and does not ask what is below. The TLS handshake is over when
//! a `Stream` exists. Not here: accepting, connecting, and anything that is decided by what the bytes say.

mod byte_queue;
mod rewound;
mod tls;
pub mod vanished;

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
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

pub use crate::stream::rewound::Rewound;
pub use crate::stream::tls::Tls;
#[cfg(test)]
pub(crate) use crate::stream::tls::test_support;

/// What [`Stream::poll_take`] takes at most: two TLS records.
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
}

impl Stream {
    /// Ends it so that nobody takes that for an end in order: with a reset, under TLS without a close_notify.
    pub fn break_off(self) {
        if let Self::Plain(tcp) = &self {
            // Where the system refuses nothing else can be done.
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    /// Its peer may have vanished, or has spoken.
    pub fn doubt(&self, doubt: Doubt) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.socket(),
            Self::UpstreamTls(tls) => tls.get_ref().0,
            // Nothing is lost on the way to it.
            Self::Unix(_) => return,
        };
        // Where the system refuses, a lost peer is found later.
        let _ = vanished::doubt(SockRef::from(tcp), doubt);
    }

    /// Reads what is there, as a copy of its own size. Nothing is the end.
    ///
    /// Reading goes into a buffer of the thread, so that a connection that waits owns none.
    pub fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        SHARED.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            Pin::new(self)
                .poll_read(cx, &mut buffer)
                .map_ok(|()| Bytes::copy_from_slice(buffer.filled()))
        })
    }
}

/// Why a socket broke, for a log line, where other words are none for a reader: a number of the system's, a link to a
/// library's manual, or an alert that says nothing to whom it concerns.
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
        // In TLS 1.3 it comes when the client's handshake is over already.
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Some(NO_CLIENT_CERTIFICATE)
        }
        _ => None,
    }
}

/// What is said of an end under TLS that anyone on the way could have made.
const NO_CLOSE_NOTIFY: &str = "the connection ended without a TLS close_notify";

/// What is said of an upstream that wants to see a certificate.
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
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::UpstreamTls(tls) => tls.is_write_vectored(),
            Self::Unix(unix) => unix.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    /// Ends the writing half: a FIN, under TLS a close_notify before it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::UpstreamTls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
