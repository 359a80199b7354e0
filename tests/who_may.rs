//! Who may ask a route, and what those are told who may not.

use serde_json::Value;

use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::upgrade_to;

/// A gate whose `/` has these keys, and leads to `upstream`.
fn setup(upstream: &Upstream, keys: &[&str]) -> Setup {
    let mut setup = TestServer::setup().route("/", upstream);
    for key in keys {
        setup = setup.of_route(key);
    }
    setup
}

/// A tunnel is opened for this client.
async fn opens(client: &mut Peer, request: impl AsRef<[u8]>, upstream: &mut Upstream) {
    client.send(request).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("there").await;
    assert_eq!(server.take(5).await, b"there");
}

fn origin(line: &str) -> Vec<u8> {
    match line {
        "" => upgrade_to("/socket.io/", ""),
        origin => upgrade_to("/socket.io/", &format!("Origin: {origin}\r\n")),
    }
}

/// The lines of requests that were answered 403, as soon as there are so many.
async fn refusals(gate: &TestServer, count: usize) -> Vec<Value> {
    gate.log().containing_times("\"status\":403", count).await;
    let mut lines = gate.log().all("request");
    lines.retain(|line| line["status"] == 403);
    lines
}

#[tokio::test]
async fn only_pages_of_the_origins_that_are_named_open_a_websocket() {
    const ORIGINS: &str =
        "allowed_origins: [https://chat.test, 'https://*.example.org', 'http://a.test:8080']";
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        let setup = setup(&upstream, &[ORIGINS]).route("/other", &other);
        let gate = setup.start().await;
        for page in [
            "https://chat.test",
            "HTTPS://Chat.Test:443",
            "https://a.b.example.org",
            "http://a.test:8080",
            "", // no browser
        ] {
            let mut client = way.client(&gate).await;
            opens(&mut client, origin(page), &mut upstream).await;
        }
        let mut client = way.client(&gate).await;
        let refused = [
            "https://evil.test",
            "http://chat.test",
            "https://chat.test:8443",
            "https://chat.test/",
            "https://example.org",
            "https://chat.test.evil.test",
            "null",
            "https://chat.test, https://chat.test",
        ];
        for page in refused {
            let answer = client.ask(origin(page)).await;
            assert_eq!(answer.status(), 403, "{page}");
            assert_eq!(
                answer.text(),
                "wsgate: pages of this origin may not open a WebSocket here (allowed_origins)\n"
            );
            let fields = answer.head.names();
            let cors = |name: &&str| name.to_ascii_lowercase().starts_with("access-control");
            assert!(!fields.iter().any(cors), "{fields:?}");
        }
        let twice = "https://chat.test\r\nOrigin: https://chat.test";
        let answer = client.ask(origin(twice)).await;
        assert_eq!(answer.status(), 403);
        // The connection goes on, and what is no upgrade is not looked at.
        client
            .send("GET /poll HTTP/1.1\r\nHost: chat.test\r\nOrigin: https://evil.test\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.value("origin"), Some("https://evil.test"));
        server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 204);
        assert!(upstream.has_nothing_more());

        let refusals = refusals(&gate, refused.len() + 1).await;
        let reasons: Vec<_> = refusals
            .iter()
            .map(|line| line["reason"].as_str().unwrap().to_owned())
            .collect();
        let mut expected: Vec<_> = refused
            .iter()
            .map(|page| format!("refused by `allowed_origins`: origin {page} is not among them"))
            .collect();
        expected.push("refused by `allowed_origins`: several Origin lines".to_owned());
        assert_eq!(reasons, expected);
        let line = &refusals[0];
        assert_eq!(
            (&line["location"], &line["level"]),
            (&"/".into(), &"INFO".into())
        );
        assert!(line["upstream_addr"].is_null());
    }
}

#[tokio::test]
async fn whoever_sends_no_origin_can_be_refused_too() {
    let mut upstream = Upstream::scripted().await;
    let keys = ["allowed_origins: https://chat.test", "missing_origin: deny"];
    let gate = setup(&upstream, &keys).start().await;
    let mut client = gate.connect().await;
    let answer = client.ask(origin("")).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.text(),
        "wsgate: without an Origin no WebSocket is opened here (missing_origin)\n"
    );
    let line = gate.log().first("request").await;
    assert_eq!(line["reason"], "refused by `missing_origin`: no Origin");
    // An empty line is none that browsers send, and no way around.
    let empty = upgrade_to("/socket.io/", "Origin:\r\n");
    assert_eq!(client.ask(empty).await.status(), 403);
    opens(&mut client, origin("https://chat.test"), &mut upstream).await;
}

#[tokio::test]
async fn what_was_refused_is_in_the_log_though_that_is_off() {
    let upstream = Upstream::scripted().await;
    let setup = setup(&upstream, &["allowed_origins: https://chat.test"]).top("access_log: off");
    let gate = setup.start().await;
    let mut client = gate.connect().await;
    assert_eq!(client.ask(origin("https://evil.test")).await.status(), 403);
    let line = gate.log().first("request").await;
    assert_eq!(
        line["reason"],
        "refused by `allowed_origins`: origin https://evil.test is not among them"
    );
}

