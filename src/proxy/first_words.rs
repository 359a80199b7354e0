//! What an upstream says first, read without hyper, and left to it where it is something unexpected.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::headers::head::Answer;
use crate::stream::Rewound;
use crate::stream::Stream;

/// The largest head that is waited for here; what is beyond is hyper's to refuse.
const MAX_HEAD: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct FirstWords<A> {
    pub(super) read: Bytes,
    /// What `read` begins with, if that is what was waited for.
    pub(super) answer: Option<A>,
    /// How the socket broke behind `read`.
    broken: Option<io::Error>,
}

impl<A> FirstWords<A> {
    /// Whether the upstream left without a word.
    pub(super) fn are_none(&self) -> bool {
        self.read.is_empty()
    }

    /// The socket for hyper, which will say the request again and hear these words.
    pub(super) fn unsaid(self, stream: Stream) -> Rewound {
        Rewound::answering(stream, self.read, self.broken)
    }
}

/// Writes what is left of a request, and reads until `judge` finds an answer or says that it cannot come any more.
///
/// Of an answer whose body has begun only what is there is read: what a client waits for is not held back here.
pub(super) async fn first_words<A>(
    stream: &mut Stream,
    rest: &[u8],
    judge: fn(&Bytes) -> Answer<A>,
) -> FirstWords<A> {
    let mut words = FirstWords {
        read: Bytes::new(),
        answer: None,
        broken: None,
    };
    // When it fails there may still be an answer to be read; otherwise reading says what is wrong.
    if stream.write_all(rest).await.is_err() || stream.flush().await.is_err() {
        return words;
    }
    let mut begun = false;
    loop {
        let taken = poll_fn(|cx| match stream.poll_take(cx) {
            Poll::Pending if begun => Poll::Ready(None),
            taken => taken.map(Some),
        });
        match taken.await {
            None => return words,
            Some(Err(error)) => {
                words.broken = Some(error);
                return words;
            }
            Some(Ok(taken)) if taken.is_empty() => return words,
            Some(Ok(taken)) if words.read.is_empty() => words.read = taken,
            Some(Ok(taken)) => words.read = [&words.read[..], &taken].concat().into(),
        }
        match judge(&words.read) {
            Answer::Partial if words.read.len() < MAX_HEAD => {}
            Answer::Begun if words.read.len() < MAX_HEAD => begun = true,
            Answer::Whole(answer) => {
                words.answer = Some(answer);
                return words;
            }
            Answer::Partial | Answer::Begun | Answer::Other => return words,
        }
    }
}
