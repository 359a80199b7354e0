//! From a client's upgrade request to a tunnel, and the upgrades that never become one.

use std::time::Duration;

use crate::support::Ending;
use crate::support::Head;
use crate::support::KEY;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::tunnel;

#[tokio::test]
async fn the_upstream_gets_exactly_the_two_upgrade_fields_and_all_that_is_the_clients() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for (over, scheme) in [(Over::Ws, "http"), (Over::Wss, "https")] {
        let mut client = gate.connect_over(over).await;
        client
            .send(format!(
                "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
                 Host: Chat.test:8080\r\n\
                 connection: keep-alive, uPgrAde\r\n\
                 upgrade: WebSocket\r\n\
                 Sec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {KEY}\r\n\
                 Sec-WebSocket-Protocol: chat, superchat\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
                 oRiGin: http://chat.test\r\n\
                 Cookie: io=1; token=2\r\n\
                 \r\n"
            ))
            .await;
        let head = upstream.accept().await.head().await;
        let proto = format!("X-Forwarded-Proto: {scheme}");
        let key = format!("Sec-WebSocket-Key: {KEY}");
        let mut wanted = [
            "Host: Chat.test:8080",
            "connection: Upgrade",
            "upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            &key,
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "oRiGin: http://chat.test",
            "Cookie: io=1; token=2",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: Chat.test:8080",
            &proto,
            "X-Real-Ip: 127.0.0.1",
        ];
        wanted.sort_unstable();
        assert_eq!(
            head.first_line(),
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"
        );
        assert_eq!(head.sorted()[1..], wanted);
    }
}

#[tokio::test]
async fn the_client_gets_the_101_with_all_that_was_agreed() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\n\
         connection: keep-alive, upgrade\r\n\
         upgrade: WebSocket\r\n\
         Keep-Alive: timeout=5\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: superchat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\
         Set-Cookie: io=1\r\n\
         Set-Cookie: route=2\r\n\
         \r\n";
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(answer).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(
        head.sorted()[1..],
        [
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Sec-WebSocket-Protocol: superchat",
            "Set-Cookie: io=1",
            "Set-Cookie: route=2",
            "connection: Upgrade",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "upgrade: websocket",
        ]
    );
}

#[tokio::test]
async fn bytes_sent_with_the_101_reach_the_client() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send(UPGRADE).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send([SWITCHING, b"first"].concat()).await;
        assert_eq!(client.head().await.status(), 101);
        assert_eq!(client.take(5).await, b"first");
    }
}

/// The pause makes it likely that the two parts arrive apart; the outcome must be the same if they do not.
const APART: Duration = Duration::from_millis(2);

#[tokio::test]
async fn a_101_split_at_any_byte_loses_nothing_of_what_follows() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let answer = [SWITCHING, b"first"].concat();
    for at in 1..answer.len() {
        let mut client = gate.connect().await;
        client.send(UPGRADE).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(&answer[..at]).await;
        tokio::time::sleep(APART).await;
        server.send(&answer[at..]).await;
        assert_eq!(client.head().await.status(), 101, "split at {at}");
        assert_eq!(client.take(5).await, b"first", "split at {at}");
    }
}

#[tokio::test]
async fn a_request_split_at_any_byte_loses_nothing_of_what_follows() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let request = [UPGRADE, b"early"].concat();
    for at in 1..request.len() {
        let mut client = gate.connect().await;
        client.send(&request[..at]).await;
        tokio::time::sleep(APART).await;
        client.send(&request[at..]).await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.value("upgrade"), Some("websocket"));
        server.send(SWITCHING).await;
        assert_eq!(server.take(5).await, b"early", "split at {at}");
        assert_eq!(client.head().await.status(), 101, "split at {at}");
    }
}

#[tokio::test]
async fn bytes_behind_the_request_wait_for_the_101() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send([UPGRADE, b"early"].concat()).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.is_quiet().await;
        client.send(b" and later").await;
        server.is_quiet().await;
        server.send(SWITCHING).await;
        assert_eq!(server.take(15).await, b"early and later");
        assert_eq!(client.head().await.status(), 101);
    }
}

#[tokio::test]
async fn much_behind_the_request_waits_for_the_101_too() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    let early = vec![b'e'; 1024 * 1024];
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    server.head().await;
    let (answered, ()) = tokio::join!(
        async {
            server.is_quiet().await;
            server.send(SWITCHING).await;
            server.take(early.len()).await
        },
        client.send(&early)
    );
    assert!(answered == early);
}

#[tokio::test]
async fn a_101_with_the_upstreams_end_right_behind_it_is_a_short_tunnel() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send(UPGRADE).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send([SWITCHING, b"bye"].concat()).await;
        server.vanish();
        assert_eq!(client.head().await.status(), 101);
        assert_eq!(client.rest().await, (b"bye".to_vec(), Ending::Fin));
    }
}

#[tokio::test]
async fn h2c_beside_websocket_is_left_out() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for listed in [
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
    ] {
        let mut client = gate.connect().await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade, HTTP2-Settings\r\n{listed}\
                 HTTP2-Settings: AAMAAABk\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            ))
            .await;
        let mut server = upstream.accept().await;
        let head: Head = server.head().await;
        assert_eq!(head.values("upgrade"), ["websocket"]);
        assert_eq!(head.values("connection"), ["Upgrade"]);
        assert_eq!(head.values("http2-settings"), Vec::<&str>::new());
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.value("upgrade"), Some("websocket"));
    }
}

#[tokio::test]
async fn an_upgrade_may_follow_ordinary_requests_on_one_connection() {
    let mut chat = Upstream::scripted().await;
    let mut pages = Upstream::saying("a page").await;
    let gate = TestServer::with_routes(&[("/socket.io", &chat), ("/", &pages)]).await;
    let mut client = gate.connect().await;
    assert_eq!(client.get("/one").await.text(), "a page");
    assert_eq!(client.get("/two").await.text(), "a page");
    client.send(UPGRADE).await;
    let mut server = chat.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send(b"ping").await;
    assert_eq!(server.take(4).await, b"ping");
    assert_eq!(pages.received().await.head.target(), "/one");
    assert_eq!(pages.received().await.head.target(), "/two");
    assert_eq!(pages.connections(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_its_101_takes_the_upstreams_connection_with_it() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    server.head().await;
    client.reset();
    assert_eq!(server.rest().await.0, b"");
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["status"], &line["level"]),
        (&499.into(), &"INFO".into())
    );
}

#[tokio::test]
async fn a_tunnel_carries_bytes_of_any_value_both_ways() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        let all: Vec<u8> = (0..=255).collect();
        for _ in 0..3 {
            client.send(&all).await;
            assert_eq!(server.take(256).await, all);
            server.send(&all).await;
            assert_eq!(client.take(256).await, all);
        }
    }
}
