//! Upgrades that never become a tunnel: refused by the upstream, by wsgate, or none at all.

use crate::support::Ending;
use crate::support::KEY;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::upgrade_to;

#[tokio::test]
async fn bytes_behind_a_refused_upgrade_never_reach_the_upstream() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send([UPGRADE, b"\x81\x85mask-and-text\r\n\r\n"].concat())
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status(), 403);
    assert_eq!(client.answer().await.status(), 400);
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
}

const REFUSALS: [(&[&str], &str); 6] = [
    (
        &[
            "HTTP/1.1 400 Bad Request",
            "Content-Length: 42",
            "Content-Type: application/json",
        ],
        "{\"code\":0,\"message\":\"Transport unknown\"}\r\n",
    ),
    (
        &[
            "HTTP/1.1 401 Unauthorized",
            "Content-Length: 0",
            "WWW-Authenticate: Basic realm=\"chat\"",
        ],
        "",
    ),
    (
        &[
            "HTTP/1.1 403 Forbidden",
            "Content-Length: 9",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "x-lower: 1",
        ],
        "forbidden",
    ),
    (
        &[
            "HTTP/1.1 302 Found",
            "Content-Length: 0",
            "Location: /login",
        ],
        "",
    ),
    (&["HTTP/1.1 200 OK", "Content-Length: 5"], "hello"),
    (
        &[
            "HTTP/1.1 426 Upgrade Required",
            "Connection: Upgrade",
            "Content-Length: 3",
            "Sec-WebSocket-Version: 13",
            "Upgrade: websocket",
        ],
        "old",
    ),
];

#[tokio::test]
async fn a_refusal_reaches_the_client_untouched_and_its_next_request_is_routed_anew() {
    let mut chat = Upstream::scripted().await;
    let pages = Upstream::saying("a page").await;
    let gate = TestServer::setup()
        .tls()
        .route("/socket.io", &chat)
        .route("/", &pages)
        .start()
        .await;
    for over in Over::BOTH {
        for (head, body) in REFUSALS {
            let mut client = gate.connect_over(over).await;
            client.send(UPGRADE).await;
            let mut server = chat.accept().await;
            server.head().await;
            server
                .send(format!("{}\r\n\r\n{body}", head.join("\r\n")))
                .await;
            let answer = client.answer().await;
            assert_eq!(answer.head.sorted(), head);
            assert_eq!(answer.text(), body);
            assert_eq!(client.get("/index.html").await.text(), "a page");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_chunks_is_whole_and_the_connection_stays_http() {
    let mut chat = Upstream::scripted().await;
    let pages = Upstream::saying("a page").await;
    let gate = TestServer::with_routes(&[("/socket.io", &chat), ("/", &pages)]).await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let mut server = chat.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (400, "bad"));
    assert_eq!(client.get("/").await.text(), "a page");
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_502() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send([SWITCHING, b"rubbish"].concat()).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 502);
    assert_eq!(
        answer.text(),
        "wsgate: the upstream gave an answer that cannot be passed on\n"
    );
    assert_eq!(server.rest().await.0, b"");
    client.is_quiet().await;
    let line = gate.log().first("request").await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        line["reason"],
        format!(
            "upstream {} is not passed on: it switched protocols without being asked",
            upstream.address()
        )
    );
}

