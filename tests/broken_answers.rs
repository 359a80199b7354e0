//! Answers that cannot be passed on, or break off.

use crate::support::Ending;
use crate::support::GET;
use crate::support::LEAVE;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::asked;
use crate::support::passed_on;

/// Answers that a client could understand differently from us, or not at all.
#[tokio::test]
async fn answers_that_are_no_clear_http_are_502() {
    let long = "a".repeat(200 * 1024);
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "is not passed on: its answer has both Content-Length and Transfer-Encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            "is not passed on: its answer has a transfer coding other than `chunked`",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "is not passed on: its answer has a transfer coding before `chunked`",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "is not passed on: its answer has the transfer coding `chunked` twice",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello",
            "is not passed on: its answer has a transfer coding behind `chunked`",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;x\r\n\r\nhello",
            "is not passed on: its answer has the transfer coding `chunked` with a parameter",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-Bad : 1\r\nContent-Length: 5\r\n\r\nhello",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "HTTP/1.1 20 OK\r\n\r\n",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "HTTP/2.0 200 OK\r\n\r\n",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "\x15\x03\x03\x00\x02\x02\x16",
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            &format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\n\r\n"),
            "gave an answer that is not HTTP/1.1: ",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-Half: ",
            "closed the connection without an answer",
        ),
        ("", "closed the connection without an answer"),
    ];
    for (answer, reason) in cases {
        println!("{answer:.80}");
        let (gate, mut client, mut server) = asked(GET).await;
        let _ = server.try_send(answer).await;
        server.finish().await;
        let told = client.answer().await;
        assert_eq!(told.status(), 502);
        assert_eq!(told.head.names(), ["Content-Length", "Content-Type"]);
        let line = told.text();
        assert!(
            line.starts_with("wsgate: the upstream gave ") && line.ends_with('\n'),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
        let line = gate.log().first("request").await;
        assert_eq!(
            (&line["level"], &line["status"]),
            (&"WARN".into(), &502.into())
        );
        let said = line["reason"].as_str().unwrap();
        assert!(said.starts_with("upstream 127.0.0.1:"), "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(server.rest().await.0, b"", "the upstream's connection ends");
    }
}

#[tokio::test]
async fn an_answer_with_two_equal_lengths_goes_on_with_one() {
    for lengths in ["5\r\nContent-Length: 5", "5, 5"] {
        let answer = passed_on(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\nhello"
        ))
        .await;
        assert_eq!(answer.head.values("content-length"), ["5"]);
        assert_eq!(answer.text(), "hello");
    }
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_is_never_complete_at_the_client() {
    for leave in LEAVE {
        // By length: too short.
        let (gate, mut client, mut server) = asked(GET).await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        assert_eq!(client.head().await.value("content-length"), Some("10"));
        assert_eq!(client.take(5).await, b"hello");
        leave(server);
        assert_eq!(client.rest().await.0, b"");
        is_logged_as_cut(&gate).await;

        // In chunks: without the last one.
        let (gate, mut client, mut server) = asked(GET).await;
        server
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
        client.head().await;
        assert_eq!(client.chunk().await, b"hello");
        leave(server);
        assert_eq!(client.rest().await.0, b"");
        is_logged_as_cut(&gate).await;
    }

    // By the connection's end: a reset is no end.
    let (gate, mut client, mut server) = asked(GET).await;
    server.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    client.head().await;
    assert_eq!(client.chunk().await, b"hello");
    server.reset();
    assert_eq!(client.rest().await.0, b"");
    is_logged_as_cut(&gate).await;

    // In the middle of a chunk.
    let (gate, mut client, mut server) = asked(GET).await;
    server
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        .await;
    client.head().await;
    server.vanish();
    let (rest, _) = client.rest().await;
    assert!(!rest.windows(5).any(|end| end == b"0\r\n\r\n"), "{rest:?}");
    is_logged_as_cut(&gate).await;
}

/// Its end is the connection's, since HTTP/1.0 has no chunks: one in order would make it whole.
#[tokio::test]
async fn an_answer_cut_in_the_middle_is_not_complete_for_a_client_of_http_1_0_either() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for (over, wanted) in [(Over::Ws, Ending::Reset), (Over::Wss, Ending::Cut)] {
        let mut client = gate.connect_over(over).await;
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        assert_eq!(client.head().await.names(), ["Connection"]);
        assert_eq!(client.take(5).await, b"hello");
        server.reset();
        assert_eq!(client.rest().await, (Vec::new(), wanted));
    }
}

#[tokio::test]
async fn nor_is_one_that_the_end_of_a_drain_cuts() {
    let mut upstream = Upstream::scripted().await;
    for (over, wanted) in [(Over::Ws, Ending::Reset), (Over::Wss, Ending::Cut)] {
        let mut gate = TestServer::setup()
            .top("drain_timeout: 200ms")
            .tls()
            .route("/", &upstream)
            .start()
            .await;
        let mut client = gate.connect_over(over).await;
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        client.head().await;
        assert_eq!(client.take(5).await, b"hello");
        gate.signal("TERM");
        assert_eq!(client.rest().await, (Vec::new(), wanted));
    }
}

#[tokio::test]
async fn why_an_answer_was_cut_is_said_without_tls_where_there_is_none() {
    let (gate, mut client, mut server) = asked(GET).await;
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    client.head().await;
    server.vanish();
    client.rest().await;
    let line = gate.log().first("request").await;
    assert_eq!(
        line["reason"],
        "the upstream's answer broke off: the connection ended"
    );
}

async fn is_logged_as_cut(gate: &TestServer) {
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["level"], &line["status"]),
        (&"WARN".into(), &200.into())
    );
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the upstream's answer broke off: "),
        "{reason}"
    );
}
