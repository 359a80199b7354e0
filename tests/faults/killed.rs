//! An upstream that is killed in the middle of traffic, and comes back: a process of its own, which is a second wsgate.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::AsyncWriteExt;

use crate::faults::of_upstreams::get;
use crate::faults::row::Seen;
use crate::faults::row::Wires;
use crate::faults::words;
use crate::support::AT_ONCE;
use crate::support::Over;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::certificate_pem;
use crate::support::tunnel;

/// Tunnels through which bytes flow when it is killed.
const TUNNELS: usize = 8;

/// What is killed: it listens where it did before, and asks the upstream that is left.
fn second(upstream: &Upstream, at: Option<[SocketAddr; 2]>) -> Setup {
    let [plain, tls] = at.unwrap_or([([127, 0, 0, 1], 0).into(); 2]);
    TestServer::setup()
        .address(plain)
        .address(tls)
        .of_listener("tls: { cert: cert.pem, key: key.pem }")
        .raw_route("{ location: /marker, return: 204 }")
        .route("/", upstream)
}

pub(super) async fn killed_and_back(wires: Wires) -> Seen {
    let mut upstream = Upstream::scripted().await;
    let mut killed = second(&upstream, None).start().await;
    let at = [killed.address(), killed.tls_address()];
    let gate = TestServer::setup().tls();
    let gate = match wires.upstream {
        Over::Ws => gate.proxy_pass("/", format!("http://{}", at[0])),
        Over::Wss => gate
            .proxy_pass("/", format!("https://localhost:{}", at[1].port()))
            .of_route("ca: ca.pem")
            .file("ca.pem", certificate_pem()),
    };
    let gate = gate.start().await;
    gate.log().first("upstream answers").await;

    let mut flowing = Vec::new();
    let mut polling = gate.connect_over(wires.client).await;
    assert_eq!(polling.ask(get("/marker")).await.status(), 204);
    for _ in 0..TUNNELS {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, wires.client).await;
        let address = client.tcp().local_addr().unwrap();
        // Bytes both ways, until there is no other end any more.
        tokio::spawn(async move { while server.try_send([b's'; 4096]).await.is_ok() {} });
        assert_eq!(client.take(4096).await, [b's'; 4096]);
        flowing.push((client, address));
    }
    let began = Instant::now();
    killed.signal("KILL");
    for (client, address) in &mut flowing {
        // A reset or a FIN: the system chooses by what was unread.
        client.ends().await;
        // All that it knows is that no more will come.
        let _ = client.wire().shutdown().await;
        let address = address.to_string();
        let log = gate.log();
        let line = log.find("tunnel ended", |line| {
            line["remote_addr"] == address.as_str()
        });
        assert_eq!(line.await["ended_by"], "upstream");
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    killed.finished().await;

    // The connection that was kept is gone with it; the client's is not.
    polling.send(get("/marker")).await;
    let told = words::answer(&mut polling).await;
    let line = gate.log().find("request", |line| line["status"] == 502);
    let line = words::line(&line.await);
    let _back = second(&upstream, Some(at)).start().await;
    assert_eq!(polling.get("/marker").await.status(), 204);
    let (mut client, mut server) = tunnel(&gate, &mut upstream, wires.client).await;
    client.send("again").await;
    assert_eq!(server.take(5).await, b"again");
    Seen {
        client: format!(
            "the end of its tunnel at once; {told}; when it is back, 204 and a new tunnel"
        ),
        upstream: "what it was sent, until it is killed; when it is back, new connections"
            .to_owned(),
        log: format!("`tunnel ended`, by upstream; {line}"),
    }
}
