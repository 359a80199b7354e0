//! Which location answers, asked through the real binary.

use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::upgrade_to;

/// One upstream for each location, which says the location's name.
async fn saying_their_names(locations: &[&str]) -> (TestServer, Vec<Upstream>) {
    let mut setup = TestServer::setup();
    let mut upstreams = Vec::new();
    for location in locations {
        let upstream = Upstream::saying(location).await;
        setup = setup.route(location, &upstream);
        upstreams.push(upstream);
    }
    (setup.start().await, upstreams)
}

#[tokio::test]
async fn nginxs_order_of_locations_holds() {
    let (gate, _upstreams) = saying_their_names(&[
        "/",
        "/socket.io",
        "/socket.io/admin",
        "= /exact",
        "^~ /files/",
        "/images/",
        r"~ \.(gif|jpg)$",
        r"~* \.PNG$",
        r"~ ^/images/.*\.jpg$",
    ])
    .await;
    for (target, location) in [
        ("/", "/"),
        ("/other", "/"),
        ("/socket.io/?EIO=4", "/socket.io"),
        ("/socket.iox", "/socket.io"),
        ("/socket.io/admin/x", "/socket.io/admin"),
        ("/exact", "= /exact"),
        ("/exact/", "/"),
        ("/exact?x=/socket.io", "= /exact"),
        ("/files/a.gif", "^~ /files/"),
        ("/images/a.txt", "/images/"),
        ("/images/a.jpg", r"~ \.(gif|jpg)$"),
        ("/images/a.JPG", "/images/"),
        ("/a.png", r"~* \.PNG$"),
        ("/a.PnG", r"~* \.PNG$"),
        ("/%73ocket.io/", "/socket.io"),
        ("//socket.io//admin", "/socket.io/admin"),
        ("/x/../socket.io/./admin", "/socket.io/admin"),
        ("/x/%2e%2e/exact", "= /exact"),
    ] {
        let mut client = gate.connect().await;
        assert_eq!(client.get(target).await.text(), location, "{target}");
        let line = gate
            .log()
            .find("request", |line| line["location"] == location)
            .await;
        assert_eq!(line["status"], 200);
    }
}

#[tokio::test]
async fn a_path_goes_on_as_the_client_wrote_it() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    for target in [
        "/%73ocket.io//x/./y/?a=%zz&b=c?d#",
        "/%C3%A9/\u{e9}",
        "/a%2Fb%20c",
        "/~!$&'()*+,;=:@|\\\"^{}[]",
        "/?",
    ] {
        assert_eq!(client.get(target).await.text(), "ok", "{target}");
        let received = upstream.received().await.head.target().to_owned();
        let written: String = target.bytes().map(char::from).collect();
        assert_eq!(received, written.trim_end_matches('#'));
    }
}

#[tokio::test]
async fn a_path_in_proxy_pass_replaces_the_location() {
    let mut upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .route_to("/chat/", &upstream, "/socket.io/")
        .route_to("/root", &upstream, "/")
        .route_to("= /exact", &upstream, "/other")
        .start()
        .await;
    let mut client = gate.connect().await;
    for (target, asked) in [
        (
            "/chat/?EIO=4&transport=polling",
            "/socket.io/?EIO=4&transport=polling",
        ),
        ("/chat/a%20b", "/socket.io/a%20b"),
        ("/chat/a/../b", "/socket.io/b"),
        ("/root", "/"),
        ("/root/x?y", "//x?y"),
        ("/exact?y", "/other?y"),
    ] {
        assert_eq!(client.get(target).await.text(), "ok", "{target}");
        assert_eq!(upstream.received().await.head.target(), asked, "{target}");
    }
}

