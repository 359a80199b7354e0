//! One direction of a tunnel: what is read is written at once, and what the writing end does not take is kept.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// How much one read can take, and so the most that a tunnel keeps for an end that does not read: two TLS records. The
/// buffer belongs to the thread and not to a connection. A buffer of twice the size was slower in bulk, and one of half
/// the size too under TLS.
pub(super) const BUFFER: usize = 32 * 1024;

/// How often one direction reads before other tasks of the thread get their turn.
pub(super) const READS_PER_TURN: u8 = 8;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// The bytes under way from one end to the other, and how far this direction is.
#[derive(Debug)]
pub(super) struct Direction {
    /// Bytes that were read and that the writing end has not taken yet.
    owed: Bytes,
    /// How many bytes the writing end has taken.
    pub(super) passed: u64,
    pub(super) state: DirectionState,
}

/// How far a direction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DirectionState {
    /// It reads.
    Open,
    /// It has written, and the writing end may still hold bytes (TLS does).
    Flushing,
    /// The reading end is done, and the writing end does not know it yet.
    Ending,
    /// The writing end knows that no more will come, or cannot be told.
    Closed,
}

/// The ends of one direction, lent for one poll.
pub(super) struct Ends<'s, R, W> {
    pub(super) from: &'s mut R,
    pub(super) to: &'s mut W,
    pub(super) end_signal: EndSignal,
}

/// How the writing end is told that no more will come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EndSignal {
    /// The writing half of its socket is shut down, since bytes may still come from it.
    Shutdown,
    /// Nothing is done now: its socket will be closed in a moment, which tells it the same.
    Close,
}

impl Direction {
    /// A direction that begins with the bytes `early`, which were read beyond a head.
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
            state: DirectionState::Open,
        }
    }

    /// Moves what there is to move from one of `ends` to the other. Ready when this direction is closed. `seen` is
    /// shown the bytes of each read before they are written.
    #[inline]
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        ends: Ends<'_, R, W>,
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<Result<(), DirectionError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let Ends {
            from,
            to,
            end_signal,
        } = ends;
        let mut reads = 0;
        loop {
            while !self.owed.is_empty() {
                ready!(self.poll_owed(cx, to))?;
            }
            match self.state {
                DirectionState::Closed => return Poll::Ready(Ok(())),
                DirectionState::Flushing => ready!(self.poll_flush(cx, to))?,
                DirectionState::Ending => return self.poll_end(cx, to, end_signal),
                DirectionState::Open => {
                    if reads == READS_PER_TURN {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    reads += 1;
                    ready!(self.poll_transfer(cx, from, to, &mut seen))?;
                }
            }
        }
    }

    /// Writes of what is owed as much as the writing end takes.
    ///
    /// Out of line: an end that takes everything at once never comes here, and its messages cost less without this code
    /// in their loop.
    #[inline(never)]
    fn poll_owed<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<Result<(), DirectionError>> {
        let taken = ready!(Pin::new(to).poll_write(cx, &self.owed));
        let taken = some(taken).map_err(DirectionError::Writing)?;
        self.passed += taken as u64;
        self.owed.advance(taken);
        if self.state == DirectionState::Open {
            self.state = DirectionState::Flushing;
        }
        Poll::Ready(Ok(()))
    }

    /// Has the writing end send what it holds. Ready when it has, and reading goes on.
    #[inline]
    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<Result<(), DirectionError>> {
        // Everything owed was taken: give the memory back before waiting.
        self.owed = Bytes::new();
        ready!(Pin::new(to).poll_flush(cx)).map_err(DirectionError::Writing)?;
        self.state = DirectionState::Open;
        Poll::Ready(Ok(()))
    }

    /// Tells the writing end that no more will come. Ready when this direction is closed.
    fn poll_end<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        end_signal: EndSignal,
    ) -> Poll<Result<(), DirectionError>> {
        if end_signal == EndSignal::Shutdown {
            ready!(Pin::new(to).poll_shutdown(cx)).map_err(DirectionError::Ending)?;
        }
        self.state = DirectionState::Closed;
        Poll::Ready(Ok(()))
    }

    /// Reads once, into the buffer of the thread, and writes on what came.
    #[inline]
    fn poll_transfer<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        seen: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<(), DirectionError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SHARED.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(from).poll_read(cx, &mut buffer)).map_err(DirectionError::Reading)?;
            let bytes = buffer.filled();
            seen(bytes);
            Poll::Ready(self.pass(cx, to, bytes))
        })
    }

    /// Writes `bytes`, which were just read, and keeps those that are not taken. No bytes are the end of the reading
    /// end.
    fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        bytes: &[u8],
    ) -> Result<(), DirectionError> {
        if bytes.is_empty() {
            self.state = DirectionState::Ending;
            return Ok(());
        }
        let taken = match Pin::new(to).poll_write(cx, bytes) {
            Poll::Pending => 0,
            Poll::Ready(taken) => some(taken).map_err(DirectionError::Writing)?,
        };
        self.passed += taken as u64;
        self.state = DirectionState::Flushing;
        if taken < bytes.len() {
            self.owed = Bytes::copy_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    /// Whether the writing end has taken all that was read, and has not been told that no more will come.
    pub(super) fn may_end(&self) -> bool {
        self.owed.is_empty() && self.state != DirectionState::Closed
    }

    /// Gives up what is owed, since it can no longer be delivered.
    pub(super) fn abandon(&mut self) {
        self.owed = Bytes::new();
        self.state = DirectionState::Closed;
    }
}

/// What a write took; an error if that is nothing, since the next one would take nothing either.
#[inline]
fn some(taken: io::Result<usize>) -> io::Result<usize> {
    match taken {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        taken => taken,
    }
}

/// Which of the two ends of a direction broke.
pub(super) enum DirectionError {
    /// The reading end broke.
    Reading(io::Error),
    /// The writing end broke before it had taken every byte, or may have.
    Writing(io::Error),
    /// The writing end had taken every byte, and broke when it was told that no more will come.
    Ending(io::Error),
}
