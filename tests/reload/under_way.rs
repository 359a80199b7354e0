//! What is under way when a file is saved, and what connections keep.

use std::fs;

use rustls::HandshakeKind;

use crate::reload::Edited;
use crate::support::Authority;
use crate::support::Ending;
use crate::support::Flood;
use crate::support::GET;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

#[tokio::test]
async fn what_is_under_way_survives_the_removal_of_its_own_route() {
    let mut upstream = Upstream::scripted().await;
    let other = Upstream::saying("other").await;
    let before = TestServer::setup().tls().route("/", &upstream);
    let mut edited = Edited::start(before).await;
    let gate = &edited.gate;
    let mut tunnels = [
        tunnel(gate, &mut upstream, Over::Ws).await,
        tunnel(gate, &mut upstream, Over::Wss).await,
    ];
    let mut polls = Vec::new();
    let mut downloads = Vec::new();
    for over in Over::BOTH {
        for asked in [&mut polls, &mut downloads] {
            let mut client = gate.connect_over(over).await;
            client.send(GET).await;
            let mut server = upstream.accept().await;
            server.head().await;
            asked.push((client, server, Flood::default(), Flood::default()));
        }
    }
    const SIZE: usize = 3 << 20;
    for (client, server, written, read) in &mut downloads {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        server.send(head).await;
        client.head().await;
        tokio::join!(
            written.write_up_to(SIZE / 2, server.wire()),
            read.read_up_to(SIZE / 2, client.wire())
        );
    }
    let after = TestServer::setup().tls().route("/other", &other);
    edited.save(&after).await;
    for (client, server, written, read) in &mut downloads {
        tokio::join!(
            written.write_up_to(SIZE, server.wire()),
            read.read_up_to(SIZE, client.wire())
        );
    }
    for (client, server, ..) in &mut polls {
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            .await;
        assert_eq!(client.answer().await.text(), "late");
        // The next request on the same connection finds what there is now.
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "wsgate: no location matches this path\n");
        assert_eq!(client.get("/other").await.text(), "other");
    }
    for (client, server) in &mut tunnels {
        client.send(b"still").await;
        assert_eq!(server.take(5).await, b"still");
        server.send(b"here").await;
        assert_eq!(client.take(4).await, b"here");
        client.finish().await;
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
    }
}

#[tokio::test]
async fn a_client_keeps_its_upstream_connection_while_its_route_leads_to_the_same_server() {
    // What comes whole, and what does not and so goes through hyper.
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ];
    for answer in answers {
        let mut upstream = Upstream::answering(answer).await;
        let other = Upstream::saying("other").await;
        let mut edited = Edited::start(TestServer::setup().route("/", &upstream)).await;
        let mut client = edited.gate.connect().await;
        client.get("/").await;
        assert_eq!(upstream.received().await.connection, 1);
        // The line moves, another route comes, times and headers change.
        let changed = |uri: &str| {
            TestServer::setup()
                .top("# a line")
                .top("response_timeout: 20s")
                .route("/other", &other)
                .route_to("/", &upstream, uri)
                .of_route("set_headers: { X-New: field }")
        };
        let [same, elsewhere] = [changed(""), changed("/x/")];
        edited.save(&same).await;
        client.get("/").await;
        let received = upstream.received().await;
        assert_eq!(
            (received.connection, received.head.value("x-new")),
            (1, Some("field"))
        );
        // What is asked for is another thing: it counts as another route.
        edited.save(&elsewhere).await;
        assert_eq!(client.get("/").await.text(), "ok");
        let received = upstream.received().await;
        assert_eq!((received.connection, received.head.target()), (2, "/x/"));
    }
}

