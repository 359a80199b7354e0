//! SIGTERM and its like: what is under way ends well, and a new start works at once.

use std::io::ErrorKind;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::support::DEADLINE;
use crate::support::Ending;
use crate::support::GET;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::tunnel;

#[tokio::test]
async fn without_anything_under_way_a_signal_ends_the_process_at_once() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT"), ("QUIT", "SIGQUIT")] {
        let upstream = Upstream::saying("ok").await;
        let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
        assert_eq!(gate.connect().await.get("/").await.text(), "ok");
        gate.signal(signal);
        let line = gate.log().first("draining").await;
        assert_eq!(
            (&line["signal"], &line["level"]),
            (&name.into(), &"INFO".into())
        );
        let line = gate.log().first("ended").await;
        assert_eq!(line["connections_cut"], 0);
        assert_eq!(gate.finished().await.status.code(), Some(0));
    }
}

#[tokio::test]
async fn what_the_system_has_accepted_before_a_drain_is_answered() {
    let upstream = Upstream::saying("ok").await;
    let mut gate = TestServer::setup()
        .top("threads: 1")
        .route("/", &upstream)
        .start()
        .await;
    // Stopped, so that all of them wait in the system's queue when the drain begins.
    gate.signal("STOP");
    let mut clients = Vec::new();
    for _ in 0..600 {
        let mut client = gate.connect().await;
        client.send(GET).await;
        clients.push(client);
    }
    gate.signal("TERM");
    gate.signal("CONT");
    for mut client in clients {
        assert_eq!(client.answer().await.text(), "ok");
    }
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_tunnel_lives_on_until_the_drain_timeout() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("drain_timeout: 500ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut tunnels = [
        tunnel(&gate, &mut upstream, Over::Ws).await,
        tunnel(&gate, &mut upstream, Over::Wss).await,
    ];
    let began = Instant::now();
    gate.signal("TERM");
    gate.log().first("draining").await;
    is_refused(&gate).await;
    for (client, server) in &mut tunnels {
        client.send(b"still").await;
        assert_eq!(server.take(5).await, b"still");
        server.send(b"here").await;
        assert_eq!(client.take(4).await, b"here");
    }
    for (client, server) in &mut tunnels {
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    assert!(began.elapsed() >= Duration::from_millis(500));
    for number in 1..=2 {
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == number)
            .await;
        assert_eq!(line["ended_by"], "drain");
        assert_eq!(
            (&line["bytes_to_upstream"], &line["bytes_to_client"]),
            (&5.into(), &4.into())
        );
    }
    assert_eq!(gate.log().first("ended").await["connections_cut"], 2);
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_tunnel_that_ends_by_itself_ends_the_drain() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    gate.signal("TERM");
    gate.log().first("draining").await;
    client.finish().await;
    server.rest().await;
    server.finish().await;
    client.rest().await;
    let line = gate.log().first("tunnel ended").await;
    assert_eq!(line["ended_by"], "client");
    // Long before `drain_timeout`, which is 30 s.
    let finished = gate.finished().await;
    assert_eq!(finished.status.code(), Some(0));
}

#[tokio::test]
async fn every_answer_during_a_drain_says_close_whatever_was_asked_for() {
    let h2c = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let plain = "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n";
    for way in Way::BOTH {
        for request in [UPGRADE, h2c.as_bytes(), plain.as_bytes()] {
            let mut upstream = Upstream::scripted().await;
            let other = Upstream::saying("other").await;
            let routes = [("/other", &other), ("/", &upstream)];
            let mut gate = TestServer::with_routes(&routes).await;
            let mut client = way.client(&gate).await;
            client.send(request).await;
            let mut server = upstream.accept().await;
            server.head().await;
            gate.signal("TERM");
            is_refused(&gate).await;
            server
                .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                .await;
            let answer = client.answer().await;
            assert_eq!(answer.text(), "no");
            let connection = answer.head.values("connection");
            let request = request.escape_ascii();
            assert_eq!(connection, ["close"], "{way:?}: {request}");
            assert_eq!(gate.finished().await.status.code(), Some(0));
        }
    }
}

