//! What one address may have: whoever takes more is told so, and nobody else notices.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

use crate::support::Ending;
use crate::support::Over;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::agree;
use crate::support::begin_tls;
use crate::support::tunnel;
use crate::support::upgrade_to;
use crate::support::within;

const GET: &str = "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n";

fn setup(per_ip: &str, upstream: &Upstream) -> Setup {
    TestServer::setup()
        .top(&format!("threads: 2\nper_ip: {per_ip}"))
        .tls()
        .route("/", upstream)
}

/// A client at another address of this machine.
async fn other(gate: &TestServer, over: Over) -> Peer {
    let address = match over {
        Over::Ws => gate.address(),
        Over::Wss => gate.tls_address(),
    };
    let socket = TcpSocket::new_v4().unwrap();
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    socket.bind(own).unwrap();
    let tcp = within("connecting", socket.connect(address)).await.unwrap();
    match over {
        Over::Ws => Peer::plain(tcp),
        Over::Wss => begin_tls(tcp).await,
    }
}

/// A request in the name of a client behind a proxy.
fn of(client: &str, request: &str) -> String {
    request.replacen(
        "\r\n\r\n",
        &format!("\r\nX-Forwarded-For: {client}\r\n\r\n"),
        1,
    )
}

/// Bytes both ways.
async fn echo((client, server): &mut (Peer, Peer)) {
    client.send(b"still here").await;
    assert_eq!(server.take(10).await, b"still here");
    server.send(b"so am I").await;
    assert_eq!(client.take(7).await, b"so am I");
}

/// A request that does not come whole goes through hyper.
const CHUNKS: &str =
    "POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

/// The 429 of one too many, and what it says of the connection.
async fn is_refused(client: &mut Peer, request: &[u8], connection: Option<&str>) {
    let answer = client.ask(request).await;
    assert_eq!(
        (
            answer.status(),
            answer.head.value("retry-after"),
            answer.head.value("connection"),
            answer.text()
        ),
        (
            429,
            Some("10"),
            connection,
            "wsgate: there are too many connections from this address\n"
        )
    );
}

/// The same, behind which there is nothing.
async fn is_one_too_many(mut client: Peer, request: &[u8]) {
    is_refused(&mut client, request, Some("close")).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_whatever_it_asks_and_another_address_is_served() {
    let mut upstream = Upstream::scripted().await;
    let saying = Upstream::saying("here").await;
    let gate = setup("{ connections: 3 }", &upstream)
        .route("/ask", &saying)
        .route("/closed", &saying)
        .of_route("deny: all")
        .raw_route("{ location: /own, return: 204 }")
        .start()
        .await;
    let mut tunnels = vec![
        tunnel(&gate, &mut upstream, Over::Ws).await,
        tunnel(&gate, &mut upstream, Over::Wss).await,
    ];
    // One between two requests counts too.
    let mut silent = gate.connect().await;
    assert_eq!(silent.get("/ask").await.text(), "here");
    for over in Over::BOTH {
        let get = |target| GET.replacen("GET /", &format!("GET {target}"), 1);
        for request in [
            UPGRADE,
            GET.as_bytes(),
            CHUNKS.as_bytes(),
            get("/own").as_bytes(),
            get("/closed").as_bytes(),
        ] {
            is_one_too_many(gate.connect_over(over).await, request).await;
        }
        let mut client = other(&gate, over).await;
        client.send(UPGRADE).await;
        let server = upstream.accept().await;
        tunnels.push(agree(client, server).await);
    }
    assert!(upstream.has_nothing_more());
    for tunnel in &mut tunnels {
        echo(tunnel).await;
    }
    let line = gate
        .log()
        .find("request", |line| line["status"] == 429)
        .await;
    assert_eq!(
        (&line["reason"], &line["location"]),
        (
            &"refused: 127.0.0.1 has 3 connections (`per_ip: connections`)".into(),
            &"/".into()
        )
    );
    drop(silent);
    gone(&gate, &mut upstream, &mut tunnels).await;
    drop(tunnels.remove(0));
    gone(&gate, &mut upstream, &mut tunnels).await;
}

/// There is room for one more, as soon as wsgate has seen that another has gone.
async fn gone(gate: &TestServer, upstream: &mut Upstream, tunnels: &mut Vec<(Peer, Peer)>) {
    within("room for one more", async {
        loop {
            let mut client = gate.connect().await;
            client.send(UPGRADE).await;
            tokio::select! {
                server = upstream.accept() => {
                    tunnels.push(agree(client, server).await);
                    return;
                }
                _ = client.has_more() => assert_eq!(client.answer().await.status(), 429),
            }
        }
    })
    .await;
    is_one_too_many(gate.connect().await, UPGRADE).await;
}

#[tokio::test]
async fn whoever_does_not_even_wait_to_be_told_is_closed_and_that_is_said_once() {
    let mut upstream = Upstream::scripted().await;
    // On one thread, which takes them in the order in which they come.
    let gate = TestServer::setup()
        .top("threads: 1\nper_ip: { connections: 5 }")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    // Five that are served, and five that are told as soon as they ask.
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(gate.connect().await);
    }
    for over in [Over::Ws; 50].into_iter().chain([Over::Wss; 5]) {
        // Those of TLS are closed before its handshake.
        let address = match over {
            Over::Ws => gate.address(),
            Over::Wss => gate.tls_address(),
        };
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        assert_eq!(Peer::plain(tcp).rest().await, (Vec::new(), Ending::Fin));
    }
    let mut client = other(&gate, Over::Ws).await;
    client.send(UPGRADE).await;
    let server = upstream.accept().await;
    echo(&mut agree(client, server).await).await;
    // The tunnels stay, so that nobody who was told makes room for another.
    let (mut tunnels, mut told) = (Vec::new(), Vec::new());
    for mut client in silent {
        client.send(UPGRADE).await;
        tokio::select! {
            server = upstream.accept() => tunnels.push(agree(client, server).await),
            _ = client.has_more() => told.push(client.answer().await.status()),
        }
    }
    assert_eq!((tunnels.len(), told), (5, vec![429; 5]));
    let said = gate
        .log()
        .all("connections are closed without an answer while others of this address wait for one");
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(
        (&said[0]["level"], &said[0]["limit"], &said[0]["reason"]),
        (
            &"WARN".into(),
            &"per_ip: connections".into(),
            &"refused: 127.0.0.1 has 5 connections (`per_ip: connections`)".into()
        )
    );
}

