//! A body that a test says to hyper bit by bit.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

/// A body that hyper is to write. The test has a copy, with which it says how the body goes on.
#[derive(Clone, Debug)]
pub(super) struct Words(Rc<RefCell<Saying>>);

#[derive(Debug)]
struct Saying {
    frames: VecDeque<io::Result<Frame<Bytes>>>,
    ended: bool,
    length: Option<u64>,
    /// How often hyper has asked for more.
    polls: usize,
}

impl Words {
    pub(super) fn none() -> Self {
        let none = Self::open(Some(0));
        none.end();
        none
    }

    pub(super) fn whole(text: &str) -> Self {
        let whole = Self::open(Some(text.len() as u64));
        whole.say(text);
        whole.end();
        whole
    }

    /// A body of which nothing is there yet.
    pub(super) fn open(length: Option<u64>) -> Self {
        Self(Rc::new(RefCell::new(Saying {
            frames: VecDeque::new(),
            ended: false,
            length,
            polls: 0,
        })))
    }

    pub(super) fn say(&self, text: &str) {
        let data = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
        self.0.borrow_mut().frames.push_back(Ok(data));
    }

    pub(super) fn end(&self) {
        self.0.borrow_mut().ended = true;
    }

    pub(super) fn break_off(&self) {
        let error = io::Error::other("no more words");
        self.0.borrow_mut().frames.push_back(Err(error));
    }

    pub(super) fn polls(&self) -> usize {
        self.0.borrow().polls
    }

    /// Frames that hyper has not taken.
    pub(super) fn waiting(&self) -> usize {
        self.0.borrow().frames.len()
    }
}

impl Body for Words {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut saying = self.0.borrow_mut();
        saying.polls += 1;
        match saying.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if saying.ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        let saying = self.0.borrow();
        saying.ended && saying.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.borrow().length;
        length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
