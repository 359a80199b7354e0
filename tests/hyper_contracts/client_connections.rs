//! When hyper's connection to an upstream can be used again, and how it ends.

use http::Method;

use crate::hyper_contracts::Answer;
use crate::hyper_contracts::Client;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::answered;
use crate::hyper_contracts::error;
use crate::hyper_contracts::get;
use crate::hyper_contracts::is_done;
use crate::hyper_contracts::next;
use crate::hyper_contracts::next_data;
use crate::hyper_contracts::unanswered;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A connection whose first exchange is over.
fn between_two_exchanges() -> Client {
    let mut client = Client::start();
    let mut body = client.answer_to_get(OK).into_body();
    assert_eq!(next_data(&mut body), "ok");
    assert!(client.poll().is_pending());
    client.wire.did();
    client
}

/// `src/upstream/connection.rs` yields once before it asks whether a connection can be used again, so that the
/// connection's task is polled.
#[test]
fn a_connection_is_ready_again_once_it_is_polled_behind_the_end_of_the_body() {
    let mut client = Client::start();
    let mut body = client
        .answer_to_get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        .into_body();
    assert_eq!(next_data(&mut body), "o");
    assert!(next(&mut body).is_pending());
    assert!(client.poll().is_pending());
    assert!(!client.sender.is_ready());
    client.wire.send("k");
    assert!(client.poll().is_pending());
    assert_eq!(next_data(&mut body), "k");
    assert!(client.poll().is_pending());
    assert!(client.sender.is_ready());
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.send(OK);
    assert!(client.poll().is_pending());
    assert_eq!(answered(&mut answer).status(), 200);
}

/// `src/upstream/connection.rs` asks hyper, and not the answer, whether a connection can be used again.
#[test]
fn a_connection_is_closed_behind_an_answer_that_says_so() {
    let mut client = Client::start();
    let text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.answer_to_get(text).status(), 200);
    assert!(is_done(&client.poll()));
    let (sender, _) = client.take_apart();
    assert!(sender.is_closed());
}

/// `src/upstream/connection.rs` closes the socket when hyper is done without an error, and takes a connection whose
/// sender is closed for no other request.
#[test]
fn an_upstream_that_leaves_between_two_exchanges_ends_the_connection_without_an_error() {
    let mut client = between_two_exchanges();
    assert!(client.sender.is_ready());
    client.wire.end();
    assert!(is_done(&client.poll()));
    let (sender, wire) = client.take_apart();
    assert!(sender.is_closed() && !sender.is_ready());
    assert_eq!(wire.did(), []);
}

/// `src/upstream/connection.rs` relies on it that what an upstream says between two exchanges is not taken for the next
/// answer. `src/upstream/idle_connection.rs` sees to that without hyper.
#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let mut client = between_two_exchanges();
    client.wire.send(OK);
    let error = error(client.poll());
    assert!(!error.is_incomplete_message(), "{error}");
    assert!(!client.sender.is_ready() && client.sender.is_closed());
}

/// `src/proxy/request_body.rs` bounds how long a body may be silent behind its answer, because hyper may not notice
/// that the upstream has left.
#[test]
fn a_byte_too_many_hides_the_end_of_an_upstream_that_is_still_sent_a_body() {
    for too_much in ["", "k"] {
        let mut client = Client::start();
        let words = Words::open(None);
        words.say("o");
        let mut request = get().map(|_| words);
        *request.method_mut() = Method::POST;
        let mut answer = client.send(request);
        assert!(client.poll().is_pending());
        client.wire.send(format!("{OK}{too_much}"));
        assert!(client.poll().is_pending());
        assert_eq!(next_data(answered(&mut answer).body_mut()), "ok");
        client.wire.end();
        assert_eq!(client.poll().is_pending(), !too_much.is_empty());
    }
}

/// `src/proxy/exchange.rs` sends a request that comes back over another connection, whatever its method.
#[test]
fn a_request_that_comes_too_late_comes_back() {
    // The connection has ended.
    let mut client = between_two_exchanges();
    client.wire.end();
    assert!(is_done(&client.poll()));
    let (mut sender, _) = client.take_apart();
    let mut answer: Answer = Box::pin(sender.try_send_request(get()));
    let (error, request) = unanswered(&mut answer);
    assert!(error.is_canceled() && request.is_some(), "{error}");
    // It ends while the request waits for it.
    let mut client = between_two_exchanges();
    client.wire.end();
    let mut answer = client.send(get());
    assert!(is_done(&client.poll()));
    let (_, wire) = client.take_apart();
    let (error, request) = unanswered(&mut answer);
    assert!(error.is_canceled() && request.is_some(), "{error}");
    assert_eq!(wire.did(), []);
}

/// `src/proxy/exchange.rs` repeats a request that may have arrived only if its method allows it, and
/// `src/proxy/error.rs` takes an incomplete message for an upstream that left without an answer.
#[test]
fn a_request_that_was_written_does_not_come_back() {
    for begun in ["", "HTTP/1.1 200"] {
        let mut client = Client::start();
        let mut answer = client.send(get());
        assert!(client.poll().is_pending());
        client.wire.send(begun);
        client.wire.end();
        let _ = client.poll();
        let (error, request) = unanswered(&mut answer);
        assert!(
            error.is_incomplete_message() && !error.is_parse(),
            "{error}"
        );
        assert!(request.is_none());
    }
}

/// `src/upstream/connection.rs` promises that a request is abandoned when its future is dropped.
#[test]
fn a_request_whose_answer_nobody_waits_for_ends_the_connection() {
    let mut client = Client::start();
    let answer = client.send(get());
    assert!(client.poll().is_pending());
    drop(answer);
    assert!(is_done(&client.poll()));
}

/// `src/upstream/connection.rs` closes the socket itself, under TLS with a close_notify, when hyper is done because
/// nobody will send more.
#[test]
fn without_a_sender_a_connection_between_two_exchanges_ends_in_order_and_leaves_the_socket_open() {
    let mut client = between_two_exchanges();
    // Another one takes its place.
    client.sender = Client::start().sender;
    assert!(is_done(&client.poll()));
    let wire = client.wire.clone();
    assert_eq!(client.unused(), "");
    assert_eq!(wire.did(), []);
}
