//! Whether a client is still there while an answer is owed to it.
//!
//! A client that ends its direction has either left, or it only says that it will send no more and waits for its answer: `nc -N`,
//! scripts and probes do. Over the network both are the same FIN, and the first is told from the second by a reset as soon as something
//! is sent to it. So the answer is waited for and sent, though not for long where nothing can be sent, since an upstream's work for
//! nobody is a slot that others lack.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep;

use crate::proxy::ClientConnection;

/// How long a client is waited for that sends no more and to which nothing is sent: as long as nginx's `lingering_timeout`. The answers
/// of probes and scripts, which are who half-closes, come sooner; a page that was left holds an upstream no longer.
const GRACE: Duration = Duration::from_secs(5);

/// A client's socket, as far as its end is looked for.
pub(super) trait Looked {
    /// Ready when the client sends no more, or with the error that broke the socket. It stays pending while bytes that the client sent
    /// before its time hide its end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether something was sent to the client since it was asked last, or is waiting for the client to read.
    fn is_sending(&mut self) -> bool;
}

/// What is known of a client to which an answer is owed.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Runs once the client has ended its direction. Boxed, since most never do.
    grace: Option<Pin<Box<Sleep>>>,
}

impl Presence {
    /// Ready when the client has left, as far as one can tell.
    pub(super) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut impl Looked,
        connection: &ClientConnection,
    ) -> Poll<()> {
        let grace = match &mut self.grace {
            Some(grace) => grace,
            none => {
                if ready!(socket.poll_end(cx)).is_err() {
                    return Poll::Ready(());
                }
                socket.is_sending();
                none.insert(Box::pin(sleep(GRACE)))
            }
        };
        // A poll is held back until there is something to say, to a client that then asks again: one that cannot has left, and by the end
        // of its poll its server learns it.
        if connection.is_polling() {
            return Poll::Ready(());
        }
        loop {
            ready!(grace.as_mut().poll(cx));
            if !socket.is_sending() {
                return Poll::Ready(());
            }
            grace.as_mut().reset(Instant::now() + GRACE);
        }
    }
}
