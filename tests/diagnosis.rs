//! What the log says of a client that is refused, which no byte of anybody shows. The words are proved with real peers, in
//! `tests/peers/suite/diagnosis.test.mjs`.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::tunnel;
use crate::support::upgrade_to;

/// An open packet without what servers say since Socket.IO 4.5.
const OPEN: &str =
    r#"0{"sid":"kkRumerAWARXZW80AAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

const UNSUPPORTED: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
                           Content-Length: 28\r\n\r\nUnsupported protocol version";

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n").into_bytes()
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn chunked(status: &str, body: &str) -> String {
    let chunks: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

/// A gate with one thread, so that what is in the log before another line was there before it, and as many locations before
/// one upstream as there are things to find: the same is not said twice of one.
struct Finder {
    gate: TestServer,
    upstream: Upstream,
    _other: Upstream,
    tried: usize,
}

impl Finder {
    async fn start(locations: usize) -> Self {
        let upstream = Upstream::scripted().await;
        let other = Upstream::saying("other").await;
        let mut setup = TestServer::setup()
            .top("threads: 1")
            .route("/other", &other);
        for number in 1..=locations {
            setup = setup.route(&format!("/{number}/"), &upstream);
        }
        Self {
            gate: setup.start().await,
            upstream,
            _other: other,
            tried: 0,
        }
    }

    /// The next location.
    fn next(&mut self) -> String {
        self.tried += 1;
        format!("/{}/", self.tried)
    }

    /// What was found about `location` so far: before the line of a request that is made now.
    async fn found(&mut self, location: &str) -> Vec<Value> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let last = format!("/other/{}", ASKED.fetch_add(1, Ordering::SeqCst));
        self.gate.connect().await.get(&last).await;
        let line = format!("GET {last} HTTP/1.1");
        let log = self.gate.log();
        log.find("request", |found| found["request"] == line).await;
        let mut found = log.all("diagnosis");
        found.retain(|line| line["location"] == location);
        found
    }
}

