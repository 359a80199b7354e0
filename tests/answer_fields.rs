//! What a route changes in the fields of answers, alike on both ways of a request; and how the names are spelled that are
//! written in `routes.yaml`.

mod beside_nginx;

use crate::support::Head;
use crate::support::KEY;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::tunnel_cost::calls_during;

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: chat.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

/// An answer that goes on as bytes on the short way.
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-frame-options: SAMEORIGIN\r\nX-Powered-By: Express\r\n\
    Server: x\r\nx-POWERED-by: PHP\r\netag: \"1\"\r\n\r\nok";

const KEYS: [&str; 2] = [
    "add_headers: { X-Frame-Options: DENY, X-XSS-Protection: '0', ETag: '\"2\"', \
     Strict-Transport-Security: { value: max-age=1, always: true }, X-Who: [$remote_addr, '$scheme $host $request_uri'] }",
    "hide_headers: [X-Powered-By]",
];

/// The upstream of `/other` is there for as long as its value is.
async fn gate(upstream: &Upstream) -> (TestServer, Upstream) {
    let other = Upstream::saying("other").await;
    let nobody = Upstream::scripted().await;
    let nowhere = nobody.address();
    drop(nobody);
    let mut setup = TestServer::setup()
        .route("/other", &other)
        .raw_route("{ location: /gone, return: 410 }");
    for (location, to) in [
        ("/", format!("proxy_pass: http://{}", upstream.address())),
        (
            "/slash/",
            format!("proxy_pass: http://{}", upstream.address()),
        ),
        ("/dead", format!("proxy_pass: http://{nowhere}")),
        (
            "/closed",
            format!("proxy_pass: http://{nowhere}\n    deny: all"),
        ),
        ("/return", "return: 200 text".to_owned()),
        ("/return-404", "return: 404".to_owned()),
    ] {
        setup = setup
            .raw_route(&format!("location: {location}"))
            .of_route(&to)
            .of_route(KEYS[0]);
        if to.contains("proxy_pass") {
            setup = setup.of_route(KEYS[1]);
        }
    }
    (setup.start().await, other)
}