#[tokio::test]
async fn a_101_that_does_not_agree_is_a_502_and_nothing_of_it_is_passed_on() {
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    const BOTH: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let cases = [
        (
            BOTH.to_owned(),
            "its 101 has no Sec-WebSocket-Accept, or a wrong one",
        ),
        (
            format!("{BOTH}Sec-WebSocket-Accept: {KEY}\r\n"),
            "its 101 has no Sec-WebSocket-Accept, or a wrong one",
        ),
        (
            format!("{BOTH}{ACCEPT}{ACCEPT}"),
            "its 101 has no Sec-WebSocket-Accept, or a wrong one",
        ),
        (
            format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{ACCEPT}"),
            "its 101 is not for `websocket`",
        ),
        (
            format!("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{ACCEPT}"),
            "its 101 is not for `websocket`",
        ),
        (
            format!("Connection: Upgrade\r\n{ACCEPT}"),
            "its 101 is not for `websocket`",
        ),
        (
            format!("Upgrade: websocket\r\n{ACCEPT}"),
            "its 101 has no `Connection: Upgrade`",
        ),
        (
            format!("Connection: keep-alive\r\nUpgrade: websocket\r\n{ACCEPT}"),
            "its 101 has no `Connection: Upgrade`",
        ),
    ];
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for (number, (lines, reason)) in cases.iter().enumerate() {
        let mut client = gate.connect().await;
        client.send(upgrade_to(&format!("/{number}"), "")).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send(format!(
                "HTTP/1.1 101 Switching Protocols\r\n{lines}X-Secret: 1\r\n\r\nrubbish"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 502, "{lines:?}");
        assert_eq!(
            answer.text(),
            "wsgate: the upstream gave an answer that cannot be passed on\n"
        );
        assert_eq!(answer.head.names(), ["Content-Length", "Content-Type"]);
        // The upstream does not get to read what the client says next.
        client.try_send("GET /next").await.unwrap();
        assert_eq!(server.rest().await.0, b"");
        let line = gate
            .log()
            .find("request", |line| {
                line["request"] == format!("GET /{number} HTTP/1.1")
            })
            .await;
        assert_eq!(line["level"], "WARN");
        assert_eq!(
            line["reason"],
            format!("upstream {} is not passed on: {reason}", upstream.address())
        );
    }
}

#[tokio::test]
async fn what_is_no_websocket_upgrade_is_an_ordinary_request() {
    let websocket = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let cases = [
        format!("GET / HTTP/1.1\r\nHost: chat.test\r\n{h2c}\r\n"),
        format!("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 0\r\n{h2c}\r\n"),
        format!("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 0\r\n{websocket}\r\n"),
        format!("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 4\r\n{websocket}\r\nbody"),
        format!("GET / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 4\r\n{websocket}\r\nbody"),
        format!(
            "GET / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n{websocket}\r\n0\r\n\r\n"
        ),
        format!("HEAD / HTTP/1.1\r\nHost: chat.test\r\n{websocket}\r\n"),
        format!("GET / HTTP/1.0\r\nHost: chat.test\r\n{websocket}\r\n"),
        "GET / HTTP/1.1\r\nHost: chat.test\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n"
            .to_owned(),
        "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: xwebsocket\r\n\r\n"
            .to_owned(),
    ];
    let mut upstream = Upstream::answering("HTTP/1.1 204 No Content\r\nX-Answer: 1\r\n\r\n").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for request in &cases {
        let mut client = gate.connect().await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), 204, "{request}");
        let head = upstream.received().await.head;
        for name in ["Upgrade", "Connection", "HTTP2-Settings", "Keep-Alive"] {
            assert_eq!(head.values(name), Vec::<&str>::new(), "{request}");
        }
        assert!(head.first_line().ends_with(" HTTP/1.1"), "{head:?}");
    }
    assert_eq!(upstream.connections(), cases.len());
}

#[tokio::test]
async fn an_upgrade_without_exactly_one_valid_key_is_refused() {
    let upstream = Upstream::saying("never").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for (keys, why) in [
        (
            String::new(),
            "an upgrade request without Sec-WebSocket-Key",
        ),
        (
            format!("{key}{key}"),
            "an upgrade request with several Sec-WebSocket-Key lines",
        ),
        (
            "Sec-WebSocket-Key: short==\r\n".to_owned(),
            "a Sec-WebSocket-Key that is not 16 bytes in base64",
        ),
        (
            "Sec-WebSocket-Key:\r\n".to_owned(),
            "a Sec-WebSocket-Key that is not 16 bytes in base64",
        ),
    ] {
        let mut client = gate.connect().await;
        let answer = client
            .ask(format!(
                "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\n{keys}\r\n"
            ))
            .await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.text(), format!("wsgate: {why}\n"));
        assert_eq!(answer.head.value("connection"), Some("close"));
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn other_versions_than_13_are_the_upstreams_to_refuse() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for version in ["8", "25", "13, 8", ""] {
        let mut client = gate.connect().await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            ))
            .await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.value("sec-websocket-version"), Some(version));
        assert_eq!(head.value("upgrade"), Some("websocket"));
        server
            .send("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n")
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.head.value("sec-websocket-version"), Some("13"));
    }
}
