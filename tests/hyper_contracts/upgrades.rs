//! How hyper ends where a tunnel begins, on both sides, and where one was asked for and refused.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::hyper_contracts::Client;
use crate::hyper_contracts::Did;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::answered;
use crate::hyper_contracts::get;
use crate::hyper_contracts::is_done;
use crate::hyper_contracts::ok;

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn switching() -> Response<Words> {
    let mut answer = ok(Words::none());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer
}

/// `src/listener/hyper_driver.rs` takes hyper apart when it is done behind a 101, and the tunnel begins.
#[test]
fn behind_a_101_the_server_is_done_and_leaves_the_socket_open() {
    let mut server = Server::start();
    drop(server.request(UPGRADE));
    assert!(is_done(&server.answer(switching())));
    let did = server.wire.did();
    assert_eq!(did, [Did::Write(SWITCHING.to_owned()), Did::Flush]);
}

/// `src/listener/hyper_driver.rs` takes hyper apart when it is done behind a 101. What was left of the 101 then would be
/// lost, and the client would read the tunnel's first bytes in its place.
#[test]
fn a_101_is_not_done_before_all_of_it_is_written() {
    let mut server = Server::start();
    drop(server.request(UPGRADE));
    server.wire.set_room(10);
    assert!(server.answer(switching()).is_pending());
    assert!(server.poll().is_pending());
    server.wire.set_room(usize::MAX);
    assert!(is_done(&server.poll()));
    let written = server.wire.written();
    assert_eq!(written, SWITCHING);
}

/// `src/listener/hyper_driver.rs` gives the tunnel what hyper read behind the upgrade request, and the tunnel reads on
/// from the socket.
#[test]
fn behind_a_101_the_server_gives_back_what_it_read_and_has_read_no_more() {
    let mut server = Server::start();
    drop(server.request(&format!("{UPGRADE}early")));
    server.wire.send("late");
    assert!(is_done(&server.answer(switching())));
    let wire = server.wire.clone();
    assert_eq!(server.unused(), "early");
    assert_eq!(wire.unread(), "late");
}

/// A request that begins like this, and has a body of which a part is missing, so that the connection ends behind its
/// answer.
fn upload(begins: &str) -> String {
    format!("{begins}Host: a\r\nContent-Length: 5\r\n\r\nhell")
}

/// `src/listener/hyper_requests.rs` notes which requests have an Upgrade line or are a CONNECT, and polls hyper again where nothing
/// came of one, so that the end of the answer is not cut off.
#[test]
fn a_refused_upgrade_is_reported_as_done_while_its_answer_waits_and_polled_again_it_goes_out() {
    for begins in [
        "POST / HTTP/1.1\r\nUpgrade: x\r\n",
        "CONNECT a:80 HTTP/1.1\r\n",
    ] {
        let mut server = Server::start();
        drop(server.request(&upload(begins)));
        server.wire.set_room(10);
        let mut answer = ok(Words::whole("no"));
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        assert!(is_done(&server.answer(answer)), "{begins}");
        assert_eq!(server.wire.written(), "HTTP/1.1 4", "{begins}");
        server.wire.set_room(usize::MAX);
        assert!(is_done(&server.poll()), "{begins}");
        let did = server.wire.did();
        let [Did::Write(rest), Did::Flush, Did::Shutdown] = did.as_slice() else {
            panic!("the rest, and then the end: {did:?}");
        };
        assert!(rest.ends_with("\r\n\r\nno"), "{rest}");
    }
}

/// `src/listener/hyper_driver.rs` polls hyper again behind refused upgrades only, since every other answer is written
/// before hyper is done.
#[test]
fn an_answer_to_no_upgrade_is_not_done_while_it_waits() {
    let mut server = Server::start();
    drop(server.request(&upload("POST / HTTP/1.1\r\n")));
    server.wire.set_room(10);
    assert!(server.answer(ok(Words::whole("ok"))).is_pending());
    assert!(server.poll().is_pending());
    server.wire.set_room(usize::MAX);
    assert!(is_done(&server.poll()));
    assert_eq!(server.wire.did().last(), Some(&Did::Shutdown));
}

/// `src/proxy/refusal.rs` refuses an upgrade with an ordinary answer, behind which the client may send another request.
#[test]
fn behind_a_refused_upgrade_the_connection_goes_on() {
    let mut server = Server::start();
    drop(server.request(UPGRADE));
    assert!(server.answer(ok(Words::whole("no"))).is_pending());
    let next = server.request("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next.uri(), "/next");
}

/// `src/upstream/connection.rs` takes hyper apart when it is done behind a 101, and gives the tunnel what hyper read
/// behind that head.
#[test]
fn behind_a_101_the_client_is_done_and_gives_back_what_it_read() {
    let mut client = Client::start();
    let mut answer = client.send(get());
    assert!(client.poll().is_pending());
    client.wire.did();
    client.wire.send(format!("{SWITCHING}early"));
    assert!(is_done(&client.poll()));
    assert_eq!(answered(&mut answer).status(), 101);
    let wire = client.wire.clone();
    wire.send("late");
    assert_eq!(client.unused(), "early");
    assert_eq!(wire.unread(), "late");
    assert_eq!(wire.did(), []);
}

/// `src/upstream/connection.rs` gives the socket back only behind a 101, and keeps the connection behind any other
/// answer.
#[test]
fn an_upgrade_that_the_upstream_refuses_is_an_answer_like_any_other() {
    let mut client = Client::start();
    let mut request = get();
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let mut answer = client.send(request);
    assert!(client.poll().is_pending());
    client
        .wire
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    assert!(client.poll().is_pending());
    assert_eq!(answered(&mut answer).status(), 403);
    assert!(client.sender.is_ready());
}
