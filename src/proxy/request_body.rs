//! A client's body on its way to an upstream.
//!
//! It streams unbuffered with the slower side's pace. Trailers are dropped (RFC 9110 §6.5.1 allows it).

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;

/// What the wait for a request's answer counts from, and how the request's body fares meanwhile. A request without a body has one
/// too.
#[derive(Debug)]
pub(super) struct AnswerClock {
    moved: Cell<Instant>,
    state: Cell<BodyState>,
    /// Longest silence, once nobody waits for the answer any more.
    limit: Cell<Option<Duration>>,
    /// Who sends the body on.
    sender: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BodyState {
    /// The upstream does not ask for more, or has all.
    NotWaiting,
    /// The client has to send more.
    Waiting,
    /// What the client sent is malformed, or it left.
    Broken,
}

impl AnswerClock {
    /// The clock of a request that came at this moment.
    pub(super) fn begin(came: Instant) -> Self {
        Self {
            moved: Cell::new(came),
            state: Cell::new(BodyState::NotWaiting),
            limit: Cell::new(None),
            sender: RefCell::new(None),
        }
    }

    /// The answer is over, and nobody else looks at the time: from now on the body breaks when its client is silent for
    /// longer than `limit`.
    pub(super) fn answered(&self, limit: Duration) {
        self.limit.set(Some(limit));
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    /// When the body last moved, or the client began to be waited for: the wait for an answer, or for the client, counts from there.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// The wait begins anew.
    pub(super) fn touch(&self) {
        self.moved.set(Instant::now());
    }

    /// Whether it is the client that is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.state.get() == BodyState::Waiting
    }

    /// Whether the client's body cannot be read to its end.
    pub(super) fn is_broken(&self) -> bool {
        self.state.get() == BodyState::Broken
    }
}

/// Why there is no more of a body.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The client left, or what it sent is malformed.
    Client(hyper::Error),
    /// It was silent for so long behind its answer.
    Silent(Duration),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => write!(f, "{error}"),
            Self::Silent(limit) => {
                write!(f, "nothing more came within {limit:?} (`body_timeout`)")
            }
        }
    }
}

impl std::error::Error for BodyError {}

/// A request's body.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// `None` for a request that has none, so that it can be sent again.
    incoming: Option<Incoming>,
    clock: Rc<AnswerClock>,
    /// Runs only behind the answer. Boxed, since most bodies are over by then.
    silence: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// What the client sends.
    pub(super) fn new(incoming: Option<Incoming>, clock: Rc<AnswerClock>) -> Self {
        Self {
            incoming,
            clock,
            silence: None,
        }
    }

    /// What the wait for the answer counts from.
    pub(super) fn clock(&self) -> &Rc<AnswerClock> {
        &self.clock
    }

    /// Another one without content, if this has none.
    pub(super) fn try_clone(&self) -> Option<Self> {
        self.incoming.is_none().then(|| Self {
            incoming: None,
            clock: Rc::clone(&self.clock),
            silence: None,
        })
    }

    /// Ready when the client was silent for too long behind its answer.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(limit) = self.clock.limit.get() else {
            self.clock.sender.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        let until = self.clock.moved() + limit;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if silence.deadline() != until {
            silence.as_mut().reset(until);
        }
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(BodyError::Silent(limit))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let frame = data_only(Pin::new(incoming).poll_frame(cx));
        this.clock.state.set(match &frame {
            Poll::Pending => {
                // While the upstream took nothing, the client could send nothing: its silence begins now.
                if !this.clock.is_waiting() {
                    this.clock.touch();
                }
                BodyState::Waiting
            }
            Poll::Ready(Some(Err(_))) => BodyState::Broken,
            Poll::Ready(_) => {
                this.clock.touch();
                BodyState::NotWaiting
            }
        });
        if frame.is_pending() {
            return this.poll_silence(cx).map(|silent| Some(Err(silent)));
        }
        frame.map_err(BodyError::Client)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// Lets data pass; trailers are the end.
pub(super) fn data_only(
    frame: Poll<Option<Result<Frame<Bytes>, hyper::Error>>>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    match frame {
        Poll::Ready(Some(Ok(frame))) if !frame.is_data() => Poll::Ready(None),
        other => other,
    }
}
