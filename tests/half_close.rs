//! How a tunnel ends: one direction after the other, or abruptly.

use std::time::Instant;

use crate::support::AT_ONCE;
use crate::support::Ending;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

#[tokio::test]
async fn a_clients_end_reaches_the_upstream_and_the_answer_still_arrives() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        client.send(b"question").await;
        client.finish().await;
        assert_eq!(server.rest().await, (b"question".to_vec(), Ending::Fin));
        client.is_quiet().await;
        server.send(b"answer").await;
        assert_eq!(client.take(6).await, b"answer");
        server.send(b" and more").await;
        server.finish().await;
        assert_eq!(client.rest().await, (b" and more".to_vec(), Ending::Fin));
    }
}

#[tokio::test]
async fn an_upstreams_end_reaches_the_client_and_the_answer_still_arrives() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        server.send(b"question").await;
        server.finish().await;
        assert_eq!(client.rest().await, (b"question".to_vec(), Ending::Fin));
        server.is_quiet().await;
        client.send(b"answer").await;
        assert_eq!(server.take(6).await, b"answer");
        client.send(b" and more").await;
        client.finish().await;
        assert_eq!(server.rest().await, (b" and more".to_vec(), Ending::Fin));
    }
}

#[tokio::test]
async fn the_log_says_who_ended_a_tunnel_first() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.finish().await;
    server.rest().await;
    server.finish().await;
    client.rest().await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Wss).await;
    server.finish().await;
    client.rest().await;
    client.finish().await;
    server.rest().await;
    for (tunnel, by) in [(1, "client"), (2, "upstream")] {
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == tunnel)
            .await;
        assert_eq!(line["ended_by"], by);
        assert_eq!(line.get("reason"), None);
    }
}

#[tokio::test]
async fn a_clients_reset_reaches_the_upstream_at_once() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (client, mut server) = tunnel(&gate, &mut upstream, over).await;
        client.reset();
        sees_the_end(&mut server, "the upstream").await;
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == number(over))
            .await;
        assert_eq!(line["ended_by"], "client");
        assert!(line["reason"].as_str().unwrap().contains("reset"), "{line}");
    }
}

#[tokio::test]
async fn an_upstreams_reset_reaches_the_client_at_once() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, server) = tunnel(&gate, &mut upstream, over).await;
        server.reset();
        sees_the_end(&mut client, "the client").await;
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == number(over))
            .await;
        assert_eq!(line["ended_by"], "upstream");
        assert!(line["reason"].as_str().unwrap().contains("reset"), "{line}");
    }
}

/// The system closes a dead process's sockets: a FIN, and no close_notify.
#[tokio::test]
async fn a_tls_client_that_is_cut_off_takes_the_upstreams_connection_with_it() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    let (client, mut server) = tunnel(&gate, &mut upstream, Over::Wss).await;
    client.vanish();
    sees_the_end(&mut server, "the upstream").await;
    let line = gate.log().first("tunnel ended").await;
    assert_eq!(line["ended_by"], "client");
    assert!(
        line["reason"].as_str().unwrap().contains("close_notify"),
        "{line}"
    );
}

#[tokio::test]
async fn an_upstream_process_that_ends_takes_its_clients_with_it() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        server.send(b"last words").await;
        server.vanish();
        assert_eq!(client.take(10).await, b"last words");
        sees_the_end(&mut client, "the client").await;
        client.vanish();
        gate.log()
            .find("tunnel ended", |line| line["tunnel"] == number(over))
            .await;
    }
}

#[tokio::test]
async fn what_was_sent_before_an_abrupt_end_still_arrives() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        client.send(b"last words").await;
        // Only once they are out of the client's hands: a reset destroys what the system still holds.
        assert_eq!(server.take(10).await, b"last words");
        client.reset();
        sees_the_end(&mut server, "the upstream").await;
    }
}

#[tokio::test]
async fn a_half_closed_tunnel_whose_other_half_breaks_is_over() {
    let mut upstream = Upstream::scripted().await;
    let gate = gate(&upstream).await;
    for over in Over::BOTH {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        client.finish().await;
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
        server.reset();
        sees_the_end(&mut client, "the client").await;
    }
}

/// Tunnels of a test that opens one over each.
fn number(over: Over) -> u64 {
    match over {
        Over::Ws => 1,
        Over::Wss => 2,
    }
}

async fn gate(upstream: &Upstream) -> TestServer {
    TestServer::setup().tls().route("/", upstream).start().await
}

async fn sees_the_end(peer: &mut Peer, who: &str) {
    let began = Instant::now();
    assert_eq!(peer.rest().await.0, b"");
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{who} saw it after {took:?}");
}
