//! What the log says about a reload.

use std::process::Command;

use serde_json::Value;

use crate::reload::Edited;
use crate::reload::change;
use crate::support::Authority;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;

#[tokio::test]
async fn the_log_says_what_is_different() {
    let upstream = Upstream::saying("ok").await;
    let to = format!("http://{}", upstream.address());
    let before = TestServer::setup()
        .top("threads: 1")
        .route("/", &upstream)
        .route("/chat", &upstream)
        .raw_route("{ location: ~ ^/a, return: 403 }")
        .raw_route("{ location: ~ ^/b, return: 404 }")
        .raw_route("{ location: /when, when: { method: POST }, return: 403 }");
    let after = TestServer::setup()
        .top("threads: 2")
        .top("access_log: off")
        .top("drain_timeout: 1s")
        .top("header_timeout: 20s\nbody_timeout: 30s\nkeepalive_timeout: 65s")
        .top("tls_handshake_timeout: 5s\nhalf_closed_timeout: 30s")
        .route("/", &upstream)
        .of_route("tunnel_timeout: 2h")
        .of_route("set_headers: { X-One: two }")
        .of_route("rewrite: { ^/x: /y }")
        .raw_route("{ location: ~ ^/b, return: 404 gone }")
        .raw_route("{ location: ~ ^/a, return: 403 }")
        .raw_route("{ location: /when, when: { method: PUT }, return: 403 }")
        .raw_route("{ location: /new, host: '*.a.test', return: 301 / }");
    let mut edited = Edited::start(before).await;
    assert_eq!(
        edited.save(&after).await,
        [
            "~ location / rewrite, set_headers, tunnel_timeout 7200s (was 3600s) routes.yaml:12",
            "~ location ~ ^/b -> return 404 routes.yaml:17",
            "+ location /when when .. -> return 403 routes.yaml:19",
            "+ location *.a.test /new -> return 301 routes.yaml:20",
            &format!("- location /chat -> {to}"),
            "- location /when when .. -> return 403",
            "~ routes stand in another order",
            "~ header_timeout 20s (was 30s)",
            "~ keepalive_timeout 65s (was 75s)",
            "~ tls_handshake_timeout 5s (was 10s)",
            "~ body_timeout 30s (was 60s)",
            "~ half_closed_timeout 30s (was 60s)",
            "~ drain_timeout 1s (was 30s)",
            "~ access_log off",
            "~ threads 2 takes effect at the next start; until then 1",
        ]
    );
    // The log of requests is off now.
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "ok");
    let back = after
        .top("access_log: on")
        .yaml()
        .replacen("access_log: off\n", "", 1);
    let back = TestServer::setup().whole(back.replace("threads: 2", "threads: 1"));
    assert_eq!(
        edited.save(&back).await,
        ["~ access_log on", "~ threads 1, as now"]
    );
    assert_eq!(edited.gate.log().all("request"), [] as [Value; 0]);
    assert_eq!(edited.gate.connect().await.get("/b").await.text(), "gone");
    assert_eq!(edited.gate.log().first("request").await["status"], 404);
    edited.gate.signal("TERM");
    assert_eq!(
        edited.gate.log().first("draining").await["drain_timeout"],
        "1s"
    );
}

#[tokio::test]
async fn how_an_upstream_is_verified_is_told_by_its_keys() {
    let (one, other) = (Authority::new(), Authority::new());
    let setup = |ca: &str, more: &str| {
        TestServer::setup()
            .proxy_pass("/", "https://127.0.0.1:1")
            .of_route(&format!("ca: {ca}.pem"))
            .of_route(more)
            .file("one.pem", one.pem())
            .file("other.pem", other.pem())
    };
    let mut edited = Edited::start(setup("one", "tls_name: a.test")).await;
    for (after, told) in [
        (
            setup("one", "tls_name: b.test"),
            "tls_name b.test (was a.test)",
        ),
        (setup("other", "tls_name: b.test"), "ca"),
        (
            setup("one", ""),
            "ca, tls_name the host of `proxy_pass` (was b.test)",
        ),
    ] {
        assert_eq!(
            edited.save(&after).await,
            [format!("~ location / {told} routes.yaml:4")]
        );
    }
}

