//! Clients that send a request and then end their direction: over the network that is what one that leaves does too.

use std::time::Duration;
use std::time::Instant;

use crate::support::AT_ONCE;
use crate::support::Ending;
use crate::support::GET;
use crate::support::LEAVE;
use crate::support::Over;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;

/// How long the answer is waited for where nothing is sent to such a client.
const GRACE: Duration = Duration::from_secs(5);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Clients that ask and end at once, each on a connection of its own; how many of them got an answer with this status.
async fn answered(gate: &TestServer, over: Over, request: &str, status: u16) -> usize {
    let mut answered = 0;
    for _ in 0..100 {
        let mut client = gate.connect_over(over).await;
        client.send(request).await;
        client.finish().await;
        let (told, ending) = client.rest().await;
        let begin = format!("HTTP/1.1 {status} ");
        answered += usize::from(told.starts_with(begin.as_bytes()) && ending == Ending::Fin);
    }
    answered
}

#[tokio::test]
async fn an_answer_of_wsgates_own_arrives_whatever_the_client_has_closed() {
    let gate = TestServer::setup()
        .tls()
        .raw_route("{ location: /ok, return: 200 ok }")
        .raw_route("{ location: /no, deny: 127.0.0.0/8, return: 200 ok }")
        .proxy_pass("/dead", "http://127.0.0.1:1")
        .start()
        .await;
    let close = "Connection: close\r\n";
    let upgrade = String::from_utf8(UPGRADE.to_vec()).unwrap();
    for over in Over::BOTH {
        for (request, status) in [
            (format!("GET /ok HTTP/1.1\r\nHost: a\r\n{close}\r\n"), 200),
            ("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200),
            ("GET /no HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 403),
            ("GET /else HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("GET /< HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
            (format!("GET /dead HTTP/1.1\r\nHost: a\r\n{close}\r\n"), 502),
            ("GET /dead HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 502),
            (
                "GET /dead?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
                502,
            ),
            (upgrade.replacen("/socket.io/", "/dead", 1), 502),
        ] {
            let answered = answered(&gate, over, &request, status).await;
            assert_eq!(answered, 100, "{over:?}: {request}");
        }
    }
}

/// What a client does that sends no more.
async fn end(mut client: Peer, over: Over, with_close_notify: bool) -> Peer {
    if over == Over::Ws || with_close_notify {
        client.finish().await;
    } else {
        let tcp = socket2::SockRef::from(client.tcp());
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
    }
    client
}

#[tokio::test]
async fn an_upstreams_answer_arrives_too() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        for with_close_notify in [true, false] {
            // The second goes through hyper, and so does the answer to the third.
            for (request, answer) in [
                (GET, OK),
                ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", OK),
                (
                    GET,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                ),
            ] {
                let mut client = gate.connect_over(over).await;
                client.send(request).await;
                let mut server = upstream.accept().await;
                server.head().await;
                let mut client = end(client, over, with_close_notify).await;
                server.is_quiet().await;
                server.send(answer).await;
                assert_eq!(client.answer().await.text(), "ok", "{over:?} {request}");
                client.ends().await;
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_goes_on_arrives_whole() {
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
            .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        client.head().await;
        assert_eq!(client.take(5).await, b"hello");
        client.finish().await;
        server.is_quiet().await;
        server.send("world").await;
        assert_eq!(client.rest().await, (b"world".to_vec(), Ending::Fin));
    }
}

#[tokio::test]
async fn a_tunnel_opens_for_a_client_that_only_listens() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send(UPGRADE).await;
        client.finish().await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
        server.send("news").await;
        server.finish().await;
        assert_eq!(client.rest().await, (b"news".to_vec(), Ending::Fin));
    }
}

/// Engine.IO's servers learn by the end of a poll that its client has left, so that the end must not be kept from them.
#[tokio::test]
async fn a_poll_of_a_session_ends_with_its_client_at_once() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let poll = "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\n";
    for over in Over::BOTH {
        for lines in ["", "Connection: close\r\n"] {
            for leave in LEAVE {
                let mut client = gate.connect_over(over).await;
                client.send(format!("{poll}{lines}\r\n")).await;
                let mut server = upstream.accept().await;
                server.head().await;
                let began = Instant::now();
                leave(client);
                server.rest().await;
                assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            }
        }
    }
}

/// What a page says as it goes, such as the message that ends its session.
#[tokio::test]
async fn what_a_client_posts_as_it_leaves_reaches_its_server() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        for _ in 0..50 {
            let mut client = gate.connect_over(over).await;
            client
                .send("POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1")
                .await;
            client.vanish();
            let posted = upstream.received().await;
            assert_eq!(posted.body, b"1");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_come_back_is_given_up_after_a_while() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut waiting = Vec::new();
    for over in Over::BOTH {
        for (request, begin) in [
            (GET, ""),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
            (
                GET,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            ),
            (std::str::from_utf8(UPGRADE).unwrap(), ""),
        ] {
            let mut client = gate.connect_over(over).await;
            client.send(request).await;
            let mut server = upstream.accept().await;
            server.head().await;
            if !begin.is_empty() {
                server.send(begin).await;
                client.head().await;
                assert_eq!(client.chunk().await, b"hello");
            }
            let began = Instant::now();
            client.finish().await;
            waiting.push((client, server, began));
        }
    }
    for (_client, server, began) in &mut waiting {
        server.rest().await;
        let took = began.elapsed();
        assert!(
            took > GRACE - AT_ONCE && took < GRACE + 2 * AT_ONCE,
            "{took:?}"
        );
    }
    assert_eq!(waiting.len(), 8);
    drop(waiting);
    let lost = gate
        .log()
        .find("request", |line| line["status"] == 499)
        .await;
    assert_eq!(lost["reason"], "the client left before the answer");
}

/// A reader that is slow is still there.
#[tokio::test]
async fn a_client_that_reads_late_is_not_given_up() {
    const MANY: usize = 8 * 1024 * 1024;
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    client.finish().await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\n\r\n"))
        .await;
    let sending = tokio::spawn(async move {
        server.send(vec![b'x'; MANY]).await;
        server
    });
    client.head().await;
    // Longer than a client is waited for to which nothing is sent.
    tokio::time::sleep(GRACE + AT_ONCE).await;
    assert_eq!(client.rest().await.0.len(), MANY);
    sending.await.unwrap();
}