fn lines(head: &Head) -> Vec<String> {
    head.sorted().into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn fields_are_added_and_hidden_alike_on_both_ways() {
    let upstream = Upstream::answering(PLAIN).await;
    for way in Way::BOTH {
        let (gate, _other) = gate(&upstream).await;
        let mut client = way.client(&gate).await;
        let answer = client.get("/a?b").await;
        assert_eq!(answer.text(), "ok");
        assert_eq!(
            lines(&answer.head),
            [
                "HTTP/1.1 200 OK",
                "Content-Length: 2",
                "ETag: \"2\"",
                "Server: x",
                "Strict-Transport-Security: max-age=1",
                "X-Frame-Options: DENY",
                "X-Who: 127.0.0.1",
                "X-Who: http chat.test /a?b",
                "X-XSS-Protection: 0",
                "x-frame-options: SAMEORIGIN",
            ],
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn an_error_gets_what_is_always_added() {
    let upstream = Upstream::answering(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Powered-By: x\r\nETag: \"1\"\r\n\r\nno",
    )
    .await;
    for way in Way::BOTH {
        let (gate, _other) = gate(&upstream).await;
        let mut client = way.client(&gate).await;
        assert_eq!(
            lines(&client.get("/").await.head),
            [
                "HTTP/1.1 404 Not Found",
                "Content-Length: 2",
                "ETag: \"1\"",
                "Strict-Transport-Security: max-age=1",
            ],
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn wsgates_own_answers_of_a_route_get_them_too() {
    let upstream = Upstream::saying("never").await;
    let (gate, _other) = gate(&upstream).await;
    for way in Way::BOTH {
        for (target, status, added) in [
            ("/return", 200, Some("DENY")),
            ("/slash", 301, Some("DENY")),
            ("/return-404", 404, None),
            ("/dead", 502, None),
            ("/closed", 403, None),
        ] {
            let mut client = way.client(&gate).await;
            let head = client.get(target).await.head;
            assert_eq!(head.status(), status, "{target}");
            assert_eq!(head.value("x-frame-options"), added, "{target}");
            assert_eq!(
                head.value("strict-transport-security"),
                Some("max-age=1"),
                "{target}"
            );
            assert_eq!(
                head.names().contains(&"X-XSS-Protection"),
                added.is_some(),
                "{target}"
            );
        }
        let mut client = way.client(&gate).await;
        assert_eq!(
            client
                .get("/gone")
                .await
                .head
                .value("strict-transport-security"),
            None
        );
    }
}

#[tokio::test]
async fn a_101_gets_nothing_and_loses_what_is_hidden() {
    let switching = String::from_utf8(SWITCHING.to_vec()).unwrap();
    let switching = switching.replacen("\r\n", "\r\nx-powered-by: x\r\nSet-Cookie: a=b\r\n", 1);
    for way in Way::BOTH {
        let mut upstream = Upstream::scripted().await;
        let (gate, _other) = gate(&upstream).await;
        let mut client = way.client(&gate).await;
        client
            .send(format!(
                "{UPGRADE}Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ))
            .await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(&switching).await;
        let head = client.head().await;
        assert_eq!(head.status(), 101, "{way:?}");
        let mut names = head.names();
        names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
        let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(
            names,
            [
                "connection",
                "sec-websocket-accept",
                "set-cookie",
                "upgrade"
            ],
            "{way:?}"
        );
    }
}

/// A body that comes behind the head, so that hyper writes both at once or one after the other.
#[tokio::test]
async fn what_hyper_writes_has_the_names_as_they_are_written() {
    let long = "x".repeat(300_000);
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nx-xss-protection: 1\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    ))
    .await;
    let (gate, _other) = gate(&upstream).await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        for _ in 0..3 {
            let answer = client.get("/").await;
            assert_eq!(answer.body, long.as_bytes());
            let lines = lines(&answer.head);
            for line in [
                "x-xss-protection: 1",
                "X-XSS-Protection: 0",
                "X-Frame-Options: DENY",
            ] {
                assert!(lines.iter().any(|known| known == line), "{line}: {lines:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_has_the_names_as_they_are_written() {
    let mut upstream = Upstream::saying("ok").await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .route("/other", &other)
        .route("/plain", &upstream)
        .route("/", &upstream)
        .of_route(
            "set_headers: { X-API-KEY: one, CLIENT_IP: $remote_addr, x-lower: '2', X-Gone: '' }",
        )
        .start()
        .await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        let of_client =
            "x-api-key: mine\r\nX-LOWER: 1\r\nx-oWn: 3\r\nX_Own: 4\r\nClient_Ip: 9.9.9.9\r\n";
        for body in ["", "body"] {
            let length = match body.len() {
                0 => String::new(),
                length => format!("Content-Length: {length}\r\n"),
            };
            let method = if body.is_empty() { "GET" } else { "POST" };
            for (target, names) in [
                ("/", vec!["CLIENT_IP", "X-API-KEY", "x-lower", "x-oWn"]),
                ("/plain", vec!["X-LOWER", "x-api-key", "x-oWn"]),
            ] {
                let request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: chat.test\r\n{of_client}{length}\r\n{body}"
                );
                assert_eq!(client.ask(&request).await.text(), "ok");
                let received = upstream.received().await;
                assert_eq!(received.body, body.as_bytes());
                let own = [
                    "Content-Length",
                    "Host",
                    "X-Forwarded-For",
                    "X-Forwarded-Host",
                    "X-Forwarded-Proto",
                    "X-Real-IP",
                    "X-Real-Ip",
                ];
                let mut there = received.head.names();
                there.retain(|name| !own.contains(name));
                assert_eq!(there, names, "{way:?} {request}");
            }
        }
        let lines = "GET / HTTP/1.1\r\nHost: chat.test\r\nX-API-KEY: a\r\nx-api-key: b\r\n\r\n";
        client.ask(lines).await;
        assert_eq!(upstream.received().await.head.values("x-api-key"), ["one"]);
    }
}

/// An application that calls itself by the host that it was sent, or by none; with nginx's default Host too.
#[tokio::test]
async fn by_default_an_application_below_a_path_is_found_where_it_sends_clients() {
    for (location, path) in [
        ("/", "/app/"),
        ("/app/", "/"),
        ("/a/", "/b/"),
        ("/a/", "/a/v2/"),
    ] {
        for set_host in [None, Some("UPSTREAM"), Some("inner.test")] {
            for named in ["", "http://"] {
                for way in Way::BOTH {
                    let mut upstream = Upstream::scripted().await;
                    let other = Upstream::saying("other").await;
                    let address = upstream.address().to_string();
                    let mut setup = TestServer::setup()
                        .route("/other", &other)
                        .route_to(location, &upstream, path)
                        .of_route("proxy_redirect: default")
                        .of_route(&format!("proxy_cookie_path: {{ {path}: {location} }}"));
                    if let Some(host) = set_host {
                        let host = host.replace("UPSTREAM", &address);
                        setup = setup.of_route(&format!("set_headers: {{ Host: '{host}' }}"));
                    }
                    let gate = setup.start().await;
                    let mut client = way.client(&gate).await;
                    let front = gate.address().to_string();
                    let get =
                        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {front}\r\n\r\n");
                    client.send(get(location)).await;
                    let mut server = upstream.accept().await;
                    let head = server.head().await;
                    let host = if named.is_empty() {
                        ""
                    } else {
                        head.value("host").unwrap()
                    };
                    server
                        .send(format!(
                            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nSet-Cookie: a=b; Path={path}\r\n\
                             Location: {named}{host}{path}login?next={path}\r\n\r\n"
                        ))
                        .await;
                    let answer = client.answer().await.head;
                    assert_eq!(
                        answer.value("set-cookie").unwrap(),
                        format!("a=b; Path={location}")
                    );
                    let sent_to = answer.value("location").unwrap();
                    let target = sent_to
                        .strip_prefix(&format!("http://{front}"))
                        .unwrap_or(sent_to);
                    assert!(target.starts_with(location), "{sent_to}");
                    client.send(get(target)).await;
                    let asked = server.head().await.target().to_owned();
                    let wanted = format!("{path}login?next={path}");
                    assert_eq!(
                        asked, wanted,
                        "{location} {path} {set_host:?} {named} {way:?}"
                    );
                }
            }
        }
    }
}

/// How often the system is asked to read and to write while a client asks for this 500 times.
async fn reads_and_writes(gate: &TestServer, target: &str) -> (usize, usize) {
    let mut client = gate.connect().await;
    client.get(target).await;
    let calls = calls_during(gate, async {
        for _ in 0..500 {
            assert_eq!(client.get(target).await.text(), "ok");
        }
    })
    .await;
    let count = |names: [&str; 4]| names.iter().filter_map(|name| calls.get(*name)).sum();
    (
        count(["read", "readv", "recvfrom", "recvmsg"]),
        count(["write", "writev", "sendto", "sendmsg"]),
    )
}

/// The answer is changed without hyper, and goes out in one write.
#[tokio::test]
async fn an_answer_that_is_changed_costs_no_system_call_more() {
    let upstream = Upstream::answering(PLAIN).await;
    let gate = TestServer::setup()
        .top("threads: 1")
        .top("access_log: off")
        .route("/plain", &upstream)
        .route("/", &upstream)
        .of_route(KEYS[0])
        .of_route(KEYS[1])
        .of_route("proxy_redirect: default")
        .of_route("proxy_cookie_path: { /: /app/ }")
        .start()
        .await;
    let (plain_reads, plain_writes) = reads_and_writes(&gate, "/plain").await;
    let (reads, writes) = reads_and_writes(&gate, "/changed").await;
    // The runtime writes a few times for itself, and reads where nothing is there yet.
    for (name, reads, writes) in [
        ("plain", plain_reads, plain_writes),
        ("changed", reads, writes),
    ] {
        assert!((1000..1050).contains(&writes), "{name}: {writes} writes");
        assert!((1000..1300).contains(&reads), "{name}: {reads} reads");
    }
}
