//! What wsgate takes for granted of hyper: its inner habits, each held by a test that names it.
//!
//! Hyper is alone here. A test is its peer, its clock and the one who polls it, so that nothing depends on time or on
//! the system. An update of hyper that changes a habit fails by that habit's name, and the comment above the test says
//! which files of wsgate depend on it. What wsgate promises to clients and upstreams is not held here but by all other
//! tests.

mod answers;
mod client;
mod client_answers;
mod client_connections;
mod client_requests;
mod clock;
mod endings;
mod head_timeout;
mod requests;
mod server;
mod upgrades;
mod wire;
mod words;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use http::Request;
use http::Response;

use crate::hyper_contracts::client::Answer;
use crate::hyper_contracts::client::Client;
use crate::hyper_contracts::client::answered;
use crate::hyper_contracts::client::next;
use crate::hyper_contracts::client::next_data;
use crate::hyper_contracts::client::unanswered;
use crate::hyper_contracts::clock::Clock;
use crate::hyper_contracts::server::Server;
use crate::hyper_contracts::wire::Did;
use crate::hyper_contracts::wire::Wire;
use crate::hyper_contracts::words::Words;

/// The limits that wsgate sets, which are private to it.
const MAX_HEAD: usize = 64 * 1024;
const MAX_LINES: usize = 100;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut context())
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

/// `src/http1/mod.rs` reads heads with httparse, and leaves to hyper what it does not take: both must take the same.
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
