//! How hyper reads answers.

use std::error::Error;
use std::io;
use std::task::Poll;

use http::Method;
use http_body::Body;

use crate::hyper_contracts::Client;
use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::MAX_LINES;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::answered;
use crate::hyper_contracts::error;
use crate::hyper_contracts::get;
use crate::hyper_contracts::next;
use crate::hyper_contracts::next_data;
use crate::hyper_contracts::unanswered;

/// The error that a client gets in place of an answer like this.
fn refused(text: &str) -> hyper::Error {
    let mut client = Client::start();
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.send(text);
    let _ = client.poll();
    let (error, request) = unanswered(&mut answer);
    assert!(request.is_none());
    error
}

/// `src/proxy/error.rs` asks again only if an upstream is gone, and not if it speaks something other than HTTP.
/// `src/upstream/probe.rs` tells the two apart for people.
#[test]
fn an_answer_that_is_no_http_is_an_error_of_the_parser() {
    for text in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n"] {
        assert!(refused(text).is_parse(), "{text}");
    }
}

/// `src/proxy/error.rs` and `src/proxy/connection.rs` put hyper's own words into the log, and the docs quote them.
#[test]
fn errors_are_called_what_the_log_calls_them() {
    let mut server = Server::start();
    server.wire.send("G@T / HTTP/1.1\r\n\r\n");
    let words = error(server.poll()).to_string();
    assert_eq!(words, "invalid HTTP method parsed");
    let long = "x".repeat(MAX_HEAD);
    let words = refused(&format!("HTTP/1.1 200 OK\r\nX-Long: {long}")).to_string();
    assert_eq!(words, "message head is too large");
    let mut client = Client::start();
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.end();
    let _ = client.poll();
    let words = unanswered(&mut answer).0.to_string();
    assert_eq!(words, "connection closed before message completed");
}

/// `src/http1/answer.rs` reads heads of up to a hundred lines without hyper, and leaves longer ones to it, whose
/// client has no setting for the number here.
#[test]
fn an_answer_may_have_a_hundred_lines_and_one_more_is_too_large() {
    let head = |lines: usize| {
        let lines: String = (1..lines).map(|line| format!("X-{line}: 1\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n")
    };
    let answer = Client::start().answer_to_get(&head(MAX_LINES));
    assert_eq!(answer.headers().len(), MAX_LINES);
    assert!(refused(&head(MAX_LINES + 1)).is_parse_too_large());
}

/// `src/upstream/connection.rs` bounds the memory that an upstream can make wsgate use for a head.
#[test]
fn a_head_of_an_answer_that_is_larger_than_the_buffer_is_too_large() {
    let long = "x".repeat(MAX_HEAD);
    let error = refused(&format!("HTTP/1.1 200 OK\r\nX-Long: {long}"));
    assert!(error.is_parse_too_large(), "{error}");
}

/// `src/http1/answer.rs` leaves interim answers to hyper, which drops them: a client hears only of the final
/// answer.
#[test]
fn an_interim_answer_is_passed_over() {
    let answer = Client::start().answer_to_get(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("link"));
}

/// `src/decision/response.rs` checks the Content-Length of every answer, because hyper does not check it in an answer to
/// HEAD.
#[test]
fn a_length_that_is_none_is_refused_but_in_an_answer_to_head() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n";
    assert!(refused(ANSWER).is_parse());
    let mut client = Client::start();
    let mut request = get();
    *request.method_mut() = Method::HEAD;
    let mut answer = client.send(request);
    assert!(client.poll().is_pending());
    client.wire.send(ANSWER);
    assert!(client.poll().is_pending());
    let answer = answered(&mut answer);
    assert_eq!(answer.headers()["content-length"], "x");
    assert!(answer.body().is_end_stream());
}

