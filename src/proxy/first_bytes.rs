//! The first bytes of an upstream's answer, read without hyper, and left to hyper where they are something unexpected.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::http1::AnswerState;
use crate::stream::Rewound;
use crate::stream::Stream;

/// The largest head that is waited for here; a larger one is hyper's to read, which reads in pieces up to its own limit.
const MAX_HEAD: usize = 16 * 1024;

/// The first bytes of an answer, and what they are.
#[derive(Debug)]
pub(super) struct FirstBytes<A> {
    pub(super) bytes: Bytes,
    /// The answer with which `bytes` begin, if it is one of those that are read without hyper.
    pub(super) answer: Option<A>,
    /// How the socket broke behind `bytes`.
    broken: Option<io::Error>,
    /// The upstream was gone before its head was complete.
    broke_off: bool,
}

impl<A> FirstBytes<A> {
    /// Whether the upstream was gone before its head was complete.
    pub(super) fn broke_off(&self) -> bool {
        self.broke_off
    }

    /// The socket for hyper, which will write the request again and read these bytes.
    pub(super) fn rewind(self, stream: Stream) -> Rewound {
        Rewound::answering(stream, self.bytes, self.broken)
    }
}

/// Writes what is left of a request, and reads until `judge` finds an answer or says that hyper has to read it.
///
/// Of an answer whose body has begun only what is there is read: what a client waits for is not held back here.
pub(super) async fn first_bytes<A>(
    stream: &mut Stream,
    rest: &[u8],
    judge: fn(&Bytes) -> AnswerState<A>,
) -> FirstBytes<A> {
    let mut first = FirstBytes {
        bytes: Bytes::new(),
        answer: None,
        broken: None,
        broke_off: true,
    };
    // When it fails there may still be an answer, which the next reader finds.
    if stream.write_all(rest).await.is_err() || stream.flush().await.is_err() {
        return first;
    }
    let mut body_began = false;
    loop {
        let taken = poll_fn(|cx| match stream.poll_take(cx) {
            Poll::Pending if body_began => Poll::Ready(None),
            taken => taken.map(Some),
        });
        match taken.await {
            None => {
                first.broke_off = false;
                return first;
            }
            Some(Err(error)) => {
                first.broken = Some(error);
                return first;
            }
            Some(Ok(taken)) if taken.is_empty() => return first,
            Some(Ok(taken)) if first.bytes.is_empty() => first.bytes = taken,
            Some(Ok(taken)) => first.bytes = [&first.bytes[..], &taken].concat().into(),
        }
        match judge(&first.bytes) {
            AnswerState::HeadMissing if first.bytes.len() < MAX_HEAD => {}
            AnswerState::BodyMissing => {
                first.broke_off = false;
                body_began = true;
            }
            AnswerState::Complete(answer) => {
                first.answer = Some(answer);
                first.broke_off = false;
                return first;
            }
            AnswerState::HeadMissing | AnswerState::ForHyper => {
                first.broke_off = false;
                return first;
            }
        }
    }
}
