//! HTTP/1.0 on either side: health checks without a Host, old clients, and upstreams that speak it.

use crate::support::Answer;
use crate::support::Ending;
use crate::support::KEY;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::Way;

/// What an answer to HTTP/1.0 is, and that its connection ends behind it.
async fn asked(gate: &TestServer, over: Over, request: &str) -> Answer {
    let mut client = gate.connect_over(over).await;
    let answer = client.ask(request).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin), "{request}");
    answer
}

#[tokio::test]
async fn a_request_without_host_is_answered_by_the_routes_without_one() {
    let gate = TestServer::setup()
        .tls()
        .raw_route("{ location: /, host: chat.test, return: 200 named }")
        .raw_route("{ location: = /health, return: 200 ok }")
        .raw_route("{ location: /old, when: { method: HEAD }, return: 204 }")
        .raw_route("{ location: /, return: \"200 host <$host>\" }")
        .start()
        .await;
    for over in Over::BOTH {
        let health = asked(&gate, over, "GET /health HTTP/1.0\r\n\r\n").await;
        assert_eq!((health.status(), health.text()), (200, "ok"));
        let any = asked(&gate, over, "GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!((any.status(), any.text()), (200, "host <>"));
        let named = asked(&gate, over, "GET / HTTP/1.0\r\nHost: chat.test\r\n\r\n").await;
        assert_eq!(named.text(), "named");
        let target = asked(&gate, over, "GET http://chat.test/ HTTP/1.0\r\n\r\n").await;
        assert_eq!(target.text(), "named");
        let head = asked(&gate, over, "HEAD /old HTTP/1.0\r\n\r\n").await;
        assert_eq!(head.status(), 204);
        let newer = asked(&gate, over, "GET /health HTTP/1.1\r\n\r\n").await;
        assert_eq!(newer.text(), "wsgate: a request without Host\n");
    }
    let line = gate
        .log()
        .find("request", |line| line["request"] == "GET /health HTTP/1.0");
    assert_eq!(line.await["status"], 200);
}

#[tokio::test]
async fn an_upstream_is_told_its_own_host_where_the_client_names_none() {
    let mut upstream = Upstream::scripted().await;
    let to = upstream.address();
    let gate = TestServer::setup()
        .route("/", &upstream)
        .route("/set", &upstream)
        .of_route("set_headers: { Host: set.test, X-Host: $host }")
        .top("trusted_proxies: 127.0.0.0/8")
        .start()
        .await;
    for (request, host, forwarded) in [
        ("GET / HTTP/1.0\r\n\r\n", to.to_string(), None),
        ("GET /set HTTP/1.0\r\n\r\n", "set.test".to_owned(), None),
        (
            "GET / HTTP/1.0\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: chat.test\r\n\r\n",
            to.to_string(),
            Some("chat.test"),
        ),
        (
            "GET http://a.test:81/ HTTP/1.0\r\n\r\n",
            "a.test:81".to_owned(),
            Some("a.test:81"),
        ),
    ] {
        let mut client = gate.connect().await;
        client.send(request).await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.lines()[1], format!("Host: {host}"), "{request}");
        assert_eq!(head.value("x-forwarded-host"), forwarded, "{request}");
        assert_eq!(head.value("x-host"), None, "{request}");
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

/// There is no host to redirect to; whoever checks the health of a port looks at the status.
#[tokio::test]
async fn a_redirect_to_a_host_that_is_not_named_has_no_location() {
    let gate = TestServer::setup()
        .redirect()
        .tls()
        .raw_route("{ location: /new, return: 301 https://$host/new/ }")
        .raw_route("{ location: /there, return: 301 https://there.test/ }")
        .start()
        .await;
    let plain = asked(&gate, Over::Ws, "GET /x HTTP/1.0\r\n\r\n").await;
    let own = asked(&gate, Over::Wss, "GET /new HTTP/1.0\r\n\r\n").await;
    for (answer, status) in [(plain, 308), (own, 301)] {
        assert_eq!(answer.status(), status);
        assert_eq!(answer.head.value("location"), None);
        let words = "wsgate: moved to another address of this host, which a request without Host does not name\n";
        assert_eq!(answer.text(), words);
    }
    let there = asked(&gate, Over::Wss, "GET /there HTTP/1.0\r\n\r\n").await;
    assert_eq!(there.head.value("location"), Some("https://there.test/"));
}

#[tokio::test]
async fn a_101_in_http_1_0_is_one_in_http_1_1_to_the_client() {
    let switching = String::from_utf8(SWITCHING.to_vec()).unwrap();
    let old = switching.replacen("HTTP/1.1", "HTTP/1.0", 1);
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        let gate = TestServer::with_routes(&[("/", &upstream), ("/other", &other)]).await;
        let mut client = way.client(&gate).await;
        client.send(UPGRADE).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(format!("{old}first")).await;
        let head = client.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
        assert_eq!(client.take(5).await, b"first");
        client.send("back").await;
        assert_eq!(server.take(4).await, b"back");
    }
}

/// RFC 9110 §7.8: `Upgrade` in HTTP/1.0 is ignored. The server that then answers is who refuses, and the diagnosis says why.
#[tokio::test]
async fn an_upgrade_request_in_http_1_0_is_an_ordinary_one() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    let request = format!(
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    client.send(request).await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!(head.value("upgrade"), None);
    server
        .send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
        .await;
    assert_eq!(client.answer().await.status(), 426);
}

#[tokio::test]
async fn answers_reach_a_client_of_http_1_0_in_a_form_that_it_knows() {
    for (answer, kept, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "ok"),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            true,
            "ok",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            false,
            "ok",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nok", false, "ok"),
        ("HTTP/1.1 200 OK\r\n\r\nok", false, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n", true, ""),
    ] {
        for asks_to_stay in [false, true] {
            let mut upstream = Upstream::scripted().await;
            let gate = TestServer::with_routes(&[("/", &upstream)]).await;
            let mut client = gate.connect().await;
            let stay = if asks_to_stay {
                "Connection: keep-alive\r\n"
            } else {
                ""
            };
            client.send(format!("GET / HTTP/1.0\r\n{stay}\r\n")).await;
            let mut server = upstream.accept().await;
            server.head().await;
            server.send(answer).await;
            server.vanish();
            let told = client.head().await;
            assert_eq!(told.value("transfer-encoding"), None, "{answer}");
            let stays = kept && asks_to_stay;
            assert_eq!(
                told.value("connection")
                    .map(str::to_ascii_lowercase)
                    .as_deref()
                    == Some("keep-alive"),
                stays,
                "{answer}: {told:?}"
            );
            if stays {
                assert_eq!(client.take(body.len()).await, body.as_bytes(), "{answer}");
                client.is_quiet().await;
            } else {
                let (rest, ending) = client.rest().await;
                assert_eq!(
                    (rest.as_slice(), ending),
                    (body.as_bytes(), Ending::Fin),
                    "{answer}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_body_in_http_1_0_goes_on_by_its_length_and_nobody_is_told_to_continue() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    let mut server = upstream.accept().await;
    let (head, body) = server.request().await;
    assert_eq!(
        (head.value("expect"), body.as_slice()),
        (None, &b"hello"[..])
    );
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.status(), 200);
}
