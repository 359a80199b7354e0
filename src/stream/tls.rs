//! TLS with a client, by rustls' unbuffered interface.
//!
//! An idle connection owns no buffer but what rustls itself needs: ciphertext is read into one buffer of the thread and
//! decrypted there, plaintext is encrypted into another and written at once. So a message costs one read and one write.
//! What outlives a poll belongs to the connection, and only while there is any: the first part of a record whose rest
//! has not come, decrypted bytes for which the reader had no room, and encrypted ones that the socket did not take.
//! Each is bounded: while something is owed to the socket nothing is encrypted, and while something waits for the
//! reader nothing is read.
//!
//! Configurations, the meaning of errors, and how long a TLS handshake may take are left to other modules.

mod records;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod test_support;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::mem;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustls::server::UnbufferedServerConnection;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::stream::NO_CLOSE_NOTIFY;
use crate::stream::byte_queue::ByteQueue;
use crate::stream::tls::records::ADDED;
use crate::stream::tls::records::Outputs;
use crate::stream::tls::records::PLAIN;
use crate::stream::tls::records::Plain;
use crate::stream::tls::records::RECORD;
use crate::stream::tls::records::RecordLayer;
use crate::stream::tls::records::Sealed;
use crate::stream::tls::records::Turn;
use crate::stream::tls::records::Wish;

thread_local! {
    /// The buffer for one read. A message of the TLS handshake may be 64 KiB, and comes in several records.
    static INCOMING: RefCell<Box<[u8]>> = buffer(PLAIN + RECORD);
    /// The buffer for one write. A record of the TLS handshake may stand before the others.
    static OUTGOING: RefCell<Box<[u8]>> = buffer(PLAIN + ADDED + RECORD);
    /// The buffer in which the slices of a vectored write are joined, so that they make one record.
    static JOINED: RefCell<Box<[u8]>> = buffer(PLAIN);
}

fn buffer(size: usize) -> RefCell<Box<[u8]>> {
    RefCell::new(vec![0; size].into_boxed_slice())
}