#[tokio::test]
async fn opening_handshakes_have_a_rate_and_other_requests_do_not() {
    for over in Over::BOTH {
        let mut upstream = Upstream::scripted().await;
        let saying = Upstream::saying("here").await;
        let gate = setup("{ handshakes_per_second: 3 }", &upstream)
            .route("/ask", &saying)
            .start()
            .await;
        let mut tunnels = Vec::new();
        for _ in 0..3 {
            tunnels.push(tunnel(&gate, &mut upstream, over).await);
        }
        // Through hyper, which goes on with what was not whole once.
        let mut client = gate.connect_over(over).await;
        let chunks = CHUNKS.replacen("POST /", "POST /ask", 1);
        assert_eq!(client.ask(&chunks).await.text(), "here");
        let mut refused = None;
        // A machine that is slow may have got a third of a second further by now.
        for _ in 0..20 {
            client.send(UPGRADE).await;
            tokio::select! {
                server = upstream.accept() => {
                    tunnels.push(agree(client, server).await);
                    client = gate.connect_over(over).await;
                }
                _ = client.has_more() => {
                    refused = Some(client.answer().await);
                    break;
                }
            }
        }
        let refused = refused.expect("one too many");
        assert_eq!(
            (
                refused.status(),
                refused.head.value("retry-after"),
                refused.head.value("connection"),
                refused.text()
            ),
            (
                429,
                Some("1"),
                None,
                "wsgate: there are too many opening handshakes from this address\n"
            )
        );
        let line = gate
            .log()
            .find("request", |line| line["status"] == 429)
            .await;
        assert_eq!(
            line["reason"],
            "refused: 127.0.0.1 has begun 3 opening handshakes within a second (`per_ip: handshakes_per_second`)"
        );
        // The connection goes on, and what is no opening handshake is not counted.
        for _ in 0..10 {
            assert_eq!(client.get("/ask").await.text(), "here");
        }
        let mut elsewhere = other(&gate, over).await;
        elsewhere.send(UPGRADE).await;
        let server = upstream.accept().await;
        tunnels.push(agree(elsewhere, server).await);
        for tunnel in &mut tunnels {
            echo(tunnel).await;
        }
        // Whoever waits as long as it was told is served.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        client.send(UPGRADE).await;
        let server = upstream.accept().await;
        echo(&mut agree(client, server).await).await;
    }
}

