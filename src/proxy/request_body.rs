//! A client's body on its way to an upstream.
//!
//! It streams unbuffered with the slower side's pace. Trailers are dropped (RFC 9110 §6.5.1 allows it).

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body as _;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tokio::time::timeout;

use crate::decision::RequestError;

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
    content: Content,
    clock: Rc<AnswerClock>,
    /// Runs only behind the answer. Boxed, since most bodies are over by then.
    silence: Option<Pin<Box<Sleep>>>,
}

/// What a body consists of.
#[derive(Debug)]
enum Content {
    /// Nothing, so that the request can be sent again.
    None,
    /// What is still to come from the client.
    Streamed(Incoming),
    /// All of it, which can be sent again too. Boxed, since hardly any body is.
    Whole(Box<Bytes>),
}

impl RequestBody {
    /// What the client sends.
    pub(super) fn new(incoming: Option<Incoming>, clock: Rc<AnswerClock>) -> Self {
        Self {
            content: incoming.map_or(Content::None, Content::Streamed),
            clock,
            silence: None,
        }
    }

    /// What the wait for the answer counts from.
    pub(super) fn clock(&self) -> &Rc<AnswerClock> {
        &self.clock
    }

    /// Another one with the same content, unless that is still to come.
    pub(super) fn try_clone(&self) -> Option<Self> {
        let content = match &self.content {
            Content::None => Content::None,
            Content::Whole(bytes) => Content::Whole(bytes.clone()),
            Content::Streamed(_) => return None,
        };
        Some(Self {
            content,
            clock: Rc::clone(&self.clock),
            silence: None,
        })
    }

    /// Waits until all of a body is here whose client has said that it is at most so long, and may be silent for `limit` meanwhile. A
    /// longer one, or one of unknown length, stays as it is.
    ///
    /// # Errors
    /// The client left, was silent for too long, or sent what is malformed.
    pub(super) async fn collect(&mut self, most: u64, limit: Duration) -> Result<(), RequestError> {
        let Content::Streamed(incoming) = &mut self.content else {
            return Ok(());
        };
        let length = incoming.size_hint().exact();
        if length.is_none_or(|length| length > most) {
            return Ok(());
        }
        let mut bytes = BytesMut::new();
        loop {
            let frame = poll_fn(|cx| data_only(Pin::new(&mut *incoming).poll_frame(cx)));
            match timeout(limit, frame).await {
                Err(_) => return Err(RequestError::BodyTimeout(limit)),
                Ok(Some(Err(_))) => return Err(RequestError::Body),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        bytes.extend_from_slice(&data);
                    }
                }
                Ok(None) => break,
            }
        }
        self.content = Content::Whole(Box::new(bytes.freeze()));
        // The wait for the answer begins now.
        self.clock.touch();
        Ok(())
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
        let incoming = match &mut this.content {
            Content::None => return Poll::Ready(None),
            Content::Streamed(incoming) => incoming,
            Content::Whole(bytes) => {
                let bytes = std::mem::take(&mut **bytes);
                this.content = Content::None;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
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
        match &self.content {
            Content::None => true,
            Content::Streamed(incoming) => incoming.is_end_stream(),
            Content::Whole(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::None => SizeHint::with_exact(0),
            Content::Streamed(incoming) => incoming.size_hint(),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
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
