//! What many clients at once take of memory, who do as little as they can or as much: none of it may pile up.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::Flood;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::client_hello;
use crate::support::raise_descriptor_limit;
use crate::support::tunnel_of;
use crate::support::within;

/// Of each kind.
const MANY: usize = 100;

async fn gate(upstream: &Upstream) -> TestServer {
    raise_descriptor_limit();
    TestServer::setup()
        .top("threads: 1\naccess_log: off")
        .tls()
        .route("/", upstream)
        .start()
        .await
}

/// A tunnel whose systems take little on the way.
async fn narrow_tunnel(gate: &TestServer, upstream: &mut Upstream, number: usize) -> (Peer, Peer) {
    let over = Over::BOTH[number % 2];
    let client = gate.connect_with_small_buffers(over).await;
    let (client, server) = tunnel_of(client, upstream).await;
    SockRef::from(server.tcp())
        .set_send_buffer_size(64 * 1024)
        .unwrap();
    (client, server)
}

#[tokio::test]
async fn a_hundred_slow_readers_and_a_hundred_slow_writers_take_four_mib_at_most() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    // What is taken once.
    for number in 0..2 {
        let (mut client, mut server) = narrow_tunnel(&gate, &mut upstream, number).await;
        client.send([7; 70_000]).await;
        server.take(70_000).await;
    }
    let before = gate.resident_kib();
    let mut writers = Vec::new();
    for number in 0..MANY {
        writers.push(narrow_tunnel(&gate, &mut upstream, number).await);
    }
    // Their servers write until they are refused; nobody reads.
    let mut floods = JoinSet::new();
    for number in 0..MANY {
        let (client, mut server) = narrow_tunnel(&gate, &mut upstream, number).await;
        floods.spawn(async move {
            let mut flood = Flood::default();
            let taken = flood.write_until_refused(&mut server).await;
            (client, server, taken)
        });
    }
    let mut most = 0;
    for _ in 0..20 {
        for (client, server) in &mut writers {
            client.send(b"x").await;
            assert_eq!(server.take(1).await, b"x");
        }
        most = most.max(gate.resident_kib());
    }
    let mut readers = Vec::new();
    while let Some(reader) = floods.join_next().await {
        let (client, server, taken) = reader.unwrap();
        // More than one read, or nobody was held up.
        assert!(taken > 64 * 1024, "{taken} bytes");
        readers.push((client, server));
    }
    most = most.max(gate.resident_kib());
    let growth = most.saturating_sub(before);
    println!("{growth} KiB for {MANY} slow readers and {MANY} slow writers");
    // Less would mean that nobody was held up.
    assert!((200..=4 * 1024).contains(&growth), "{growth} KiB");
}

/// Beyond these a connection in its TLS handshake would own more than what was sent to it.
const KIB_PER_HALF_HANDSHAKE: f64 = 12.0;

#[tokio::test]
async fn a_flood_of_half_open_tls_handshakes_stays_bounded() {
    let upstream = Upstream::saying("ok").await;
    let gate = gate(&upstream).await;
    let hello = client_hello();
    let mut clients = Vec::new();
    let mut before = 0;
    const FLOOD: usize = 2000;
    for number in 0..FLOOD + 10 {
        if number == 10 {
            before = gate.resident_kib();
        }
        let tcp = TcpStream::connect(gate.tls_address()).await.unwrap();
        let mut client = Peer::plain(tcp);
        // Half of a ClientHello, and a whole one whose answer nobody reads.
        let sent = [hello.len() / 2, hello.len()][number % 2];
        client.send(&hello[..sent]).await;
        if sent == hello.len() {
            client.take(1).await;
        }
        clients.push(client);
    }
    let each = gate.resident_kib().saturating_sub(before) as f64 / FLOOD as f64;
    println!("{each} KiB each");
    assert!((0.2..KIB_PER_HALF_HANDSHAKE).contains(&each), "{each} KiB");
    // Others are served beside them.
    let mut client = gate.connect_tls().await;
    assert_eq!(client.get("/").await.text(), "ok");
}

/// What is sent of a head at first.
const KIB_SENT: u64 = 60;

/// Twice the largest head, which is read into a buffer that grows, and what hyper is.
const KIB_PER_HUGE_HEAD: u64 = 160;

#[tokio::test]
async fn a_flood_of_huge_heads_stays_bounded() {
    let upstream = Upstream::saying("ok").await;
    let gate = gate(&upstream).await;
    let before = gate.resident_kib();
    let line = format!("X-Long: {}\r\n", "a".repeat(992));
    let head = |lines: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: chat.test\r\n{}",
            line.repeat(lines)
        )
    };
    let mut clients = Vec::new();
    for number in 0..MANY {
        let mut client = gate.connect_over(Over::BOTH[number % 2]).await;
        // Almost all that is served, and then no more.
        client.send(head(KIB_SENT as usize)).await;
        clients.push(client);
    }
    let growth = || gate.resident_kib().saturating_sub(before);
    within("reading the heads", async {
        while growth() < MANY as u64 * KIB_SENT / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Others are served beside them.
    let mut client = gate.connect().await;
    assert_eq!(client.get("/").await.text(), "ok");
    let mut most = growth();
    // One that goes on is refused where it ends, and one that is whole is served.
    for (number, client) in clients.iter_mut().enumerate() {
        let (rest, status) = match number % 4 {
            0 | 1 => ("\r\n".to_owned(), 200),
            _ => (line.repeat(39), 431),
        };
        client.send(rest).await;
        assert_eq!(client.answer().await.status(), status);
        most = most.max(growth());
    }
    println!("{most} KiB for {MANY} huge heads");
    assert!(most < MANY as u64 * KIB_PER_HUGE_HEAD, "{most} KiB");
}
