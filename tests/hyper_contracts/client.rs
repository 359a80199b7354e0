//! Hyper towards an upstream.

use std::future::Future;
use std::pin::Pin;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body::Body;
use http_body::Frame;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1 as client;

use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::Wire;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::context;
use crate::hyper_contracts::get;
use crate::hyper_contracts::poll;

/// Hyper towards an upstream, as `src/upstream/connection.rs` sets it up and polls it.
pub(super) struct Client {
    pub(super) wire: Wire,
    pub(super) sender: client::SendRequest<Words>,
    connection: client::Connection<Wire, Words>,
}

pub(super) type Answer =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Words>>>>>>;

impl Client {
    pub(super) fn start() -> Self {
        let wire = Wire::new();
        let mut builder = client::Builder::new();
        builder
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_buf_size(MAX_HEAD);
        let mut begun = pin!(builder.handshake(wire.clone()));
        let Poll::Ready(Ok((sender, connection))) = poll(&mut begun) else {
            panic!("hyper has something to wait for before the first request");
        };
        Self {
            wire,
            sender,
            connection,
        }
    }

    pub(super) fn poll(&mut self) -> Poll<hyper::Result<()>> {
        self.connection.poll_without_shutdown(&mut context())
    }

    /// Begins a request, which is written when the connection is polled.
    pub(super) fn send(&mut self, request: Request<Words>) -> Answer {
        Box::pin(self.sender.try_send_request(request))
    }

    /// The head of the answer to a plain GET, and its body.
    pub(super) fn answer_to_get(&mut self, text: &str) -> Response<Incoming> {
        let mut answer = self.send(get());
        assert!(self.poll().is_pending());
        self.wire.send(text);
        let _ = self.poll();
        answered(&mut answer)
    }

    /// The sender and the socket of a connection that has ended, whose task does the same.
    pub(super) fn take_apart(self) -> (client::SendRequest<Words>, Wire) {
        (self.sender, self.connection.into_parts().io)
    }

    /// What hyper has read and made nothing of, once it is taken apart.
    pub(super) fn unused(self) -> Bytes {
        self.connection.into_parts().read_buf
    }
}

/// The answer, which must have come.
pub(super) fn answered(answer: &mut Answer) -> Response<Incoming> {
    match poll(answer) {
        Poll::Ready(Ok(answer)) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

/// Why there is no answer; and the request, if it comes back.
pub(super) fn unanswered(answer: &mut Answer) -> (hyper::Error, Option<Request<Words>>) {
    match poll(answer) {
        Poll::Ready(Err(mut failed)) => {
            let request = failed.take_message();
            (failed.into_error(), request)
        }
        other => panic!("no error: {other:?}"),
    }
}

/// What a body that hyper has read says next.
pub(super) fn next(body: &mut Incoming) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    Pin::new(body).poll_frame(&mut context())
}

/// The data that a body says next.
pub(super) fn next_data(body: &mut Incoming) -> Bytes {
    match next(body) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().expect("data"),
        other => panic!("no data: {other:?}"),
    }
}
