//! What an upstream answers, on its way to the client.

use crate::support::GET;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::asked;
use crate::support::passed_on;

#[tokio::test]
async fn an_answer_with_a_length_is_passed_on_as_it_is() {
    let answer = passed_on(
        "HTTP/1.1 200 OK\r\n\
         content-TYPE: text/plain\r\n\
         Content-Length: 5\r\n\
         Set-Cookie: io=1; Path=/\r\n\
         Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Server: Express\r\n\
         Set-Cookie: route=2; Path=/\r\n\
         Access-Control-Allow-Origin: *\r\n\
         \r\nhello",
    )
    .await;
    assert_eq!(
        answer.head.sorted(),
        [
            "HTTP/1.1 200 OK",
            "Access-Control-Allow-Origin: *",
            "Content-Length: 5",
            "Date: Thu, 01 Jan 1970 00:00:00 GMT",
            "Server: Express",
            "Set-Cookie: io=1; Path=/",
            "Set-Cookie: route=2; Path=/",
            "content-TYPE: text/plain",
        ]
    );
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn an_answer_in_chunks_is_passed_on_in_chunks_without_its_trailers() {
    let answer = passed_on(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5;extension=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
    assert_eq!(
        answer.head.sorted(),
        ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    );
    assert_eq!(answer.text(), "hello world");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_passed_on_whole() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let (_gate, mut client, mut server) = asked(GET).await;
        server
            .send(format!("{version} 200 OK\r\nX-Odd: 1\r\n\r\nhello"))
            .await;
        server.vanish();
        let answer = client.answer().await;
        assert_eq!(answer.head.first_line(), "HTTP/1.1 200 OK");
        assert_eq!(answer.head.value("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.text(), "hello");
        client.is_quiet().await;
    }
}

#[tokio::test]
async fn an_http_1_0_upstream_is_http_1_1_to_the_client() {
    let answer = passed_on("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(
        answer.head.sorted(),
        ["HTTP/1.1 200 OK", "Content-Length: 5"]
    );
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let (_gate, mut client, mut server) = asked("GET / HTTP/1.0\r\nHost: chat.test\r\n\r\n").await;
    server
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.value("transfer-encoding"), None);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    for (framing, seen) in [
        ("Content-Length: 1000", "Content-Length: 1000"),
        // A field that is about a body that is not there may be left out (RFC 9110 §9.3.2).
        ("Transfer-Encoding: chunked", ""),
    ] {
        let (_gate, mut client, mut server) =
            asked("HEAD / HTTP/1.1\r\nHost: chat.test\r\n\r\n").await;
        server
            .send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.lines()[1..].join("\r\n"), seen);
        client.send(GET).await;
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
            .await;
        assert_eq!(client.answer().await.text(), "next");
    }
}

#[tokio::test]
async fn answers_that_never_have_a_body_leave_the_connection_open() {
    for (line, length) in [
        ("HTTP/1.1 204 No Content", ""),
        ("HTTP/1.1 304 Not Modified", ""),
        // Of the body that is not sent.
        ("HTTP/1.1 304 Not Modified", "Content-Length: 1000\r\n"),
    ] {
        let (_gate, mut client, mut server) = asked(GET).await;
        server
            .send(format!("{line}\r\nETag: \"1\"\r\n{length}\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.first_line(), line);
        assert_eq!(head.value("etag"), Some("\"1\""));
        client.send(GET).await;
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
            .await;
        assert_eq!(client.answer().await.text(), "next");
    }
}

#[tokio::test]
async fn unknown_status_codes_and_own_words_are_passed_on() {
    for line in [
        "HTTP/1.1 299 Very Well",
        "HTTP/1.1 418 I'm a teapot",
        "HTTP/1.1 499 ",
        "HTTP/1.1 599 Site frozen",
        "HTTP/1.1 999 Request denied",
        "HTTP/1.1 200 Fine",
    ] {
        let answer = passed_on(format!("{line}\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(answer.head.first_line(), line);
    }
}

#[tokio::test]
async fn interim_answers_are_swallowed() {
    let answer = passed_on(
        "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert_eq!((answer.status(), answer.text()), (200, "hello"));
    assert_eq!(answer.head.value("link"), None);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let mut upstream = Upstream::saying("done").await;
    let gate = TestServer::with_routes(&[("/upload", &upstream)]).await;
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = gate.connect().await;
    client.send(head("/upload")).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (200, "done"));
    let received = upstream.received().await;
    assert_eq!(received.body, b"body");
    assert_eq!(received.head.value("expect"), None);

    let mut client = gate.connect().await;
    client.send(head("/elsewhere")).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn what_concerns_the_upstreams_connection_only_is_removed() {
    let mut upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\n\
         Connection: close, X-Hop\r\n\
         X-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\n\
         Connection: x-hip\r\n\
         X-Hip: 2\r\n\
         Upgrade: h2c\r\n\
         Proxy-Connection: close\r\n\
         X-Stays: 3\r\n\
         Content-Length: 2\r\n\
         \r\nhi",
    )
    .await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    for connection in 1..=2 {
        let answer = client.get("/").await;
        assert_eq!(
            answer.head.sorted(),
            ["HTTP/1.1 200 OK", "Content-Length: 2", "X-Stays: 3"]
        );
        assert_eq!(upstream.received().await.connection, connection);
    }
}
