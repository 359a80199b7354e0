//! HTTP/1.1 over one connection to an upstream.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::headers::spelling::Spelling;
use crate::http1::NextHead;
use crate::http1::Respelled;
use crate::stream::PeerAddr;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::upstream::REUSE_WITHIN;

/// Room for a head in each direction; an answer's head beyond that is an error.
const MAX_BUFFER: usize = 64 * 1024;

/// Longest wait until a close_notify is out.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A connection that speaks HTTP/1.1 with an upstream, one request after the other.
///
/// Dropping it ends the connection: between two exchanges in order, in the middle of one at once.
#[derive(Debug)]
pub struct Connection<B> {
    sender: SendRequest<B>,
    /// Is told how the next request is spelled.
    next: Rc<NextHead>,
    address: PeerAddr,
    /// Gives the socket back after a 101.
    parts: Option<oneshot::Receiver<(Stream, Bytes)>>,
    driver: JoinHandle<()>,
    idle_since: Instant,
    /// Between two exchanges.
    resting: bool,
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum SendError<B> {
    /// The request was not sent: here it is again.
    Unsent(Box<Request<B>>, hyper::Error),
    /// It was sent, perhaps in part.
    Sent(hyper::Error),
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Begins to speak HTTP over `stream`; its task lives on the current thread.
    ///
    /// # Errors
    /// Hyper's, of which it has none for HTTP/1.1.
    pub async fn start(stream: Rewound, address: PeerAddr) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        builder
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_buf_size(MAX_BUFFER);
        let next = Rc::new(NextHead::default());
        let stream = Respelled::new(stream, Rc::clone(&next));
        let (sender, mut connection) = builder.handshake(TokioIo::new(stream)).await?;
        let (give_back, parts) = oneshot::channel();
        let driver = tokio::task::spawn_local(async move {
            if poll_fn(|cx| connection.poll_without_shutdown(cx))
                .await
                .is_ok()
            {
                let parts = connection.into_parts();
                // Nobody waits for it unless the answer was a 101.
                let gone =
                    give_back.send(parts.io.into_inner().into_inner().unwind(parts.read_buf));
                if let Err((stream, _)) = gone {
                    close(stream).await;
                }
            }
        });
        Ok(Self {
            sender,
            next,
            address,
            parts: Some(parts),
            driver,
            idle_since: Instant::now(),
            resting: true,
        })
    }

    /// The address that took the connection.
    pub fn address(&self) -> &PeerAddr {
        &self.address
    }

    /// Marks the end of an exchange.
    pub fn rest(&mut self) {
        self.idle_since = Instant::now();
        self.resting = true;
    }

    /// Whether another request may be sent: it is open, done with the last one, and not idle for too long.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn is_reusable(&mut self) -> bool {
        if self.idle_since.elapsed() >= REUSE_WITHIN || self.sender.is_closed() {
            return false;
        }
        if !self.sender.is_ready() {
            // The last body's end reached us a moment before the connection's own task sees it.
            tokio::task::yield_now().await;
        }
        self.sender.is_ready()
    }

    /// Sends a request, whose names are spelled so, and waits for the head of its answer.
    ///
    /// # Errors
    /// With the request if it was not sent, so that it can go out elsewhere.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the request, and the connection ends.
    pub async fn send(
        &mut self,
        request: Request<B>,
        spelling: Spelling,
    ) -> Result<Response<Incoming>, SendError<B>> {
        self.resting = false;
        self.next.is_spelled(spelling);
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    // Nobody will ask for the socket, so that it closes when the upstream closes it.
                    self.parts = None;
                }
                Ok(response)
            }
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => SendError::Unsent(Box::new(request), failed.into_error()),
                None => SendError::Sent(failed.into_error()),
            }),
        }
    }

    /// The socket after a 101, with what was read beyond its head. `None` if the connection broke instead.
    pub async fn switch(mut self) -> Option<(Stream, Bytes)> {
        self.parts.take()?.await.ok()
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        // Between two exchanges its task sees that nobody will send more, and closes it in order. After a 101 it has
        // ended already.
        if !self.resting {
            self.driver.abort();
        }
    }
}

/// Closes what nobody needs any more, under TLS with a close_notify: without one OpenSSL forgets the session, and the
/// next connection could not resume it (RFC 8446 §6.1).
pub async fn close(mut stream: Stream) {
    if let Stream::UpstreamTls(_) = stream {
        // Whether it arrives is of no concern to anybody here.
        let _ = timeout(LAST_WORDS, stream.shutdown()).await;
    }
}
