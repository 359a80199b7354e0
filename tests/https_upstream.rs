//! Upstreams of `https://`: what they are asked, how their tunnels begin and end, and whom wsgate believes.

use rustls::HandshakeKind;
use rustls::ProtocolVersion;
use rustls::SupportedProtocolVersion;
use rustls::version::TLS12;
use rustls::version::TLS13;

use crate::support::Authority;
use crate::support::Ending;
use crate::support::GET;
use crate::support::Identity;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::tunnel;

pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Two listeners before an upstream at `localhost`, which the authority in `ca.pem` vouches for.
pub(crate) fn before(upstream: &Upstream, authority: &Authority) -> Setup {
    to(&format!("localhost:{}", upstream.address().port()))
        .of_route("ca: ca.pem")
        .file("ca.pem", authority.pem())
}

pub(crate) fn to(server: &str) -> Setup {
    TestServer::setup()
        .tls()
        .proxy_pass("/", format!("https://{server}"))
}

async fn trusted() -> (TestServer, Upstream) {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
    let gate = before(&upstream, &authority).start().await;
    (gate, upstream)
}

#[tokio::test]
async fn it_is_asked_as_any_other_and_by_the_name_in_proxy_pass() {
    let (gate, mut upstream) = trusted().await;
    for (over, scheme) in [(Over::Ws, "http"), (Over::Wss, "https")] {
        let mut client = gate.connect_over(over).await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        let mut wanted = [
            "Host: chat.test",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: chat.test",
            &format!("X-Forwarded-Proto: {scheme}"),
            "X-Real-Ip: 127.0.0.1",
        ];
        wanted.sort_unstable();
        let head = server.head().await;
        assert_eq!(head.sorted()[0], "GET / HTTP/1.1");
        assert_eq!(head.sorted()[1..], wanted);
        assert_eq!(server.server_name(), Some("localhost"));
        let session = server.tls_session();
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        // The connection is kept, as any other.
        client.send(GET).await;
        server.head().await;
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    assert_eq!(upstream.connections(), 2);
    let line = gate.log().first("request").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["upstream_addr"], upstream.address().to_string());
}

/// Two servers of a group, in turn, of which one is known by an address and the other by a name.
#[tokio::test]
async fn each_server_of_a_group_is_verified_by_its_own_host() {
    for (of_route, names) in [
        ("ca: ca.pem", ["127.0.0.1", "localhost"]),
        (
            "ca: ca.pem\n    tls_name: chat.test",
            ["chat.test", "chat.test"],
        ),
    ] {
        let authority = Authority::new();
        let mut one = Upstream::scripted_tls(authority.issue(&[names[0]]).server(BOTH)).await;
        let mut other = Upstream::scripted_tls(authority.issue(&[names[1]]).server(BOTH)).await;
        let (port, of_other) = (one.address().port(), other.address().port());
        let servers = format!("\"127.0.0.1:{port}\", \"localhost:{of_other}\"");
        let gate = to("chat")
            .top(&format!(
                "upstreams: {{ chat: {{ balance: round_robin, servers: [{servers}] }} }}"
            ))
            .of_route(of_route)
            .file("ca.pem", authority.pem())
            .start()
            .await;
        for (server, name) in [(&mut one, names[0]), (&mut other, names[1])] {
            let mut client = gate.connect().await;
            client.send(GET).await;
            let mut server = server.accept().await;
            server.head().await;
            // An address is no server name (RFC 6066 §3).
            let sent = Some(name).filter(|name| !name.starts_with("127"));
            assert_eq!(server.server_name(), sent);
            server.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok");
        }
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let (gate, mut upstream) = trusted().await;
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    assert_eq!(server.take(5).await, b"hello");
    client.send("world").await;
    assert_eq!(server.take(5).await, b"world");
    server
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200);
    for part in ["one", "three"] {
        server.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
        assert_eq!(client.chunk().await, part.as_bytes());
    }
    server.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, b"");
}

