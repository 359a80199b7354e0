//! Which connection to an upstream a request goes over, and what happens when that one is just closing.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;

use crate::support::AT_ONCE;
use crate::support::Ending;
use crate::support::GET;
use crate::support::LEAVE;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn post(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_requests_of_one_client_connection_share_one_upstream_connection() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut clients = [gate.connect().await, gate.connect_tls().await];
    for (client, connection) in clients.iter_mut().zip(1..) {
        for number in 0..5 {
            assert_eq!(client.get(&format!("/{number}")).await.text(), "ok");
            assert_eq!(client.ask(post("body")).await.text(), "ok");
            assert_eq!(upstream.received().await.connection, connection);
            assert_eq!(upstream.received().await.connection, connection);
        }
    }
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn two_clients_never_share_an_upstream_connection() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    for clients in 1..=5 {
        let mut client = gate.connect().await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.text(), "ok");
        }
        // Also when the client before has gone and its connection could be had.
        assert_eq!(upstream.connections(), clients);
    }
}

#[tokio::test]
async fn a_request_for_another_location_goes_to_its_own_upstream() {
    let one = Upstream::saying("one").await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::with_routes(&[("/one", &one), ("/other", &other)]).await;
    let mut client = gate.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/one").await.text(), "one");
        assert_eq!(client.get("/one").await.text(), "one");
        assert_eq!(client.get("/other").await.text(), "other");
    }
    assert_eq!(one.connections(), 3);
    assert_eq!(other.connections(), 3);
}

#[tokio::test]
async fn requests_sent_without_waiting_are_answered_one_after_the_other() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    let all: String = (0..10)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
        .collect();
    client.send(all).await;
    for number in 0..10 {
        assert_eq!(client.answer().await.text(), "ok");
        assert_eq!(
            upstream.received().await.head.target(),
            format!("/{number}")
        );
    }
    assert_eq!(upstream.connections(), 1);
}

