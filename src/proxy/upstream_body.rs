//! The body of an upstream's answer, whose beginning may have been looked at before it goes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::proxy::request_body::data_only;

/// Longest wait for the end of a body that is looked at. A server that refuses a session says so at once; one that does not is not
/// refusing it, and its body goes on as it comes.
const LOOK: Duration = Duration::from_secs(1);

/// The body of an upstream's answer.
#[derive(Debug)]
pub(super) struct UpstreamBody {
    /// What was looked at and has not gone on. Boxed, since hardly any body is looked at.
    seen: Option<Box<Seen>>,
    incoming: Incoming,
}

/// The beginning of a body.
#[derive(Debug, Default)]
struct Seen {
    bytes: BytesMut,
    /// How the body broke behind these bytes.
    broken: Option<hyper::Error>,
}

impl UpstreamBody {
    /// A body of which nothing was looked at.
    pub(super) fn new(incoming: Incoming) -> Self {
        Self {
            seen: None,
            incoming,
        }
    }

    /// All of the body, if it has at most so many bytes and they come at once. It goes on whole all the same.
    ///
    /// # Cancel safety
    /// What was read is lost with the body.
    pub(super) async fn look(&mut self, most: usize) -> Option<&[u8]> {
        if self.incoming.size_hint().lower() > most as u64 {
            return None;
        }
        let seen = self.seen.insert(Box::default());
        let incoming = &mut self.incoming;
        let to_the_end = async {
            while seen.bytes.len() <= most {
                match poll_fn(|cx| data_only(Pin::new(&mut *incoming).poll_frame(cx))).await {
                    None => return true,
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            seen.bytes.extend_from_slice(&data);
                        }
                    }
                    Some(Err(error)) => {
                        seen.broken = Some(error);
                        return false;
                    }
                }
            }
            false
        };
        let is_whole = timeout(LOOK, to_the_end).await.unwrap_or(false);
        let seen = self.seen.as_ref()?;
        (is_whole && seen.bytes.len() <= most).then_some(&seen.bytes[..])
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(seen) = &mut self.seen {
            let bytes = seen.bytes.split().freeze();
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let broken = seen.broken.take();
            self.seen = None;
            if let Some(error) = broken {
                return Poll::Ready(Some(Err(error)));
            }
        }
        data_only(Pin::new(&mut self.incoming).poll_frame(cx))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let is_passed_on = |seen: &Seen| seen.bytes.is_empty() && seen.broken.is_none();
        self.seen.as_deref().is_none_or(is_passed_on) && self.incoming.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.size_hint();
        let Some(seen) = &self.seen else {
            return hint;
        };
        let more = seen.bytes.len() as u64;
        let mut longer = SizeHint::new();
        longer.set_lower(hint.lower().saturating_add(more));
        if let Some(upper) = hint.upper() {
            longer.set_upper(upper.saturating_add(more));
        }
        longer
    }
}