/// Saves `after` over `before`, which says `detail`, with a tunnel open that goes on. A connection from before it.
async fn saved(
    upstream: &mut Upstream,
    [before, after]: [&[&str]; 2],
    detail: &str,
) -> (TestServer, Peer) {
    let gate = setup(upstream, before).start().await;
    let idle = gate.connect().await;
    let mut tunnel = gate.connect().await;
    tunnel.send(origin("https://evil.test")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(tunnel.head().await.status(), 101);
    gate.save(&setup(upstream, after));
    let lines = gate.log().next(&mut 0, "reloaded").await;
    let change = lines.iter().find(|line| line["kind"] == "location");
    assert_eq!(change.unwrap()["detail"], detail);
    server.send("still").await;
    assert_eq!(tunnel.take(5).await, b"still");
    (gate, idle)
}

#[tokio::test]
async fn a_list_of_origins_that_is_saved_is_in_force_and_leaves_tunnels_alone() {
    let mut upstream = Upstream::scripted().await;
    let keys: [&[&str]; 2] = [
        &[],
        &["allowed_origins: https://chat.test", "missing_origin: deny"],
    ];
    let (_gate, mut idle) = saved(&mut upstream, keys, "allowed_origins, missing_origin").await;
    assert_eq!(idle.ask(origin("https://evil.test")).await.status(), 403);
}

/// What `/` answers a client that a believed proxy names: 200 of the upstream, or 403.
async fn statuses(gate: &TestServer, addresses: &[&str]) -> Vec<u16> {
    let mut client = gate.connect().await;
    let mut statuses = Vec::new();
    for address in addresses {
        let request =
            format!("GET / HTTP/1.1\r\nHost: chat.test\r\nX-Forwarded-For: {address}\r\n\r\n");
        statuses.push(client.ask(request).await.status());
    }
    statuses
}

#[tokio::test]
async fn of_the_networks_that_hold_a_client_the_narrowest_decides() {
    let addresses = [
        "10.2.2.3",
        "10.1.2.3",
        "10.1.2.4",
        "192.0.2.7",
        "2001:db8::7",
        "::1",
    ];
    for (keys, expected) in [
        (&["allow: 10.0.0.0/8"][..], [200, 200, 200, 403, 403, 403]),
        (
            &["deny: [10.0.0.0/8, '::/0']"],
            [403, 403, 403, 200, 403, 403],
        ),
        (
            &[
                "deny: [10.1.0.0/16, '::1']",
                "allow: [10.0.0.0/8, 10.1.2.3, '::/0']",
            ],
            [200, 200, 403, 403, 200, 403],
        ),
        (
            &["allow: [10.1.2.3, all]", "deny: 10.0.0.0/8"],
            [403, 200, 403, 200, 200, 200],
        ),
        (&["deny: all"], [403; 6]),
        (&["allow: all"], [200; 6]),
    ] {
        let upstream = Upstream::saying("ok").await;
        let gate = setup(&upstream, keys).top("trusted_proxies: 127.0.0.1");
        let gate = gate.start().await;
        assert_eq!(statuses(&gate, &addresses).await, expected, "{keys:?}");
    }
}

#[tokio::test]
async fn a_client_that_may_not_ask_is_told_so_both_ways_and_the_log_names_the_key() {
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        // Its word about itself is nobody's.
        let claim = "X-Forwarded-For: 10.1.2.3\r\n";
        let setup = setup(&upstream, &["allow: 10.0.0.0/8"])
            .raw_route("{ location: /closed/, deny: [127.0.0.0/8, 127.0.0.2], proxy_pass: 'http://127.0.0.1:1' }")
            .raw_route("{ location: /said, return: 200 secret, deny: all }")
            .route("/other", &other);
        let gate = setup.start().await;
        let mut client = way.client(&gate).await;
        for request in [
            upgrade_to("/", claim),
            format!("POST / HTTP/1.1\r\nHost: a\r\n{claim}Content-Length: 4\r\n\r\nbody").into(),
            b"GET /closed HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            upgrade_to("/closed", claim),
            b"GET /said HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ] {
            let key = match request
                .windows(7)
                .any(|part| part == b"/closed" || part == b"T /said")
            {
                true => "deny",
                false => "allow",
            };
            let answer = client.ask(request).await;
            assert_eq!(answer.status(), 403);
            assert_eq!(
                answer.text(),
                format!("wsgate: this address may not ask here ({key})\n")
            );
        }
        let reasons: Vec<_> = refusals(&gate, 5)
            .await
            .iter()
            .map(|line| line["reason"].as_str().unwrap().to_owned())
            .collect();
        let nowhere = "refused by `allow`: the address is in none of its networks";
        let closed = "refused by `deny`: the address is in 127.0.0.0/8";
        let all = "refused by `deny`: the address is in 0.0.0.0/0";
        assert_eq!(reasons, [nowhere, nowhere, closed, closed, all]);
        assert!(upstream.has_nothing_more());
    }
}

#[tokio::test]
async fn a_saved_list_of_addresses_is_in_force_and_leaves_tunnels_alone() {
    let mut upstream = Upstream::scripted().await;
    let keys: [&[&str]; 2] = [&["deny: 10.0.0.0/8"], &["allow: [10.0.0.0/8, '::1']"]];
    let detail = "allow 10.0.0.0/8, ::1 (was none), deny none (was 10.0.0.0/8)";
    let (_gate, mut idle) = saved(&mut upstream, keys, detail).await;
    assert_eq!(idle.get("/").await.status(), 403);
}
