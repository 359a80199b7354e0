//! What a person reads in the log, and what nobody must read there.

use serde_json::Value;

use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::tunnel;
use crate::support::upgrade_to;

/// The fields of a line, without those that differ from run to run.
fn fields(line: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_request_has_one_line() {
    let upstream = Upstream::saying("hello").await;
    let gate = TestServer::setup()
        .tls()
        .route("/socket.io", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    let remote = client.tcp().local_addr().unwrap();
    client.get("/socket.io/?EIO=4&transport=polling").await;
    let line = gate.log().first("request").await;
    assert_eq!(
        fields(&line),
        [
            "body_bytes_sent",
            "duration_ms",
            "level",
            "location",
            "message",
            "remote_addr",
            "request",
            "route",
            "status",
            "timestamp",
            "upstream_addr",
        ]
    );
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["remote_addr"], remote.to_string());
    assert_eq!(
        line["request"],
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1"
    );
    assert_eq!(line["status"], 200);
    assert_eq!(line["upstream_addr"], upstream.address().to_string());
    assert_eq!(line["location"], "/socket.io");
    assert_eq!(line["route"], "routes.yaml:6");
    assert_eq!(line["body_bytes_sent"], 5);
    assert!(line["duration_ms"].as_u64().unwrap() < 15_000);

    client.get("/none").await;
    let line = gate
        .log()
        .find("request", |line| line["status"] == 404)
        .await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["reason"], "no location matches");
    assert_eq!(line.get("location"), None);
    assert_eq!(line.get("upstream_addr"), None);

    let mut bad = gate.connect_tls().await;
    bad.ask("GET / HTTP/1.1\r\n\r\n").await;
    let line = gate
        .log()
        .find("request", |line| line["status"] == 400)
        .await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["reason"], "refused: a request without Host");
    assert_eq!(gate.log().all("request").len(), 3);
}

#[tokio::test]
async fn a_tunnel_has_two_lines_that_share_an_id_and_count_every_byte() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for (over, number) in [(Over::Ws, 1), (Over::Wss, 2)] {
        let mut client = gate.connect_over(over).await;
        let remote = client.tcp().local_addr().unwrap();
        // Bytes beyond either head count too.
        client.send([UPGRADE, b"early"].concat()).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send([SWITCHING, b"first words"].concat()).await;
        assert_eq!(client.head().await.status(), 101);
        let of = |message: &'static str| {
            gate.log()
                .find(message, move |line| line["tunnel"] == number)
        };
        let line = of("tunnel opened").await;
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["remote_addr"], remote.to_string());
        assert_eq!(
            line["request"],
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"
        );
        assert_eq!(line["status"], 101);
        assert_eq!(line["upstream_addr"], upstream.address().to_string());
        assert_eq!(
            (&line["location"], &line["route"]),
            (&"/".into(), &"routes.yaml:6".into())
        );

        client.send(vec![0; 100_000]).await;
        server.take(100_005).await;
        server.send(vec![0; 70_000]).await;
        client.take(70_011).await;
        client.finish().await;
        server.rest().await;
        server.finish().await;
        client.rest().await;
        let line = of("tunnel ended").await;
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["remote_addr"], remote.to_string());
        assert_eq!(line["upstream_addr"], upstream.address().to_string());
        assert_eq!(line["bytes_to_upstream"], 100_005);
        assert_eq!(line["bytes_to_client"], 70_011);
        assert_eq!(line["ended_by"], "client");
        assert!(line["duration_ms"].as_u64().unwrap() < 15_000);
    }
    // A tunnel's exchange has no third line.
    assert_eq!(gate.log().all("request"), Vec::<Value>::new());
    assert_eq!(gate.log().all("tunnel opened").len(), 2);
    assert_eq!(gate.log().all("tunnel ended").len(), 2);
}

