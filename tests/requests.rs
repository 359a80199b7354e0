//! Ordinary requests on their way to an upstream, and those that are not passed on.

use crate::support::Ending;
use crate::support::Head;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;

/// The fields that wsgate adds for a client without TLS that asked for `chat.test`.
const OURS: [&str; 4] = [
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: chat.test",
    "X-Forwarded-Proto: http",
    "X-Real-Ip: 127.0.0.1",
];

/// Sends `request` to a gate whose upstream answers anything, and returns what the upstream got.
async fn forwarded(request: &str) -> (Head, Vec<u8>) {
    let mut upstream = Upstream::saying("done").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    let answer = client.ask(request).await;
    assert_eq!((answer.status(), answer.text()), (200, "done"), "{request}");
    let received = upstream.received().await;
    assert!(upstream.has_nothing_more());
    (received.head, received.body)
}

fn with_ours(lines: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = lines
        .iter()
        .chain(&OURS)
        .map(|line| (*line).to_owned())
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_request_goes_on_as_it_came_with_our_fields_added() {
    let (head, body) = forwarded(
        "POST /socket.io/?EIO=4&transport=polling&sid=a%20b HTTP/1.1\r\n\
         Host: chat.test\r\n\
         Content-Length: 4\r\n\
         content-type: text/plain;charset=UTF-8\r\n\
         X-oDD-CaSe: yes\r\n\
         Accept: */*\r\n\
         Accept: text/html\r\n\
         Cookie: io=1\r\n\
         \r\n40{}",
    )
    .await;
    assert_eq!(
        head.first_line(),
        "POST /socket.io/?EIO=4&transport=polling&sid=a%20b HTTP/1.1"
    );
    assert_eq!(
        head.sorted()[1..],
        with_ours(&[
            "Accept: */*",
            "Accept: text/html",
            "Content-Length: 4",
            "Cookie: io=1",
            "Host: chat.test",
            "X-oDD-CaSe: yes",
            "content-type: text/plain;charset=UTF-8",
        ])
    );
    assert_eq!(body, b"40{}");
}

#[tokio::test]
async fn a_polling_request_never_carries_connection_upgrade() {
    let (head, _) = forwarded(
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\n\r\n",
    )
    .await;
    assert_eq!(head.sorted()[1..], with_ours(&["Host: chat.test"]));
}

#[tokio::test]
async fn a_second_connection_line_is_honoured() {
    let (head, _) = forwarded(
        "GET / HTTP/1.1\r\n\
         Host: chat.test\r\n\
         Connection: keep-alive, X-One\r\n\
         X-One: 1\r\n\
         X-Two: 2\r\n\
         X-Two: 3\r\n\
         X-Three: 4\r\n\
         Connection: x-two,,Host,close-not\r\n\
         Keep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic eA==\r\n\
         TE: trailers\r\n\
         Trailer: X-Sum\r\n\
         HTTP2-Settings: AAMAAABk\r\n\
         \r\n",
    )
    .await;
    assert_eq!(
        head.sorted()[1..],
        with_ours(&["Host: chat.test", "X-Three: 4"])
    );
}

#[tokio::test]
async fn connection_cannot_remove_the_length_of_a_body() {
    let (head, body) = forwarded(
        "POST / HTTP/1.1\r\nHost: chat.test\r\nConnection: Content-Length, Host\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;
    assert_eq!(
        head.sorted()[1..],
        with_ours(&["Content-Length: 4", "Host: chat.test"])
    );
    assert_eq!(body, b"body");
}

#[tokio::test]
async fn names_with_an_underscore_are_dropped() {
    let (head, _) = forwarded(
        "GET / HTTP/1.1\r\nHost: chat.test\r\nX_Forwarded_For: 6.6.6.6\r\nA_B: 1\r\nA-B: 2\r\n\r\n",
    )
    .await;
    assert_eq!(
        head.sorted()[1..],
        with_ours(&["A-B: 2", "Host: chat.test"])
    );
}

#[tokio::test]
async fn what_a_client_claims_about_itself_is_replaced() {
    let (head, _) = forwarded(
        "GET / HTTP/1.1\r\n\
         Host: chat.test\r\n\
         X-Forwarded-For: 6.6.6.6\r\n\
         X-Forwarded-For: 7.7.7.7\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: evil.test\r\n\
         X-Real-IP: 6.6.6.6\r\n\
         Forwarded: for=6.6.6.6\r\n\
         \r\n",
    )
    .await;
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "chat.test"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        assert_eq!(head.value(name), Some(value));
    }
    assert_eq!(head.value("forwarded"), None);
    assert_eq!(head.names().len(), 5);
}

#[tokio::test]
async fn a_client_behind_tls_is_said_to_be() {
    let mut upstream = Upstream::saying("done").await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect_over(Over::Wss).await;
    assert_eq!(client.get("/").await.text(), "done");
    let head = upstream.received().await.head;
    assert_eq!(head.value("x-forwarded-proto"), Some("https"));
    assert_eq!(head.value("x-forwarded-host"), Some("chat.test"));
}

#[tokio::test]
async fn a_get_with_a_chunked_body_is_one_request_with_its_body() {
    let (head, body) = forwarded(
        "GET /search HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         18\r\nGET /smuggled HTTP/1.1\r\n\r\n4\r\nmore\r\n0\r\nX-Trailer: 1\r\n\r\n",
    )
    .await;
    assert_eq!(head.target(), "/search");
    assert_eq!(head.value("transfer-encoding"), Some("chunked"));
    assert_eq!(body, b"GET /smuggled HTTP/1.1\r\nmore");
}

#[tokio::test]
async fn a_get_with_a_length_keeps_its_body() {
    let (head, body) = forwarded(
        "GET /search HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 22\r\n\r\nGET /smuggled HTTP/1.1",
    )
    .await;
    assert_eq!(head.value("content-length"), Some("22"));
    assert_eq!(body, b"GET /smuggled HTTP/1.1");
}

#[tokio::test]
async fn a_length_beside_chunks_is_one_request_and_the_connection_is_closed_behind_it() {
    let mut upstream = Upstream::saying("done").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send(
            "POST /one HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: chat.test\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (200, "done"));
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    let received = upstream.received().await;
    assert_eq!(received.head.target(), "/one");
    assert_eq!(received.head.value("content-length"), None);
    assert_eq!(received.body, b"body");
    assert!(upstream.has_nothing_more());
}

#[tokio::test]
async fn an_absolute_target_with_the_same_authority_goes_on_as_a_path() {
    let (head, _) =
        forwarded("GET http://CHAT.test:80/a?b=c HTTP/1.1\r\nHost: chat.test\r\n\r\n").await;
    assert_eq!(head.first_line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(head.value("host"), Some("chat.test"));
}

#[tokio::test]
async fn a_head_of_60_kib_is_served() {
    let cookie = "c".repeat(60 * 1024);
    let (head, _) = forwarded(&format!(
        "GET / HTTP/1.1\r\nHost: chat.test\r\nCookie: {cookie}\r\n\r\n"
    ))
    .await;
    assert_eq!(head.value("cookie"), Some(cookie.as_str()));
}

#[tokio::test]
async fn a_hundred_headers_are_served() {
    let lines: String = (1..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let (head, _) = forwarded(&format!("GET / HTTP/1.1\r\nHost: chat.test\r\n{lines}\r\n")).await;
    assert_eq!(head.names().len(), 104);
    assert_eq!(head.value("x-99"), Some("99"));
}
