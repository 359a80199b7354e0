//! Several sites behind one address, conditions, and answers that the configuration has.

use crate::support::KEY;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::Way;

/// A server that says its name, and a route to it with more keys.
async fn site(name: &str, keys: &str) -> (Upstream, String) {
    let upstream = Upstream::saying(name).await;
    let route = format!("{keys}\n    proxy_pass: http://{}", upstream.address());
    (upstream, route)
}

async fn gate(routes: &[String]) -> TestServer {
    let mut setup = TestServer::setup().tls();
    for route in routes {
        setup = setup.raw_route(route);
    }
    setup.start().await
}

async fn get(gate: &TestServer, host: &str, target: &str) -> (u16, String) {
    let mut client = gate.connect().await;
    let answer = client
        .ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    (answer.status(), answer.text().to_owned())
}

#[tokio::test]
async fn the_host_is_chosen_before_the_location() {
    let any = site("any", "location: /").await;
    let deep = site("deep", "host: \"*.b.example.org\"\n    location: /").await;
    let wide = site(
        "wide",
        "host: [\"*.example.org\", Other.test]\n    location: /",
    )
    .await;
    let one = site("one", "host: a.b.example.org\n    location: /one").await;
    let gate = gate(&[any.1, deep.1, wide.1, one.1]).await;
    for (host, target, name) in [
        ("a.b.example.org", "/one", "one"),
        ("A.B.Example.ORG:8080", "/one", "one"),
        // The site has no such location, so the routes without host are asked, not the wildcards.
        ("a.b.example.org", "/other", "any"),
        ("x.b.example.org", "/one", "deep"),
        ("b.example.org", "/", "wide"),
        ("other.test:1", "/", "wide"),
        ("example.org", "/", "any"),
        ("[::1]:80", "/", "any"),
    ] {
        assert_eq!(
            get(&gate, host, target).await,
            (200, name.to_owned()),
            "{host}{target}"
        );
    }
}