#[tokio::test]
async fn secrets_are_never_written() {
    for text in [false, true] {
        let mut upstream = Upstream::answering(
            "HTTP/1.1 403 Forbidden\r\nSet-Cookie: io=hush1\r\nContent-Length: 5\r\n\r\nhush2",
        )
        .await;
        let setup = TestServer::setup().route("/", &upstream);
        let setup = if text { setup.text_log() } else { setup };
        let mut gate = setup.start().await;
        let mut client = gate.connect().await;
        let lines = "Cookie: io=hush3\r\nAuthorization: Bearer hush4\r\nX-Token: hush5\r\n";
        client
            .ask(format!(
                "GET /chat?token=hush6&EIO=4&transport=polling&sid=kkRumerAhush7&t=hush8 HTTP/1.1\r\n\
                 Host: chat.test\r\n{lines}\r\n"
            ))
            .await;
        client
            .ask(upgrade_to(
                "/chat?token=hush6&EIO=4&transport=websocket",
                lines,
            ))
            .await;
        upstream.received().await;
        upstream.received().await;
        gate.signal("TERM");
        let finished = gate.finished().await;
        assert!(
            finished
                .stderr
                .contains("GET /chat?EIO=4&transport=polling&sid=kkRume..&.. HTTP/1.1"),
            "{}",
            finished.stderr
        );
        assert!(
            finished
                .stderr
                .contains("GET /chat?EIO=4&transport=websocket&.. HTTP/1.1"),
            "{}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("hush"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn what_a_client_sends_cannot_forge_lines_or_colours() {
    for text in [false, true] {
        let upstream = Upstream::saying("ok").await;
        let setup = TestServer::setup().route("/", &upstream);
        let setup = if text { setup.text_log() } else { setup };
        let mut gate = setup.start().await;
        for target in [
            "/a\u{1b}[31mred",
            "/%0d%0aforged",
            "/\u{9b}31m",
            "/a\u{202e}b",
            "/\u{7f}",
            "/x?sid=\u{1b}[2J&EIO=%0a",
        ] {
            let mut client = gate.connect().await;
            client
                .ask(format!("GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
                .await;
        }
        gate.signal("TERM");
        let finished = gate.finished().await;
        assert!(finished.stderr.is_ascii(), "{}", finished.stderr);
        for line in finished.stderr.lines() {
            assert!(
                !line.bytes().any(|byte| byte.is_ascii_control()),
                "{line:?}"
            );
            assert!(!line.starts_with("forged"), "{line:?}");
        }
    }
}

#[tokio::test]
async fn what_an_upstream_sends_cannot_forge_lines_either() {
    let upstream = Upstream::answering("HTTP/1.1 200 \u{1b}[31m\r\nX: 1\rforged\r\n\r\n").await;
    let mut gate = TestServer::setup()
        .route("/", &upstream)
        .text_log()
        .start()
        .await;
    assert_eq!(gate.connect().await.get("/").await.status(), 502);
    gate.signal("TERM");
    let finished = gate.finished().await;
    for line in finished.stderr.lines() {
        assert!(
            !line.bytes().any(|byte| byte.is_ascii_control()),
            "{line:?}"
        );
        assert!(!line.starts_with("forged"), "{line:?}");
    }
}

#[tokio::test]
async fn without_an_access_log_only_upstream_failures_are_written() {
    let mut upstream = Upstream::scripted().await;
    let broken = Upstream::answering("rubbish\r\n\r\n").await;
    let mut gate = TestServer::setup()
        .top("access_log: off")
        .route("/", &upstream)
        .route("/broken", &broken)
        .start()
        .await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.finish().await;
    server.rest().await;
    server.finish().await;
    client.rest().await;
    let mut client = gate.connect().await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\n\r\n").await.status(), 400);
    let mut client = gate.connect().await;
    assert_eq!(client.get("/broken").await.status(), 502);
    gate.signal("TERM");
    gate.log().first("ended").await;
    let requests = gate.log().all("request");
    assert_eq!(requests.len(), 1, "{requests:#?}");
    assert_eq!(
        (&requests[0]["level"], &requests[0]["status"]),
        (&"WARN".into(), &502.into())
    );
    assert_eq!(gate.log().all("tunnel opened"), Vec::<Value>::new());
    assert_eq!(gate.log().all("tunnel ended"), Vec::<Value>::new());
}

#[tokio::test]
async fn for_people_each_exchange_is_one_line_too() {
    let mut upstream = Upstream::scripted().await;
    let pages = Upstream::saying("a page").await;
    let mut gate = TestServer::setup()
        .route("/socket.io", &upstream)
        .route("/", &pages)
        .text_log()
        .start()
        .await;
    assert_eq!(gate.connect().await.get("/page").await.text(), "a page");
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.finish().await;
    server.rest().await;
    server.finish().await;
    client.rest().await;
    gate.log().containing("tunnel ended").await;
    gate.signal("TERM");
    let stderr = gate.finished().await.stderr;
    let of = |text: &str| -> Vec<String> {
        stderr
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    };
    let request = of("GET /page HTTP/1.1");
    assert_eq!(request.len(), 1, "{stderr}");
    for part in [
        " INFO request ",
        &format!(" upstream_addr=\"{}\"", pages.address()),
        " status=200",
        " body_bytes_sent=6",
        " route=\"routes.yaml:6\"",
    ] {
        assert!(request[0].contains(part), "{part}: {}", request[0]);
    }
    assert_eq!(of("tunnel opened").len(), 1, "{stderr}");
    let ended = of("tunnel ended");
    assert_eq!(ended.len(), 1, "{stderr}");
    assert!(ended[0].contains(" tunnel=1 "), "{}", ended[0]);
    assert!(ended[0].contains(" ended_by=\"client\""), "{}", ended[0]);
    assert!(!stderr.contains('\u{1b}'), "colour in a file: {stderr}");
}

#[tokio::test]
async fn a_start_says_what_listens_where_and_whether_upstreams_answer() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .tls()
        .route("/socket.io", &upstream)
        .text_log()
        .start()
        .await;
    gate.log().containing("upstream answers").await;
    let text = gate.log().lines().join("\n");
    for part in [
        format!("ws://{}", gate.address()),
        format!("http://{}", gate.address()),
        format!("wss://{}", gate.tls_address()),
        format!("https://{}", gate.tls_address()),
        "cert.pem for localhost, valid until ".to_owned(),
        format!("/socket.io   http://{}   routes.yaml:6", upstream.address()),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

/// A log that nobody reads any more loses lines, and nothing else.
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let upstream = Upstream::saying("ok").await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    gate.close_log();
    for _ in 0..20 {
        assert_eq!(gate.connect().await.get("/").await.text(), "ok");
    }
    assert!(gate.is_alive());
}

/// Nobody waits for a reader of the log that does not read: not a request, not a tunnel, not the end of the process.
#[tokio::test]
async fn a_log_that_is_not_read_holds_up_nothing() {
    let upstream = Upstream::saying("ok").await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    gate.stall_log();
    let mut client = gate.connect().await;
    // More than what a pipe holds.
    let target = format!("/{}", "a".repeat(8000));
    for _ in 0..40 {
        assert_eq!(client.get(&target).await.text(), "ok");
    }
    gate.signal("TERM");
    gate.signal("INT");
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn lines_that_nobody_had_room_for_are_counted_where_they_would_have_been() {
    let upstream = Upstream::saying("ok").await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    gate.stall_log();
    let mut client = gate.connect().await;
    let target = format!("/{}", "a".repeat(8000));
    let asked = 400;
    for _ in 0..asked {
        assert_eq!(client.get(&target).await.text(), "ok");
    }
    gate.resume_log();
    let line = gate
        .log()
        .first("lines of the log are lost: whoever reads it does not keep up")
        .await;
    assert_eq!(line["level"], "WARN");
    client.get("/last").await;
    gate.log()
        .find("request", |line| line["request"] == "GET /last HTTP/1.1")
        .await;
    let written = gate.log().all("request").len() - 1;
    assert_eq!(line["lines"], asked - written);
}
