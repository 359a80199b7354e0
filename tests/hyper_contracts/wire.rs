//! A socket in memory, which a test sees from the outside.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;

/// What hyper did to its socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Did {
    Write(String),
    Flush,
    Shutdown,
}

/// A socket in memory. Hyper has one copy, and the test, which plays the peer, another.
#[derive(Clone, Debug)]
pub(super) struct Wire(Rc<RefCell<Ends>>);

#[derive(Debug)]
struct Ends {
    /// What the peer sent and hyper has not read.
    incoming: Vec<u8>,
    /// What comes behind that: nothing yet, the end, or an error.
    end: Option<io::Result<()>>,
    /// How many bytes hyper can write before the peer reads on.
    room: usize,
    did: Vec<Did>,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(Ends {
            incoming: Vec::new(),
            end: None,
            room: usize::MAX,
            did: Vec::new(),
        })))
    }

    /// The peer sends this.
    pub(super) fn send(&self, text: impl AsRef<[u8]>) {
        self.0
            .borrow_mut()
            .incoming
            .extend_from_slice(text.as_ref());
    }

    /// The peer sends no more.
    pub(super) fn end(&self) {
        self.0.borrow_mut().end = Some(Ok(()));
    }

    /// The socket breaks behind what the peer has sent.
    pub(super) fn break_off(&self, error: io::Error) {
        self.0.borrow_mut().end = Some(Err(error));
    }

    /// The peer takes so many bytes and then no more.
    pub(super) fn set_room(&self, room: usize) {
        self.0.borrow_mut().room = room;
    }

    /// What hyper has not read of what the peer has sent.
    pub(super) fn unread(&self) -> String {
        String::from_utf8(self.0.borrow().incoming.clone()).unwrap()
    }

    /// What hyper did since this was asked before.
    pub(super) fn did(&self) -> Vec<Did> {
        std::mem::take(&mut self.0.borrow_mut().did)
    }

    /// What hyper wrote since it was asked before what it did.
    pub(super) fn written(&self) -> String {
        let writes = self.did().into_iter().filter_map(|did| match did {
            Did::Write(text) => Some(text),
            Did::Flush | Did::Shutdown => None,
        });
        writes.collect()
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.0.borrow_mut();
        if !ends.incoming.is_empty() {
            let length = ends.incoming.len().min(buf.remaining());
            buf.put_slice(&ends.incoming[..length]);
            ends.incoming.drain(..length);
            return Poll::Ready(Ok(()));
        }
        match &ends.end {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(Ok(())),
            Some(Err(_)) => Poll::Ready(ends.end.replace(Ok(())).unwrap()),
        }
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.borrow_mut();
        if ends.room == 0 {
            return Poll::Pending;
        }
        let length = ends.room.min(bytes.len());
        ends.room -= length;
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        ends.did.push(Did::Write(text));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.borrow_mut();
        // Hyper flushes at every turn; behind a write it counts.
        if let Some(Did::Write(_)) = ends.did.last() {
            ends.did.push(Did::Flush);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().did.push(Did::Shutdown);
        Poll::Ready(Ok(()))
    }
}
