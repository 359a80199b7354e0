//! One direction of a tunnel: read, write at once, keep what is not taken.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// What one read can take, and so the most that a tunnel keeps for an end that does not read: two TLS records. One buffer a
/// thread, not a connection. Twice as much was slower in bulk, half as much too
/// under TLS.
pub(super) const BUFFER: usize = 32 * 1024;

/// Reads of one direction before other tasks of the thread get their turn.
pub(super) const READS_PER_TURN: u8 = 8;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// What is under way from one end to the other.
#[derive(Debug)]
pub(super) struct Direction {
    /// Read and not yet taken by the other end.
    owed: Bytes,
    pub(super) passed: u64,
    pub(super) state: State,
}

/// How far a direction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Reading.
    Open,
    /// Written to, and the writer may still hold bytes (TLS does).
    Flushing,
    /// The reading end is done; the writing end does not know yet.
    Ending,
    /// Done.
    Closed,
}

/// How the writing end is told that no more will come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Farewell {
    /// By shutting down its writing half: it may still have something to say.
    Shutdown,
    /// By closing it, which happens anyway in a moment.
    Close,
}

impl Direction {
    /// Begins with what was read beyond a head.
    pub(super) fn owing(early: Bytes) -> Self {
        // Even without a byte it may be a view of the 8 KiB that the head was read into, and keep them.
        let owed = if early.is_empty() {
            Bytes::new()
        } else {
            early
        };
        Self {
            owed,
            passed: 0,
            state: State::Open,
        }
    }

    /// Moves what there is to move from `from` to `to`. Ready when this direction is closed.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        farewell: Farewell,
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut reads = 0;
        loop {
            while !self.owed.is_empty() {
                match Pin::new(&mut *to).poll_write(cx, &self.owed) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Broken::Writing(io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(Ok(taken)) => {
                        self.passed += taken as u64;
                        self.owed.advance(taken);
                        if self.state == State::Open {
                            self.state = State::Flushing;
                        }
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Writing(error))),
                }
            }
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Flushing => {
                    // Drained: give the memory back before waiting.
                    self.owed = Bytes::new();
                    match Pin::new(&mut *to).poll_flush(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => self.state = State::Open,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Writing(error))),
                    }
                }
                State::Ending if farewell == Farewell::Close => {
                    self.state = State::Closed;
                    return Poll::Ready(Ok(()));
                }
                State::Ending => match Pin::new(&mut *to).poll_shutdown(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {
                        self.state = State::Closed;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Ending(error))),
                },
                State::Open => {
                    if reads == READS_PER_TURN {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    reads += 1;
                    let read = SHARED.with_borrow_mut(|buffer| {
                        let mut buffer = ReadBuf::new(buffer);
                        match Pin::new(&mut *from).poll_read(cx, &mut buffer) {
                            Poll::Pending => return Poll::Pending,
                            Poll::Ready(Err(error)) => {
                                return Poll::Ready(Err(Broken::Reading(error)));
                            }
                            Poll::Ready(Ok(())) => {}
                        }
                        let bytes = buffer.filled();
                        seen(bytes);
                        Poll::Ready(self.pass(cx, to, bytes))
                    });
                    match read {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(())) => {}
                    }
                }
            }
        }
    }

    /// Writes `bytes`, which were just read, and keeps what is not taken. No bytes are the end.
    fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        if bytes.is_empty() {
            self.state = State::Ending;
            return Ok(());
        }
        let taken = match Pin::new(to).poll_write(cx, bytes) {
            Poll::Pending => 0,
            Poll::Ready(Ok(0)) => return Err(Broken::Writing(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) => return Err(Broken::Writing(error)),
        };
        self.passed += taken as u64;
        self.state = State::Flushing;
        if taken < bytes.len() {
            self.owed = Bytes::copy_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    /// Whether the writing end has all that was read, and has not been told that there will be no more.
    pub(super) fn may_end(&self) -> bool {
        self.owed.is_empty() && self.state != State::Closed
    }

    /// Gives up: what is owed can no longer be delivered.
    pub(super) fn abandon(&mut self) {
        self.owed = Bytes::new();
        self.state = State::Closed;
    }
}

/// Which of the two ends broke.
pub(super) enum Broken {
    Reading(io::Error),
    /// With bytes that it had not taken, or may not have.
    Writing(io::Error),
    /// When it had all of them, and was told that there will be no more.
    Ending(io::Error),
}
