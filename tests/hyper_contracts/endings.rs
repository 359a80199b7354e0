//! How hyper ends the connection of a client.

use std::task::Poll;

use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::hyper_contracts::Did;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::head_timeout::waiting_with_an_answer_to_write;
use crate::hyper_contracts::is_done;
use crate::hyper_contracts::ok;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

fn last_answer() -> [Did; 3] {
    [Did::Write(LAST.to_owned()), Did::Flush, Did::Shutdown]
}

/// `src/listener/hyper_driver.rs` asks hyper for a graceful shutdown when the process drains, also where hyper waits for the next head
/// while the end of an answer is not out yet.
#[test]
fn a_graceful_shutdown_between_two_requests_writes_what_is_left_first() {
    let mut server = waiting_with_an_answer_to_write();
    server.graceful_shutdown();
    assert!(server.poll().is_pending());
    assert_eq!(server.wire.did(), []);
    server.wire.set_room(usize::MAX);
    assert!(is_done(&server.poll()));
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(
        server.wire.did(),
        [Did::Write(answer.to_owned()), Did::Flush, Did::Shutdown]
    );
}

/// `src/listener/hyper_driver.rs` asks hyper for a graceful shutdown when the process drains, and the answer that is
/// under way still arrives.
#[test]
fn a_graceful_shutdown_makes_the_answer_under_way_the_last_one() {
    let mut server = Server::start();
    drop(server.request(GET));
    server.graceful_shutdown();
    assert!(server.poll().is_pending());
    assert!(is_done(&server.answer(ok(Words::whole("ok")))));
    assert_eq!(server.wire.did(), last_answer());
}

/// `src/listener/hyper_driver.rs` asks hyper for a graceful shutdown when the process drains, and a first request of
/// which a part has come is still answered.
#[test]
fn a_graceful_shutdown_waits_for_the_first_head_if_it_has_begun() {
    let mut server = Server::start();
    let (begun, rest) = GET.split_at(9);
    server.wire.send(begun);
    assert!(server.poll().is_pending());
    server.graceful_shutdown();
    assert!(server.poll().is_pending());
    drop(server.request(rest));
    assert!(is_done(&server.answer(ok(Words::whole("ok")))));
    assert_eq!(server.wire.did(), last_answer());
}

/// `src/listener/hyper_driver.rs` asks hyper for a graceful shutdown only when no upgrade request is under way, because
/// clients may refuse a 101 whose Connection field says `close`.
#[test]
fn a_graceful_shutdown_writes_close_into_a_101_too() {
    let mut server = Server::start();
    drop(
        server.request(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
    );
    server.graceful_shutdown();
    let mut answer = ok(Words::none());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = HeaderValue::from_static("Upgrade");
    answer.headers_mut().insert(header::CONNECTION, upgrade);
    assert!(server.answer(answer).is_ready());
    let written = server.wire.written();
    assert!(
        written.contains("\r\nConnection: Upgrade, close\r\n"),
        "{written}"
    );
}

/// `src/listener/hyper_driver.rs` turns keep-alive off when the process drains and an answer is ready before hyper reads
/// its request.
#[test]
fn without_keep_alive_the_first_answer_is_the_last_one() {
    let mut server = Server::with(|builder| {
        builder.keep_alive(false);
    });
    drop(server.request(GET));
    assert!(is_done(&server.answer(ok(Words::whole("ok")))));
    assert_eq!(server.wire.did(), last_answer());
}

/// `src/proxy/refusal.rs` writes `Connection: close` into the answer to a request behind which another one could be
/// misread, and relies on hyper to read no further.
#[test]
fn an_answer_that_says_close_is_the_last_one() {
    let mut server = Server::start();
    drop(server.request(&format!("{GET}{GET}")));
    let mut answer = ok(Words::whole("ok"));
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    assert!(is_done(&server.answer(answer)));
    assert_eq!(server.wire.did(), last_answer());
    assert!(server.next_request().is_none());
}

/// `src/listener/hyper_driver.rs` takes hyper apart in the middle of an answer when the process ends at once, and breaks
/// the socket off itself.
#[test]
fn a_connection_can_be_taken_apart_in_the_middle_of_an_answer() {
    let mut server = Server::start();
    drop(server.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
    let words = Words::open(None);
    words.say("ok");
    assert!(server.answer(ok(words)).is_pending());
    let wire = server.wire.clone();
    wire.did();
    let _ = server.unused();
    assert_eq!(wire.did(), []);
}

/// `src/listener/hyper_driver.rs` polls hyper again behind a refused upgrade without knowing whether the end was reported
/// too early.
#[test]
fn a_connection_that_has_ended_may_be_polled_again() {
    let mut server = Server::start();
    drop(server.request("GET / HTTP/1.0\r\nHost: a\r\nUpgrade: x\r\n\r\n"));
    assert!(is_done(&server.answer(ok(Words::none()))));
    assert!(is_done(&server.poll()));
}

/// `src/listener/presence.rs` looks for a client's end itself while an answer is owed to it: hyper neither looks, nor reads what comes
/// before its time.
#[test]
fn nothing_is_read_while_an_answer_is_owed() {
    let mut server = Server::start();
    drop(server.request(GET));
    server.wire.send("early");
    server.wire.end();
    assert!(server.poll().is_pending());
    assert_eq!(server.wire.unread(), "early");
    assert!(server.answer(ok(Words::whole("ok"))).is_ready());
    assert!(server.wire.written().ends_with("\r\n\r\nok"));
}

/// `src/listener/client_socket.rs` takes what hyper writes while no answer is under way for a refusal of hyper's, keeps it back together
/// with the end behind it, and finds that an answer was flushed before hyper reads on.
#[test]
fn a_head_that_cannot_be_read_is_answered_ended_and_then_reported() {
    for before in [false, true] {
        let mut server = Server::start();
        if before {
            drop(server.request(GET));
            assert!(server.answer(ok(Words::whole("ok"))).is_pending());
            assert_eq!(server.wire.did().last(), Some(&Did::Flush));
        }
        server.wire.send("GET /< HTTP/1.1\r\n\r\n");
        let Poll::Ready(Err(error)) = server.poll() else {
            panic!("no error");
        };
        assert!(error.is_parse());
        let [Did::Write(refusal), Did::Flush, Did::Shutdown] = &server.wire.did()[..] else {
            panic!("something else");
        };
        assert!(refusal.starts_with("HTTP/1.1 400 "), "{refusal}");
    }
}

/// `src/listener/hyper_driver.rs` writes an answer to HTTP/2 itself, since hyper leaves it without one.
#[test]
fn http_2_gets_no_answer() {
    let mut server = Server::start();
    server.wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let Poll::Ready(Err(error)) = server.poll() else {
        panic!("no error");
    };
    assert!(error.is_parse_version_h2());
    assert_eq!(server.wire.written(), "");
}
