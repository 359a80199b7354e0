//! A saved file takes effect: what is new is served, and what is under way notices nothing.

mod certificates;
mod groups;
mod listeners;
mod many;
mod saving;
mod under_way;
mod words;

use std::fs;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::Over;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

/// A wsgate whose file is edited, and how far its log was read.
#[derive(Debug)]
struct Edited {
    gate: TestServer,
    read: usize,
}

impl Edited {
    async fn start(setup: Setup) -> Self {
        Self {
            gate: setup.start().await,
            read: 0,
        }
    }

    /// The next good reload: each change in a line as a person reads it, and the summary.
    async fn reloaded(&mut self) -> (Vec<String>, Value) {
        let mut lines = self.gate.log().next(&mut self.read, "reloaded").await;
        let summary = lines.pop().unwrap();
        (lines.iter().filter_map(change).collect(), summary)
    }

    /// Saves the file, and waits until it is in force; what has changed.
    async fn save(&mut self, setup: &Setup) -> Vec<String> {
        self.gate.save(setup);
        self.reloaded().await.0
    }

    /// The next refused reload: what is wrong, by place.
    async fn refused(&mut self) -> Vec<(String, String)> {
        const REFUSED: &str = "not reloaded: the configuration of before goes on";
        let lines = self.gate.log().next(&mut self.read, REFUSED).await;
        let wrong = lines
            .iter()
            .filter(|line| line["message"] == "configuration" && line["level"] == "ERROR");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        wrong
            .map(|line| (text(&line["place"]), text(&line["reason"])))
            .collect()
    }

    /// Looks for a moment, longer than wsgate takes to look at a file: it may say nothing.
    async fn is_silent(&mut self) {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let lines = self.gate.log().lines();
        assert_eq!(lines[self.read..], [] as [&str; 0]);
    }
}

/// The line of a change, put together from its parts.
fn change(line: &Value) -> Option<String> {
    let sign = match line["change"].as_str()? {
        "added" => "+",
        "removed" => "-",
        "changed" => "~",
        other => panic!("{other}"),
    };
    let parts = ["kind", "name", "detail", "place"].map(|key| line[key].as_str());
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    Some(format!("{sign} {}", parts.join(" ")))
}

#[tokio::test]
async fn a_save_is_in_force_within_a_second_also_for_connections_that_are_open() {
    let [old, new] = [Upstream::saying("old").await, Upstream::saying("new").await];
    let mut edited = Edited::start(TestServer::setup().route("/", &old)).await;
    let mut client = edited.gate.connect().await;
    assert_eq!(client.get("/").await.text(), "old");
    let saved = Instant::now();
    edited.gate.save(&TestServer::setup().route("/", &new));
    while client.get("/").await.text() == "old" {}
    let took = saved.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (changes, summary) = edited.reloaded().await;
    let (old, new) = (old.address(), new.address());
    assert_eq!(
        changes,
        [format!(
            "~ location / -> http://{new} (was http://{old}) routes.yaml:4"
        )]
    );
    assert_eq!(
        (&summary["by"], &summary["listeners"], &summary["routes"]),
        (&"file".into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&summary["changes"], &summary["level"]),
        (&1.into(), &"INFO".into())
    );
}

#[tokio::test]
async fn an_edit_that_breaks_a_promise_is_refused() {
    let upstream = Upstream::saying("ok").await;
    let setup = |route: &str| TestServer::setup().route("/", &upstream).raw_route(route);
    let mut edited = Edited::start(setup("{ location: /chat, return: 404 }")).await;
    let port = edited.gate.address().port();
    let promising = |route: &str| {
        let yaml = setup(route)
            .yaml()
            .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        let url = format!("http://127.0.0.1:{port}/chat");
        TestServer::setup().whole(format!(
            "{yaml}tests:\n  - {{ url: '{url}', expect: 404, client: http }}\n"
        ))
    };
    // The port is written now, and is the one that the listener has: it is the same listener.
    assert_eq!(
        edited
            .save(&promising("{ location: /chat, return: 404 }"))
            .await,
        [] as [&str; 0]
    );
    edited
        .gate
        .save(&promising("{ location: /chat, return: 403 }"));
    assert_eq!(
        edited.refused().await,
        [(
            "routes.yaml:8:12".to_owned(),
            format!("`http://127.0.0.1:{port}/chat` is answered 403 (routes.yaml:6), not 404")
        )]
    );
    assert_eq!(edited.gate.connect().await.get("/chat").await.status(), 404);
}

#[tokio::test]
async fn sighup_always_has_an_answer() {
    let [one, two] = [Upstream::saying("one").await, Upstream::saying("two").await];
    let mut edited = Edited::start(TestServer::setup().route("/", &one)).await;
    edited.gate.signal("HUP");
    let lines = edited
        .gate
        .log()
        .next(&mut edited.read, "nothing changed")
        .await;
    assert_eq!(lines.last().unwrap()["by"], "SIGHUP");
    edited.gate.save(&TestServer::setup().route("/", &two));
    edited.gate.signal("HUP");
    let (changes, summary) = edited.reloaded().await;
    assert_eq!((changes.len(), &summary["by"]), (1, &"SIGHUP".into()));
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "two");
    // What was read already is not read once more when it is noticed.
    let log = edited.gate.log();
    log.first("request").await;
    let to = two.address().to_string();
    log.find("upstream answers", |line| line["upstream"] == *to)
        .await;
    edited.read = log.lines().len();
    edited.is_silent().await;
    edited
        .gate
        .save(&TestServer::setup().whole("x: [".to_owned()));
    edited.refused().await;
    edited.gate.signal("HUP");
    edited.refused().await;
}

#[tokio::test]
async fn sighup_while_draining_is_ignored() {
    let mut upstream = Upstream::scripted().await;
    let mut edited = Edited::start(TestServer::setup().route("/", &upstream)).await;
    let (mut client, mut server) = tunnel(&edited.gate, &mut upstream, Over::Ws).await;
    edited.gate.signal("TERM");
    edited.gate.log().first("draining").await;
    edited.gate.signal("HUP");
    edited.gate.log().first("ignored: draining").await;
    client.send("still").await;
    assert_eq!(server.take(5).await, b"still");
}

#[tokio::test]
async fn an_upstream_that_is_new_is_asked_whether_it_answers() {
    let upstream = Upstream::saying("ok").await;
    let setup = || TestServer::setup().route("/", &upstream);
    let mut edited = Edited::start(setup()).await;
    edited.gate.log().first("upstream answers").await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    edited
        .save(&setup().proxy_pass("/new", format!("http://{nobody}")))
        .await;
    let line = edited.gate.log().first("upstream does not answer").await;
    assert_eq!(
        (&line["upstream"], &line["route"]),
        (&nobody.to_string().into(), &"routes.yaml:6".into())
    );
    assert_eq!(edited.gate.log().all("upstream answers").len(), 1);
    fs::remove_file(edited.gate.path("routes.yaml")).unwrap();
    assert_eq!(
        edited.refused().await,
        [("routes.yaml".to_owned(), "there is no such file".to_owned())]
    );
}
