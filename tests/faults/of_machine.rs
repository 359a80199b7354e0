//! What the rows of the machine are acted out with: each with a wsgate of its own.

use std::time::Duration;

use tokio::time::timeout;

use crate::faults::of_upstreams::get;
use crate::faults::row::Seen;
use crate::faults::words;
use crate::faults::words::NOTHING;
use crate::support::Over;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::Stderr;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

/// Whoever is not accepted is so for longer than this.
const NOT_ACCEPTED: Duration = Duration::from_millis(500);

fn few_descriptors(upstream: &Upstream) -> Setup {
    TestServer::setup()
        .top("threads: 1\nmax_connections: 1000")
        .descriptors(64)
        .raw_route("{ location: /marker, return: 204 }")
        .route("/", upstream)
}

/// Clients that are idle, as many as there are descriptors for, and one that is not accepted.
async fn crowd(gate: &TestServer) -> (Vec<Peer>, Peer) {
    let mut clients = Vec::new();
    loop {
        let mut client = gate.connect().await;
        client.send(get("/marker")).await;
        match timeout(NOT_ACCEPTED, client.has_more()).await {
            Ok(_) => assert_eq!(client.answer().await.status(), 204),
            Err(_) => return (clients, client),
        }
        clients.push(client);
    }
}

pub(super) async fn no_descriptor_for_a_client() -> Seen {
    let mut upstream = Upstream::scripted().await;
    let gate = few_descriptors(&upstream).start().await;
    gate.log().first("upstream answers").await;
    let (mut clients, mut waiting) = crowd(&gate).await;
    drop(clients.pop());
    let status = waiting.answer().await.status();
    // Open ones have gone on.
    assert_eq!(clients[0].get("/marker").await.status(), 204);
    assert!(upstream.has_nothing_more());
    let line = gate
        .log()
        .first("cannot accept connections; open ones go on")
        .await;
    Seen {
        client: format!("nothing until another one leaves, then {status}"),
        upstream: NOTHING.to_owned(),
        log: words::line(&line),
    }
}

pub(super) async fn no_descriptor_for_an_upstream() -> Seen {
    let mut upstream = Upstream::scripted().await;
    let gate = few_descriptors(&upstream).start().await;
    gate.log().first("upstream answers").await;
    let (mut clients, _waiting) = crowd(&gate).await;
    clients[0].send(get("/")).await;
    let told = words::answer(&mut clients[0]).await;
    assert!(upstream.has_nothing_more());
    let line = gate.log().find("request", |line| line["status"] != 204);
    Seen {
        client: told,
        upstream: NOTHING.to_owned(),
        log: words::line(&line.await),
    }
}

/// Serves requests and tunnels, and ends in order when it is told to.
async fn serves(mut gate: TestServer, upstream: &mut Upstream) -> Seen {
    let mut client = gate.connect().await;
    for _ in 0..20 {
        assert_eq!(client.get("/marker").await.status(), 204);
    }
    let (mut client, mut server) = tunnel(&gate, upstream, Over::Ws).await;
    client.send("still here").await;
    let heard = server.take(10).await;
    client.finish().await;
    server.finish().await;
    server.rest().await;
    client.rest().await;
    gate.signal("TERM");
    assert_eq!(gate.finished().await.status.code(), Some(0));
    Seen {
        client: "its answers, its tunnel".to_owned(),
        upstream: format!("its requests, `{}`", heard.escape_ascii()),
        log: NOTHING.to_owned(),
    }
}

fn beside(upstream: &Upstream) -> Setup {
    TestServer::setup()
        .raw_route("{ location: /marker, return: 204 }")
        .route("/", upstream)
}

pub(super) async fn unheard(stderr: Stderr) -> Seen {
    let mut upstream = Upstream::scripted().await;
    let gate = beside(&upstream).stderr(stderr).start_unheard().await;
    serves(gate, &mut upstream).await
}

pub(super) async fn reader_is_gone() -> Seen {
    let mut upstream = Upstream::scripted().await;
    let mut gate = beside(&upstream).start().await;
    gate.close_log();
    // The pipe is closed behind the next line.
    assert_eq!(gate.connect().await.get("/marker").await.status(), 204);
    serves(gate, &mut upstream).await
}

pub(super) async fn reader_does_not_read() -> Seen {
    let mut upstream = Upstream::scripted().await;
    let mut gate = beside(&upstream).start().await;
    gate.stall_log();
    // Far more than the pipe, the test and wsgate hold between them.
    let mut client = gate.connect().await;
    let target = format!("/marker{}", "a".repeat(8000));
    for _ in 0..600 {
        assert_eq!(client.get(&target).await.status(), 204);
    }
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.send("still here").await;
    let heard = server.take(10).await;
    gate.resume_log();
    let line = gate
        .log()
        .first("lines of the log are lost: whoever reads it does not keep up")
        .await;
    Seen {
        client: "its answers, its tunnel".to_owned(),
        upstream: format!("its requests, `{}`", heard.escape_ascii()),
        log: format!("when it reads again: {}", words::line(&line)),
    }
}
