//! What a person is told about several servers: at a start, by `check`, and in the log of requests.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::TestServer;
use crate::support::Upstream;

/// A group of three, and a list of two.
const GROUPS: &str = r#"upstreams:
  chat: { servers: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"] }
routes:
  - location: /socket.io
    proxy_pass: http://chat/io
  - location: /a
    proxy_pass: http://chat
  - location: /list
    proxy_pass: [http://127.0.0.1:1, http://127.0.0.1:2]
"#;

#[tokio::test]
async fn a_start_says_where_groups_are_and_asks_each_server() {
    let yaml = format!("threads: 1\nlisten: [{{ address: 127.0.0.1:0 }}]\n{GROUPS}");
    let gate = TestServer::setup().whole(yaml).text_log().start().await;
    let asked = gate
        .log()
        .containing_times("upstream does not answer", 3)
        .await;
    assert!(asked.contains("upstream=\"127.0.0.1:3\""), "{asked}");
    let lines = gate.log().lines();
    let from = lines.iter().position(|line| line == "locations").unwrap();
    for (line, location, words) in [
        (
            1,
            "/socket.io",
            "chat/io: 3 servers, least_conn, sticky sid",
        ),
        (2, "/a", "chat: 3 servers, least_conn, sticky sid"),
        (3, "/list", "2 servers, least_conn, sticky sid"),
    ] {
        let begin = format!("  {location:10}   {words}   ");
        let shown = &lines[from + line];
        assert!(shown.starts_with(&begin), "{shown}");
        assert!(shown.contains("routes.yaml:"), "{shown}");
    }
}

#[test]
fn check_counts_groups() {
    let folder = TempDir::new().unwrap();
    let check = |yaml: String| {
        fs::write(folder.path().join("routes.yaml"), yaml).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
            .arg("check")
            .current_dir(folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let listen = "listen: [{ address: 127.0.0.1:8080 }]\n";
    let tests = "tests:\n  - { url: \"http://localhost:8080/a\", client: http, expect: \"http://chat\" }\n\
                 \x20 - { url: \"http://localhost:8080/list\", client: http, expect: \"http://127.0.0.1:2\" }\n";
    assert_eq!(
        check(format!("{listen}{GROUPS}{tests}")),
        "routes.yaml: ok: 1 listener, 3 routes, 2 groups, 2 tests hold\n"
    );
    let one =
        "routes: [{ location: /, proxy_pass: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] }]\n";
    assert_eq!(
        check(format!("{listen}{one}")),
        "routes.yaml: ok: 1 listener, 1 route, 1 group\n"
    );
}

#[tokio::test]
async fn the_line_of_a_request_says_which_server_and_why() {
    let upstream = Upstream::saying("hello").await;
    let to = upstream.address();
    let yaml = format!(
        "threads: 1\nlisten: [{{ address: 127.0.0.1:0 }}]\nupstreams:\n  chat: {{ servers: [\"{to}\"] }}\nroutes:\n\
         \x20 - {{ location: /, proxy_pass: http://chat }}\n  - {{ location: /one, proxy_pass: 'http://{to}' }}\n"
    );
    let gate = TestServer::setup().whole(yaml).start().await;
    let mut client = gate.connect().await;
    client.get("/").await;
    let line = gate.log().first("request").await;
    assert_eq!(line["upstream"], "chat");
    assert_eq!(line["chosen_by"], "balance");
    assert_eq!(line["upstream_addr"], to.to_string());
    client.get("/one").await;
    let one = gate
        .log()
        .find("request", |line| line["location"] == "/one")
        .await;
    assert_eq!((one.get("upstream"), one.get("chosen_by")), (None, None));
    assert_eq!(one["upstream_addr"], to.to_string());
}
