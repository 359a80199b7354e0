//! What an upstream says first, read without hyper, and left to it where it is something unexpected.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::http1::Judged;
use crate::stream::Rewound;
use crate::stream::Stream;

/// The largest head that is waited for here; a larger one is hyper's to read, which reads in pieces up to its own limit.
const MAX_HEAD: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct FirstWords<A> {
    pub(super) read: Bytes,
    /// What `read` begins with, if that is what was waited for.
    pub(super) answer: Option<A>,
    /// How the socket broke behind `read`.
    broken: Option<io::Error>,
    /// The upstream was gone before its head was whole.
    broke_off: bool,
}

impl<A> FirstWords<A> {
    /// Whether the upstream was gone before its head was whole.
    pub(super) fn broke_off(&self) -> bool {
        self.broke_off
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
    judge: fn(&Bytes) -> Judged<A>,
) -> FirstWords<A> {
    let mut words = FirstWords {
        read: Bytes::new(),
        answer: None,
        broken: None,
        broke_off: true,
    };
    // When it fails there may still be an answer: whoever goes on reads it.
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
            None => {
                words.broke_off = false;
                return words;
            }
            Some(Err(error)) => {
                words.broken = Some(error);
                return words;
            }
            Some(Ok(taken)) if taken.is_empty() => return words,
            Some(Ok(taken)) if words.read.is_empty() => words.read = taken,
            Some(Ok(taken)) => words.read = [&words.read[..], &taken].concat().into(),
        }
        match judge(&words.read) {
            Judged::Partial if words.read.len() < MAX_HEAD => {}
            Judged::Begun => {
                words.broke_off = false;
                begun = true;
            }
            Judged::Whole(answer) => {
                words.answer = Some(answer);
                words.broke_off = false;
                return words;
            }
            Judged::Partial | Judged::Other => {
                words.broke_off = false;
                return words;
            }
        }
    }
}