/// `src/decision/response.rs` makes one line of equal lengths before an answer goes on, because hyper leaves the lines as
/// they came.
#[test]
fn equal_lengths_are_one_and_the_lines_stay() {
    for lines in [
        "Content-Length: 2, 2\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n",
    ] {
        let answer =
            Client::start().answer_to_get(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nokmore"));
        let written = lines.matches("Content").count();
        let lengths = answer.headers().get_all("content-length");
        assert_eq!(lengths.iter().count(), written);
        assert_eq!(answer.body().size_hint().exact(), Some(2));
        assert_eq!(next_data(&mut answer.into_body()), "ok");
    }
    let lines = "Content-Length: 2\r\nContent-Length: 3\r\n";
    assert!(refused(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).is_parse());
}

/// `src/decision/response.rs` refuses an answer with both Content-Length and Transfer-Encoding, because hyper reads it by
/// its chunks and leaves both fields there.
#[test]
fn a_length_beside_chunks_stays_in_an_answer() {
    let lines = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n2\r\nok\r\n0\r\n\r\n");
    let answer = Client::start().answer_to_get(&text);
    assert_eq!(answer.headers().len(), 2);
    assert_eq!(next_data(&mut answer.into_body()), "ok");
}

/// `src/proxy/answer_body.rs` passes the error on, so that half an answer does not look whole to the client.
#[test]
fn an_answer_that_breaks_off_is_an_error_and_no_end() {
    for (lines, part) in [
        ("Content-Length: 5\r\n", "he"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n"),
    ] {
        let mut client = Client::start();
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n{part}");
        let mut body = client.answer_to_get(&text).into_body();
        assert_eq!(next_data(&mut body), "he");
        client.wire.end();
        let _ = client.poll();
        assert!(
            matches!(next(&mut body), Poll::Ready(Some(Err(_)))),
            "{lines}"
        );
    }
}

/// `src/proxy/answer_body.rs` gives the upstream's connection back when the body says that it is over, since hyper's
/// server does not ask it for more.
#[test]
fn a_body_of_known_length_says_behind_its_last_byte_that_it_is_over() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
    let mut client = Client::start();
    let mut body = client.answer_to_get(text).into_body();
    assert_eq!(next_data(&mut body), "o");
    assert!(next(&mut body).is_pending());
    assert!(!body.is_end_stream());
    client.wire.send("k");
    let _ = client.poll();
    assert_eq!(next_data(&mut body), "k");
    assert!(body.is_end_stream());
}

/// `src/proxy/answer.rs` passes an answer that its upstream ends by closing on as a body without a length.
#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let mut client = Client::start();
    let mut body = client
        .answer_to_get("HTTP/1.1 200 OK\r\n\r\nok")
        .into_body();
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(next_data(&mut body), "ok");
    assert!(next(&mut body).is_pending());
    client.wire.end();
    assert!(client.poll().is_ready());
    assert!(matches!(next(&mut body), Poll::Ready(None)));
}

/// `src/proxy/request_body.rs` ends a body at the first frame that is no data, for requests and for answers, and so
/// drops trailers.
#[test]
fn trailers_are_a_frame_that_is_no_data() {
    let mut client = Client::start();
    let text =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut body = client.answer_to_get(text).into_body();
    assert_eq!(next_data(&mut body), "ok");
    let _ = client.poll();
    let Poll::Ready(Some(Ok(frame))) = next(&mut body) else {
        panic!("no trailers");
    };
    assert!(!frame.is_data() && frame.is_trailers());
}

/// `src/proxy/error.rs` logs the innermost source of an error, and knows by its kind that TLS ended without a
/// close_notify. `src/stream/rewound.rs` gives hyper the error that its socket had before.
#[test]
fn the_error_of_a_socket_is_the_innermost_source() {
    fn innermost(error: &hyper::Error) -> Option<io::ErrorKind> {
        let mut source = error.source()?;
        while let Some(deeper) = source.source() {
            source = deeper;
        }
        source.downcast_ref::<io::Error>().map(io::Error::kind)
    }
    let kind = io::ErrorKind::UnexpectedEof;
    // Before the head is whole.
    let mut client = Client::start();
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.send("HTTP/1.1 200 OK\r\n");
    client.wire.break_off(kind.into());
    let _ = client.poll();
    let (error, request) = unanswered(&mut answer);
    assert_eq!(innermost(&error), Some(kind), "{error:?}");
    assert!(!error.is_parse() && request.is_none());
    // In the body.
    let mut client = Client::start();
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let mut body = client.answer_to_get(text).into_body();
    assert_eq!(next_data(&mut body), "he");
    client.wire.break_off(kind.into());
    let _ = client.poll();
    let Poll::Ready(Some(Err(error))) = next(&mut body) else {
        panic!("no error");
    };
    assert_eq!(innermost(&error), Some(kind), "{error:?}");
}
