//! One end that sends more than the other reads: nothing is lost, and nothing piles up in wsgate.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::Flood;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::move_both_ways;
use crate::support::tunnel_of;

const MIB: usize = 1024 * 1024;

/// Far more than what the system holds for four sockets (up to 6 MiB each).
const MANY: usize = 64 * MIB;

/// What wsgate may take for tunnels that are stuck.
const GROWTH_KIB: u64 = 8 * 1024;

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_upstream() {
    for over in Over::BOTH {
        let (gate, client, server) = stuck_pair(over).await;
        flood(&gate, server, client).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_its_client() {
    for over in Over::BOTH {
        let (gate, client, server) = stuck_pair(over).await;
        flood(&gate, client, server).await;
    }
}

#[tokio::test]
async fn one_direction_that_is_stuck_does_not_hold_up_the_other() {
    for over in Over::BOTH {
        let (_gate, mut client, mut server) = stuck_pair(over).await;
        Flood::default().write_until_refused(&mut server).await;
        for _ in 0..10 {
            client.send(b"still here").await;
            assert_eq!(server.take(10).await, b"still here");
        }
    }
}

#[tokio::test]
async fn many_bytes_pass_in_both_directions_at_once() {
    for over in Over::BOTH {
        let mut upstream = Upstream::scripted().await;
        let gate = TestServer::setup()
            .tls()
            .route("/", &upstream)
            .start()
            .await;
        let client = gate.connect_over(over).await;
        let (client, server) = tunnel_of(client, &mut upstream).await;
        let ends = move_both_ways(MANY, client, server).await;
        drop(ends);
        let line = gate.log().first("tunnel ended").await;
        assert_eq!(line["bytes_to_upstream"], MANY);
        assert_eq!(line["bytes_to_client"], MANY);
    }
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_read_stops_its_upstream() {
    for over in Over::BOTH {
        let mut upstream = Upstream::scripted().await;
        let gate = TestServer::setup()
            .tls()
            .route("/", &upstream)
            .start()
            .await;
        let mut client = gate.connect_with_small_buffers(over).await;
        client
            .send("GET /file HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(
            head.value("content-length"),
            Some(MANY.to_string().as_str())
        );
        flood(&gate, server, client).await;
    }
}

#[tokio::test]
async fn an_upload_that_the_upstream_does_not_read_stops_its_client() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect_with_small_buffers(Over::Ws).await;
    client
        .send(format!(
            "POST /file HTTP/1.1\r\nHost: chat.test\r\nContent-Length: {MANY}\r\n\r\n"
        ))
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    flood(&gate, client, server).await;
}

/// Longer than what a system waits that was told to end a connection which takes nothing for two minutes.
const MINUTES: Duration = Duration::from_secs(130);

#[tokio::test]
#[ignore = "takes minutes: cargo test slow_readers -- --ignored"]
async fn a_client_that_answers_may_pause_and_read_on_and_pause_again_minutes_later() {
    for over in Over::BOTH {
        let (_gate, mut client, mut server) = stuck_pair(over).await;
        for wait in [Duration::ZERO, MINUTES] {
            sleep(wait).await;
            // As a client does that is asked by a ping whether it is there.
            client.send(b"pong").await;
            assert_eq!(server.take(4).await, b"pong");
            let (mut written, mut read) = (Flood::default(), Flood::default());
            let taken = written.write_until_refused(&mut server).await;
            // The system has asked once or twice whether the client takes more by now.
            sleep(Duration::from_secs(1)).await;
            read.read_up_to(taken, client.wire()).await;
        }
        client.send(b"still here").await;
        assert_eq!(server.take(10).await, b"still here");
    }
}

async fn stuck_pair(over: Over) -> (TestServer, Peer, Peer) {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let client = gate.connect_with_small_buffers(over).await;
    let (client, server) = tunnel_of(client, &mut upstream).await;
    (gate, client, server)
}

/// One end writes until it is refused; wsgate's memory must not have grown. Then all of it must arrive.
async fn flood(gate: &TestServer, mut writer: Peer, mut reader: Peer) {
    let before = gate.resident_kib();
    let mut written = Flood::default();
    let taken = written.write_until_refused(&mut writer).await;
    assert!(taken < MANY / 2, "{taken} bytes were taken");
    let growth = gate.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB, "{growth} KiB for {taken} bytes");
    let mut read = Flood::default();
    tokio::join!(
        written.write_up_to(MANY, writer.wire()),
        read.read_up_to(MANY, reader.wire())
    );
    let growth = gate.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB, "{growth} KiB in the end");
}
