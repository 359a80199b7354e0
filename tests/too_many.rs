//! More clients than there is room for: they wait, and nobody else notices.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::agree;
use crate::support::cpu_time;
use crate::support::tunnel;

/// How fast a client must be served that waits, when there is room.
const ROOM: Duration = Duration::from_millis(200);

/// An echo through a tunnel.
async fn echo((client, server): &mut (Peer, Peer)) {
    client.send(b"still here").await;
    assert_eq!(server.take(10).await, b"still here");
    server.send(b"so am I").await;
    assert_eq!(client.take(7).await, b"so am I");
}

#[tokio::test]
async fn beyond_max_connections_clients_wait_until_one_ends() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("threads: 2\nmax_connections: 3")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut tunnels = Vec::new();
    for over in [Over::Ws, Over::Wss, Over::Ws] {
        tunnels.push(tunnel(&gate, &mut upstream, over).await);
    }
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        // The system takes it; wsgate does not.
        let mut client = gate.connect().await;
        client.send(UPGRADE).await;
        client.is_quiet().await;
        for tunnel in &mut tunnels {
            echo(tunnel).await;
        }
        assert!(upstream.has_nothing_more());
        let began = Instant::now();
        drop(tunnels.remove(0));
        let server = upstream.accept().await;
        fastest = fastest.min(began.elapsed());
        tunnels.push(agree(client, server).await);
    }
    assert!(fastest < ROOM, "{fastest:?}");
    let line = gate
        .log()
        .first("no more connections are accepted until one ends; open ones go on")
        .await;
    assert_eq!(
        (&line["level"], &line["limit"], &line["max_connections"]),
        (&"WARN".into(), &"max_connections".into(), &3.into())
    );
}

#[tokio::test]
async fn however_many_come_at_once_no_more_are_served_than_may_be() {
    let mut upstream = Upstream::scripted().await;
    let to = format!("http://{}", upstream.address());
    let setup = |most: &str| {
        TestServer::setup()
            .top("threads: 4")
            .top(most)
            .proxy_pass("/", &to)
    };
    let gate = setup("max_connections: 10").start().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gate.connect().await;
        client.send(UPGRADE).await;
        clients.push(client);
    }
    let mut servers = Vec::new();
    for _ in 0..10 {
        servers.push(upstream.accept().await);
    }
    for client in &mut clients[..3] {
        client.is_quiet().await;
    }
    assert_eq!(upstream.connections(), 10);
    // Nobody has to wait any more.
    gate.save(&setup("max_connections: 100"));
    for _ in 10..50 {
        servers.push(upstream.accept().await);
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_until_there_is_room() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("threads: 1\nmax_connections: 1\ndrain_timeout: 300ms")
        .route("/", &upstream)
        .start()
        .await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    let mut waiting = gate.connect().await;
    waiting.send(UPGRADE).await;
    waiting.is_quiet().await;
    gate.signal("TERM");
    assert_eq!(waiting.rest().await.0, b"");
    assert_eq!(client.rest().await.0, b"");
    assert_eq!(server.rest().await.0, b"");
    let line = gate.log().first("ended").await;
    assert_eq!(line["connections_cut"], 1);
    assert!(gate.finished().await.status.success());
}

#[tokio::test]
async fn by_default_there_are_descriptors_for_all_that_are_accepted() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("threads: 1")
        .descriptors(64)
        .route("/", &upstream)
        .start()
        .await;
    // 32 and 9 are set aside, and a tunnel takes two.
    let mut tunnels = Vec::new();
    for _ in 0..11 {
        tunnels.push(tunnel(&gate, &mut upstream, Over::Ws).await);
    }
    let mut client = gate.connect().await;
    client.send(UPGRADE).await;
    client.is_quiet().await;
    let line = gate
        .log()
        .first("no more connections are accepted until one ends; open ones go on")
        .await;
    assert_eq!(line["max_connections"], 11);
    tunnels.pop();
    let server = upstream.accept().await;
    tunnels.push(agree(client, server).await);
    for tunnel in &mut tunnels {
        echo(tunnel).await;
    }
}

/// Opens tunnels until a client is not even accepted; those that got a descriptor for themselves, and none for their
/// upstream, come before that one.
async fn crowd(gate: &TestServer, upstream: &mut Upstream) -> (Vec<(Peer, Peer)>, Vec<Peer>) {
    let (mut tunnels, mut others) = (Vec::new(), Vec::new());
    loop {
        let mut client = gate.connect().await;
        client.send(UPGRADE).await;
        tokio::select! {
            server = upstream.accept() => tunnels.push(agree(client, server).await),
            _ = client.has_more() => {
                assert_eq!(client.answer().await.status(), 502);
                others.push(client);
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                others.push(client);
                return (tunnels, others);
            }
        }
    }
}

#[tokio::test]
async fn without_a_descriptor_left_nothing_spins_and_open_tunnels_go_on() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("threads: 1\nmax_connections: 1000")
        .descriptors(64)
        .route("/", &upstream)
        .start()
        .await;
    let line = gate
        .log()
        .first(
            "there are not descriptors enough for `max_connections`: raise the limit (`ulimit -n`, in systemd LimitNOFILE=)",
        )
        .await;
    assert_eq!(
        (&line["level"], &line["room"], &line["descriptors"]),
        (&"WARN".into(), &11.into(), &64.into())
    );
    let (mut tunnels, mut others) = crowd(&gate, &mut upstream).await;
    assert!(tunnels.len() > 15, "{}", tunnels.len());
    let line = gate
        .log()
        .first("cannot accept connections; open ones go on")
        .await;
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.contains("Too many open files"), "{line}");
    // One waits to be accepted all the while.
    let (began, before) = (Instant::now(), cpu_time(gate.id()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = cpu_time(gate.id()) - before;
    let share = spent.as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.05, "{share} of a core");
    for tunnel in &mut tunnels {
        echo(tunnel).await;
    }
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let waiting = others.pop().unwrap();
        let began = Instant::now();
        tunnels.drain(..2);
        let server = upstream.accept().await;
        fastest = fastest.min(began.elapsed());
        tunnels.push(agree(waiting, server).await);
        let (more, refused) = crowd(&gate, &mut upstream).await;
        tunnels.extend(more);
        others.extend(refused);
    }
    assert!(fastest < ROOM, "{fastest:?}");
}

/// Clients can be so many that there is no descriptor left for a connection to a server: nothing is known of the servers by that.
#[tokio::test]
async fn a_lack_of_descriptors_takes_no_server_out() {
    let mut unconnected = 0;
    // Whether the last descriptor is a client's or an upstream's.
    for descriptors in [64, 65] {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut upstream = Upstream::scripted_on(listener).await;
        let gate = TestServer::setup()
            .top("threads: 1\nmax_connections: 1000")
            .descriptors(descriptors)
            .raw_route("location: /")
            .of_route(&format!(
                "proxy_pass: [\"http://127.0.0.1:{port}\", \"http://127.0.0.2:{port}\"]"
            ))
            .start()
            .await;
        let (tunnels, others) = crowd(&gate, &mut upstream).await;
        unconnected += others.len() - 1;
        // The main thread looks once a second who is down.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(gate.log().all("server down"), Vec::<Value>::new());
        drop((tunnels, others));
    }
    assert!(unconnected > 0);
}