#[tokio::test]
async fn a_request_in_flight_ends_well_and_its_connection_behind_it() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut pairs = Vec::new();
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        pairs.push((client, server));
    }
    gate.signal("TERM");
    gate.log().first("draining").await;
    is_refused(&gate).await;
    for (client, server) in &mut pairs {
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        let head = client.head().await;
        assert_eq!(head.value("connection"), Some("close"));
        assert_eq!(client.take(5).await, b"hello");
        server.send("world").await;
        assert_eq!(client.rest().await, (b"world".to_vec(), Ending::Fin));
    }
    drop(pairs);
    assert_eq!(gate.log().first("ended").await["connections_cut"], 0);
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_at_the_drain_timeout() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("drain_timeout: 300ms")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    let began = Instant::now();
    gate.signal("TERM");
    assert_eq!(client.rest().await.0, b"");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.rest().await.0, b"");
    let line = gate.log().first("request").await;
    assert_eq!(line["reason"], "wsgate ended before the answer did");
    assert_eq!(gate.log().first("ended").await["connections_cut"], 1);
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let upstream = Upstream::saying("ok").await;
    let mut gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut idle = Vec::new();
    for over in Over::BOTH {
        let mut used = gate.connect_over(over).await;
        assert_eq!(used.get("/").await.text(), "ok");
        idle.push(used);
        idle.push(gate.connect_over(over).await);
    }
    gate.signal("TERM");
    let began = Instant::now();
    for mut client in idle {
        let (rest, ending) = client.rest().await;
        assert_eq!(rest, b"");
        assert_ne!(ending, Ending::Reset);
    }
    assert_eq!(gate.finished().await.status.code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_answer_that_became_a_tunnel_during_the_drain_lives_on_too() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("drain_timeout: 2s")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    server.head().await;
    gate.signal("TERM");
    gate.log().first("draining").await;
    server.send(SWITCHING).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.value("connection"), Some("Upgrade"));
    client.send(b"ping").await;
    assert_eq!(server.take(4).await, b"ping");
    server.send(b"pong").await;
    assert_eq!(client.take(4).await, b"pong");
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    for second in ["TERM", "INT", "QUIT"] {
        let mut upstream = Upstream::scripted().await;
        let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
        let (mut client, _server) = tunnel(&gate, &mut upstream, Over::Ws).await;
        gate.signal("TERM");
        gate.log().first("draining").await;
        client.is_quiet().await;
        // Sooner it would be taken for the same one.
        tokio::time::sleep(Duration::from_millis(600)).await;
        gate.signal(second);
        client.rest().await;
        gate.log().first("ended at once").await;
        assert_eq!(gate.finished().await.status.code(), Some(0));
    }
}

/// wsgate closed the client's connection first, so the system remembers its address for a minute (TIME_WAIT).
#[tokio::test]
async fn a_new_start_on_the_same_address_works_at_once() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("drain_timeout: 0s")
        .route("/", &upstream)
        .start()
        .await;
    let address = gate.address();
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(tunnel(&gate, &mut upstream, Over::Ws).await);
    }
    gate.signal("TERM");
    for (client, _) in &mut tunnels {
        client.rest().await;
    }
    assert_eq!(gate.finished().await.status.code(), Some(0));
    let gate = TestServer::setup()
        .address(address)
        .route("/", &upstream)
        .start()
        .await;
    assert_eq!(gate.address(), address);
    // The clients of before may even still hold their ends.
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.send(b"again").await;
    assert_eq!(server.take(5).await, b"again");
}

/// New connections are refused, as soon as every thread has closed its listening socket.
async fn is_refused(gate: &TestServer) {
    // Another test may be given the port before it is tried here, and keep it for as long as it takes.
    let deadline = Instant::now() + DEADLINE;
    while !matches!(
        TcpStream::connect(gate.address()).await,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused
    ) {
        assert!(Instant::now() < deadline, "still accepting");
    }
}
