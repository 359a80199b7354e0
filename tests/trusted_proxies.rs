//! Behind a proxy that is believed, the client is whom that names; behind any other, nobody's word counts.

use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::upgrade_to;

/// What a request says of itself.
const CLAIMS: &str = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-For: 127.0.0.9\r\nX-Forwarded-Proto: https\r\n\
     X-Forwarded-Host: outer.test\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
     Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP\r\n";

/// What an upstream is told: `X-Forwarded-For`, `-Proto`, `-Host`, `X-Real-IP`, and `$remote_addr`.
type Told = [String; 5];

fn told(head: &crate::support::Head) -> Told {
    assert_eq!(head.value("forwarded"), None);
    [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "x-client",
    ]
    .map(|name| head.value(name).unwrap().to_owned())
}

async fn gate(trusted: &str, upstream: &Upstream, other: &Upstream) -> TestServer {
    let setup = match trusted {
        "" => TestServer::setup(),
        trusted => TestServer::setup().top(&format!("trusted_proxies: {trusted}")),
    };
    let setup = setup
        .route("/", upstream)
        .of_route("set_headers: { X-Client: $remote_addr }")
        .route("/other", other);
    setup.start().await
}

/// What becomes of these lines in an ordinary request and in an upgrade, each both ways, which must be the same: what the
/// upstream is told, and the log's `remote_addr`, of which `port` stands for the number that the system gave.
async fn asked(trusted: &str, lines: &str) -> (Told, String) {
    let mut seen = Vec::new();
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        let gate = gate(trusted, &upstream, &other).await;
        for request in [
            format!("GET /ask HTTP/1.1\r\nHost: chat.test\r\n{lines}\r\n").into_bytes(),
            upgrade_to("/open", lines),
        ] {
            let is_upgrade = request.starts_with(b"GET /open");
            let mut client = way.client(&gate).await;
            let own = client.tcp().local_addr().unwrap();
            client.send(&request).await;
            let mut server = upstream.accept().await;
            let head = server.head().await;
            let (answer, message) = match is_upgrade {
                false => (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], "request"),
                true => (SWITCHING, "tunnel opened"),
            };
            server.send(answer).await;
            client.head().await;
            let line = gate
                .log()
                .find(message, |line| {
                    line["location"] == "/" && line["tunnel"].is_number() == is_upgrade
                })
                .await;
            let address = line["remote_addr"].as_str().unwrap();
            seen.push((
                told(&head),
                address.replace(&own.to_string(), "127.0.0.1:port"),
            ));
        }
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    seen.swap_remove(0)
}

fn owned(told: [&str; 5], log: &str) -> (Told, String) {
    (told.map(str::to_owned), log.to_owned())
}

#[tokio::test]
async fn a_believed_proxy_is_added_to_the_list_and_its_client_is_the_client() {
    assert_eq!(
        asked("[127.0.0.0/8, '::1']", CLAIMS).await,
        owned(
            [
                "6.6.6.6, 192.0.2.7, 127.0.0.9, 127.0.0.1",
                "https",
                "outer.test",
                "192.0.2.7",
                "192.0.2.7"
            ],
            "192.0.2.7"
        )
    );
}

#[tokio::test]
async fn what_a_believed_proxy_does_not_say_is_ours_to_say() {
    assert_eq!(
        asked("127.0.0.1", "X-Forwarded-For: [2001:db8::7]:4711\r\n").await,
        owned(
            [
                "[2001:db8::7]:4711, 127.0.0.1",
                "http",
                "chat.test",
                "2001:db8::7",
                "2001:db8::7"
            ],
            "[2001:db8::7]:4711"
        )
    );
    let ours = ["127.0.0.1", "http", "chat.test", "127.0.0.1", "127.0.0.1"];
    assert_eq!(asked("127.0.0.1", "").await, owned(ours, "127.0.0.1:port"));
}

#[tokio::test]
async fn what_cannot_be_read_is_believed_no_further() {
    let lines = "X-Forwarded-For: 6.6.6.6, unknown, 192.0.2.7\r\n";
    let last = [
        "192.0.2.7, 127.0.0.1",
        "http",
        "chat.test",
        "192.0.2.7",
        "192.0.2.7",
    ];
    assert_eq!(asked("127.0.0.1", lines).await, owned(last, "192.0.2.7"));
    let ours = ["127.0.0.1", "http", "chat.test", "127.0.0.1", "127.0.0.1"];
    let lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7;\r\n";
    assert_eq!(
        asked("127.0.0.1", lines).await,
        owned(ours, "127.0.0.1:port")
    );
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let ours = ["127.0.0.1", "http", "chat.test", "127.0.0.1", "127.0.0.1"];
    for trusted in ["", "[10.0.0.0/8, '::/0', 127.0.0.2]"] {
        assert_eq!(
            asked(trusted, CLAIMS).await,
            owned(ours, "127.0.0.1:port"),
            "{trusted}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_logged_with_its_client() {
    let upstream = Upstream::saying("ok").await;
    let gate = gate("127.0.0.1", &upstream, &upstream).await;
    let mut client = gate.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(client.ask(request).await.status(), 400);
    let line = gate.log().first("request").await;
    assert_eq!(line["remote_addr"], "192.0.2.7");
}

#[tokio::test]
async fn a_saved_list_is_in_force_for_connections_that_are_open() {
    const ASK: &str = "GET / HTTP/1.1\r\nHost: chat.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    let mut upstream = Upstream::saying("ok").await;
    let setup = |top: &str| -> Setup { TestServer::setup().top(top).route("/", &upstream) };
    let (before, after) = (setup("threads: 1"), setup("trusted_proxies: 127.0.0.1"));
    let back = setup("threads: 1");
    let gate = before.start().await;
    let mut client = gate.connect().await;
    let mut read = 0;
    for (setup, change, expected) in [
        (None, None, "127.0.0.1"),
        (Some(after), Some("127.0.0.1"), "192.0.2.7, 127.0.0.1"),
        (Some(back), Some("none"), "127.0.0.1"),
    ] {
        if let Some(setup) = setup {
            gate.save(&setup);
            let lines = gate.log().next(&mut read, "reloaded").await;
            let line = lines
                .iter()
                .find(|line| line["kind"] == "trusted_proxies")
                .unwrap();
            assert_eq!(line["name"].as_str(), change);
        }
        assert_eq!(client.ask(ASK).await.text(), "ok");
        let head = upstream.received().await.head;
        assert_eq!(head.value("x-forwarded-for"), Some(expected));
    }
}
