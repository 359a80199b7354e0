//! A client's socket while hyper speaks over it: through one handle hyper reads and writes, through another its driver looks on.
//!
//! Hyper answers a head that it cannot read by itself, with nothing but a status, and says afterwards what was wrong. Here such an
//! answer, which is all that hyper writes while none of ours is under way, goes nowhere, so that the driver can write one with words.

use std::cell::Cell;
use std::cell::RefCell;
use std::cell::RefMut;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::http1::NextHead;
use crate::http1::Respelled;
use crate::listener::presence::Looked;
use crate::stream::Rewound;
use crate::stream::Stream;

/// How much of a request is remembered until it can be read: enough for a line in the log.
const BEGINNING: usize = 128;

/// A handle of a client's socket.
#[derive(Clone, Debug)]
pub(super) struct ClientSocket {
    stream: Rc<RefCell<Option<Respelled>>>,
    /// Is told how the next answer is spelled.
    next: Rc<NextHead>,
    state: Rc<SocketState>,
}

#[derive(Debug)]
struct SocketState {
    /// Answers of ours that hyper has not written in whole.
    answers: Cell<usize>,
    /// Whether all that hyper was given to write is out.
    is_silent: Cell<bool>,
    /// Whether hyper wrote an answer of its own.
    refused: Cell<bool>,
    /// Whether something was written since it was asked last.
    wrote: Cell<bool>,
    /// Whether the client takes no more for now.
    is_blocked: Cell<bool>,
    /// The beginning of the request that is being read.
    beginning: RefCell<Beginning>,
}

#[derive(Debug)]
struct Beginning {
    bytes: [u8; BEGINNING],
    length: usize,
}

impl ClientSocket {
    pub(super) fn new(stream: Rewound) -> Self {
        let next = Rc::new(NextHead::default());
        let stream = Respelled::new(stream, Rc::clone(&next));
        Self {
            stream: Rc::new(RefCell::new(Some(stream))),
            next,
            state: Rc::new(SocketState {
                answers: Cell::new(0),
                is_silent: Cell::new(true),
                refused: Cell::new(false),
                wrote: Cell::new(false),
                is_blocked: Cell::new(false),
                beginning: RefCell::new(Beginning {
                    bytes: [0; BEGINNING],
                    length: 0,
                }),
            }),
        }
    }

    /// How the next answer is spelled, and whether the last is out.
    pub(super) fn next_head(&self) -> &NextHead {
        &self.next
    }

    /// A request was read, and what hyper writes from now on is its answer, until that is dropped and out.
    pub(super) fn answer(&self) -> AnswerUnderWay {
        self.state.answers.set(self.state.answers.get() + 1);
        self.state.is_silent.set(false);
        self.state.beginning.borrow_mut().length = 0;
        AnswerUnderWay(Rc::clone(&self.state))
    }

    /// Whether hyper has answered a request by itself, and the client got nothing of that.
    pub(super) fn has_refused(&self) -> bool {
        self.state.refused.get()
    }

    /// Whether nothing of an answer is under way, so that what is written now is one of its own.
    pub(super) fn is_silent(&self) -> bool {
        self.state.is_silent.get()
    }

    /// How the request begins that was being read when hyper ended; nothing if its bytes came together with the request before.
    pub(super) fn beginning(&self) -> Bytes {
        let beginning = self.state.beginning.borrow();
        Bytes::copy_from_slice(&beginning.bytes[..beginning.length])
    }

    /// The socket itself, and the bytes that come before those in it. `None` if it was taken before.
    pub(super) fn unwind(self, unused: Bytes) -> Option<(Stream, Bytes)> {
        let stream = self.stream.borrow_mut().take()?;
        Some(stream.into_inner().unwind(unused))
    }

    /// The socket, which nobody else holds during a poll.
    fn stream(&self) -> io::Result<RefMut<'_, Respelled>> {
        RefMut::filter_map(self.stream.borrow_mut(), Option::as_mut)
            .map_err(|_| io::ErrorKind::NotConnected.into())
    }

    /// Notes how a write went.
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.state.is_blocked.set(written.is_pending());
        if let Poll::Ready(Ok(1..)) = &written {
            self.state.wrote.set(true);
        }
        written
    }

    /// Whether this is written by hyper of its own accord.
    fn refuses(&self) -> bool {
        let refuses = self.state.is_silent.get();
        if refuses {
            self.state.refused.set(true);
        }
        refuses
    }
}

impl Looked for ClientSocket {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_end(cx)
    }

    fn is_sending(&mut self) -> bool {
        self.state.wrote.take() || self.state.is_blocked.get()
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.stream()?).poll_read(cx, buf);
        if self.state.is_silent.get() {
            let mut beginning = self.state.beginning.borrow_mut();
            let Beginning { bytes, length } = &mut *beginning;
            let came = &buf.filled()[before..];
            let fits = came.len().min(BEGINNING - *length);
            bytes[*length..*length + fits].copy_from_slice(&came[..fits]);
            *length += fits;
        }
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refuses() {
            return Poll::Ready(Ok(buf.len()));
        }
        self.note(Pin::new(&mut *self.stream()?).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refuses() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        self.note(Pin::new(&mut *self.stream()?).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream().is_ok_and(|stream| stream.is_write_vectored())
    }

    /// Hyper flushes when it has handed on all that it had.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream()?).poll_flush(cx);
        if flushed.is_ready() && self.state.answers.get() == 0 {
            self.state.is_silent.set(true);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The refusal is yet to be written.
        if self.state.refused.get() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.stream()?).poll_shutdown(cx)
    }
}

/// An answer that hyper was given, or is about to be.
#[derive(Debug)]
pub(super) struct AnswerUnderWay(Rc<SocketState>);

impl AnswerUnderWay {
    /// The answer's body, which ends it.
    pub(super) fn with<B>(self, body: B) -> CountedBody<B> {
        CountedBody {
            body,
            _answer: self,
        }
    }
}

impl Drop for AnswerUnderWay {
    fn drop(&mut self) {
        self.0.answers.set(self.0.answers.get() - 1);
    }
}

/// The body of an answer that is under way for as long as hyper keeps it.
#[derive(Debug)]
pub(super) struct CountedBody<B> {
    body: B,
    _answer: AnswerUnderWay,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
