//! A socket taken back to where it was before an exchange began: bytes that were read from it are read again, and a
//! message that was written to it is not written twice.
//!
//! Hyper is given such a socket on either side when it takes over an exchange that was begun without it.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::stream::Stream;

/// A socket whose reader reads again what was read from it before, and whose writer may write a message again that is
/// out already: that message goes nowhere.
#[derive(Debug)]
pub struct Rewound {
    stream: Stream,
    /// The bytes that were read before, as far as they are not read again.
    read: Bytes,
    /// The error of the socket behind `read`, if it broke there.
    broken: Option<io::Error>,
    repeat: Repeat,
    /// The task that wanted to read while nothing could be read.
    reader: Option<Waker>,
}

/// Whether the next message that is written is out already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Repeat {
    /// The message is a new one and goes out.
    No,
    /// The message is out already, and is yet to be written again. Until then nothing is read, since hyper takes an
    /// answer to a request that it has not sent for an error.
    Expected,
    /// The message that is out already is being written again, up to its flush.
    UnderWay,
}

impl Rewound {
    /// A socket from which nothing was read.
    pub fn untouched(stream: Stream) -> Self {
        Self::reading(stream, Bytes::new())
    }

    /// A socket from which `read` was read.
    pub fn reading(stream: Stream, read: Bytes) -> Self {
        Self {
            stream,
            read,
            broken: None,
            repeat: Repeat::No,
            reader: None,
        }
    }

    /// A socket to which a whole message was written; its answer began with `read`, and then the socket may have
    /// broken.
    ///
    /// The writer will write the message again, up to its first flush. It must be a head without a body: hyper may
    /// flush between the two, and the body would then go out a second time, where the upstream expects the next
    /// request.
    pub fn answering(stream: Stream, read: Bytes, broken: Option<io::Error>) -> Self {
        Self {
            stream,
            read,
            broken,
            repeat: Repeat::Expected,
            reader: None,
        }
    }

    /// Whether this write is of a message that is out already.
    fn is_repeated(&mut self) -> bool {
        if self.repeat == Repeat::Expected {
            self.repeat = Repeat::UnderWay;
        }
        self.repeat == Repeat::UnderWay
    }

    /// Looks for the end of what the peer sends, while nobody reads it: see [`Stream::poll_end`].
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let had_bytes = !self.read.is_empty();
        let end = self.stream.poll_end(&mut self.read, cx);
        if end.is_ready() || had_bytes == self.read.is_empty() {
            // The reader may have looked before this came, and would not look again.
            cx.waker().wake_by_ref();
        }
        end
    }

    /// The socket, and the bytes that come before those in it: `unused`, which a reader has read without using them,
    /// then those that it did not come to read again.
    pub fn unwind(self, unused: Bytes) -> (Stream, Bytes) {
        let before = match (unused.is_empty(), self.read.is_empty()) {
            (_, true) => unused,
            (true, false) => self.read,
            (false, false) => [unused, self.read].concat().into(),
        };
        (self.stream, before)
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.repeat != Repeat::No {
            this.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !this.read.is_empty() {
            let length = this.read.len().min(buf.remaining());
            buf.put_slice(&this.read[..length]);
            this.read.advance(length);
            if this.read.is_empty() {
                // Give the memory back.
                this.read = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        match this.broken.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut this.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_repeated() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_repeated() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.repeat == Repeat::UnderWay {
            this.repeat = Repeat::No;
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