#[tokio::test]
async fn of_very_many_changes_the_first_twenty_are_shown() {
    let upstream = Upstream::saying("ok").await;
    let setup = || TestServer::setup().route("/", &upstream);
    let mut edited = Edited::start(setup()).await;
    let many = (0..5000).fold(setup(), |setup, number| {
        setup.raw_route(&format!("{{ location: ~ ^/{number}$, return: 403 }}"))
    });
    edited.gate.save(&many);
    let lines = edited.gate.log().next(&mut edited.read, "reloaded").await;
    let changes: Vec<String> = lines.iter().filter_map(change).collect();
    assert_eq!(changes.len(), 20);
    assert_eq!(
        changes[19],
        "+ location ~ ^/19$ -> return 403 routes.yaml:25"
    );
    let more = &lines[lines.len() - 2];
    assert_eq!(
        (&more["message"], &more["changes"]),
        (&"and more".into(), &4980.into())
    );
    assert_eq!(edited.gate.connect().await.get("/4999").await.status(), 403);
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_the_log_says_what_check_says() {
    let upstream = Upstream::saying("ok").await;
    let setup = || TestServer::setup().text_log().route("/", &upstream);
    let gate = setup().start().await;
    let broken = [
        setup().top("listen: ["),
        setup().of_route("tunnel_timeot: 1h").top("threads: 0"),
        setup().raw_route("location: /x\n    proxy_pass: 3000"),
        setup().top("tests:\n  - { url: 'ws://a.test/x', expect: 404 }"),
        TestServer::setup().whole(String::new()),
    ];
    let mut reports = Vec::new();
    for (number, broken) in broken.iter().enumerate() {
        gate.save(broken);
        let check = Command::new(env!("CARGO_BIN_EXE_wsgate"))
            .arg("check")
            .current_dir(gate.path("."))
            .output()
            .unwrap();
        assert_eq!(check.status.code(), Some(2), "number {number}");
        let report = String::from_utf8(check.stderr).unwrap();
        let end = "not reloaded: the configuration of before goes on";
        gate.log().containing_times(end, number + 1).await;
        reports.push(report);
        assert_eq!(gate.connect().await.get("/").await.text(), "ok");
    }
    let log = gate.log().lines().join("\n");
    for report in reports {
        assert!(
            log.contains(report.trim_end()),
            "{report}\nis not in\n{log}"
        );
    }
    assert!(!log.contains("INFO reloaded"));
    gate.save(&setup().raw_route("{ location: /new, return: 403 }"));
    let line = gate.log().containing("+ location").await;
    assert!(
        line.ends_with(" INFO + location /new -> return 403   routes.yaml:6"),
        "{line}"
    );
    let line = gate.log().containing("INFO reloaded").await;
    let end = "INFO reloaded by=\"file\" listeners=1 routes=2 changes=1";
    assert!(line.ends_with(end), "{line}");
}

#[tokio::test]
async fn programs_read_the_same_errors_as_json() {
    let upstream = Upstream::saying("ok").await;
    let setup = || TestServer::setup().route("/", &upstream);
    let mut edited = Edited::start(setup()).await;
    edited.gate.save(
        &setup()
            .of_route("tunnel_timeot: 1h")
            .of_route("proxy_pas: x"),
    );
    assert_eq!(
        edited.refused().await,
        [
            (
                "routes.yaml:6:5".to_owned(),
                "unknown key `tunnel_timeot`".to_owned()
            ),
            (
                "routes.yaml:7:5".to_owned(),
                "unknown key `proxy_pas`".to_owned()
            ),
        ]
    );
    let lines = edited.gate.log().all("configuration");
    assert_eq!(
        (&lines[0]["help"], &lines[0]["level"]),
        (&"did you mean `tunnel_timeout`?".into(), &"ERROR".into())
    );
    // What was right before is right again, though nothing is different.
    assert_eq!(edited.save(&setup()).await, [] as [&str; 0]);
}

#[tokio::test]
async fn why_a_client_is_refused_is_said_again_after_an_edit_and_not_without_one() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let setup = || TestServer::setup().route("/", &upstream);
    let mut edited = Edited::start(setup()).await;
    for (number, said) in [(0, 1), (1, 1), (2, 2)] {
        match number {
            0 => {}
            1 => {
                edited.gate.signal("HUP");
                let log = edited.gate.log();
                log.next(&mut edited.read, "nothing changed").await;
            }
            _ => {
                edited.save(&setup().of_route("tunnel_timeout: 2h")).await;
            }
        }
        let mut client = edited.gate.connect().await;
        assert_eq!(client.ask(UPGRADE).await.status(), 404);
        let log = edited.gate.log();
        log.next(&mut edited.read, "request").await;
        // It stands beside the request's line, in either order.
        client
            .ask("GET /end HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            .await;
        log.next(&mut edited.read, "request").await;
        assert_eq!(log.all("diagnosis").len(), said, "step {number}");
    }
}
