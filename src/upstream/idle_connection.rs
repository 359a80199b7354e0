//! A connection to an upstream between two requests, over which hyper does not speak.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::stream::PeerAddr;
use crate::stream::Stream;
use crate::upstream::REUSE_WITHIN;

/// A connection to an upstream between two requests, over which hyper does not speak. Dropping it closes the connection in order.
#[derive(Debug)]
pub struct IdleConnection {
    /// There, until it is taken.
    stream: Option<Stream>,
    address: PeerAddr,
    since: Instant,
}

impl IdleConnection {
    /// A connection whose last exchange is over just now.
    pub fn new(stream: Stream, address: PeerAddr) -> Self {
        Self {
            stream: Some(stream),
            address,
            since: Instant::now(),
        }
    }

    /// Ready when it is of no use any more: its upstream has ended it, or says what nobody asked for.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_take(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    /// The connection for another request, unless it is of no use any more or was idle for too long.
    pub fn wake(mut self) -> Option<(Stream, PeerAddr)> {
        if self.since.elapsed() >= REUSE_WITHIN {
            return None;
        }
        let mut nobody = Context::from_waker(Waker::noop());
        if self.poll_over(&mut nobody).is_ready() {
            return None;
        }
        Some((self.stream.take()?, self.address.clone()))
    }
}

impl Drop for IdleConnection {
    fn drop(&mut self) {
        // Without a close_notify OpenSSL forgets the session (RFC 8446 §6.1). It goes at once, since all else is out.
        if let Some(stream @ Stream::UpstreamTls(_)) = &mut self.stream {
            let mut nobody = Context::from_waker(Waker::noop());
            let _ = Pin::new(stream).poll_shutdown(&mut nobody);
        }
    }
}