#[tokio::test]
async fn behind_a_believed_proxy_each_client_has_its_own_and_the_proxy_no_limit() {
    for over in Over::BOTH {
        let mut upstream = Upstream::scripted().await;
        let gate = setup("{ connections: 2 }", &upstream)
            .top("trusted_proxies: 127.0.0.1")
            .start()
            .await;
        let open = |client: &str| of(client, str::from_utf8(UPGRADE).unwrap());
        let mut tunnels = Vec::new();
        // Two addresses of one customer, and one of another.
        for client in [
            "2001:db8::1",
            "2001:db8::ffff:2",
            "2001:db8:0:1::1",
            "192.0.2.7",
        ] {
            let mut proxy = gate.connect_over(over).await;
            proxy.send(open(client)).await;
            let server = upstream.accept().await;
            tunnels.push(agree(proxy, server).await);
        }
        // The proxy's connection is nobody's fault, and goes on.
        let mut proxy = gate.connect_over(over).await;
        for request in [
            open("2001:db8::3"),
            of("2001:db8::3", GET),
            of("2001:db8::3", CHUNKS),
        ] {
            is_refused(&mut proxy, request.as_bytes(), None).await;
        }
        let line = gate
            .log()
            .find("request", |line| line["status"] == 429)
            .await;
        assert_eq!(
            (&line["remote_addr"], &line["reason"]),
            (
                &"2001:db8::3".into(),
                &"refused: 2001:db8::/64 has 2 connections (`per_ip: connections`)".into()
            )
        );
        // A request counts for as long as it lasts: on one connection of the proxy, one after the other.
        for request in [GET, GET, CHUNKS, GET, CHUNKS] {
            proxy.send(of("192.0.2.7", request)).await;
            let mut server = upstream.accept().await;
            server.head().await;
            let mut beside = gate.connect_over(over).await;
            for _ in 0..5 {
                is_refused(&mut beside, of("192.0.2.7", GET).as_bytes(), None).await;
            }
            server
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .await;
            assert_eq!(proxy.answer().await.text(), "ok");
        }
        for tunnel in &mut tunnels {
            echo(tunnel).await;
        }
        drop(tunnels.remove(0));
        within("room for one more", async {
            loop {
                let mut proxy = gate.connect_over(over).await;
                proxy.send(open("2001:db8::3")).await;
                tokio::select! {
                    server = upstream.accept() => {
                        tunnels.push(agree(proxy, server).await);
                        return;
                    }
                    _ = proxy.has_more() => assert_eq!(proxy.answer().await.status(), 429),
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_proxy_header_names_whose_connection_it_is() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("trusted_proxies: 127.0.0.1\nper_ip: { connections: 1, handshakes_per_second: 1 }")
        .address("127.0.0.1:0")
        .of_listener("proxy_protocol: true")
        .route("/", &upstream)
        .start()
        .await;
    let mut tunnels = Vec::new();
    for client in ["192.0.2.7", "192.0.2.8"] {
        let mut proxy = gate.connect().await;
        let header = format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n");
        proxy.send([header.as_bytes(), UPGRADE].concat()).await;
        let server = upstream.accept().await;
        tunnels.push(agree(proxy, server).await);
    }
    let header = b"PROXY TCP4 192.0.2.7 127.0.0.1 4712 80\r\n";
    is_one_too_many(gate.connect().await, &[header, UPGRADE].concat()).await;
}

#[tokio::test]
async fn a_reload_changes_what_an_address_may_and_ends_nothing() {
    let mut upstream = Upstream::scripted().await;
    let address = upstream.address();
    let setup = |per_ip: &str| {
        let setup = TestServer::setup().proxy_pass("/", format!("http://{address}"));
        match per_ip {
            "" => setup,
            per_ip => setup.top(&format!("per_ip: {per_ip}")),
        }
    };
    let gate = setup("{ connections: 1 }").start().await;
    let mut tunnels = vec![tunnel(&gate, &mut upstream, Over::Ws).await];
    is_one_too_many(gate.connect().await, UPGRADE).await;
    let mut seen = 0;
    for (per_ip, name) in [
        ("{ connections: 3 }", "connections: 3 (was 1)"),
        ("", "connections: no limit (was 3)"),
        ("{ connections: 2 }", "connections: 2 (was no limit)"),
    ] {
        gate.save(&setup(per_ip));
        let lines = gate.log().next(&mut seen, "reloaded").await;
        let change = lines
            .iter()
            .find(|line| line["kind"] == "per_ip")
            .unwrap_or_else(|| panic!("{lines:#?}"));
        assert_eq!(change["name"], name);
        if per_ip != "{ connections: 2 }" {
            tunnels.push(tunnel(&gate, &mut upstream, Over::Ws).await);
        }
    }
    // Two that were counted, and one that was not: its like is not missed.
    is_one_too_many(gate.connect().await, UPGRADE).await;
    for tunnel in &mut tunnels {
        echo(tunnel).await;
    }
}

#[tokio::test]
async fn an_opening_handshake_that_is_refused_for_another_reason_is_not_counted() {
    let mut upstream = Upstream::scripted().await;
    let gate = setup("{ handshakes_per_second: 1 }", &upstream)
        .route("/closed", &upstream)
        .of_route("deny: all")
        .start()
        .await;
    for _ in 0..3 {
        let mut client = gate.connect().await;
        let refused = client.ask(upgrade_to("/closed", "")).await;
        assert_eq!(refused.status(), 403);
    }
    tunnel(&gate, &mut upstream, Over::Ws).await;
}

#[tokio::test]
async fn whoever_keeps_what_was_closed_is_counted_still() {
    let saying = Upstream::saying("here").await;
    let gate = TestServer::setup()
        .top("threads: 1\nmax_connections: 12\nper_ip: { connections: 3 }")
        .route("/", &saying)
        .start()
        .await;
    let closing = GET.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let chunks = CHUNKS.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let mut kept = Vec::new();
    for request in [&closing, &chunks, &closing, &closing, &chunks, &closing] {
        let mut client = gate.connect().await;
        kept.push((client.ask(request).await.status(), client));
    }
    let statuses: Vec<u16> = kept.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    // Three that were served and three that were told: they were closed, and their clients do not go.
    for _ in 0..20 {
        let mut client = gate.connect().await;
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    let mut elsewhere = other(&gate, Over::Ws).await;
    assert_eq!(elsewhere.get("/").await.text(), "here");
}