fn kinds(found: &[Value]) -> Vec<&str> {
    found
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn both_ways_find_the_same_in_an_answer_and_pass_it_on_unaltered() {
    let poll = get("/socket.io/?EIO=4&transport=polling");
    let poll3 = get("/socket.io/?EIO=3&transport=polling");
    let unknown = get("/socket.io/?EIO=4&transport=polling&sid=nobody");
    let code5 = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    let code1 = r#"{"code":1,"message":"Session ID unknown"}"#;
    let lost = b"GET /chat HTTP/1.1\r\nHost: chat.test\r\nSec-WebSocket-Key: x\r\n\r\n".to_vec();
    let old = format!("{}:{OPEN}2:40", OPEN.len());
    let gzip = |media_type: &str| {
        let type_line = format!("Content-TYPE: {media_type}\r\n");
        format!(
            "HTTP/1.1 200 OK\r\ncontent-ENCODING: gzip\r\n{type_line}Content-Length: 2\r\n\r\n\u{1f}\u{b}"
        )
    };
    let long = "x".repeat(2000);
    let cases = [
        (
            &poll3,
            answer("400 Bad Request", code5),
            Some("eio3_refused"),
        ),
        (
            &poll3,
            chunked("400 Bad Request", code5),
            Some("eio3_refused"),
        ),
        (&poll3, answer("200 OK", &old), None),
        (&poll, answer("200 OK", &old), Some("old_server")),
        (&poll, chunked("200 OK", &old), Some("old_server")),
        (&poll, answer("200 OK", OPEN), None),
        (&poll, answer("200 OK", &long), Some("got_page")),
        (&poll, chunked("200 OK", &long), Some("got_page")),
        (&poll, gzip("text/plain"), None),
        (&poll, gzip("text/HTML; charset=utf-8"), Some("got_page")),
        (&poll, answer("404 Not Found", ""), Some("not_found")),
        (&poll, answer("503 Busy", "later"), None),
        (
            &unknown,
            answer("400 Bad Request", code1),
            Some("session_unknown"),
        ),
        (
            &unknown,
            chunked("400 Bad Request", code1),
            Some("session_unknown"),
        ),
        (&unknown, answer("200 OK", "2"), None),
        (&lost, answer("200 OK", "a page"), Some("lost_headers")),
        (
            &upgrade_to("/chat", ""),
            answer("200 OK", "a page"),
            Some("got_page"),
        ),
        (
            &upgrade_to("/chat", ""),
            answer("301 Moved", ""),
            Some("redirected"),
        ),
        (
            &upgrade_to("/chat", ""),
            answer("400 Bad Request", "Transport unknown"),
            Some("plain_client"),
        ),
        (&upgrade_to("/chat", ""), answer("403 Forbidden", ""), None),
        (&upgrade_to("/chat", ""), String::new(), Some("unanswered")),
        (&get("/page"), String::new(), Some("unanswered")),
        (&get("/page"), answer("400 Bad Request", code1), None),
    ];
    assert_eq!(cases.len(), 23);
    let mut finder = Finder::start(2 * cases.len()).await;
    for (request, answer, kind) in &cases {
        for way in Way::BOTH {
            let location = finder.next();
            let mut client = way.client(&finder.gate).await;
            let remote = client.tcp().local_addr().unwrap().to_string();
            let request = String::from_utf8(request.to_vec()).unwrap();
            client.send(request.replacen('/', &location, 1)).await;
            let mut server = finder.upstream.accept().await;
            server.head().await;
            server.send(answer).await;
            server.vanish();
            let got = client.answer().await;
            match answer.split_once("\r\n\r\n") {
                None => assert_eq!(got.status(), 502),
                Some((head, _)) if head.contains("chunked") => {
                    assert_eq!(
                        &chunked(&head[9..head.find('\r').unwrap()], got.text()),
                        answer
                    );
                }
                Some((_, body)) => assert_eq!(got.body, body.as_bytes(), "{way:?} {answer}"),
            }
            drop(client);
            let found = finder.found(&location).await;
            assert_eq!(kinds(&found), Vec::from_iter(*kind), "{way:?} {answer}");
            for line in found {
                let place = format!("routes.yaml:{}", 5 + 2 * finder.tried);
                assert_eq!(line["remote_addr"], remote);
                assert_eq!(line["route"], place);
                assert_eq!(line["upstream_addr"], finder.upstream.address().to_string());
                assert_eq!(line.get("left_out"), None);
            }
        }
    }
}

#[tokio::test]
async fn both_ways_find_the_same_in_a_tunnel_and_pass_it_on_unaltered() {
    let eio4 = "/socket.io/?EIO=4&transport=websocket";
    let eio3 = "/socket.io/?EIO=3&transport=websocket";
    let new = r#"0{"sid":"x","maxPayload":1}"#;
    let frame = |payload: &str| {
        let mut frame = vec![0x81, u8::try_from(payload.len()).unwrap()];
        frame.extend_from_slice(payload.as_bytes());
        frame
    };
    let long = format!("HTTP/1.1 400 Bad Request\r\n\r\n{}", "x".repeat(100_000));
    let cases = [
        (eio3, UNSUPPORTED.as_bytes().to_vec(), Some("eio3_refused")),
        (eio3, [frame(OPEN), frame("40")].concat(), None),
        (
            eio4,
            [frame(OPEN), frame("40")].concat(),
            Some("old_server"),
        ),
        (eio4, [frame(OPEN), frame("40{}")].concat(), None),
        (eio4, frame(new), None),
        (eio4, frame("welcome"), Some("plain_server")),
        (eio4, long.into_bytes(), None),
        ("/chat", frame("welcome"), None),
    ];
    assert_eq!(cases.len(), 8);
    let mut finder = Finder::start(6 * cases.len()).await;
    for (target, said, kind) in &cases {
        for way in Way::BOTH {
            // Behind the 101 at once, then alone, then in pieces.
            let small = (said.len() / 40).max(1);
            for piece in [0, said.len(), small] {
                let location = finder.next();
                let mut client = way.client(&finder.gate).await;
                let target = target.replacen('/', &location, 1);
                client.send(upgrade_to(&target, "")).await;
                let mut server = finder.upstream.accept().await;
                server.head().await;
                if piece == 0 {
                    server.send([SWITCHING, said].concat()).await;
                    assert_eq!(client.head().await.status(), 101);
                    assert_eq!(&client.take(said.len()).await, said);
                } else {
                    server.send(SWITCHING).await;
                    assert_eq!(client.head().await.status(), 101);
                    for piece in said.chunks(piece) {
                        server.send(piece).await;
                        assert_eq!(client.take(piece.len()).await, piece);
                    }
                }
                // It is said at once, not when the tunnel ends.
                let found = finder.found(&location).await;
                assert_eq!(
                    kinds(&found),
                    Vec::from_iter(*kind),
                    "{way:?} {piece} {target}"
                );
                let here = |line: &Value| line["location"] == location.as_str();
                assert!(!finder.gate.log().all("tunnel ended").iter().any(here));
                server.vanish();
                client.vanish();
                finder.gate.log().find("tunnel ended", here).await;
                assert_eq!(finder.found(&location).await, found);
            }
        }
    }
}

#[tokio::test]
async fn the_same_is_said_once_for_each_route() {
    let upstream = Upstream::answering(answer("404 Not Found", "")).await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("access_log: off")
        .route("/a", &upstream)
        .route("/b", &upstream)
        .route("/other", &other)
        .start()
        .await;
    for path in ["/a", "/b"] {
        for _ in 0..50 {
            let answer = gate.connect().await.ask(upgrade_to(path, "")).await;
            assert_eq!(answer.status(), 404);
        }
        let found = gate
            .log()
            .find("diagnosis", |line| line["location"] == path)
            .await;
        assert_eq!(found["level"], "WARN");
        assert_eq!(found["kind"], "not_found");
    }
    // Another kind is another matter.
    let lost = "GET /a HTTP/1.1\r\nHost: chat.test\r\nSec-WebSocket-Key: x\r\n\r\n";
    gate.connect().await.ask(lost).await;
    gate.log()
        .find("diagnosis", |line| line["kind"] == "lost_headers")
        .await;
    assert_eq!(gate.log().all("diagnosis").len(), 3);
}

#[tokio::test]
async fn what_began_before_a_reload_does_not_speak_for_the_route_that_stands_on_its_line_now() {
    let mut slow = Upstream::scripted().await;
    let quick = Upstream::answering(answer("404 Not Found", "")).await;
    let gate = TestServer::setup().route("/before", &slow).start().await;
    let mut client = gate.connect().await;
    client.send(upgrade_to("/before", "")).await;
    let mut server = slow.accept().await;
    server.head().await;
    gate.save(&TestServer::setup().route("/after", &quick));
    gate.log().first("reloaded").await;
    server.send(answer("404 Not Found", "")).await;
    assert_eq!(client.answer().await.status(), 404);
    let of = |location: &'static str| move |line: &Value| line["location"] == location;
    gate.log().find("diagnosis", of("/before")).await;
    let refused = gate.connect().await.ask(upgrade_to("/after", "")).await;
    assert_eq!(refused.status(), 404);
    gate.log().find("diagnosis", of("/after")).await;
}

#[tokio::test]
async fn what_wsgate_answers_itself_is_named_too() {
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .redirect()
        .tls()
        .route("/other", &other)
        .raw_route("{ location: /moved, return: 301 /chat/ }")
        .start()
        .await;
    let find = |kind: &'static str| {
        gate.log()
            .find("diagnosis", move |line| line["kind"] == kind)
    };
    let told = gate.connect().await.ask(UPGRADE).await;
    assert_eq!(told.status(), 426);
    let line = find("redirected").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["why"],
        "an upgrade request came to a listener that only redirects (`redirect: https`)"
    );
    assert_eq!(line["help"], "give the client the wss:// address");
    assert_eq!((line.get("route"), line.get("upstream_addr")), (None, None));

    let told = gate.connect_tls().await.ask(UPGRADE).await;
    assert_eq!(told.status(), 404);
    let line = find("no_location").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["why"], "no location matches an upgrade request");

    let told = gate.connect_tls().await.ask(upgrade_to("/moved", "")).await;
    assert_eq!(told.status(), 301);
    let moved = |line: &Value| line["kind"] == "redirected" && line["location"] == "/moved";
    let line = gate.log().find("diagnosis", moved).await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        line["why"],
        "an upgrade request was answered 301, a redirect"
    );
}

#[tokio::test]
async fn a_tunnel_that_tunnel_timeout_ended_is_named_and_one_that_somebody_closed_is_not() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("tunnel_timeout: 500ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let (client, server) = tunnel(&gate, &mut upstream, Over::Wss).await;
    // At once, so not for want of an open packet.
    client.vanish();
    gate.log().first("tunnel ended").await;
    drop(server);
    let (mut client, _server) = tunnel(&gate, &mut upstream, Over::Wss).await;
    client.rest().await;
    let line = gate.log().first("diagnosis").await;
    assert_eq!(line["kind"], "tunnel_timeout");
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["why"],
        "a tunnel was ended: no byte within 500ms (`tunnel_timeout`)"
    );
    assert_eq!(gate.log().all("diagnosis").len(), 1);
}
