//! How hyper reads requests.

use std::task::Poll;

use bytes::Bytes;
use http::Method;
use http::header;
use http_body::Body;

use crate::hyper_contracts::Did;
use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::MAX_LINES;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::error;
use crate::hyper_contracts::next;
use crate::hyper_contracts::next_data;
use crate::hyper_contracts::ok;

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

/// `src/listener/buffered.rs` leaves a request behind an empty line to hyper. Some clients write such a line behind a body
/// (RFC 9112 §2.2).
#[test]
fn an_empty_line_before_a_request_is_passed_over() {
    let mut server = Server::start();
    let request = server.request("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(request.uri(), "/x");
}

/// `src/http1/mod.rs` takes as many lines without hyper, so that both ways of a request take the same, and
/// `src/proxy/connection.rs` logs the 431 that hyper writes.
#[test]
fn a_head_may_have_as_many_lines_as_hyper_is_told_and_one_more_is_a_431() {
    let head = |lines: usize| {
        let lines: String = (0..lines).map(|line| format!("X-{line}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\n{lines}\r\n")
    };
    let request = Server::start().request(&head(MAX_LINES));
    assert_eq!(request.headers().len(), MAX_LINES);
    let mut server = Server::start();
    server.wire.send(head(MAX_LINES + 1));
    let error = error(server.poll());
    assert!(error.is_parse() && error.is_parse_too_large(), "{error}");
    let written = server.wire.written();
    assert!(written.starts_with("HTTP/1.1 431 "), "{written}");
}

/// `src/listener/hyper_driver.rs` bounds the memory that a head takes, and `src/proxy/connection.rs` logs the 431 that hyper
/// writes.
#[test]
fn a_head_of_more_than_the_buffer_is_a_431() {
    let mut server = Server::start();
    server.wire.send("GET /");
    server.wire.send("x".repeat(MAX_HEAD));
    let error = error(server.poll());
    assert!(error.is_parse() && error.is_parse_too_large(), "{error}");
    let written = server.wire.written();
    assert!(written.starts_with("HTTP/1.1 431 "), "{written}");
    // It has looked at its limit between two reads.
    assert!(server.wire.unread().len() < MAX_HEAD);
}

/// `src/listener/hyper_driver.rs` only adds a line to the log, by `src/proxy/connection.rs`, since hyper has answered.
#[test]
fn what_is_no_request_is_answered_by_hyper_and_then_an_error_of_its_parser() {
    let mut server = Server::start();
    server.wire.send("G@T / HTTP/1.1\r\nHost: a\r\n\r\n");
    let error = error(server.poll());
    assert!(error.is_parse() && !error.is_parse_too_large(), "{error}");
    let answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let did = server.wire.did();
    assert_eq!(did[0], Did::Write(answer.to_owned()));
    assert_eq!(did[1..], [Did::Flush, Did::Shutdown]);
}

/// `src/proxy/through_hyper.rs` sees by a body's size hint how the request is framed, and so how it goes on to its upstream.
#[test]
fn a_body_says_whether_it_has_a_length_or_chunks_or_is_none() {
    for (lines, is_none, length) in [
        ("", true, Some(0)),
        ("Content-Length: 0\r\n", true, Some(0)),
        ("Content-Length: 5\r\n", false, Some(5)),
        ("Transfer-Encoding: chunked\r\n", false, None),
    ] {
        let request = Server::start().request(&format!("{POST}{lines}\r\n"));
        let body = request.into_body();
        assert_eq!(body.is_end_stream(), is_none, "{lines}");
        assert_eq!(body.size_hint().exact(), length, "{lines}");
    }
}

/// `src/decision/request.rs` checks that `chunked` is the only transfer coding, and relies on hyper for the body to be in
/// chunks then.
#[test]
fn a_transfer_coding_that_does_not_end_in_chunks_is_refused() {
    for lines in [
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
    ] {
        let mut server = Server::start();
        server.wire.send(format!("{POST}{lines}\r\n"));
        assert!(error(server.poll()).is_parse(), "{lines}");
        assert!(server.next_request().is_none(), "{lines}");
        let written = server.wire.written();
        assert!(written.starts_with("HTTP/1.1 400 "), "{written}");
    }
}

/// `src/decision/request.rs` writes `Transfer-Encoding` for a body in chunks and looks for no length beside it, which an
/// upstream could read a second request by.
#[test]
fn a_length_beside_chunks_is_taken_out_and_the_connection_ends_with_the_answer() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let mut server = Server::start();
        let request = server.request(&format!("{POST}{lines}\r\n0\r\n\r\n"));
        assert!(!request.headers().contains_key(header::CONTENT_LENGTH));
        let mut body = request.into_body();
        assert!(matches!(next(&mut body), Poll::Ready(None)));
        assert!(server.answer(ok(Words::none())).is_ready());
        let written = server.wire.written();
        assert!(written.contains("\r\nConnection: close\r\n"), "{written}");
    }
}

