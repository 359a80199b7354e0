//! Upstreams of `https://` that wsgate does not speak to, and what the log says of each, so that a person can act on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustls::ServerConfig;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::https_upstream::BOTH;
use crate::https_upstream::before;
use crate::https_upstream::to;
use crate::support::Authority;
use crate::support::GET;
use crate::support::Identity;
use crate::support::Over;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::within;

/// Every request is answered 502, with this reason in its line and in that of the start.
async fn refused(setup: Setup, reason: &str) {
    let gate = setup.start().await;
    for (over, request) in [(Over::Ws, GET.as_bytes()), (Over::Wss, UPGRADE)] {
        let answer = gate.connect_over(over).await.ask(request).await;
        assert_eq!(answer.status(), 502);
        assert_eq!(
            answer.text(),
            "wsgate: the upstream cannot be reached over TLS\n"
        );
    }
    let lines = [
        gate.log().first("upstream does not answer").await,
        of(&gate, "GET / HTTP/1.1").await,
        of(&gate, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1").await,
    ];
    for line in &lines {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["reason"], reason);
    }
    assert!(lines[1]["upstream_addr"].is_string());
}

/// The line of a request.
async fn of(gate: &TestServer, request: &str) -> Value {
    let log = gate.log();
    log.find("request", |line| line["request"] == request).await
}

#[tokio::test]
async fn a_certificate_that_is_not_for_it_is_refused() {
    let authority = Authority::new();
    for (names, theirs) in [
        (
            &["a.test"][..],
            "is for a.test, not for localhost; if that is its name, set `tls_name: a.test`",
        ),
        (
            &["*.b.test"],
            "is for *.b.test, not for localhost; if it has such a name, set `tls_name` to it",
        ),
        (
            &["a.test", "*.b.test", "127.0.0.1"],
            "is for a.test, *.b.test, 127.0.0.1, not for localhost; if it has such a name, set `tls_name` to it",
        ),
        (
            &[],
            "names no host (`subjectAltName`), and so is not for localhost",
        ),
    ] {
        let upstream = Upstream::scripted_tls(authority.issue(names).server(BOTH)).await;
        let port = upstream.address().port();
        let reason = format!("upstream localhost:{port}: its certificate {theirs}");
        refused(before(&upstream, &authority), &reason).await;
    }
    let upstream = Upstream::scripted_tls(authority.issue(&["localhost"]).server(BOTH)).await;
    let address = upstream.address();
    let setup = to(&address.to_string())
        .of_route("ca: ca.pem")
        .file("ca.pem", authority.pem());
    let reason = format!("upstream {address}: its certificate is for localhost, not for 127.0.0.1");
    let remedy = "; if that is its name, set `tls_name: localhost`";
    refused(setup, &format!("{reason}{remedy}")).await;
    // Nobody is told to set what is set.
    let setup = before(&upstream, &authority).of_route("tls_name: a.test");
    let reason = format!(
        "upstream localhost:{}: its certificate is for localhost, not for a.test (`tls_name`)",
        address.port()
    );
    refused(setup, &reason).await;
}

