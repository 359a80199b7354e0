//! What wsgate takes for granted of hyper: its inner habits, each held by a test that names it.
//!
//! Hyper is alone here. A test is its peer, its clock and the one who polls it, so that nothing depends on time or on
//! the system. An update of hyper that changes a habit fails by that habit's name, and the comment above the test says
//! which files of wsgate depend on it. What wsgate promises to clients and upstreams is not held here but by all other
//! tests.

mod answers;
mod client_answers;
mod client_connections;
mod client_requests;
mod endings;
mod head_timeout;
mod requests;
mod upgrades;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1 as client;
use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Sleep;
use hyper::rt::Timer;
use hyper::rt::Write;
use hyper::server::conn::http1 as server;
use hyper::service::Service;

/// The limits that wsgate sets, which are private to it.
const MAX_HEAD: usize = 64 * 1024;
const MAX_LINES: usize = 100;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What hyper did to its socket.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Did {
    Write(String),
    Flush,
    Shutdown,
}

/// A socket in memory. Hyper has one copy, and the test, which plays the peer, another.
#[derive(Clone, Debug)]
struct Wire(Rc<RefCell<Ends>>);

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
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Ends {
            incoming: Vec::new(),
            end: None,
            room: usize::MAX,
            did: Vec::new(),
        })))
    }

    /// The peer sends this.
    fn send(&self, text: impl AsRef<[u8]>) {
        self.0
            .borrow_mut()
            .incoming
            .extend_from_slice(text.as_ref());
    }

    /// The peer sends no more.
    fn end(&self) {
        self.0.borrow_mut().end = Some(Ok(()));
    }

    /// The socket breaks behind what the peer has sent.
    fn break_off(&self, error: io::Error) {
        self.0.borrow_mut().end = Some(Err(error));
    }

    /// The peer takes so many bytes and then no more.
    fn set_room(&self, room: usize) {
        self.0.borrow_mut().room = room;
    }

    /// What hyper has not read of what the peer has sent.
    fn unread(&self) -> String {
        String::from_utf8(self.0.borrow().incoming.clone()).unwrap()
    }

    /// What hyper did since this was asked before.
    fn did(&self) -> Vec<Did> {
        std::mem::take(&mut self.0.borrow_mut().did)
    }

    /// What hyper wrote since it was asked before what it did.
    fn written(&self) -> String {
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

/// A body that hyper is to write. The test has a copy, with which it says how the body goes on.
#[derive(Clone, Debug)]
struct Words(Rc<RefCell<Saying>>);

#[derive(Debug)]
struct Saying {
    frames: VecDeque<io::Result<Frame<Bytes>>>,
    ended: bool,
    length: Option<u64>,
    /// How often hyper has asked for more.
    polls: usize,
}

impl Words {
    fn none() -> Self {
        let none = Self::open(Some(0));
        none.end();
        none
    }

    fn whole(text: &str) -> Self {
        let whole = Self::open(Some(text.len() as u64));
        whole.say(text);
        whole.end();
        whole
    }

    /// A body of which nothing is there yet.
    fn open(length: Option<u64>) -> Self {
        Self(Rc::new(RefCell::new(Saying {
            frames: VecDeque::new(),
            ended: false,
            length,
            polls: 0,
        })))
    }

    fn say(&self, text: &str) {
        let data = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
        self.0.borrow_mut().frames.push_back(Ok(data));
    }

    fn end(&self) {
        self.0.borrow_mut().ended = true;
    }

    fn break_off(&self) {
        let error = io::Error::other("no more words");
        self.0.borrow_mut().frames.push_back(Err(error));
    }

    fn polls(&self) -> usize {
        self.0.borrow().polls
    }

    /// Frames that hyper has not taken.
    fn waiting(&self) -> usize {
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

/// Time that passes when the test says so.
#[derive(Clone, Debug)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Timer for Clock {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + time)
    }

    fn sleep_until(&self, until: Instant) -> Pin<Box<dyn Sleep>> {
        let clock = self.clone();
        Box::pin(Until { clock, until })
    }

    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

struct Until {
    clock: Clock,
    until: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.until {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Sleep for Until {}

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

/// Hyper towards a client, as `src/listener/connection.rs` sets it up.
struct Server {
    wire: Wire,
    clock: Clock,
    desk: Desk,
    connection: server::Connection<Wire, Desk>,
}

impl Server {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut server::Builder)) -> Self {
        let clock = Clock(Arc::new(Mutex::new(Instant::now())));
        let mut builder = server::Builder::new();
        builder
            .timer(clock.clone())
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

    fn poll(&mut self) -> Poll<hyper::Result<()>> {
        poll(&mut self.connection)
    }

    /// The next request that hyper has read, if there is one.
    fn next_request(&mut self) -> Option<Request<Incoming>> {
        self.desk.0.borrow_mut().requests.pop_front()
    }

    /// The request that hyper makes of this.
    fn request(&mut self, text: &str) -> Request<Incoming> {
        self.wire.send(text);
        assert!(self.poll().is_pending(), "{text}");
        self.next_request().expect("a request")
    }

    /// Answers the request that was read.
    fn answer(&mut self, answer: Response<Words>) -> Poll<hyper::Result<()>> {
        self.desk.0.borrow_mut().answers.push_back(answer);
        self.poll()
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    /// What hyper has read and made nothing of, once it is taken apart.
    fn unused(self) -> Bytes {
        self.connection.into_parts().read_buf
    }
}

/// Hyper towards an upstream, as `src/upstream/connection.rs` sets it up and polls it.
struct Client {
    wire: Wire,
    sender: client::SendRequest<Words>,
    connection: client::Connection<Wire, Words>,
}

type Answer =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Words>>>>>>;

impl Client {
    fn start() -> Self {
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

    fn poll(&mut self) -> Poll<hyper::Result<()>> {
        self.connection.poll_without_shutdown(&mut context())
    }

    /// Begins a request, which is written when the connection is polled.
    fn send(&mut self, request: Request<Words>) -> Answer {
        Box::pin(self.sender.try_send_request(request))
    }

    /// The head of the answer to a plain GET, and its body.
    fn answer_to_get(&mut self, text: &str) -> Response<Incoming> {
        let mut answer = self.send(get());
        assert!(self.poll().is_pending());
        self.wire.send(text);
        let _ = self.poll();
        answered(&mut answer)
    }

    /// The sender and the socket of a connection that has ended, whose task does the same.
    fn take_apart(self) -> (client::SendRequest<Words>, Wire) {
        (self.sender, self.connection.into_parts().io)
    }

    /// What hyper has read and made nothing of, once it is taken apart.
    fn unused(self) -> Bytes {
        self.connection.into_parts().read_buf
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut context())
}

/// The answer, which must have come.
fn answered(answer: &mut Answer) -> Response<Incoming> {
    match poll(answer) {
        Poll::Ready(Ok(answer)) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

/// Why there is no answer; and the request, if it comes back.
fn unanswered(answer: &mut Answer) -> (hyper::Error, Option<Request<Words>>) {
    match poll(answer) {
        Poll::Ready(Err(mut failed)) => {
            let request = failed.take_message();
            (failed.into_error(), request)
        }
        other => panic!("no error: {other:?}"),
    }
}

/// What a body that hyper has read says next.
fn next(body: &mut Incoming) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    Pin::new(body).poll_frame(&mut context())
}

/// The data that a body says next.
fn next_data(body: &mut Incoming) -> Bytes {
    match next(body) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().expect("data"),
        other => panic!("no data: {other:?}"),
    }
}

fn get() -> Request<Words> {
    Request::get("/")
        .header("host", "a")
        .body(Words::none())
        .unwrap()
}

fn ok(body: Words) -> Response<Words> {
    Response::new(body)
}

/// The error of a connection that has ended.
fn error(outcome: Poll<hyper::Result<()>>) -> hyper::Error {
    match outcome {
        Poll::Ready(Err(error)) => error,
        other => panic!("no error: {other:?}"),
    }
}

fn is_done(outcome: &Poll<hyper::Result<()>>) -> bool {
    matches!(outcome, Poll::Ready(Ok(())))
}

/// The comments of these tests name files that exist.
#[test]
fn the_files_that_depend_on_a_contract_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for entry in fs::read_dir(root.join("tests/hyper_contracts")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("///")) {
            for file in line.split('`').filter(|word| word.starts_with("src/")) {
                assert!(root.join(file).is_file(), "{file}");
                named += 1;
            }
        }
    }
    assert!(named > 60, "{named}");
}

/// `src/headers/head.rs` reads heads with httparse, and leaves to hyper what it does not take: both must take the same.
#[test]
fn hyper_reads_heads_with_the_parser_that_wsgate_uses() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"));
    let lock = lock.unwrap();
    let packages: Vec<&str> = lock.split("[[package]]").collect();
    let package = |name: &str| {
        let line = format!("\nname = \"{name}\"\n");
        let mut found = packages.iter().filter(move |text| text.starts_with(&line));
        (found.next(), found.count())
    };
    assert!(matches!(package("httparse"), (Some(_), 0)));
    let (Some(hyper), 0) = package("hyper") else {
        panic!("there is one hyper");
    };
    assert!(hyper.contains("\n \"httparse\",\n"));
}
