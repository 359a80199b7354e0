//! Requests that come whole, one after the other, each in one piece: they are answered without hyper, until one does not fit.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::http1;
use crate::http1::Head;
use crate::http1::Persistence;
use crate::http1::RequestPurpose;
use crate::listener::Phase;
use crate::listener::between_requests::next_request;
use crate::listener::handover::Handover;
use crate::listener::head_deadline::HeadDeadline;
use crate::listener::phase::drain_begins;
use crate::listener::presence::Looked;
use crate::listener::presence::Presence;
use crate::listener::promised::PromisedTunnel;
use crate::proxy;
use crate::proxy::Agreed;
use crate::proxy::ClientConnection;
use crate::proxy::DirectAnswer;
use crate::proxy::DirectEnd;
use crate::proxy::ReadyAnswer;
use crate::stream::Stream;
use crate::tunnel::End;

/// What a connection becomes.
pub(super) enum BufferedEnd {
    /// A tunnel, whose 101 is out.
    Tunnel(PromisedTunnel),
    /// HTTP through hyper.
    Http(Handover),
    /// It is closed in order.
    Closing(Stream),
    /// The client left, or the process ends it.
    Over,
}

/// A connection from which requests are read.
pub(super) struct BufferedRequests<'c> {
    connection: &'c ClientConnection,
    phase: &'c watch::Receiver<Phase>,
    /// The socket, and what was read from it while a request was under way.
    client: End<Stream>,
    /// What was read and not answered yet. It begins with a request.
    read: Bytes,
    deadline: HeadDeadline,
}

/// How a request went.
enum RequestEnd {
    /// It is answered.
    Answered(Persistence),
    /// Hyper has to write its answer.
    ForHyper(Box<ReadyAnswer>),
    /// The client left.
    ClientLeft,
}

impl<'c> BufferedRequests<'c> {
    /// The socket of a connection, and its first bytes.
    pub(super) fn new(
        connection: &'c ClientConnection,
        phase: &'c watch::Receiver<Phase>,
        mut client: End<Stream>,
        deadline: HeadDeadline,
    ) -> Self {
        let read = std::mem::take(&mut client.early);
        Self {
            connection,
            phase,
            client,
            read,
            deadline,
        }
    }

    /// Serves it for as long as each request comes whole.
    pub(super) async fn serve(self) -> BufferedEnd {
        let (connection, mut over) = (self.connection, self.phase.clone());
        // Kept outside of the select: dropped in it, the request would log that its client left, before `cut` has noted that the
        // process ended it.
        let mut requests = pin!(self.requests());
        tokio::select! {
            biased;
            became = &mut requests => became,
            _ = over.wait_for(|phase| *phase == Phase::Over) => {
                connection.cut();
                BufferedEnd::Over
            }
        }
    }

    async fn requests(mut self) -> BufferedEnd {
        let mut draining = self.phase.clone();
        let mut draining = pin!(drain_begins(&mut draining));
        let mut late = pin!(sleep_until(self.deadline.until()));
        loop {
            let Some((request, purpose)) = http1::read_request(&self.read) else {
                return self.for_hyper();
            };
            let content_length = match purpose {
                RequestPurpose::Ordinary(content_length) => content_length,
                // Boxed, so that what polls does not carry the room for it.
                RequestPurpose::Upgrade => return Box::pin(self.upgrade(request)).await,
            };
            if self.read.len() - request.length != content_length.unwrap_or(0) {
                return self.for_hyper();
            }
            let body = content_length.map(|_| self.read.slice(request.length..));
            match self.answer(request, body).await {
                RequestEnd::Answered(Persistence::KeepAlive) => {}
                RequestEnd::Answered(Persistence::Close) => {
                    return BufferedEnd::Closing(self.client.stream);
                }
                RequestEnd::ForHyper(ready) => return self.answered(ready),
                RequestEnd::ClientLeft => return BufferedEnd::Over,
            }
            self.read = std::mem::take(&mut self.client.early);
            if self.read.is_empty() {
                late.as_mut().reset(self.deadline.idle_until());
                let stream = &mut self.client.stream;
                match next_request(stream, self.connection, draining.as_mut(), late.as_mut()).await
                {
                    Some(Ok(read)) if !read.is_empty() => self.read = read,
                    Some(Err(_)) => return BufferedEnd::Over,
                    Some(Ok(_)) | None => return BufferedEnd::Closing(self.client.stream),
                }
            }
            self.deadline.renew();
        }
    }

    /// Passes an ordinary request on, and writes its answer.
    async fn answer(&mut self, mut request: Head<Parts>, body: Option<Bytes>) -> RequestEnd {
        let passed = {
            let passed = pin!(proxy::pass_on(self.connection, &mut request, body));
            while_there(&mut self.client, self.connection, passed).await
        };
        drop(request);
        match passed {
            // A request that is dropped without an answer says so in the log.
            None => RequestEnd::ClientLeft,
            Some(DirectEnd::ForHyper(ready)) => RequestEnd::ForHyper(ready),
            Some(DirectEnd::Done(answer)) => self.write(answer).await,
        }
    }

    async fn write(&mut self, answer: DirectAnswer) -> RequestEnd {
        let is_last = *self.phase.borrow() > Phase::Running || !self.deadline.keeps_alive();
        let persistence = if is_last {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        };
        let (message, delivery) = answer.message(persistence);
        let stream = &mut self.client.stream;
        if stream.write_all(&message).await.is_err() || stream.flush().await.is_err() {
            return RequestEnd::ClientLeft;
        }
        delivery.done();
        RequestEnd::Answered(persistence)
    }

    /// Does the opening handshake with which `read` begins.
    async fn upgrade(mut self, request: Head<Parts>) -> BufferedEnd {
        self.client.early = self.read.split_off(request.length);
        let handshake = pin!(proxy::shake_hands(self.connection, request));
        match while_there(&mut self.client, self.connection, handshake).await {
            None => BufferedEnd::Over,
            Some(DirectEnd::ForHyper(ready)) => self.answered(ready),
            Some(DirectEnd::Done(Agreed { head, switch })) => {
                let stream = &mut self.client.stream;
                if stream.write_all(&head).await.is_err() || stream.flush().await.is_err() {
                    return BufferedEnd::Over;
                }
                let client = self.client;
                BufferedEnd::Tunnel(PromisedTunnel { client, switch })
            }
        }
    }

    /// Hands over to hyper, which reads the request at the start of `read` again.
    fn for_hyper(self) -> BufferedEnd {
        let handover = Handover::undecided(self.client.stream, self.read, self.deadline);
        BufferedEnd::Http(handover)
    }

    /// Hands over to hyper, which reads the request in `read` again and writes the answer that is ready for it.
    fn answered(self, ready: Box<ReadyAnswer>) -> BufferedEnd {
        let handover = Handover::answered(self.client, &self.read, self.deadline, ready);
        BufferedEnd::Http(handover)
    }
}

/// What `work` comes to, unless the client leaves before.
async fn while_there<T>(
    client: &mut End<Stream>,
    connection: &ClientConnection,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut presence = Presence::default();
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            connection.poll_lease(cx);
            presence.poll_left(cx, client, connection).map(|()| None)
        }
    })
    .await
}

/// A client that sends before it has its answer hides its end behind these bytes, which wait until the answer is written.
impl Looked for End<Stream> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_end(&mut self.early, cx)
    }

    /// An answer is written only when all of it is there.
    fn is_sending(&mut self) -> bool {
        false
    }
}
