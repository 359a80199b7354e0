//! A PROXY header in front of everything else says whose connection it is, if a believed proxy sends it.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Over;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::begin_tls;
use crate::support::within;

const GET: &str = "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n";

fn setup(upstream: &Upstream, trusted: &str) -> Setup {
    TestServer::setup()
        .top(&format!("trusted_proxies: {trusted}"))
        .address("127.0.0.1:0")
        .of_listener("proxy_protocol: true")
        .tls()
        .of_listener("proxy_protocol: true")
        .route("/", upstream)
}

/// Version 2, from 192.0.2.7:4711, with an extension behind the addresses.
fn version_2(command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, 0x11, 0, 12 + 4]);
    header.extend([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0, 80]);
    header.extend([4, 0, 1, 0]);
    header
}

/// A client whose connection begins with these bytes.
async fn announced(gate: &TestServer, over: Over, header: &[u8]) -> Peer {
    let address = match over {
        Over::Ws => gate.address(),
        Over::Wss => gate.tls_address(),
    };
    let mut tcp = within("connecting", TcpStream::connect(address))
        .await
        .unwrap();
    within("writing", tcp.write_all(header)).await.unwrap();
    match over {
        Over::Ws => Peer::plain(tcp),
        Over::Wss => begin_tls(tcp).await,
    }
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names_under_tls_too() {
    let six = b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec();
    for over in Over::BOTH {
        let mut upstream = Upstream::scripted().await;
        let gate = setup(&upstream, "127.0.0.1").start().await;
        for (header, ip, address) in [
            (
                b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(),
                "192.0.2.7",
                "192.0.2.7:4711",
            ),
            (six.clone(), "2001:db8::7", "[2001:db8::7]:4711"),
            (version_2(0x21), "192.0.2.7", "192.0.2.7:4711"),
        ] {
            let mut client = announced(&gate, over, &header).await;
            client.send(UPGRADE).await;
            let mut server = upstream.accept().await;
            let head = server.head().await;
            assert_eq!(head.value("x-forwarded-for"), Some(ip));
            assert_eq!(head.value("x-real-ip"), Some(ip));
            server.send(SWITCHING).await;
            assert_eq!(client.head().await.status(), 101);
            client.send("there").await;
            assert_eq!(server.take(5).await, b"there");
            gate.log()
                .find("tunnel opened", |line| line["remote_addr"] == address)
                .await;
        }
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_its_own_client() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = setup(&upstream, "127.0.0.1").start().await;
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), version_2(0x20)] {
        let mut client = announced(&gate, Over::Ws, &header).await;
        assert_eq!(client.ask(GET).await.text(), "ok");
        let head = upstream.received().await.head;
        assert_eq!(head.value("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn what_a_believed_proxy_behind_the_header_says_is_believed_in_turn() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = setup(&upstream, "[127.0.0.1, 10.0.0.0/8]").start().await;
    for (source, expected) in [
        ("10.0.0.9", "6.6.6.6, 10.0.0.9"),
        ("192.0.2.7", "192.0.2.7"),
    ] {
        let header = format!("PROXY TCP4 {source} 127.0.0.1 4711 80\r\n");
        let mut client = announced(&gate, Over::Ws, header.as_bytes()).await;
        let claim = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        assert_eq!(client.ask(claim).await.text(), "ok");
        let head = upstream.received().await.head;
        assert_eq!(head.value("x-forwarded-for"), Some(expected));
    }
}

#[tokio::test]
async fn a_connection_that_begins_otherwise_is_ended_and_the_log_says_why() {
    let mut upstream = Upstream::scripted().await;
    let gate = setup(&upstream, "127.0.0.1").start().await;
    let mut read = 0;
    let late = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
    for (begin, reason) in [
        (
            GET.as_bytes(),
            "it does not begin with a PROXY header (`proxy_protocol`)",
        ),
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4711\r\n",
            "it begins with a malformed PROXY header (`proxy_protocol`)",
        ),
        (
            &late,
            "it begins with a PROXY header that is too long (`proxy_protocol`)",
        ),
    ] {
        let mut client = announced(&gate, Over::Ws, begin).await;
        assert_eq!(client.rest().await.0, b"", "{reason}");
        let lines = gate.log().next(&mut read, "no PROXY header").await;
        let line = lines.last().unwrap();
        assert_eq!(
            (&line["reason"], &line["level"]),
            (&reason.into(), &"INFO".into())
        );
        let own = line["remote_addr"].as_str().unwrap();
        assert!(own.starts_with("127.0.0.1:"), "{own}");
    }
    assert!(upstream.has_nothing_more());
}

#[tokio::test]
async fn a_header_that_does_not_come_in_time_is_ended_and_the_log_names_the_limit() {
    let upstream = Upstream::saying("ok").await;
    let setup = setup(&upstream, "127.0.0.1").top("header_timeout: 400ms");
    let gate = setup.start().await;
    let mut client = announced(&gate, Over::Ws, b"PROXY TCP4 192.0.2.7 ").await;
    assert_eq!(client.rest().await.0, b"");
    let line = gate.log().first("no PROXY header").await;
    assert_eq!(
        line["reason"],
        "no whole PROXY header within 400ms (`header_timeout`)"
    );
}

#[tokio::test]
async fn nobody_else_is_served() {
    let mut upstream = Upstream::scripted().await;
    let gate = setup(&upstream, "10.0.0.0/8").start().await;
    let header = b"PROXY TCP4 10.0.0.9 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = announced(&gate, Over::Ws, header).await;
    assert_eq!(client.rest().await.0, b"");
    let line = gate.log().first("no PROXY header").await;
    assert_eq!(
        line["reason"],
        "`proxy_protocol` is for `trusted_proxies` only"
    );
    assert!(upstream.has_nothing_more());
}

#[tokio::test]
async fn a_saved_file_says_how_the_next_connection_begins() {
    let upstream = Upstream::saying("ok").await;
    let plain = |setup: Setup| setup.address("127.0.0.1:0").route("/", &upstream);
    let gate = plain(TestServer::setup().top("trusted_proxies: 127.0.0.1"))
        .start()
        .await;
    let mut before = gate.connect().await;
    assert_eq!(before.ask(GET).await.text(), "ok");
    let after = TestServer::setup()
        .top("trusted_proxies: 127.0.0.1")
        .address("127.0.0.1:0")
        .of_listener("proxy_protocol: on")
        .route("/", &upstream);
    gate.save(&after);
    let lines = gate.log().next(&mut 0, "reloaded").await;
    let change = lines.iter().find(|line| line["kind"] == "listen").unwrap();
    assert_eq!(change["detail"], "proxy_protocol");
    // What is open has begun already.
    assert_eq!(before.ask(GET).await.text(), "ok");
    let mut client = announced(&gate, Over::Ws, b"PROXY UNKNOWN\r\n").await;
    assert_eq!(client.ask(GET).await.text(), "ok");
    let mut client = announced(&gate, Over::Ws, GET.as_bytes()).await;
    assert_eq!(client.rest().await.0, b"");
}
