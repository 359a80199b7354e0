//! How hyper writes requests.

use std::error::Error;
use std::io;

use http::HeaderValue;
use http::Method;
use http::Request;
use http::header;

use crate::hyper_contracts::Client;
use crate::hyper_contracts::Did;
use crate::hyper_contracts::MAX_HEAD;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::answered;
use crate::hyper_contracts::get;
use crate::hyper_contracts::unanswered;

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn post(length: Option<&str>, body: Words) -> Request<Words> {
    let mut request = get().map(|_| body);
    *request.method_mut() = Method::POST;
    if let Some(length) = length {
        let length = HeaderValue::from_str(length).unwrap();
        request.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    request
}

/// `src/http1/request.rs` writes the same bytes without hyper. `src/stream/rewound.rs` swallows what hyper
/// writes up to the first flush, which must be this request and nothing of another one.
#[test]
fn a_request_without_a_body_is_written_as_it_is_and_flushed_once() {
    let mut client = Client::start();
    let _answer = client.send(get());
    assert!(client.poll().is_pending());
    let did = [Did::Write(PLAIN.to_owned()), Did::Flush];
    assert_eq!(client.wire.did(), did);
    assert!(client.poll().is_pending());
    assert_eq!(client.wire.did(), []);
}

/// `src/http1/respelled.rs` looks for a head in the first bytes that are written behind a flush, and takes them for all of it.
#[test]
fn the_first_write_behind_a_flush_has_a_whole_head_and_begins_with_it() {
    let mut client = Client::start();
    let mut answer = client.send(post(Some("2"), Words::whole("ok")));
    assert!(client.poll().is_pending());
    let did = client.wire.did();
    let [Did::Write(message), Did::Flush] = did.as_slice() else {
        panic!("one message: {did:?}");
    };
    assert!(message.starts_with("POST / HTTP/1.1\r\n"), "{message}");
    assert!(message.ends_with("\r\n\r\nok"), "{message}");
    client.wire.send(OK);
    assert!(client.poll().is_pending());
    drop(answered(&mut answer));
    let _answer = client.send(get());
    assert!(client.poll().is_pending());
    assert_eq!(
        client.wire.did(),
        [Did::Write(PLAIN.to_owned()), Did::Flush]
    );
}

/// `src/stream/rewound.rs` takes the first flush for the end of the head, however long the head is.
#[test]
fn a_head_is_not_flushed_before_all_of_it_is_written() {
    let mut client = Client::start();
    let mut request = get();
    let long = "x".repeat(2 * MAX_HEAD);
    let value = HeaderValue::from_str(&long).unwrap();
    request.headers_mut().insert("x-long", value);
    let _answer = client.send(request);
    client.wire.set_room(1000);
    assert!(client.poll().is_pending());
    let did = client.wire.did();
    assert!(matches!(did.as_slice(), [Did::Write(_)]), "{did:?}");
    client.wire.set_room(usize::MAX);
    assert!(client.poll().is_pending());
    let did = client.wire.did();
    let [Did::Write(rest), Did::Flush] = did.as_slice() else {
        panic!("the rest, and then a flush: {did:?}");
    };
    assert!(rest.ends_with("x\r\n\r\n"));
}

/// `src/stream/rewound.rs` can swallow only a request without a body, because hyper may flush between head and body, so
/// `src/proxy/exchange.rs` tells hyper of no body there.
#[test]
fn a_head_is_flushed_before_a_body_that_is_not_there_yet() {
    let mut client = Client::start();
    let words = Words::open(Some(2));
    let _answer = client.send(post(Some("2"), words.clone()));
    assert!(client.poll().is_pending());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    let did = [Did::Write(head.to_owned()), Did::Flush];
    assert_eq!(client.wire.did(), did);
    words.say("ok");
    words.end();
    assert!(client.poll().is_pending());
    let did = [Did::Write("ok".to_owned()), Did::Flush];
    assert_eq!(client.wire.did(), did);
}

/// `src/stream/rewound.rs` lets hyper read an answer that has come already only when hyper has written the request once
/// more.
#[test]
fn an_answer_that_is_there_before_its_request_is_an_error() {
    let mut client = Client::start();
    client.wire.send(OK);
    let mut answer = client.send(get());
    let _ = client.poll();
    let (error, request) = unanswered(&mut answer);
    assert!(error.is_canceled(), "{error}");
    assert!(request.is_some());
    assert_eq!(client.wire.did(), []);
    // Behind the request it is its answer.
    let mut client = Client::start();
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.send(OK);
    assert!(client.poll().is_pending());
    assert_eq!(answered(&mut answer).status(), 200);
}

/// `src/proxy/through_hyper.rs` hands the parts of a client's request to hyper's client whole, since their extensions hold how
/// the client spelled the names. `src/http1/mod.rs` spells them alike without hyper.
#[test]
fn names_go_to_the_upstream_as_the_client_wrote_them_and_ours_in_title_case() {
    let mut server = Server::start();
    let request = server.request("GET / HTTP/1.1\r\nhOST: a\r\nx-ODD: 1\r\nX-Odd: 2\r\n\r\n");
    let (mut head, _) = request.into_parts();
    let value = HeaderValue::from_static("3");
    head.headers.insert("x-of-ours", value);
    let mut client = Client::start();
    let _answer = client.send(Request::from_parts(head, Words::none()));
    assert!(client.poll().is_pending());
    let written = client.wire.written();
    for line in ["hOST: a", "x-ODD: 1", "X-Odd: 2", "X-Of-Ours: 3"] {
        assert!(written.contains(&format!("\r\n{line}\r\n")), "{written}");
    }
}

/// `src/http1/request.rs` writes no space behind the colon of an empty field in a request, because hyper writes
/// none.
#[test]
fn a_field_without_a_value_has_no_space_in_a_request() {
    let mut server = Server::start();
    let request = server.request("GET / HTTP/1.1\r\nHost: a\r\nX-Empty: \r\n\r\n");
    let mut client = Client::start();
    let _answer = client.send(request.map(|_| Words::none()));
    assert!(client.poll().is_pending());
    let written = client.wire.written();
    assert!(written.contains("\r\nX-Empty:\r\n"), "{written}");
}

/// `src/decision/request.rs` writes `Transfer-Encoding` into the head of a request in chunks, because hyper would leave
/// the body of a GET out without it.
#[test]
fn a_get_has_its_chunks_only_if_its_head_names_them() {
    let written = |coding: Option<&'static str>| {
        let words = Words::open(None);
        words.say("ok");
        words.end();
        let mut request = get().map(|_| words);
        if let Some(coding) = coding {
            let coding = HeaderValue::from_static(coding);
            let headers = request.headers_mut();
            headers.insert(header::TRANSFER_ENCODING, coding);
        }
        let mut client = Client::start();
        let _answer = client.send(request);
        assert!(client.poll().is_pending());
        client.wire.written()
    };
    assert_eq!(written(None), PLAIN);
    assert_eq!(
        written(Some("chunked")),
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    );
}

