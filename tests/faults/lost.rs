//! What the rows of lost packets are acted out with.

use std::time::Duration;
use std::time::Instant;

use tokio::time::timeout;

use crate::faults::network::HERE;
use crate::faults::network::Networks;
use crate::faults::of_upstreams::get;
use crate::faults::row::Seen;
use crate::faults::row::Wires;
use crate::faults::words;
use crate::faults::words::NOTHING;
use crate::support::Over;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::begin_tls;
use crate::support::tunnel;
use crate::support::tunnel_of;

/// When one that vanished must be found: after `stream::vanished`'s two minutes.
const FOUND: std::ops::Range<Duration> = Duration::from_secs(115)..Duration::from_secs(140);

/// What one who vanishes is sent afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sent {
    Nothing,
    Something,
}

/// Without limits that would end it earlier.
fn setup() -> Setup {
    TestServer::setup().top("response_timeout: 10m\nheader_timeout: 10m")
}

/// A client there, before a wsgate here.
async fn client(wires: Wires, networks: &Networks, upstream: &Upstream) -> (TestServer, Peer) {
    let gate = setup()
        .address(format!("{HERE}:0"))
        .address(format!("{HERE}:0"))
        .of_listener("tls: { cert: cert.pem, key: key.pem }")
        .route("/", upstream)
        .start()
        .await;
    let client = match wires.client {
        Over::Ws => Peer::plain(networks.connect(gate.address()).await),
        Over::Wss => begin_tls(networks.connect(gate.tls_address()).await).await,
    };
    (gate, client)
}

pub(super) async fn client_in_a_tunnel(wires: Wires, sent: Sent) -> Seen {
    let networks = Networks::new();
    let mut upstream = Upstream::scripted().await;
    let (gate, client) = client(wires, &networks, &upstream).await;
    let (mut client, mut server) = tunnel_of(client, &mut upstream).await;
    speak(&mut client, &mut server).await;
    networks.cut();
    if sent == Sent::Something {
        server.send("are you there?").await;
    }
    is_found(&mut server).await;
    Seen {
        client: NOTHING.to_owned(),
        upstream: format!("{} after two minutes", words::rest(&mut server).await),
        log: words::line(&gate.log().first("tunnel ended").await),
    }
}

pub(super) async fn client_that_waits(wires: Wires) -> Seen {
    let networks = Networks::new();
    let mut upstream = Upstream::scripted().await;
    let (gate, mut client) = client(wires, &networks, &upstream).await;
    client.send(get("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    networks.cut();
    is_found(&mut server).await;
    let rest = words::rest(&mut server).await;
    Seen {
        client: NOTHING.to_owned(),
        upstream: format!("the request, then {rest} after two minutes"),
        log: words::line(&gate.log().first("request").await),
    }
}

pub(super) async fn upstream_in_a_tunnel(wires: Wires, sent: Sent) -> Seen {
    let networks = Networks::new();
    let mut upstream = Upstream::scripted_on(networks.listen()).await;
    let gate = setup().tls().route("/", &upstream).start().await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, wires.client).await;
    speak(&mut client, &mut server).await;
    networks.cut();
    if sent == Sent::Something {
        client.send("are you there?").await;
    }
    is_found(&mut client).await;
    Seen {
        client: format!(
            "101, then {} after two minutes",
            words::rest(&mut client).await
        ),
        upstream: NOTHING.to_owned(),
        log: words::line(&gate.log().first("tunnel ended").await),
    }
}

/// Both ends speak once: one that has is not doubted before it has been silent for a while.
async fn speak(client: &mut Peer, server: &mut Peer) {
    client.send("hello").await;
    assert_eq!(server.take(5).await, b"hello");
    server.send("hello").await;
    assert_eq!(client.take(5).await, b"hello");
}

/// The other end sees the end when it must.
async fn is_found(other: &mut Peer) {
    let began = Instant::now();
    let more = timeout(FOUND.end, other.has_more()).await;
    assert_eq!(more.ok(), Some(false), "it goes on and on");
    let took = began.elapsed();
    println!(
        "{}: found after {took:.1?}",
        std::thread::current().name().unwrap_or_default()
    );
    assert!(FOUND.contains(&took), "{took:?}");
}
