//! A client's connection on its way to hyper.

use bytes::Bytes;

use crate::listener::head_deadline::HeadDeadline;
use crate::proxy::ReadyAnswer;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::tunnel::End;

/// A client's socket, as if nothing had been read from it, and perhaps the answer to the request with which it begins.
///
/// Both travel together and are made together: what hyper reads first is the very request that the answer is for, and the answer
/// is used up with it, so that no other request can be given it.
#[derive(Debug)]
pub(super) struct Handover {
    stream: Rewound,
    deadline: HeadDeadline,
    ready: Option<Box<ReadyAnswer>>,
}

impl Handover {
    /// For requests about which nothing is decided; `read` is what was read of them.
    pub(super) fn undecided(stream: Stream, read: Bytes, deadline: HeadDeadline) -> Self {
        Self {
            stream: Rewound::reading(stream, read),
            deadline,
            ready: None,
        }
    }

    /// With the answer to `request`, which was read as a whole.
    pub(super) fn answered(
        client: End<Stream>,
        request: &[u8],
        deadline: HeadDeadline,
        ready: Box<ReadyAnswer>,
    ) -> Self {
        let read = [request, &client.early].concat();
        Self {
            stream: Rewound::reading(client.stream, read.into()),
            deadline,
            ready: Some(ready),
        }
    }

    /// Until when the head must be there that it begins with.
    pub(super) fn deadline(&self) -> HeadDeadline {
        self.deadline
    }

    /// Whether an answer is ready that is no 101.
    pub(super) fn has_answer(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| !ready.is_switch())
    }

    /// The socket, until when the head must be there that it begins with, and the answer to the request of that head.
    pub(super) fn into_parts(self) -> (Rewound, HeadDeadline, Option<Box<ReadyAnswer>>) {
        (self.stream, self.deadline, self.ready)
    }
}
