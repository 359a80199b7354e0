//! How hyper writes answers.

use http::HeaderValue;
use http::Response;
use http::header;

use crate::hyper_contracts::Client;
use crate::hyper_contracts::Did;
use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::error;
use crate::hyper_contracts::is_done;
use crate::hyper_contracts::ok;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// `src/http1/answer.rs` writes answers without hyper, and must add as little: both ways of a request are to
/// look alike.
#[test]
fn nothing_is_added_to_an_answer_but_its_length() {
    let mut server = Server::start();
    drop(server.request(GET));
    assert!(server.answer(ok(Words::whole("ok"))).is_pending());
    assert_eq!(
        server.wire.written(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    );
}

/// `src/http1/respelled.rs` looks for a head in the first bytes that are written once `src/listener/hyper_driver.rs` has
/// handed an answer to hyper, and takes them for all of it.
#[test]
fn the_first_write_behind_an_answer_has_its_whole_head_and_begins_with_it() {
    let mut server = Server::start();
    for body in ["ok", "well"] {
        drop(server.request(GET));
        assert_eq!(server.wire.did(), []);
        assert!(server.answer(ok(Words::whole(body))).is_pending());
        let length = body.len();
        let message = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        assert_eq!(server.wire.did(), [Did::Write(message), Did::Flush]);
    }
    drop(server.request(GET));
    server.wire.set_room(3);
    assert!(server.answer(ok(Words::open(Some(2)))).is_pending());
    assert_eq!(server.wire.did(), [Did::Write("HTT".to_owned())]);
    server.wire.set_room(usize::MAX);
    assert!(server.poll().is_pending());
    let rest = "P/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_owned();
    assert_eq!(server.wire.did(), [Did::Write(rest), Did::Flush]);
}

/// `src/proxy/answer.rs` hands the parts of an upstream's answer to hyper's server whole, since their extensions hold how
/// the upstream spelled the names. `src/http1/mod.rs` spells them alike without hyper.
#[test]
fn names_go_to_the_client_as_the_upstream_wrote_them_and_ours_in_title_case() {
    let mut client = Client::start();
    let answer = client
        .answer_to_get("HTTP/1.1 200 OK\r\nx-ODD: 1\r\nX-Odd: 2\r\ncontent-LENGTH: 2\r\n\r\nok");
    let (mut head, _) = answer.into_parts();
    head.headers
        .insert("x-of-ours", HeaderValue::from_static("3"));
    let mut server = Server::start();
    drop(server.request(GET));
    let words = Words::whole("ok");
    assert!(
        server
            .answer(Response::from_parts(head, words))
            .is_pending()
    );
    let written = server.wire.written();
    for line in ["x-ODD: 1", "X-Odd: 2", "content-LENGTH: 2", "X-Of-Ours: 3"] {
        assert!(written.contains(&format!("\r\n{line}\r\n")), "{written}");
    }
}

/// `src/proxy/answer.rs` hands the parts of an upstream's answer to hyper's server whole, since their extensions hold its
/// reason phrase. `src/http1/answer.rs` passes the phrase on without hyper.
#[test]
fn a_reason_phrase_goes_to_the_client_with_the_parts_of_the_answer() {
    let mut client = Client::start();
    let answer = client.answer_to_get("HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n");
    let mut server = Server::start();
    drop(server.request(GET));
    assert!(server.answer(answer.map(|_| Words::none())).is_pending());
    let written = server.wire.written();
    assert!(written.starts_with("HTTP/1.1 200 Fine\r\n"), "{written}");
}

/// `src/http1/mod.rs` writes a space behind the colon of an empty field in an answer, because hyper does, and none
/// in a request.
#[test]
fn a_field_without_a_value_has_a_space_in_an_answer() {
    let mut server = Server::start();
    drop(server.request(GET));
    let mut answer = ok(Words::none());
    answer
        .headers_mut()
        .insert("x-empty", HeaderValue::from_static(""));
    assert!(server.answer(answer).is_pending());
    let written = server.wire.written();
    assert!(written.contains("\r\nX-Empty: \r\n"), "{written}");
}

/// `src/decision/response.rs` takes `Transfer-Encoding` out of an upstream's answer and relies on hyper's server to put
/// the body into chunks again.
#[test]
fn an_answer_without_a_length_is_in_chunks() {
    let mut server = Server::start();
    drop(server.request(GET));
    let words = Words::open(None);
    words.say("ok");
    words.end();
    assert!(server.answer(ok(words)).is_pending());
    assert_eq!(
        server.wire.written(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    );
}

/// `src/proxy/answer.rs` notes that such an answer is ended by the end of the connection alone, so that
/// `src/listener/hyper_driver.rs` does not close in order what broke off.
#[test]
fn an_answer_without_a_length_to_http_1_0_ends_with_the_connection() {
    let mut server = Server::start();
    drop(server.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
    let words = Words::open(None);
    words.say("ok");
    words.end();
    assert!(is_done(&server.answer(ok(words))));
    let did = server.wire.did();
    let text = "HTTP/1.0 200 OK\r\n\r\nok".to_owned();
    assert_eq!(did, [Did::Write(text), Did::Flush, Did::Shutdown]);
}

/// `src/decision/response.rs` keeps the Content-Length of an answer to HEAD, which says what a GET would get (RFC 9110
/// §9.3.2).
#[test]
fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let mut server = Server::start();
    drop(server.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut answer = ok(Words::none());
    let length = HeaderValue::from_static("5");
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    assert!(server.answer(answer).is_pending());
    assert_eq!(
        server.wire.written(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    );
}

/// `src/proxy/answer_body.rs` streams: a client gets each part of an answer when the upstream sends it.
#[test]
fn each_part_of_a_body_goes_out_before_the_next_one_is_there() {
    let mut server = Server::start();
    drop(server.request(GET));
    let words = Words::open(None);
    assert!(server.answer(ok(words.clone())).is_pending());
    assert!(server.wire.written().ends_with("\r\n\r\n"));
    words.say("ok");
    assert!(server.poll().is_pending());
    let chunk = Did::Write("2\r\nok\r\n".to_owned());
    assert_eq!(server.wire.did(), [chunk, Did::Flush]);
}

/// `src/proxy/answer_body.rs` streams at the pace of the slower side: hyper must not fill its memory with what a client
/// does not read.
#[test]
fn a_body_is_asked_for_no_more_than_the_client_takes_and_a_buffer_holds() {
    let mut server = Server::start();
    drop(server.request(GET));
    server.wire.set_room(0);
    let words = Words::open(None);
    let part = "x".repeat(1024);
    for _ in 0..1024 {
        words.say(&part);
    }
    assert!(server.answer(ok(words.clone())).is_pending());
    for _ in 0..8 {
        assert!(server.poll().is_pending());
    }
    let taken = (1024 - words.waiting()) * part.len();
    assert!(taken <= 2 * MAX_HEAD, "{taken}");
    server.wire.set_room(usize::MAX);
    for _ in 0..64 {
        assert!(server.poll().is_pending());
    }
    assert_eq!(words.waiting(), 0);
}

/// `src/proxy/answer_body.rs` gives the upstream's connection back when the body is dropped, since nobody may have
/// asked the body for its end.
#[test]
fn a_body_of_known_length_is_not_asked_for_its_end() {
    let mut server = Server::start();
    drop(server.request(GET));
    let words = Words::whole("ok");
    assert!(server.answer(ok(words.clone())).is_pending());
    assert_eq!(words.polls(), 1);
}

/// `src/listener/hyper_driver.rs` ends the connection itself when an upstream's answer breaks off: in order where the
/// client can see that something is missing, and with a reset where an end in order would make the answer look whole.
#[test]
fn an_answer_that_breaks_off_is_the_services_error_and_the_socket_stays_open() {
    for (head, begun) in [
        (GET, "2\r\nok\r\n"),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "ok"),
    ] {
        let mut server = Server::start();
        drop(server.request(head));
        let words = Words::open(None);
        words.say("ok");
        assert!(server.answer(ok(words.clone())).is_pending());
        words.break_off();
        let error = error(server.poll());
        assert!(error.is_user() && !error.is_parse(), "{error}");
        let did = server.wire.did();
        let [Did::Write(text), Did::Flush] = did.as_slice() else {
            panic!("no shutdown, and no end of the body: {did:?}");
        };
        assert!(text.ends_with(begun), "{text}");
    }
}
