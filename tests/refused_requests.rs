//! Requests that are not passed on, and how their senders learn why.

use std::time::Instant;

use tokio::net::TcpStream;

use crate::support::AT_ONCE;
use crate::support::Answer;
use crate::support::Ending;
use crate::support::GET;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;

/// A gate whose upstream must never hear of anything.
struct Guarded {
    gate: TestServer,
    upstream: Upstream,
}

impl Guarded {
    async fn start() -> Self {
        let upstream = Upstream::saying("never").await;
        let gate = TestServer::setup()
            .tls()
            .route("/", &upstream)
            .start()
            .await;
        Self { gate, upstream }
    }

    /// What a client that sent this and more reads before its connection ends.
    async fn refused(&mut self, request: impl AsRef<[u8]>, over: Over) -> (Answer, Ending) {
        println!("{}", String::from_utf8_lossy(request.as_ref()));
        let mut client = self.gate.connect_over(over).await;
        // More than a socket takes unread: without a lingering close it would turn the answer into a reset.
        let mut bytes = request.as_ref().to_vec();
        bytes.extend(b"GET /more HTTP/1.1\r\nHost: chat.test\r\n\r\n".repeat(2000));
        let _ = client.try_send(&bytes).await;
        let answer = client.answer().await;
        let began = Instant::now();
        let (rest, ending) = client.rest().await;
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        assert_eq!(String::from_utf8_lossy(&rest), "");
        assert_eq!(self.upstream.connections(), 0);
        assert!(self.upstream.has_nothing_more());
        (answer, ending)
    }
}

/// wsgate's own refusals: what is wrong with a request, and what its sender is told.
const REFUSED: [(&str, &str); 17] = [
    ("GET / HTTP/1.1\r\n\r\n", "a request without Host"),
    (
        "GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "a request with several Host lines",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "a request with several Host lines",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: 1\r\nHost: b.test\r\n\r\n",
        "a request with several Host lines",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
        "a Host that is not `host` or `host:port`",
    ),
    (
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "a Host that is not `host` or `host:port`",
    ),
    (
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
        "a Host that is not `host` or `host:port`",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n",
        "a Host that is not `host` or `host:port`",
    ),
    (
        "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "a request target whose host is not the one in Host",
    ),
    (
        "GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "a request target whose host is not the one in Host",
    ),
    (
        "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "a request target that is neither a path nor an http or https URL",
    ),
    (
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "a request target that is neither a path nor an http or https URL",
    ),
    (
        "GET a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
        "a request target that is neither a path nor an http or https URL",
    ),
    (
        "GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "`%00` in the path",
    ),
    (
        "GET /a%zz HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "percent sign without two hexadecimal digits in the path",
    ),
    (
        "GET /a/../../b HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "path leaves the root",
    ),
    (
        "GET /%2e%2e/b HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "path leaves the root",
    ),
];

#[tokio::test]
async fn requests_that_could_be_understood_differently_are_refused_with_a_reason() {
    let mut guarded = Guarded::start().await;
    for (request, why) in REFUSED {
        let (answer, ending) = guarded.refused(request, Over::Ws).await;
        assert_eq!(answer.status(), 400, "{request}");
        assert_eq!(answer.text(), format!("wsgate: {why}\n"), "{request}");
        assert_eq!(answer.head.value("connection"), Some("close"), "{request}");
        assert_eq!(ending, Ending::Fin, "{request}");
    }
}