/// A connection after its TLS handshake.
pub struct Tls<S> {
    io: S,
    records: RecordLayer,
    /// Records that are not whole yet, as they came or, in the middle of a message of the TLS handshake, decrypted.
    partial: Vec<u8>,
    /// Decrypted bytes for which the reader had no room.
    unread: ByteQueue,
    /// Encrypted bytes that the socket did not take.
    owed: ByteQueue,
    /// Whether the peer has sent a close_notify.
    peer_closed: bool,
    /// Whether a close_notify was sent to the peer.
    closed: bool,
    /// The error that ended the connection. What the peer had sent before it can still be read.
    failed: Option<rustls::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tls<S> {
    /// Does the TLS handshake that `session` waits for.
    ///
    /// # Errors
    /// `UnexpectedEof` if the peer leaves; what rustls says as `InvalidData`, with a `rustls::Error` in it, after an
    /// alert to the peer; and the socket's.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it closes the connection.
    pub async fn handshake(io: S, session: UnbufferedServerConnection) -> io::Result<Box<Self>> {
        let mut tls = Box::new(Self {
            io,
            records: RecordLayer(session),
            partial: Vec::new(),
            unread: ByteQueue::default(),
            owed: ByteQueue::default(),
            peer_closed: false,
            closed: false,
            failed: None,
        });
        poll_fn(|cx| tls.poll_handshake(cx)).await?;
        Ok(tls)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let drained = self.poll_drain(cx);
            // The cause of the failure says more than an error in telling the peer.
            self.check()?;
            ready!(drained)?;
            // The server could write already, but the last message of the client's handshake is still to come.
            if !self.records.state().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(cx, None))?;
        }
    }

    /// Reads from the socket once, and processes what came.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        reader: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<()>> {
        INCOMING.with_borrow_mut(|incoming| {
            let before = self.partial.len();
            // No more than the reader can take, give or take a record.
            let wanted = reader
                .as_deref()
                .map_or(0, ReadBuf::remaining)
                .saturating_add(ADDED)
                .max(RECORD);
            let end = if before < wanted {
                wanted
            } else {
                before + RECORD
            };
            let end = end.min(incoming.len());
            if before >= end {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let mut room = ReadBuf::new(&mut incoming[before..end]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
            let end = before + room.filled().len();
            if end == before {
                let kind = io::ErrorKind::UnexpectedEof;
                return Poll::Ready(Err(io::Error::new(kind, NO_CLOSE_NOTIFY)));
            }
            let incoming = &mut incoming[..end];
            incoming[..before].copy_from_slice(&self.partial);
            let (turn, sent) = self.turn_with(cx, incoming, Wish::Nothing, reader);
            let rest = incoming.get(turn.used..).unwrap_or_default();
            // Bytes behind an end are not looked at.
            self.partial = if self.peer_closed || self.failed.is_some() {
                Vec::new()
            } else {
                rest.to_vec()
            };
            // That an alert could not be sent says less than why there is one.
            Poll::Ready(self.failed.as_ref().map_or(sent, |_| Ok(())))
        })
    }

    /// A turn of the record layer without new records from the peer. Returns true if the wish was granted.
    fn turn(&mut self, cx: &mut Context<'_>, wish: Wish<'_>) -> io::Result<bool> {
        let mut partial = mem::take(&mut self.partial);
        let (turn, sent) = self.turn_with(cx, &mut partial, wish, None);
        if turn.used > 0 {
            partial.drain(..turn.used.min(partial.len()));
            partial.shrink_to_fit();
        }
        self.partial = partial;
        self.check()?;
        sent.map(|()| turn.granted)
    }

    /// A turn of the record layer, and one write of the bytes that it has for the peer.
    fn turn_with(
        &mut self,
        cx: &mut Context<'_>,
        incoming: &mut [u8],
        wish: Wish<'_>,
        reader: Option<&mut ReadBuf<'_>>,
    ) -> (Turn, io::Result<()>) {
        OUTGOING.with_borrow_mut(|outgoing| {
            let mut outputs = Outputs {
                plain: Plain {
                    reader,
                    rest: &mut self.unread,
                },
                sealed: Sealed::new(outgoing, &mut self.owed),
            };
            let mut turn = self.records.turn(incoming, wish, &mut outputs);
            self.peer_closed |= turn.peer_closed;
            self.failed = turn.failed.take();
            let io = Pin::new(&mut self.io);
            let sent = outputs.sealed.send(|bytes| match io.poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => written,
                Poll::Pending => Ok(0),
            });
            (turn, sent)
        })
    }

    /// Writes the encrypted bytes that are owed to the socket. Ready when none are.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.owed.bytes()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.owed.take(taken),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The error that the connection ended with, if it did.
    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())),
            None => Ok(()),
        }
    }

    fn poll_encrypt(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(PLAIN)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.check()?;
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_drain(cx))?;
        if self.turn(cx, Wish::Encrypt(bytes))? {
            Poll::Ready(Ok(bytes.len()))
        } else {
            Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
        }
    }
}

impl<S> Tls<S> {
    /// The socket below.
    pub(super) fn socket(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tls<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            if !this.unread.is_empty() {
                let fits = this.unread.bytes().len().min(buf.remaining());
                buf.put_slice(&this.unread.bytes()[..fits]);
                this.unread.take(fits);
            }
            if buf.filled().len() > before || this.peer_closed {
                return Poll::Ready(Ok(()));
            }
            this.check()?;
            // One read may bring no byte for the reader, but a part of a record or a ticket.
            ready!(this.poll_fill(cx, Some(buf)))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tls<S> {
    /// Takes bytes also when the socket does not take all of them at once; it takes no more until those are written.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(cx, buf)
    }

    /// Makes no more records than one slice would, so that a head and its body travel together.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let mut slices = bufs.iter().filter(|slice| !slice.is_empty());
        match (slices.next(), slices.next()) {
            (None, _) => Poll::Ready(Ok(0)),
            (Some(only), None) => this.poll_encrypt(cx, only),
            _ => JOINED.with_borrow_mut(|joined| {
                let mut length = 0;
                for slice in bufs {
                    let fits = slice.len().min(joined.len() - length);
                    joined[length..length + fits].copy_from_slice(&slice[..fits]);
                    length += fits;
                }
                this.poll_encrypt(cx, &joined[..length])
            }),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// Sends a close_notify, then ends the socket's writing half.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if !this.closed && this.failed.is_none() {
            this.closed = true;
            this.turn(cx, Wish::Close)?;
            ready!(this.poll_drain(cx))?;
        }
        match ready!(Pin::new(&mut this.io).poll_shutdown(cx)) {
            // The peer has closed the socket before.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Tls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<S> Tls<S> {
    /// The state of the TLS connection, as rustls tells it.
    pub(crate) fn session(&self) -> &rustls::CommonState {
        self.records.state()
    }
}
