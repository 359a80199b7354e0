//! Schedules of reads and writes, as inputs write them, and the sockets and wakers that obey them.
//!
//! A schedule is a line: `0` to `9` stand for pieces from 1 byte to 100,000, `.` is a pause until the driver ends it, `f` a
//! pause at the next flush and `s` one at the next shutdown (of writes only), `$` the end, `!` a broken socket, `~` silence for
//! ever. Any other byte is a piece of its own value. Behind the last one reads end, and writes take everything.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use wsgate::tunnel::Socket;

/// What the digits stand for.
const SIZES: [usize; 10] = [1, 2, 10, 100, 1_000, 5_000, 16_384, 32_768, 40_000, 100_000];

/// Steps of a schedule that are looked at, so that no input takes long.
const MOST: usize = 200;

/// Bytes that a schedule may bring in all.
const MOST_BYTES: usize = 1_000_000;

/// One thing that a socket does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Piece(usize),
    Pause,
    PausedFlush,
    PausedShutdown,
    End,
    Broken,
    Silence,
}

/// A line of an input as steps.
pub(crate) fn steps(line: &[u8]) -> VecDeque<Step> {
    let mut left = MOST_BYTES;
    line.iter()
        .take(MOST)
        .map(|byte| match byte {
            b'.' => Step::Pause,
            b'f' => Step::PausedFlush,
            b's' => Step::PausedShutdown,
            b'$' => Step::End,
            b'!' => Step::Broken,
            b'~' => Step::Silence,
            byte => {
                let size = match byte {
                    b'0'..=b'9' => SIZES[usize::from(byte - b'0')],
                    byte => usize::from(*byte).max(1),
                };
                let size = size.min(left.max(1));
                left = left.saturating_sub(size);
                Step::Piece(size)
            }
        })
        .collect()
}

/// The byte that stands at this place of a stream, so that one that is lost, doubled or moved is seen.
pub(crate) fn byte_at(place: usize, seed: u8) -> u8 {
    (place % 251) as u8 ^ seed ^ (place >> 12) as u8
}

/// Bytes of a stream, from its first on.
pub(crate) fn bytes_from(place: usize, length: usize, seed: u8) -> Vec<u8> {
    (place..place + length)
        .map(|at| byte_at(at, seed))
        .collect()
}

/// A waker that remembers.
#[derive(Debug, Default)]
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    /// Whether somebody woke it since this was asked last.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// One direction of a socket: a schedule, and who waits for it.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) steps: VecDeque<Step>,
    waker: Option<Waker>,
    /// Bytes that went through.
    pub(crate) moved: usize,
    /// It has ended.
    pub(crate) ended: bool,
}

impl Half {
    pub(crate) fn new(steps: VecDeque<Step>) -> Self {
        Self {
            steps,
            waker: None,
            moved: 0,
            ended: false,
        }
    }

    /// How many bytes go through now, up to `most`. Behind the last step `rest` comes.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        rest: Step,
    ) -> Poll<io::Result<usize>> {
        loop {
            let step = self.steps.front_mut();
            match step.copied().unwrap_or(rest) {
                Step::Piece(size) => {
                    let now = size.min(most);
                    match self.steps.front_mut() {
                        Some(Step::Piece(left)) if *left > now => *left -= now,
                        _ => drop(self.steps.pop_front()),
                    }
                    self.moved += now;
                    return Poll::Ready(Ok(now));
                }
                Step::Pause | Step::Silence => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                // They have had no flush or shutdown before them.
                Step::PausedFlush | Step::PausedShutdown => drop(self.steps.pop_front()),
                Step::End => return Poll::Ready(Ok(0)),
                Step::Broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
    }

    /// Whether a flush or a shutdown goes through.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>, pause: Step) -> Poll<io::Result<()>> {
        match self.steps.front() {
            Some(step) if *step == pause => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Step::Broken) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Ends the pause that it is in, if it is in one. It need not be waited for.
    pub(crate) fn go_on(&mut self) -> bool {
        let paused = matches!(
            self.steps.front(),
            Some(Step::Pause | Step::PausedFlush | Step::PausedShutdown)
        );
        if paused {
            self.steps.pop_front();
            self.wake();
        }
        paused
    }

    /// Wakes who waits for it.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Keeps who waits for it.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        self.waker = Some(cx.waker().clone());
    }

    /// Whether it is silent for ever from here on.
    pub(crate) fn is_silent(&self) -> bool {
        self.steps.front() == Some(&Step::Silence)
    }
}