#[tokio::test]
async fn what_is_cut_off_in_the_middle_is_not_passed_on_as_whole() {
    let (gate, mut upstream) = trusted().await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    // Its end would be the connection's, and that comes without a close_notify: anyone could have sent it.
    server.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
    assert_eq!(
        client.head().await.value("transfer-encoding"),
        Some("chunked")
    );
    assert_eq!(client.chunk().await, b"half");
    server.vanish();
    let (rest, _) = client.rest().await;
    assert_eq!(rest, b"", "a last chunk");
    let line = gate.log().first("request").await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        line["reason"],
        "the upstream's answer broke off: the connection ended without a TLS close_notify"
    );
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_is_said_to_have_done_so() {
    let (gate, mut upstream) = trusted().await;
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.vanish();
    assert_eq!(client.answer().await.status(), 502);
    let reason = format!(
        "upstream localhost:{} closed the connection without an answer",
        upstream.address().port()
    );
    assert_eq!(gate.log().first("request").await["reason"], reason);
}

#[tokio::test]
async fn a_connection_that_is_no_longer_needed_is_closed_in_order() {
    // OpenSSL forgets the session of one that is not.
    for version in BOTH {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let mut upstream = Upstream::scripted_tls(identity.server(&[version])).await;
        let gate = before(&upstream, &authority).start().await;
        let mut client = gate.connect().await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        client.vanish();
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));

        // In the middle of an exchange it is not over in order, and does not look so.
        let mut client = gate.connect().await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        client.vanish();
        assert_eq!(server.rest().await, (Vec::new(), Ending::Cut));
    }
}

#[tokio::test]
async fn a_tunnel_begins_with_the_early_bytes_of_both_ends_and_ends_one_direction_at_a_time() {
    for version in BOTH {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let mut upstream = Upstream::scripted_tls(identity.server(&[version])).await;
        let gate = before(&upstream, &authority).start().await;
        for over in Over::BOTH {
            let mut client = gate.connect_over(over).await;
            client.send([UPGRADE, b"early"].concat()).await;
            let mut server = upstream.accept().await;
            let head = server.head().await;
            assert_eq!(head.value("upgrade"), Some("websocket"));
            server.is_quiet().await;
            server.send([SWITCHING, b"first"].concat()).await;
            assert_eq!(client.head().await.status(), 101);
            assert_eq!(client.take(5).await, b"first");
            assert_eq!(server.take(5).await, b"early");
            client.send("question").await;
            client.finish().await;
            assert_eq!(server.rest().await, (b"question".to_vec(), Ending::Fin));
            client.is_quiet().await;
            server.send("answer").await;
            assert_eq!(client.take(6).await, b"answer");
            server.finish().await;
            assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));

            let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
            server.send("question").await;
            server.finish().await;
            assert_eq!(client.rest().await, (b"question".to_vec(), Ending::Fin));
            client.send("answer").await;
            assert_eq!(server.take(6).await, b"answer");
            client.finish().await;
            assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
        }
    }
}

#[tokio::test]
async fn a_tunnel_whose_upstream_is_cut_off_ends_and_says_so() {
    let (gate, mut upstream) = trusted().await;
    for (over, number) in [(Over::Ws, 1), (Over::Wss, 2)] {
        let (mut client, server) = tunnel(&gate, &mut upstream, over).await;
        server.vanish();
        client.rest().await;
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == number)
            .await;
        assert_eq!(line["ended_by"], "upstream");
        assert_eq!(
            line["reason"],
            "the connection ended without a TLS close_notify"
        );
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_other_clients_on_other_threads() {
    for version in BOTH {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let mut upstream = Upstream::scripted_tls(identity.server(&[version])).await;
        let gate = before(&upstream, &authority)
            .top("threads: 4")
            .start()
            .await;
        gate.log().first("upstream answers").await;
        let mut kinds = Vec::new();
        for _ in 0..12 {
            let mut client = gate.connect().await;
            client.send(GET).await;
            let mut server = upstream.accept().await;
            server.head().await;
            kinds.push(server.tls_session().handshake_kind());
            server.send(OK).await;
            assert_eq!(client.answer().await.status(), 200);
        }
        let full = kinds
            .iter()
            .filter(|kind| **kind == Some(HandshakeKind::Full));
        assert!(full.count() <= 1, "{kinds:?}");
        assert!(
            kinds[1..]
                .iter()
                .all(|kind| *kind == Some(HandshakeKind::Resumed))
        );
    }
}

#[tokio::test]
async fn the_systems_authorities_vouch_for_it_where_no_ca_is_set() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let mut upstream = Upstream::answering_tls(identity.server(BOTH), OK).await;
    let gate = to(&format!("localhost:{}", upstream.address().port()))
        .file("system.pem", authority.pem())
        .variable("SSL_CERT_FILE", "system.pem")
        .start()
        .await;
    assert_eq!(gate.connect().await.get("/").await.text(), "ok");
    upstream.received().await;
    gate.log().first("upstream answers").await;
}