/// `src/decision/request.rs` passes Content-Length on as hyper leaves it: of several lines two readers could choose
/// different ones.
#[test]
fn a_length_that_stands_twice_is_one_line_and_two_lengths_are_refused() {
    let lines = |length| format!("{POST}Content-Length: 5\r\nContent-Length: {length}\r\n\r\n");
    let request = Server::start().request(&lines(5));
    assert_eq!(
        request.headers().get_all("content-length").iter().count(),
        1
    );
    let mut server = Server::start();
    server.wire.send(lines(6));
    assert!(error(server.poll()).is_parse());
    assert!(server.next_request().is_none());
}

/// `src/decision/request.rs` takes `Expect` out of a request, because hyper answers it when `src/proxy/request_body.rs`
/// asks for the body.
#[test]
fn a_100_is_written_when_the_body_is_asked_for_and_not_before() {
    let mut server = Server::start();
    let lines = "Content-Length: 2\r\nExpect: 100-continue\r\n";
    let mut body = server.request(&format!("{POST}{lines}\r\n")).into_body();
    assert!(server.poll().is_pending());
    assert_eq!(server.wire.written(), "");
    assert!(next(&mut body).is_pending());
    assert!(server.poll().is_pending());
    assert_eq!(server.wire.written(), "HTTP/1.1 100 Continue\r\n\r\n");
    server.wire.send("hi");
    assert!(server.poll().is_pending());
    assert_eq!(next_data(&mut body), "hi");
}

/// `src/proxy/request_body.rs` passes the error on, so that an upstream does not take half a body for a whole one.
#[test]
fn a_body_that_breaks_off_is_an_error_and_no_end() {
    for (lines, part) in [
        ("Content-Length: 5\r\n", "he"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n"),
    ] {
        let mut server = Server::start();
        let mut body = server
            .request(&format!("{POST}{lines}\r\n{part}"))
            .into_body();
        assert_eq!(next_data(&mut body), "he");
        assert!(next(&mut body).is_pending(), "{lines}");
        server.wire.end();
        let _ = server.poll();
        assert!(
            matches!(next(&mut body), Poll::Ready(Some(Err(_)))),
            "{lines}"
        );
    }
}

/// `src/proxy/request_body.rs` passes the error on, and `src/proxy/exchange.rs` answers with a 400, behind which the
/// connection ends.
#[test]
fn a_body_whose_chunks_are_malformed_is_an_error_and_the_client_can_be_answered() {
    let mut server = Server::start();
    let head = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    let mut body = server.request(&format!("{head}zz\r\n")).into_body();
    assert!(matches!(next(&mut body), Poll::Ready(Some(Err(_)))));
    assert!(is_done_with(&mut server, "HTTP/1.1 200 OK\r\n"));
}

/// `src/proxy/through_hyper.rs` reads the body of a request whose answer is ready, although it has no use for it, so that the
/// connection goes on.
#[test]
fn a_body_that_nobody_reads_ends_the_connection_behind_the_answer() {
    let head = format!("{POST}Content-Length: 5\r\n\r\n");
    // Not if all of it is there.
    let mut server = Server::start();
    drop(server.request(&format!("{head}hello")));
    assert!(server.answer(ok(Words::none())).is_pending());
    let mut server = Server::start();
    drop(server.request(&format!("{head}hell")));
    assert!(is_done_with(&mut server, "HTTP/1.1 200 OK\r\n"));
}

/// Answers 200, checks that the answer begins like this, and returns whether the connection ends behind it.
fn is_done_with(server: &mut Server, begins: &str) -> bool {
    let outcome = server.answer(ok(Words::none()));
    let did = server.wire.did();
    let Some(Did::Write(text)) = did.first() else {
        panic!("no answer: {did:?}");
    };
    assert!(text.starts_with(begins), "{text}");
    outcome.is_ready() && did.last() == Some(&Did::Shutdown)
}

/// `src/listener/hyper_driver.rs` says nothing to a client that left in the head of a request, and writes nothing in the log.
#[test]
fn a_client_that_leaves_in_a_head_is_an_incomplete_message() {
    let mut server = Server::start();
    server.wire.send("GET / HTTP/1.1\r\nHost");
    assert!(server.poll().is_pending());
    server.wire.end();
    let error = error(server.poll());
    assert!(error.is_incomplete_message(), "{error}");
    assert_eq!(server.wire.did(), []);
}

/// `src/listener/hyper_requests.rs` gives the answer that is ready to the first request that hyper reads, and notes what becomes of
/// the connection behind one answer at a time.
#[test]
fn a_request_is_not_read_before_the_answer_to_the_one_before_it_is_out() {
    let mut server = Server::start();
    let head = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let first = server.request(&(head("/1") + &head("/2")));
    assert_eq!(first.uri(), "/1");
    assert!(server.next_request().is_none());
    let words = Words::open(Some(2));
    words.say("o");
    assert!(server.answer(ok(words.clone())).is_pending());
    assert!(server.next_request().is_none());
    words.say("k");
    words.end();
    assert!(server.poll().is_pending());
    let second = server.next_request().expect("the other request");
    assert_eq!((second.method(), second.uri().path()), (&Method::GET, "/2"));
}

/// `src/listener/hyper_driver.rs` asks for what was read beyond the last request when it takes hyper apart.
#[test]
fn into_parts_gives_back_what_was_read_and_not_used() {
    let mut server = Server::start();
    drop(server.request("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore"));
    assert_eq!(server.unused(), Bytes::from("more"));
}