/// `src/proxy/request_body.rs` lets a client be silent for as long as the upstream takes nothing, which it knows by not
/// being asked for more.
#[test]
fn a_body_is_asked_for_no_more_than_the_upstream_takes_and_a_buffer_holds() {
    let mut client = Client::start();
    let words = Words::open(None);
    let part = "x".repeat(1024);
    for _ in 0..1024 {
        words.say(&part);
    }
    client.wire.set_room(0);
    let _answer = client.send(post(None, words.clone()));
    for _ in 0..8 {
        assert!(client.poll().is_pending());
    }
    let taken = (1024 - words.waiting()) * part.len();
    assert!(taken <= 2 * MAX_HEAD, "{taken}");
    let polls = words.polls();
    assert!(client.poll().is_pending());
    assert_eq!(words.polls(), polls);
}

/// `src/proxy/exchange.rs` keeps a request's body with its connection, because the body may still be on its way when
/// the answer is over.
#[test]
fn an_answer_may_come_before_the_end_of_the_body_which_goes_on() {
    let mut client = Client::start();
    let words = Words::open(Some(2));
    words.say("o");
    let mut answer = client.send(post(Some("2"), words.clone()));
    assert!(client.poll().is_pending());
    client.wire.send(OK);
    assert!(client.poll().is_pending());
    assert_eq!(answered(&mut answer).status(), 200);
    assert!(!client.sender.is_ready());
    client.wire.did();
    words.say("k");
    words.end();
    assert!(client.poll().is_pending());
    let did = [Did::Write("k".to_owned()), Did::Flush];
    assert_eq!(client.wire.did(), did);
    assert!(client.sender.is_ready());
}

/// `src/proxy/exchange.rs` answers the client whose body broke off, and `src/upstream/connection.rs` must not end the
/// body for the upstream.
#[test]
fn a_body_that_breaks_off_ends_the_connection_and_the_request_does_not_come_back() {
    let mut client = Client::start();
    let words = Words::open(None);
    words.say("ok");
    let mut answer = client.send(post(None, words.clone()));
    assert!(client.poll().is_pending());
    let written = client.wire.written();
    assert!(written.ends_with("\r\n2\r\nok\r\n"), "{written}");
    words.break_off();
    assert!(client.poll().is_ready());
    let (error, request) = unanswered(&mut answer);
    assert!(error.is_user() && request.is_none(), "{error}");
    let source = error.source().expect("a source");
    assert!(source.is::<io::Error>(), "{source}");
    assert_eq!(client.wire.written(), "");
}
