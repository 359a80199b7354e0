//! Whose fault it was, and what the client is told: faults of the client's are never put on the upstream.

use crate::support::AT_ONCE;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use tokio::time::timeout;

#[tokio::test]
async fn a_malformed_chunk_is_the_clients_400() {
    let upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    let answer = client
        .ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nwhat\r\n")
        .await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.text(),
        "wsgate: a body that breaks off or has malformed chunks\n"
    );
    assert_eq!(answer.head.value("connection"), Some("close"));
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["level"], &line["status"]),
        (&"INFO".into(), &400.into())
    );
}

#[tokio::test]
async fn an_upload_whose_rest_does_not_come_is_the_clients_408() {
    let upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("body_timeout: 300ms")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    let answer = client
        .ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    assert_eq!(answer.status(), 408);
    let why = "a body of which nothing more came within 300ms (`body_timeout`)";
    assert_eq!(answer.text(), format!("wsgate: {why}\n"));
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["level"], &line["status"]),
        (&"INFO".into(), &408.into())
    );
    assert_eq!(line["reason"], format!("refused: {why}"));
}

#[tokio::test]
async fn a_head_that_cannot_be_read_has_its_line_in_the_log() {
    let upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    assert_eq!(client.ask("G\u{1}RBAGE\r\n\r\n").await.status(), 400);
    let line = gate.log().first("request").await;
    assert_eq!(line["status"], 400);
    assert_eq!(line["request"], "G%01RBAGE");
    assert_eq!(line["reason"], "refused: invalid HTTP method parsed");
}

#[tokio::test]
async fn lengths_that_differ_are_refused_also_where_no_body_follows() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for (lengths, status, passed) in [
        ("Content-Length: 5, 5\r\n", 200, Some("5")),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 200, Some("5")),
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            502,
            Some("61"),
        ),
        ("Content-Length: five\r\n", 502, Some("61")),
    ] {
        let mut client = gate.connect().await;
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.request().await;
        server
            .send(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.status(), status, "{lengths}");
        assert_eq!(head.value("content-length"), passed, "{lengths}");
    }
}

/// A WebSocket client that compares the whole line would not see its upgrade in `Upgrade, close`.
#[tokio::test]
async fn a_101_during_a_drain_says_upgrade_and_nothing_else() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    server.head().await;
    gate.signal("TERM");
    gate.log().first("draining").await;
    server.send(SWITCHING).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("connection"), ["Upgrade"]);
}

#[tokio::test]
async fn a_refused_upgrade_during_a_drain_is_the_last_answer() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    server.head().await;
    gate.signal("TERM");
    gate.log().first("draining").await;
    server
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await;
    assert_eq!(client.answer().await.text(), "no");
    let finished = timeout(AT_ONCE, gate.finished()).await;
    assert_eq!(finished.expect("at once").status.code(), Some(0));
}

#[tokio::test]
async fn a_signal_right_behind_the_words_of_the_start_drains() {
    let upstream = Upstream::scripted().await;
    for _ in 0..10 {
        let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
        gate.signal("TERM");
        assert_eq!(gate.finished().await.status.code(), Some(0));
    }
}
