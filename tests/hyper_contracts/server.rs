//! Hyper towards a client.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1 as server;
use hyper::service::Service;

use crate::hyper_contracts::Clock;
use crate::hyper_contracts::HEAD_TIMEOUT;
use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::MAX_LINES;
use crate::hyper_contracts::Wire;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::poll;

/// A service whose requests the test takes out, and whose answers it puts in.
#[derive(Clone, Debug, Default)]
struct Desk(Rc<RefCell<Papers>>);

#[derive(Debug, Default)]
struct Papers {
    requests: VecDeque<Request<Incoming>>,
    answers: VecDeque<Response<Words>>,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Words>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Words>>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.borrow_mut().requests.push_back(request);
        let desk = self.clone();
        Box::pin(poll_fn(move |_| {
            match desk.0.borrow_mut().answers.pop_front() {
                Some(answer) => Poll::Ready(Ok(answer)),
                None => Poll::Pending,
            }
        }))
    }
}

/// Hyper towards a client, as `src/listener/hyper_driver.rs` sets it up.
pub(super) struct Server {
    pub(super) wire: Wire,
    pub(super) clock: Clock,
    desk: Desk,
    connection: server::Connection<Wire, Desk>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(set: impl FnOnce(&mut server::Builder)) -> Self {
        let clock = Clock::default();
        let mut builder = server::Builder::new();
        builder
            .timer(clock.clone())
            .half_close(true)
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_LINES)
            .auto_date_header(false)
            .preserve_header_case(true)
            .title_case_headers(true);
        set(&mut builder);
        let (wire, desk) = (Wire::new(), Desk::default());
        let connection = builder.serve_connection(wire.clone(), desk.clone());
        Self {
            wire,
            clock,
            desk,
            connection,
        }
    }

    pub(super) fn poll(&mut self) -> Poll<hyper::Result<()>> {
        poll(&mut self.connection)
    }

    /// The next request that hyper has read, if there is one.
    pub(super) fn next_request(&mut self) -> Option<Request<Incoming>> {
        self.desk.0.borrow_mut().requests.pop_front()
    }

    /// The request that hyper makes of this.
    pub(super) fn request(&mut self, text: &str) -> Request<Incoming> {
        self.wire.send(text);
        assert!(self.poll().is_pending(), "{text}");
        self.next_request().expect("a request")
    }

    /// Answers the request that was read.
    pub(super) fn answer(&mut self, answer: Response<Words>) -> Poll<hyper::Result<()>> {
        self.desk.0.borrow_mut().answers.push_back(answer);
        self.poll()
    }

    pub(super) fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    /// What hyper has read and made nothing of, once it is taken apart.
    pub(super) fn unused(self) -> Bytes {
        self.connection.into_parts().read_buf
    }
}