#[tokio::test]
async fn tls_sessions_with_an_upstream_are_resumed_after_a_reload() {
    async fn kind(gate: &TestServer, upstream: &mut Upstream) -> Option<HandshakeKind> {
        let mut client = gate.connect().await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 204);
        server.tls_session().handshake_kind()
    }
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let mut upstream = Upstream::scripted_tls(identity.server(&[&rustls::version::TLS13])).await;
    let setup = |ca: &str, top: &str| {
        TestServer::setup()
            .top(top)
            .file("one.pem", authority.pem())
            .file("two.pem", authority.pem())
            .proxy_pass(
                "/",
                format!("https://localhost:{}", upstream.address().port()),
            )
            .of_route(&format!("ca: {ca}"))
    };
    let [again, other] = [
        setup("one.pem", "drain_timeout: 1s"),
        setup("two.pem", "drain_timeout: 1s"),
    ];
    let mut edited = Edited::start(setup("one.pem", "access_log: on")).await;
    edited.gate.log().first("upstream answers").await;
    kind(&edited.gate, &mut upstream).await;
    let changes = edited.save(&again).await;
    assert_eq!(changes, ["~ drain_timeout 1s (was 30s)"]);
    let kind = kind(&edited.gate, &mut upstream).await;
    assert_eq!(kind, Some(HandshakeKind::Resumed));
    // Another authority begins anew, and is asked at once; also where only the file's content is another.
    let changes = edited.save(&other).await;
    assert_eq!(changes, ["~ location / ca routes.yaml:5"]);
    let log = edited.gate.log();
    log.next(&mut edited.read, "upstream answers").await;
    let strange = Authority::new().pem();
    fs::write(edited.gate.path("two.pem"), &strange).unwrap();
    let (changes, _) = edited.reloaded().await;
    assert_eq!(changes, ["~ location / ca routes.yaml:5"]);
    let log = edited.gate.log();
    log.next(&mut edited.read, "upstream does not answer").await;
}

#[tokio::test]
async fn a_connection_keeps_the_limits_with_which_it_came() {
    let upstream = Upstream::saying("ok").await;
    let setup = |limit: &str| {
        TestServer::setup()
            .top(&format!("header_timeout: {limit}"))
            .route("/", &upstream)
    };
    let mut edited = Edited::start(setup("1h")).await;
    let mut old = edited.gate.connect().await;
    assert_eq!(old.get("/").await.text(), "ok");
    assert_eq!(
        edited.save(&setup("300ms")).await,
        ["~ header_timeout 300ms (was 3600s)"]
    );
    let mut new = edited.gate.connect().await;
    assert_eq!(new.rest().await, (Vec::new(), Ending::Fin));
    edited.gate.log().first("no request").await;
    assert_eq!(old.get("/").await.text(), "ok");
}

#[tokio::test]
async fn a_connection_stays_idle_for_as_long_as_was_allowed_when_it_came() {
    let upstream = Upstream::saying("ok").await;
    let setup = |limit: &str| {
        TestServer::setup()
            .top(&format!("keepalive_timeout: {limit}"))
            .route("/", &upstream)
    };
    let mut edited = Edited::start(setup("1h")).await;
    let mut old = edited.gate.connect().await;
    assert_eq!(old.get("/").await.text(), "ok");
    assert_eq!(
        edited.save(&setup("300ms")).await,
        ["~ keepalive_timeout 300ms (was 3600s)"]
    );
    let mut new = edited.gate.connect().await;
    assert_eq!(new.get("/").await.text(), "ok");
    assert_eq!(new.rest().await, (Vec::new(), Ending::Fin));
    assert_eq!(old.get("/").await.text(), "ok");
}

#[tokio::test]
async fn a_reload_may_allow_more_and_fewer() {
    let upstream = Upstream::saying("ok").await;
    let setup = |most: &str| TestServer::setup().top(most).route("/", &upstream);
    let mut edited = Edited::start(setup("max_connections: 1")).await;
    let mut first = edited.gate.connect().await;
    assert_eq!(first.get("/").await.text(), "ok");
    let mut second = edited.gate.connect().await;
    second
        .send("GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    second.is_quiet().await;
    assert_eq!(
        edited.save(&setup("max_connections: 2")).await,
        ["~ max_connections 2 (was 1)"]
    );
    assert_eq!(second.answer().await.text(), "ok");
    assert_eq!(
        edited.save(&setup("max_connections: 1")).await,
        ["~ max_connections 1 (was 2)"]
    );
    // Those that are open stay.
    for client in [&mut first, &mut second] {
        assert_eq!(client.get("/").await.text(), "ok");
    }
    let mut third = edited.gate.connect().await;
    third
        .send("GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    third.is_quiet().await;
    first.vanish();
    third.is_quiet().await;
    assert_eq!(
        edited.save(&setup("threads: 1")).await[0],
        "~ max_connections what descriptors allow (was 1)"
    );
    assert_eq!(third.answer().await.text(), "ok");
}