/// What both ends of a scripted socket know.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) reads: Half,
    pub(crate) writes: Half,
    /// What the other side has got.
    pub(crate) written: usize,
    /// Reading or writing failed.
    pub(crate) broken: bool,
    pub(crate) shut: bool,
}

/// A socket whose other end does what two schedules say. What it brings is [`byte_at`] with one seed, what it takes must be
/// the same with the other.
#[derive(Debug)]
pub(crate) struct Scripted {
    state: Rc<RefCell<State>>,
    brings: u8,
    takes: u8,
    /// Where what it brings begins.
    from: usize,
}

impl Scripted {
    pub(crate) fn new(reads: &[u8], writes: &[u8], (brings, takes): (u8, u8), from: usize) -> Self {
        Self {
            state: Rc::new(RefCell::new(State {
                reads: Half::new(steps(reads)),
                writes: Half::new(steps(writes)),
                written: 0,
                broken: false,
                shut: false,
            })),
            brings,
            takes,
            from,
        }
    }

    pub(crate) fn state(&self) -> Rc<RefCell<State>> {
        Rc::clone(&self.state)
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        assert!(!state.reads.ended, "something is read behind the end");
        let from = self.from + state.reads.moved;
        let read = state.reads.poll_piece(cx, buf.remaining(), Step::End);
        match &read {
            Poll::Ready(Ok(0)) => state.reads.ended = true,
            Poll::Ready(Ok(length)) => buf.put_slice(&bytes_from(from, *length, self.brings)),
            Poll::Ready(Err(_)) => (state.reads.ended, state.broken) = (true, true),
            Poll::Pending => {}
        }
        read.map_ok(drop)
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        assert!(!state.shut, "something is written behind the end");
        assert!(!buf.is_empty(), "nothing is written");
        let written = state
            .writes
            .poll_piece(cx, buf.len(), Step::Piece(usize::MAX));
        match &written {
            Poll::Ready(Ok(length)) => {
                let from = state.written;
                assert_eq!(
                    buf[..*length],
                    bytes_from(from, *length, self.takes),
                    "at {from}"
                );
                state.written += length;
            }
            Poll::Ready(Err(_)) => state.broken = true,
            Poll::Pending => {}
        }
        // A socket that takes nothing is broken too, and says so with a 0.
        if matches!(written, Poll::Ready(Ok(0))) {
            state.broken = true;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let done = state.writes.poll_done(cx, Step::PausedFlush);
        state.broken |= matches!(done, Poll::Ready(Err(_)));
        done
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        assert!(!state.shut, "it is shut down twice");
        let done = state.writes.poll_done(cx, Step::PausedShutdown);
        state.broken |= matches!(done, Poll::Ready(Err(_)));
        state.shut = matches!(done, Poll::Ready(Ok(())));
        done
    }
}

impl Socket for Scripted {
    fn close_says_the_end(&self) -> bool {
        true
    }
}

/// Counts what a hook of a tunnel sees of each end.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) client: Cell<usize>,
    pub(crate) upstream: Cell<usize>,
}

/// See [`Seen`].
#[derive(Debug)]
pub(crate) struct Counts(pub(crate) Rc<Seen>);

impl wsgate::tunnel::Hook for Counts {
    fn read(&mut self, from: wsgate::tunnel::Side, bytes: &[u8]) {
        let seen = match from {
            wsgate::tunnel::Side::Client => &self.0.client,
            wsgate::tunnel::Side::Upstream => &self.0.upstream,
        };
        seen.set(seen.get() + bytes.len());
    }
}
