//! A client's body on its way to an upstream.
//!
//! It streams unbuffered with the slower side's pace. Trailers are dropped (RFC 9110 §6.5.1 allows it).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Instant;

/// When a request's body last moved, so that the wait for an answer counts from there.
pub(super) type Progress = Rc<Cell<Instant>>;

/// A request's body.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// `None` for a request that has none, so that it can be sent again.
    incoming: Option<Incoming>,
    progress: Progress,
}

impl RequestBody {
    /// What the client sends.
    pub(super) fn new(incoming: Option<Incoming>, progress: Progress) -> Self {
        Self { incoming, progress }
    }

    /// Another one without content, if this has none.
    pub(super) fn try_clone(&self) -> Option<Self> {
        self.incoming.is_none().then(|| Self {
            incoming: None,
            progress: Rc::clone(&self.progress),
        })
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let frame = data_only(Pin::new(incoming).poll_frame(cx));
        if frame.is_ready() {
            this.progress.set(Instant::now());
        }
        frame
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