#[tokio::test]
async fn a_star_at_the_end_of_a_host_comes_behind_one_at_the_beginning() {
    let any = site("any", "location: /").await;
    let end = site("end", "host: www.example.*\n    location: /").await;
    let begin = site("begin", "host: \"*.com\"\n    location: /").await;
    let gate = gate(&[any.1, end.1, begin.1]).await;
    for (host, name) in [
        ("www.example.org", "end"),
        ("WWW.example.co.uk:8080", "end"),
        ("www.example.com", "begin"),
        ("www.example", "any"),
        ("www.example.", "any"),
        ("www.examples.org", "any"),
    ] {
        assert_eq!(
            get(&gate, host, "/").await,
            (200, name.to_owned()),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_condition_on_one_host_moves_no_regex_of_another() {
    let gate = gate(&[
        "{ host: a.test, location: ~ ^/x, return: 200 one }".to_owned(),
        "{ host: b.test, location: ~ y, return: 200 two }".to_owned(),
        "{ host: b.test, location: ~ ^/x, when: { method: GET }, return: 200 three }".to_owned(),
        "{ host: c.test, location: ~ ^/x, return: 200 first }".to_owned(),
        "{ host: c.test, location: ~ y, return: 200 second }".to_owned(),
        "{ host: c.test, location: ~ ^/x, when: { query: { a: b } }, return: 200 asked }"
            .to_owned(),
    ])
    .await;
    for (host, target, answer) in [
        ("a.test", "/xy", "one"),
        ("b.test", "/xy", "two"),
        ("b.test", "/x", "three"),
        ("c.test", "/xy", "first"),
        ("c.test", "/xy?a=b", "asked"),
        ("c.test", "/y", "second"),
    ] {
        assert_eq!(
            get(&gate, host, target).await,
            (200, answer.to_owned()),
            "{host}{target}"
        );
    }
}

#[tokio::test]
async fn upgrades_and_other_requests_of_one_path_have_servers_of_their_own() {
    for when in [
        "when: { websocket: true }",
        "when: { header: { Upgrade: websocket } }",
        "when: { header: { connection: UPGRADE, upgrade: WebSocket } }",
        "when: { header: { Connection: [close, \"keep-alive, Upgrade\"] } }",
    ] {
        for way in Way::BOTH {
            let pages = site("page", "location: /").await;
            let other = site("other", "location: /other").await;
            let mut tunnels = Upstream::scripted().await;
            let to = format!("proxy_pass: http://{}", tunnels.address());
            let gate = gate(&[
                pages.1,
                format!("location: /\n    {when}\n    {to}"),
                other.1,
            ])
            .await;
            for fields in [
                "Connection: Upgrade, keep-alive\r\nUpgrade: websocket",
                "connection: keep-alive\r\nConnection: upgrade\r\nUPGRADE: h2c\r\nupgrade: WebSocket",
            ] {
                let mut client = way.client(&gate).await;
                client
                    .send(format!(
                        "GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\nSec-WebSocket-Key: {KEY}\r\n\
                         Sec-WebSocket-Version: 13\r\n\r\n"
                    ))
                    .await;
                let head = tunnels.accept().await.head().await;
                assert_eq!(head.value("upgrade"), Some("websocket"), "{when} {fields}");
            }
            let mut client = way.client(&gate).await;
            assert_eq!(client.get("/").await.text(), "page", "{when}");
        }
    }
}

#[tokio::test]
async fn a_route_can_leave_upgrades_to_others() {
    let gate = gate(&[
        "{ location: /, when: { websocket: false }, return: 200 page }".to_owned(),
        "{ location: /, return: 403 }".to_owned(),
    ])
    .await;
    assert_eq!(get(&gate, "a", "/").await, (200, "page".to_owned()));
    assert_eq!(gate.connect().await.ask(UPGRADE).await.status(), 403);
}

#[tokio::test]
async fn a_condition_sends_old_clients_to_their_own_server() {
    let new = site("four", "location: /socket.io").await;
    let old = site(
        "three",
        "location: /socket.io\n    when: { query: { EIO: \"3\" } }",
    )
    .await;
    let gate = gate(&[new.1, old.1]).await;
    for (query, name) in [
        ("EIO=3&transport=polling", "three"),
        ("transport=polling&EIO=3", "three"),
        ("EIO=4&transport=polling", "four"),
        ("", "four"),
    ] {
        let answer = get(&gate, "a", &format!("/socket.io/?{query}")).await;
        assert_eq!(answer, (200, name.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn conditions_look_at_header_method_and_port() {
    let plain = site("plain", "location: /").await;
    let canary = site(
        "canary",
        "location: /\n    when: { header: { X-Canary: [1, yes] }, method: GET }",
    )
    .await;
    let gate = gate(&[plain.1, canary.1]).await;
    for (head, name) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx-canary: yes\r\n\r\n",
            "canary",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Canary: no\r\n\r\n", "plain"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nX-Canary: 1\r\nContent-Length: 0\r\n\r\n",
            "plain",
        ),
    ] {
        assert_eq!(gate.connect().await.ask(head).await.text(), name, "{head}");
    }
}

#[tokio::test]
async fn regexes_keep_their_order_when_one_has_conditions() {
    let first = site("first", "location: ~ ^/a").await;
    let second = site("second", "location: ~ ^/ab\n    when: { method: GET }").await;
    let gate = gate(&[first.1, second.1]).await;
    assert_eq!(get(&gate, "a", "/ab").await, (200, "first".to_owned()));
}

#[tokio::test]
async fn return_answers_without_an_upstream() {
    let gate = gate(&[
        "location: = /healthz\n    return: 200 ok $host".to_owned(),
        "location: /old/\n    return: 301 $scheme://new.$host$request_uri".to_owned(),
        "location: /gone\n    return: 410".to_owned(),
        "location: /empty\n    return: 204".to_owned(),
        "location: /away\n    return: https://a.test/".to_owned(),
    ])
    .await;
    assert_eq!(
        get(&gate, "A.test:80", "/healthz").await,
        (200, "ok a.test".to_owned())
    );
    assert_eq!(
        get(&gate, "a", "/gone").await,
        (410, "wsgate: gone\n".to_owned())
    );
    assert_eq!(get(&gate, "a", "/empty").await, (204, String::new()));
    // As in nginx: without something to proxy to, the slash is not added.
    assert_eq!(get(&gate, "a", "/old").await.0, 404);
    for (over, scheme) in [(Over::Ws, "http"), (Over::Wss, "https")] {
        let mut client = gate.connect_over(over).await;
        let answer = client
            .ask("GET /old/x?y=%20 HTTP/1.1\r\nHost: a.test:81\r\n\r\n")
            .await;
        let to = format!("{scheme}://new.a.test/old/x?y=%20");
        assert_eq!(
            (answer.status(), answer.head.value("location")),
            (301, Some(to.as_str()))
        );
    }
    let mut client = gate.connect().await;
    let answer = client.get("/away").await;
    assert_eq!(
        (answer.status(), answer.head.value("location")),
        (302, Some("https://a.test/"))
    );
    let line = gate
        .log()
        .find("request", |line| line["status"] == 410)
        .await;
    assert_eq!(line["location"], "/gone");
}

#[tokio::test]
async fn set_headers_writes_over_the_clients_and_ours() {
    let mut upstream = Upstream::scripted().await;
    let route = format!(
        "location: /\n    proxy_pass: http://{}\n    set_headers: {{ Host: inner.test, X-Client: \"$remote_addr over $scheme\", \
         X-Forwarded-For: \"\", Authorization: , X-Uri: $request_uri }}",
        upstream.address()
    );
    let gate = gate(&[route]).await;
    let mut client = gate.connect().await;
    client
        .send("GET /x?y HTTP/1.1\r\nHost: outer.test\r\nAuthorization: secret\r\nX-Client: forged\r\n\r\n")
        .await;
    let head = upstream.accept().await.head().await;
    assert_eq!(head.values("host"), ["inner.test"]);
    assert_eq!(head.values("x-client"), ["127.0.0.1 over http"]);
    assert_eq!(head.values("x-uri"), ["/x?y"]);
    assert_eq!(head.values("x-forwarded-host"), ["outer.test"]);
    assert_eq!(head.value("x-forwarded-for"), None);
    assert_eq!(head.value("authorization"), None);
}

#[tokio::test]
async fn a_plain_listener_can_send_its_clients_to_https() {
    let upstream = Upstream::saying("inside").await;
    let gate = TestServer::setup()
        .redirect()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let port = gate.tls_address().port();
    let mut client = gate.connect().await;
    let answer = client
        .ask("POST /x?y HTTP/1.1\r\nHost: Chat.test:8080\r\nContent-Length: 0\r\n\r\n")
        .await;
    let to = format!("https://chat.test:{port}/x?y");
    assert_eq!(
        (answer.status(), answer.head.value("location")),
        (308, Some(to.as_str()))
    );
    let answer = client.ask(UPGRADE).await;
    assert_eq!(answer.status(), 426);
    assert_eq!(answer.head.value("upgrade"), Some("TLS/1.2"));
    assert!(
        answer
            .text()
            .starts_with("wsgate: this address is for wss only: open wss://"),
        "{}",
        answer.text()
    );
    assert_eq!(gate.connect_tls().await.get("/").await.text(), "inside");
    assert_eq!(upstream.connections(), 1);
}