#[tokio::test]
async fn a_missing_slash_is_redirected_for_requests_and_added_for_upgrades() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/ws/", &upstream)]).await;
    let mut client = gate.connect().await;
    let answer = client.get("/ws?EIO=4&a=b").await;
    assert_eq!(answer.status(), 301);
    assert_eq!(answer.head.value("location"), Some("/ws/?EIO=4&a=b"));
    assert_eq!(answer.text(), "wsgate: moved to /ws/?EIO=4&a=b\n");
    // The connection goes on.
    client.send(upgrade_to("/ws?EIO=4&a=b", "")).await;
    let head = upstream.accept().await.head().await;
    assert_eq!(head.target(), "/ws/?EIO=4&a=b");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_missing_slash_is_added_before_the_path_is_replaced() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .route_to("/ws/", &upstream, "/socket.io/")
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(upgrade_to("/ws?EIO=4", "")).await;
    let head = upstream.accept().await.head().await;
    assert_eq!(head.target(), "/socket.io/?EIO=4");
}

#[tokio::test]
async fn a_rewrite_writes_the_path_of_requests_and_of_upgrades_both_ways() {
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        let gate = TestServer::setup()
            .route("/other", &other)
            .route_to("/app/", &upstream, "/ignored/")
            .of_route("rewrite: { '^/app/$': '/root', '^/app/(?<rest>.+)$': '/$rest?v=1' }")
            .route_to("/kept", &upstream, "/x")
            .of_route("rewrite: { '^/other': '/y' }")
            .route("/cut", &upstream)
            .of_route("rewrite: { '^/cut(.*)$': '$1' }")
            .start()
            .await;
        for (target, asked) in [
            ("/app/a%20b?x=1", "/a%20b?v=1&x=1"),
            ("/x/..//app/a", "/a?v=1"),
            ("/app/?x", "/root?x"),
            ("/kept/a", "/x/a"),
            ("/cut/a", "/a"),
        ] {
            for upgrade in [false, true] {
                let mut client = way.client(&gate).await;
                let plain = format!("GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n");
                let upgraded = upgrade_to(target, "");
                client
                    .send(if upgrade { upgraded } else { plain.into() })
                    .await;
                let head = upstream.accept().await.head().await;
                assert_eq!(head.target(), asked, "{target} {way:?}");
            }
        }
        // An ordinary request is redirected, to what its client knows; an upgrade is as if it had been.
        let mut client = way.client(&gate).await;
        let answer = client.get("/app?x=1").await;
        assert_eq!(
            (answer.status(), answer.head.value("location")),
            (301, Some("/app/?x=1"))
        );
        client.send(upgrade_to("/app?x=1", "")).await;
        let head = upstream.accept().await.head().await;
        assert_eq!(head.target(), "/root?x=1");
        let answer = way.client(&gate).await.get("/cute").await;
        assert_eq!(
            (answer.status(), answer.text()),
            (
                500,
                "wsgate: this path is rewritten to none that could be asked for\n"
            )
        );
        let line = gate
            .log()
            .find("request", |line| line["status"] == 500)
            .await;
        assert_eq!(
            line["reason"],
            "`rewrite` leaves no path that begins with a slash"
        );
    }
}

#[tokio::test]
async fn without_a_location_it_is_404_and_the_connection_goes_on() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::with_routes(&[("/socket.io", &upstream)]).await;
    let mut client = gate.connect().await;
    for request in [
        b"GET /other HTTP/1.1\r\nHost: chat.test\r\n\r\n".to_vec(),
        upgrade_to("/other", ""),
        b"POST /other HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 4\r\n\r\nbody".to_vec(),
    ] {
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.text(), "wsgate: no location matches this path\n");
        assert_eq!(answer.head.names(), ["Content-Length", "Content-Type"]);
        assert_eq!(
            answer.head.value("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    assert_eq!(client.get("/socket.io/").await.text(), "ok");
}

#[tokio::test]
async fn an_upstream_may_have_a_name_and_an_ipv6_address() {
    let mut upstream = Upstream::saying("by name").await;
    let port = upstream.address().port();
    let gate: Setup = TestServer::setup();
    let gate = gate
        .proxy_pass("/", format!("http://localhost:{port}"))
        .start()
        .await;
    assert_eq!(gate.connect().await.get("/").await.text(), "by name");
    assert_eq!(
        upstream.received().await.head.value("host"),
        Some("chat.test")
    );
}