#[tokio::test]
async fn a_certificate_that_is_given_itself_is_for_its_own_names_only() {
    let identity = Identity::of_its_own(&["a.test"]);
    let upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
    let port = upstream.address().port();
    let setup = to(&format!("localhost:{port}"))
        .of_route("ca: its.pem")
        .file("its.pem", identity.pem());
    refused(
        setup,
        &format!(
            "upstream localhost:{port}: its certificate is for a.test, not for localhost; if that is its name, set \
             `tls_name: a.test`"
        ),
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_a_server_vouches_for_no_other() {
    let authority = Authority::new();
    let pinned = authority.issue(&["a.test"]);
    let forged = pinned.issue(&["localhost"]);
    let upstream = Upstream::scripted_tls(forged.server(BOTH)).await;
    let port = upstream.address().port();
    let setup = to(&format!("localhost:{port}"))
        .of_route("ca: pinned.pem")
        .file("pinned.pem", pinned.pem());
    refused(
        setup,
        &format!(
            "upstream localhost:{port}: its certificate is not trusted: none in pinned.pem has issued it (`ca`)"
        ),
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_client_certificate_is_said_to_do_so() {
    let authority = Authority::new();
    let config = authority
        .issue(&["localhost"])
        .server_for_clients_of(&authority);
    let upstream =
        Upstream::answering_tls(config, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let gate = before(&upstream, &authority).start().await;
    assert_eq!(gate.connect().await.get("/").await.status(), 502);
    let reason = format!(
        "upstream localhost:{} gave no answer: it asks for a client certificate, and wsgate has none to show",
        upstream.address().port()
    );
    assert_eq!(of(&gate, "GET / HTTP/1.1").await["reason"], reason);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = Upstream::scripted_tls(authority.issue(&["localhost"]).server(BOTH)).await;
    let port = upstream.address().port();
    let start = format!("upstream localhost:{port}: its certificate is not trusted");
    refused(
        before(&upstream, &other),
        &format!("{start}: none in ca.pem has issued it (`ca`)"),
    )
    .await;
    let system = to(&format!("localhost:{port}"))
        .file("system.pem", other.pem())
        .variable("SSL_CERT_FILE", "system.pem");
    refused(
        system,
        &format!("{start}: no authority that this system knows has issued it; set `ca`"),
    )
    .await;

    let itself = Identity::of_its_own(&["localhost"]);
    let upstream = Upstream::scripted_tls(itself.server(BOTH)).await;
    let port = upstream.address().port();
    let start = format!("upstream localhost:{port}: its certificate is not trusted");
    refused(
        before(&upstream, &other),
        &format!("{start}: none in ca.pem has issued it (`ca`)"),
    )
    .await;
}

#[tokio::test]
async fn a_certificate_out_of_date_is_refused() {
    let authority = Authority::new();
    for (first, last, theirs) in [
        (2020, 2021, "expired on 2021-01-01"),
        (
            2198,
            2199,
            "is not valid yet, it begins on 2198-01-01; is this machine's clock right?",
        ),
    ] {
        let identity = authority.issue_with(&["localhost"], |params| {
            params.not_before = rcgen::date_time_ymd(first, 1, 1);
            params.not_after = rcgen::date_time_ymd(last, 1, 1);
        });
        let upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
        let port = upstream.address().port();
        let reason = format!("upstream localhost:{port}: its certificate {theirs}");
        refused(before(&upstream, &authority), &reason).await;
    }
}

/// An upstream that reads a little, says this, and closes.
async fn saying(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // All of the first message, so that closing does not reset.
                let _ = tcp.read(&mut [0; 16 * 1024]).await;
                let _ = tcp.write_all(bytes).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_said_to_be_so() {
    let none = "it speaks no TLS: use `http://`";
    for (said, theirs) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], none),
        (b"SSH-2.0-OpenSSH_9.2\r\n", none),
        (
            b"",
            "it closed the connection during the TLS handshake; if it speaks no TLS, use `http://`",
        ),
        // An alert: protocol_version.
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            "it is too old: it does not speak TLS 1.2 or 1.3",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x70",
            "it has no certificate for 127.0.0.1 (alert UnrecognisedName): set `tls_name` to a name that it knows",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            "it broke off the TLS handshake: alert HandshakeFailure",
        ),
    ] {
        let upstream = saying(said).await;
        let setup = to(&upstream.to_string())
            .of_route("ca: ca.pem")
            .file("ca.pem", Authority::new().pem());
        refused(setup, &format!("upstream {upstream}: {theirs}")).await;
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_1_1_is_said_to_be_so() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let mut config = ServerConfig::clone(&identity.server(BOTH));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let upstream = Upstream::scripted_tls(Arc::new(config)).await;
    let port = upstream.address().port();
    let reason = format!("upstream localhost:{port}: it does not speak HTTP/1.1 (ALPN)");
    refused(before(&upstream, &authority), &reason).await;
}

#[tokio::test]
async fn the_tls_handshake_counts_as_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = to(&address.to_string())
        .top("connect_timeout: 300ms")
        .of_route("ca: ca.pem")
        .file("ca.pem", Authority::new().pem())
        .start()
        .await;
    let reason = format!(
        "upstream {address}: no end of the TLS handshake within 300ms (`connect_timeout`); if it speaks no TLS, use \
         `http://`"
    );
    let line = gate.log().first("upstream does not answer").await;
    assert_eq!(line["reason"], reason);
    for request in [GET.as_bytes(), UPGRADE] {
        let began = Instant::now();
        let answer = gate.connect().await.ask(request).await;
        assert_eq!(answer.status(), 504);
        assert_eq!(
            answer.text(),
            "wsgate: the upstream does not end the TLS handshake in time\n"
        );
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["level"], &line["reason"]),
        (&"WARN".into(), &reason.into())
    );
    assert_eq!(line["upstream_addr"], address.to_string());
    drop(listener);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_tls_handshake_takes_it_along() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = to(&listener.local_addr().unwrap().to_string())
        .top("connect_timeout: 1h")
        .of_route("ca: ca.pem")
        .file("ca.pem", Authority::new().pem())
        .start()
        .await;
    let (_probe, _) = within("the start's own", listener.accept()).await.unwrap();
    let mut client = gate.connect().await;
    client.send(GET).await;
    let (mut tcp, _) = within("a connection", listener.accept()).await.unwrap();
    let first = within("a TLS handshake", tcp.read_u8()).await.unwrap();
    assert_eq!(first, 22);
    client.vanish();
    // A reset is an end as good as a FIN.
    let _ = within("its end", tcp.read_to_end(&mut Vec::new())).await;
}