#[tokio::test]
async fn an_address_is_verified_as_an_address() {
    let authority = Authority::new();
    let identity = authority.issue(&["a.test", "127.0.0.1"]);
    let mut upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
    let gate = to(&upstream.address().to_string())
        .of_route("ca: ca.pem")
        .file("ca.pem", authority.pem())
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.server_name(), None, "no name is sent for an address");
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_certificate_that_nobody_issued_is_trusted_where_it_is_given_itself() {
    let authority = Authority::new();
    for identity in [
        Identity::of_its_own(&["localhost"]),
        authority.issue(&["localhost"]),
    ] {
        let upstream = Upstream::answering_tls(identity.server(BOTH), OK).await;
        let gate = to(&format!("localhost:{}", upstream.address().port()))
            .of_route("ca: its.pem")
            .file("its.pem", identity.pem())
            .start()
            .await;
        assert_eq!(gate.connect().await.get("/").await.text(), "ok");
    }
}

#[tokio::test]
async fn it_is_verified_and_asked_by_its_tls_name_where_it_has_one() {
    let authority = Authority::new();
    for (certificate, tls_name, sent) in [
        (
            "chat.example.com",
            "chat.example.com",
            Some("chat.example.com"),
        ),
        (
            "*.example.com",
            "Chat.Example.Com",
            Some("chat.example.com"),
        ),
        ("10.0.0.5", "10.0.0.5", None),
    ] {
        let identity = authority.issue(&[certificate]);
        let mut upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
        let address = upstream.address();
        for server in [address.to_string(), format!("localhost:{}", address.port())] {
            let gate = to(&server)
                .of_route("ca: ca.pem")
                .of_route(&format!("tls_name: {tls_name}"))
                .file("ca.pem", authority.pem())
                .start()
                .await;
            gate.log().first("upstream answers").await;
            for request in [GET.as_bytes(), UPGRADE] {
                let mut client = gate.connect().await;
                client.send(request).await;
                let mut server = upstream.accept().await;
                assert_eq!(server.server_name(), sent);
                // Only TLS is concerned.
                assert_eq!(server.head().await.value("host"), Some("chat.test"));
                server.send(OK).await;
                client.head().await;
            }
        }
    }
}

/// One address, and behind it two names with a certificate each, of which only the one that is asked for is shown.
#[tokio::test]
async fn routes_to_one_address_with_different_names_share_nothing() {
    for version in BOTH {
        let authority = Authority::new();
        let identity = authority.issue(&["a.test", "b.test"]);
        let mut upstream = Upstream::scripted_tls(identity.server(&[version])).await;
        let route = |name: &str| {
            format!(
                "{{ location: /{name}, proxy_pass: 'https://{}', tls_name: {name}.test, ca: ca.pem }}",
                upstream.address()
            )
        };
        let gate = TestServer::setup()
            .raw_route(&route("a"))
            .raw_route(&route("b"))
            .file("ca.pem", authority.pem())
            .start()
            .await;
        // Both are asked at the start, since they are two.
        gate.log().containing_times("upstream answers", 2).await;
        // One client, whose kept connection is for the name that it was opened for.
        let mut client = gate.connect().await;
        let mut kept = Vec::new();
        for name in ["a", "b", "a"] {
            client
                .send(format!("GET /{name} HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
                .await;
            let mut server = upstream.accept().await;
            assert_eq!(server.server_name(), Some(format!("{name}.test").as_str()));
            if kept.len() == 2 {
                // Not the session that was begun last, which is that of the other name.
                let kind = server.tls_session().handshake_kind();
                assert_eq!(kind, Some(HandshakeKind::Resumed));
            }
            server.head().await;
            server.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok");
            kept.push(server);
        }
    }
}