/// A client with a connection to its upstream that has been used once.
async fn warm(upstream: &mut Upstream) -> (TestServer, Peer, Peer) {
    let gate = TestServer::with_routes(&[("/", upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send("GET /first HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    (gate, client, server)
}

#[tokio::test]
async fn a_get_after_the_upstream_closed_its_idle_connection_works() {
    for leave in LEAVE {
        let mut upstream = Upstream::scripted().await;
        let (_gate, mut client, server) = warm(&mut upstream).await;
        leave(server);
        client
            .send("GET /second HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.target(), "/second");
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_get_or_a_head_that_met_a_closing_connection_is_sent_once_more() {
    for method in ["GET", "HEAD"] {
        let mut upstream = Upstream::scripted().await;
        let (gate, mut client, mut server) = warm(&mut upstream).await;
        let request = format!("{method} /second HTTP/1.1");
        client
            .send(&format!("{request}\r\nHost: chat.test\r\n\r\n"))
            .await;
        assert_eq!(server.head().await.target(), "/second");
        server.vanish();
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.target(), "/second");
        server.send(OK).await;
        assert_eq!(client.head().await.status(), 200);
        if method == "GET" {
            assert_eq!(client.take(2).await, b"ok");
        }
        let line = gate
            .log()
            .find("request", |line| line["request"] == request.as_str())
            .await;
        assert_eq!(
            (&line["status"], &line["level"]),
            (&200.into(), &"INFO".into())
        );
        assert_eq!(upstream.connections(), 2);
    }
}

#[tokio::test]
async fn a_get_is_not_sent_a_third_time() {
    let mut upstream = Upstream::scripted().await;
    let (_gate, mut client, mut server) = warm(&mut upstream).await;
    client
        .send("GET /second HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    server.head().await;
    server.vanish();
    let mut server = upstream.accept().await;
    server.head().await;
    server.vanish();
    assert_eq!(client.answer().await.status(), 502);
    assert!(upstream.has_nothing_more());
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_get_on_a_fresh_connection_is_not_repeated() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.vanish();
    assert_eq!(client.answer().await.status(), 502);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    for request in [
        post("pay"),
        post(""),
        "DELETE / HTTP/1.1\r\nHost: chat.test\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 3\r\n\r\npay".to_owned(),
    ] {
        let mut upstream = Upstream::scripted().await;
        let (_gate, mut client, mut server) = warm(&mut upstream).await;
        client.send(&request).await;
        server.request().await;
        server.vanish();
        let answer = client.answer().await;
        assert_eq!(answer.status(), 502, "{request}");
        assert_eq!(answer.text(), "wsgate: the upstream gave no answer\n");
        assert!(upstream.has_nothing_more());
        assert_eq!(upstream.connections(), 1, "{request}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_ends_is_ended_by_wsgate_too() {
    let mut upstream = Upstream::scripted().await;
    let (_gate, _client, mut server) = warm(&mut upstream).await;
    server.finish().await;
    let began = Instant::now();
    assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
    assert!(began.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn it_is_ended_too_while_its_client_asks_for_what_needs_no_upstream() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .raw_route("{ location: /gone, return: 410 }")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    // From here on hyper serves this client.
    assert_eq!(client.get("/gone").await.status(), 410);
    server.finish().await;
    assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
}

#[tokio::test]
async fn what_is_no_answer_is_not_asked_for_again() {
    let head = "HEAD /first HTTP/1.1\r\nHost: chat.test\r\n\r\n";
    // Without hyper on the way, and with it.
    for before in [None, Some(head)] {
        let mut upstream = Upstream::scripted().await;
        let (_gate, mut client, mut server) = warm(&mut upstream).await;
        if let Some(before) = before {
            client.send(before).await;
            server.head().await;
            server
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                .await;
            client.head().await;
        }
        client.send(GET).await;
        server.head().await;
        server.send("garbage\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 502);
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn a_post_after_the_upstream_closed_its_idle_connection_is_sent_once() {
    let mut upstream = Upstream::scripted().await;
    let (_gate, mut client, mut server) = warm(&mut upstream).await;
    server.finish().await;
    // wsgate has seen that when it closes its end too.
    assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
    client.send(post("pay")).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.request().await.1, b"pay");
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert!(upstream.has_nothing_more());
}

#[tokio::test]
async fn an_upstream_that_says_close_gets_a_fresh_connection_for_the_next_request() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    for connections in 1..=3 {
        assert_eq!(client.get("/").await.text(), "ok");
        assert_eq!(client.ask(post("body")).await.text(), "ok");
        assert_eq!(upstream.connections(), 2 * connections);
    }
}

/// Otherwise whoever can make an upstream say too much decides what the next request is answered.
#[tokio::test]
async fn bytes_behind_an_answer_never_answer_the_next_request() {
    for (parts, next) in [
        (
            vec![[OK, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"].concat()],
            "/at-once",
        ),
        (
            vec![
                OK.to_owned(),
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_owned(),
            ],
            "/apart",
        ),
    ] {
        let mut upstream = Upstream::scripted().await;
        let gate = TestServer::with_routes(&[("/", &upstream)]).await;
        let mut client = gate.connect().await;
        client
            .send("GET /first HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        for part in parts {
            server.send(part).await;
        }
        assert_eq!(client.answer().await.text(), "ok");
        client.is_quiet().await;
        client
            .send(format!("GET {next} HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
            .await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.target(), next);
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

/// Node closes connections that are idle for 5 s, and a request that crosses that end is lost.
#[tokio::test]
async fn a_connection_that_was_idle_for_more_than_4_seconds_is_not_used_again() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    assert_eq!(client.get("/").await.text(), "ok");
    tokio::time::sleep(Duration::from_millis(4050)).await;
    assert_eq!(client.ask(post("late")).await.text(), "ok");
    assert_eq!(upstream.received().await.connection, 1);
    assert_eq!(upstream.received().await.connection, 2);
}

/// A server of the kind that `@socket.io/sticky` was before 1.0.4: a connection belongs to the worker of the session that its first
/// request names, or to a new worker if it names none, and a worker knows the sessions that it has opened and no other.
async fn sticky_cluster() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((tcp, _)) = listener.accept().await {
            connections += 1;
            tokio::spawn(worker(Peer::plain(tcp), connections));
        }
    });
    address
}

/// One connection, which is the `number`th. A session's id begins with the number of the worker that knows it.
async fn worker(mut connection: Peer, number: usize) {
    let mut worker = None;
    let mut opened = 0;
    while connection.has_more().await {
        let head = connection.head().await;
        let sid = head.target().split("sid=").nth(1).map(str::to_owned);
        let knows = |worker: &str| sid.as_deref().is_some_and(|sid| sid.starts_with(worker));
        let worker = worker.get_or_insert_with(|| match &sid {
            Some(sid) => sid.split('-').next().unwrap().to_owned(),
            None => format!("worker{number}"),
        });
        let (status, body) = if knows(worker) {
            (200, format!("2{worker}"))
        } else if sid.is_some() {
            (
                400,
                "{\"code\":1,\"message\":\"Session ID unknown\"}".to_owned(),
            )
        } else if head.target().contains("EIO=") {
            opened += 1;
            let open = format!("0{{\"sid\":\"{worker}-{number}-{opened}\",\"upgrades\":[]}}");
            (200, open)
        } else {
            (200, format!("page of {worker} over {number}"))
        };
        let length = body.len();
        // An answer in chunks goes through hyper.
        let answer = if head.target().contains("chunked") {
            format!(
                "HTTP/1.1 {status} x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            )
        } else {
            format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        if connection.try_send(answer).await.is_err() {
            return;
        }
    }
}

async fn opened(client: &mut Peer, more: &str) -> String {
    let target = format!("/socket.io/?EIO=4&transport=polling{more}");
    let open = client.get(&target).await;
    let open = open.text().split('"').nth(3).unwrap().to_owned();
    assert!(open.starts_with("worker"), "{open}");
    open
}

async fn poll(client: &mut Peer, sid: &str, more: &str) -> String {
    let target = format!("/socket.io/?EIO=4&transport=polling{more}&sid={sid}");
    let answer = client.get(&target).await;
    format!("{} {}", answer.status(), answer.text())
}

#[tokio::test]
async fn a_kept_connection_belongs_to_the_session_that_began_over_it() {
    let gate = TestServer::setup()
        .tls()
        .proxy_pass("/", format!("http://{}", sticky_cluster().await))
        .start()
        .await;
    for over in Over::BOTH {
        for more in ["", "&chunked"] {
            let (mut one, mut two) = (gate.connect_over(over).await, gate.connect_over(over).await);
            let first = opened(&mut one, more).await;
            let second = opened(&mut two, more).await;
            assert_ne!(first, second);
            // What was opened over a connection goes on over it.
            let own = |sid: &str| format!("200 2{}", sid.split('-').next().unwrap());
            let (before, _) = first.split_once('-').unwrap();
            let page = one.get("/page").await;
            assert!(
                page.text().starts_with(&format!("page of {before} ")),
                "{page:?}"
            );
            for _ in 0..3 {
                // Both in turn over one connection of the client's.
                assert_eq!(poll(&mut one, &first, more).await, own(&first));
                assert_eq!(poll(&mut one, &second, more).await, own(&second));
                assert_eq!(one.get("/page").await.status(), 200);
                // A session that is opened over another one's connection is found, and so is that other one.
                let third = opened(&mut one, more).await;
                assert_eq!(poll(&mut one, &third, more).await, own(&third));
                assert_eq!(poll(&mut one, &first, more).await, own(&first));
                assert_eq!(poll(&mut two, &second, more).await, own(&second));
            }
        }
    }
}

/// A connection that began with a page is some worker's, and not the session's.
#[tokio::test]
async fn a_session_does_not_go_over_a_connection_that_began_without_it() {
    let gate = TestServer::setup()
        .proxy_pass("/", format!("http://{}", sticky_cluster().await))
        .start()
        .await;
    let mut other = gate.connect().await;
    let sid = opened(&mut other, "").await;
    let mut client = gate.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/page").await.status(), 200);
        assert!(poll(&mut client, &sid, "").await.starts_with("200 "));
        assert_eq!(client.get("/page").await.status(), 200);
    }
}

#[tokio::test]
async fn a_session_keeps_its_connection_from_poll_to_poll() {
    let upstream = Upstream::saying("0{\"sid\":\"abc\"}").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.get("/socket.io/?EIO=4&transport=polling").await;
    for _ in 0..5 {
        poll(&mut client, "abc", "").await;
        let post = "POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2";
        client.ask(post).await;
        client.get("/page").await;
        // No parameter of Engine.IO's, whatever it is called.
        client.get("/page?sid=other").await;
    }
    assert_eq!(upstream.connections(), 1);
}
