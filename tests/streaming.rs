//! Messages that take their time: passed on as they come, and given up at once when one side leaves.

use std::time::Instant;

use crate::support::AT_ONCE;
use crate::support::Ending;
use crate::support::GET;
use crate::support::LEAVE;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::asked;

/// A poll of a session, as a client of Socket.IO has one under way all the time.
const POLL: &str = "GET /socket.io/?EIO=4&transport=polling&sid=kkRumerAWARXZW80AAAA HTTP/1.1\r\nHost: chat.test\r\n\r\n";

#[tokio::test]
async fn an_upload_is_passed_on_before_it_is_complete() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client
            .send("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.value("content-length"), Some("10"));
        assert_eq!(server.take(5).await, b"hello");
        client.send("world").await;
        assert_eq!(server.take(5).await, b"world");

        let mut client = gate.connect_over(over).await;
        client
            .send("POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        assert_eq!(server.chunk().await, b"hello");
        client.send("5\r\nworld\r\n0\r\n\r\n").await;
        assert_eq!(server.chunk().await, b"world");
        assert_eq!(server.chunk().await, b"");
    }
}

#[tokio::test]
async fn an_answer_is_passed_on_before_it_is_complete() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        assert_eq!(client.head().await.status(), 200);
        for event in ["one", "two", "three"] {
            server
                .send(format!("{:x}\r\n{event}\r\n", event.len()))
                .await;
            assert_eq!(client.chunk().await, event.as_bytes());
        }
        server.send("0\r\n\r\n").await;
        assert_eq!(client.chunk().await, b"");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_upload_reaches_the_client() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 1000000\r\n\r\nhello")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.head.first_line(), answer.text()),
        ("HTTP/1.1 413 Too Much", "much")
    );
}

#[tokio::test]
async fn a_client_that_gives_up_a_long_poll_is_seen_by_the_upstream_at_once() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        for leave in LEAVE {
            let mut client = gate.connect_over(over).await;
            client.send(POLL).await;
            let mut server = upstream.accept().await;
            server.head().await;
            leave(client);
            let began = Instant::now();
            server.rest().await;
            let took = began.elapsed();
            assert!(took < AT_ONCE, "{took:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_ends_a_long_poll_has_given_up() {
    let (gate, mut client, mut server) = asked(POLL).await;
    client.finish().await;
    assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
    assert_eq!(client.rest().await.0, b"");
    let line = gate.log().first("request").await;
    assert_eq!(line["status"], 499);
    assert_eq!(line["reason"], "the client left before the answer");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_stops_it() {
    let (gate, mut client, mut server) = asked(GET).await;
    server
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    client.head().await;
    assert_eq!(client.chunk().await, b"hello");
    client.reset();
    let began = Instant::now();
    server.rest().await;
    assert!(began.elapsed() < AT_ONCE);
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["status"], &line["level"]),
        (&200.into(), &"INFO".into())
    );
    assert_eq!(
        line["reason"],
        "the client left before the end of the answer"
    );
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_upload_stops_it() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for leave in LEAVE {
        let mut client = gate.connect().await;
        client
            .send("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        assert_eq!(server.take(5).await, b"hello");
        let remote = client.tcp().local_addr().unwrap().to_string();
        leave(client);
        let began = Instant::now();
        assert_eq!(server.rest().await.0, b"");
        assert!(began.elapsed() < AT_ONCE);
        gate.log()
            .find("request", |line| line["remote_addr"] == remote.as_str())
            .await;
    }
    // The upstream is not to blame.
    for line in gate.log().all("request") {
        assert_eq!(
            (&line["status"], &line["level"]),
            (&400.into(), &"INFO".into())
        );
        assert_eq!(
            line["reason"],
            "refused: a body that breaks off or has malformed chunks"
        );
    }
    assert_eq!(gate.log().all("request").len(), 2);
}