/// What hyper refuses before wsgate sees it. The answer and the line in the log are wsgate's all the same.
#[tokio::test]
async fn heads_that_are_no_http_are_refused() {
    let mut guarded = Guarded::start().await;
    for (request, why) in [
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Folded: a\r\n b\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Bare: a\rb\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Space : 1\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\n: 1\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nno colon\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Nul: a\0b\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-Control: a\x01b\r\n\r\n",
            "invalid HTTP header parsed",
        ),
        ("GET /a\0b HTTP/1.1\r\nHost: a.test\r\n\r\n", "invalid URI"),
        (
            "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "invalid HTTP version parsed",
        ),
        ("GET /<a> HTTP/1.1\r\nHost: a.test\r\n\r\n", "invalid URI"),
        (
            "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
            "invalid HTTP version parsed",
        ),
        (
            "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n",
            "invalid HTTP version parsed",
        ),
        (
            "GET / XTTP/1.1\r\nHost: a.test\r\n\r\n",
            "invalid HTTP version parsed",
        ),
        (
            "G@T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "invalid HTTP method parsed",
        ),
        (
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n",
            "invalid HTTP method parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +5\r\n\r\nhello",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\nhello",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x5\r\n\r\nhello",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5, 6\r\n\r\nhello",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
            "invalid content-length parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            "invalid transfer-encoding parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            "invalid transfer-encoding parsed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "a transfer coding before `chunked`",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "the transfer coding `chunked` twice",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "invalid transfer-encoding parsed",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "unexpected transfer-encoding parsed",
        ),
        (
            "GET /?a=\"b\" HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "invalid URI",
        ),
    ] {
        let (answer, ending) = guarded.refused(request, Over::Ws).await;
        assert_eq!(answer.status(), 400, "{request:?}");
        assert_eq!(answer.text(), format!("wsgate: {why}\n"), "{request:?}");
        assert_eq!(
            answer.head.value("connection"),
            Some("close"),
            "{request:?}"
        );
        assert_eq!(ending, Ending::Fin, "{request:?}");
    }
}

/// What came is shown, escaped and not all of it, whichever request of a connection it is.
#[tokio::test]
async fn the_log_shows_a_request_that_cannot_be_read() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for before in ["", GET, "HEAD / HTTP/1.1\r\nHost: chat.test\r\n\r\n"] {
        for (request, shown) in [
            (
                &b"GET /a?token=\"x\" HTTP/1.1\r\nHost: a\r\n\r\n"[..],
                "GET /a?..",
            ),
            (
                b"GET /\xff\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /%FF%1B[31m HTTP/1.1",
            ),
            (
                b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
                "POST /b HTTP/1.1",
            ),
            (
                b"GET /c HTTP/1.1\r\nCookie : secret\r\n\r\n",
                "GET /c HTTP/1.1",
            ),
            (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "%16%03%01%02%00%01"),
            (b"GET /d\r\n\r\n", "GET /d"),
        ] {
            let mut client = gate.connect().await;
            if !before.is_empty() {
                client.send(before).await;
                assert_eq!(client.head().await.status(), 200);
                if before == GET {
                    client.take(2).await;
                }
            }
            let port = client.tcp().local_addr().unwrap().to_string();
            client.send(request).await;
            assert_eq!(client.answer().await.status(), 400);
            let line = gate
                .log()
                .find("request", |line| {
                    line["remote_addr"] == port.as_str() && line["status"] == 400
                })
                .await;
            assert_eq!(line["request"], shown);
            assert!(
                line["reason"].as_str().unwrap().starts_with("refused: "),
                "{line}"
            );
        }
    }
}

/// Its answers go out in order, and the refusal is the last.
#[tokio::test]
async fn a_request_that_cannot_be_read_behind_another_is_refused_behind_its_answer() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for first in [GET, "HEAD / HTTP/1.1\r\nHost: chat.test\r\n\r\n"] {
        let mut client = gate.connect().await;
        client
            .send(format!("{first}GET /<> HTTP/1.1\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.status(), 200);
        if first == GET {
            assert_eq!(client.take(2).await, b"ok");
        }
        let refused = client.answer().await;
        assert_eq!(
            (refused.status(), refused.text()),
            (400, "wsgate: invalid URI\n")
        );
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
}

#[tokio::test]
async fn a_refusal_can_be_read_over_tls_by_a_client_that_sent_more() {
    let mut guarded = Guarded::start().await;
    let (answer, ending) = guarded.refused("GET / HTTP/1.1\r\n\r\n", Over::Wss).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text(), "wsgate: a request without Host\n");
    assert_eq!(ending, Ending::Fin);
}

#[tokio::test]
async fn a_body_that_is_no_chunks_is_the_clients_fault() {
    for chunks in [
        "zz\r\nbody\r\n",
        "4\r\nbodyX\r\n",
        "ffffffffffffffffff\r\n",
        "-4\r\nbody\r\n",
    ] {
        println!("{chunks}");
        let mut upstream = Upstream::scripted().await;
        let gate = TestServer::with_routes(&[("/", &upstream)]).await;
        let mut client = gate.connect().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n{chunks}"
            ))
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        assert_eq!(server.chunk().await, b"good");
        // Never the last chunk: the upstream must not take it for whole.
        let (rest, _) = server.rest().await;
        assert!(!rest.windows(3).any(|part| part == b"0\r\n"), "{rest:?}");
        let line = gate.log().first("request").await;
        assert_eq!(
            (&line["status"], &line["level"]),
            (&400.into(), &"INFO".into()),
            "{line}"
        );
        assert_eq!(client.head().await.status(), 400);
    }
}

#[tokio::test]
async fn a_request_without_tls_on_a_tls_listener_is_told_so() {
    let upstream = Upstream::saying("never").await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let tcp = TcpStream::connect(gate.tls_address()).await.unwrap();
    let mut client = Peer::plain(tcp);
    client.send(UPGRADE).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.text(),
        "wsgate: this is a TLS port: use https:// or wss://\r\n"
    );
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    client.vanish();
    let line = gate.log().first("no TLS handshake").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["reason"],
        "the client speaks plain HTTP to a TLS port: use https:// or wss://"
    );
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn http_2_without_tls_is_not_spoken() {
    let upstream = Upstream::saying("never").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 505);
    let words = "HTTP/2 is not spoken here, HTTP/1.1 is";
    assert_eq!(answer.text(), format!("wsgate: {words}\n"));
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    let line = gate.log().first("request").await;
    assert_eq!(line["request"], "PRI * HTTP/2.0");
    assert_eq!(line["reason"], format!("refused: {words}"));
    assert_eq!(upstream.connections(), 0);
}

/// What arrives after a socket was closed is answered by a reset, which destroys what its client has not read yet.
#[tokio::test]
async fn a_refused_client_that_goes_on_sending_is_not_reset() {
    let upstream = Upstream::saying("never").await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        assert_eq!(client.ask("GET / HTTP/1.1\r\n\r\n").await.status(), 400);
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
        for _ in 0..100 {
            client.send([b'x'; 10_000]).await;
        }
    }
}

#[tokio::test]
async fn connect_is_refused_with_405() {
    let mut guarded = Guarded::start().await;
    for target in ["chat.test:443", "127.0.0.1:80"] {
        let (answer, _) = guarded
            .refused(
                format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"),
                Over::Ws,
            )
            .await;
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.text(), "wsgate: CONNECT is not served here\n");
        assert_eq!(
            answer.head.value("allow"),
            Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        );
    }
}

#[tokio::test]
async fn more_than_a_hundred_headers_are_431() {
    let mut guarded = Guarded::start().await;
    let lines: String = (0..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: chat.test\r\n{lines}\r\n");
    let (answer, ending) = guarded.refused(request, Over::Ws).await;
    assert_eq!((answer.status(), ending), (431, Ending::Fin));
    assert_eq!(
        answer.text(),
        "wsgate: a head of more than 100 lines or 64 KiB\n"
    );
}

#[tokio::test]
async fn a_head_of_much_more_than_64_kib_is_431() {
    let mut guarded = Guarded::start().await;
    // Between 64 and 128 KiB it depends on how the head arrives: hyper looks at its limit between two reads.
    let cookie = "c".repeat(160 * 1024);
    let request = format!("GET / HTTP/1.1\r\nHost: chat.test\r\nCookie: {cookie}\r\n\r\n");
    let (answer, ending) = guarded.refused(request, Over::Ws).await;
    assert_eq!((answer.status(), ending), (431, Ending::Fin));
    assert_eq!(
        answer.text(),
        "wsgate: a head of more than 100 lines or 64 KiB\n"
    );
}

#[tokio::test]
async fn a_head_without_end_is_cut_off_with_431() {
    let upstream = Upstream::saying("never").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(format!("GET /{}", "x".repeat(63 * 1024))).await;
    client.is_quiet().await;
    let _ = client.try_send("x".repeat(2 * 1024)).await;
    assert_eq!(client.head().await.status(), 431);
}
