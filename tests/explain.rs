//! What a person reads who asks `wsgate explain`: each case has its exact output in `tests/explain/NAME.txt` or `.json`, and
//! what `--connect` makes of an upstream's answer.
//!
//! With `UPDATE_FIXTURES=1` the outputs are written instead of compared. Read them then: they are the product.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::SWITCHING;
use crate::support::Upstream;

const ROUTES: &str = r#"listen:
  - address: 0.0.0.0:80
  - address: 0.0.0.0:443
    tls: self_signed
  - address: 127.0.0.1:8080
    redirect: https
routes:
  - location: /hello
    proxy_pass: http://127.0.0.1:5003
  - location: /socket.io
    when: { query: { EIO: "3" } }
    proxy_pass: http://127.0.0.1:5002
  - location: /socket.io
    proxy_pass: http://127.0.0.1:5004
  - location: /ws/
    proxy_pass: http://127.0.0.1:5005/inner/
  - location: ^~ /static/
    proxy_pass: http://127.0.0.1:5001
  - location: ~ \.png$
    proxy_pass: http://127.0.0.1:5006
  - location: /api/
    proxy_pass: http://127.0.0.1:5007
    rewrite: { "^/api/v([0-9]+)/(.*)$": "/$2?version=$1" }
  - location: = /healthz
    return: 200 ok
  - host: old.example.com
    location: /
    return: 301 https://www.example.com$request_uri
"#;

/// What is asked, and the name of its fixture.
const CASES: [(&str, &[&str]); 13] = [
    ("namespace.txt", &["ws://www.example.com/hello"]),
    ("namespace.json", &["ws://www.example.com/hello", "--json"]),
    (
        "socketio_2.txt",
        &["ws://www.example.com", "--client", "socket.io@2"],
    ),
    (
        "weapp.txt",
        &["wss://www.example.com/hello", "--client", "weapp"],
    ),
    (
        "websocket.txt",
        &["wss://www.example.com/hello", "--client", "websocket"],
    ),
    ("path.txt", &["wss://localhost/room", "--path", "/hello"]),
    ("slash.txt", &["ws://localhost/ws?x=1"]),
    (
        "slash_redirect.txt",
        &["http://localhost/ws", "--client", "http"],
    ),
    (
        "prefix_before_regex.txt",
        &["http://localhost/static/a.png"],
    ),
    (
        "rewrite.txt",
        &["http://localhost/api/v2/rooms?x=1", "--client", "http"],
    ),
    ("host.txt", &["http://old.example.com/a?b"]),
    ("redirect.txt", &["ws://localhost:8080/chat"]),
    ("no_listener.txt", &["wss://www.example.com:8443/hello"]),
];

/// Routes to several servers.
const GROUPS: &str = r#"listen:
  - address: 0.0.0.0:80
upstreams:
  chat:
    health_check: engine_io
    sticky: [sid, { cookie: srv }]
    servers:
      - { server: "10.0.0.1:3000", weight: 2, max_conns: 100 }
      - { server: "10.0.0.2:3000", drain: true }
      - { server: "10.0.0.3:3000", backup: true }
  any: { balance: round_robin, sticky: off, servers: ["10.0.0.1:3000", "10.0.0.2:3000"] }
  one_by_address: { balance: { hash: $arg_room }, sticky: { cookie: srv }, servers: ["10.0.0.1:3000", "10.0.0.2:3000"] }
routes:
  - location: /socket.io
    proxy_pass: http://chat
  - location: /list/
    proxy_pass: [http://127.0.0.1:3001/inner/, http://127.0.0.1:3002/inner/]
  - location: /any/
    proxy_pass: http://any
  - location: /room
    proxy_pass: http://one_by_address
"#;

/// What is asked about these.
const GROUP_CASES: [(&str, &[&str]); 6] = [
    ("group.txt", &["ws://localhost"]),
    (
        "group.json",
        &["ws://localhost", "--client", "weapp", "--json"],
    ),
    ("list.txt", &["http://localhost/list/x", "--client", "http"]),
    ("not_sticky.txt", &["ws://localhost", "--path", "/any"]),
    (
        "not_sticky_websocket.txt",
        &["ws://localhost/any/x", "--client", "websocket"],
    ),
    (
        "by_cookie.txt",
        &["http://localhost/room?room=7", "--client", "http"],
    ),
];

#[test]
fn each_question_has_its_exact_answer() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    let mut different = answered(ROUTES, &CASES, "");
    // One of the groups is set up so that polling breaks, which `check` says too.
    different += &answered(GROUPS, &GROUP_CASES, "`sticky: off`");
    assert!(different.is_empty(), "{different}");
    assert_eq!(
        fs::read_dir(&fixtures).unwrap().count(),
        CASES.len() + GROUP_CASES.len()
    );
}

/// What differs from the fixtures in the answers to questions about these routes, which `check` has this to say about.
fn answered(routes: &str, cases: &[(&str, &[&str])], warned: &str) -> String {
    let dir = folder(routes);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    let mut different = String::new();
    for (name, question) in cases {
        let output = explain(dir.path(), question);
        assert_eq!(output.status.code(), Some(0), "{name}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.is_empty(), warned.is_empty(), "{name}: {said}");
        assert!(said.contains(warned), "{name}: {said}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let file = fixtures.join(name);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&file, &printed).unwrap();
        }
        let wanted = fs::read_to_string(&file).unwrap_or_default();
        if printed != wanted {
            different += &format!("--- {name}, wanted:\n{wanted}--- printed:\n{printed}\n");
        }
    }
    different
}

#[test]
fn what_a_route_changes_in_answers_is_said() {
    let dir = folder(
        "listen: [{ address: 127.0.0.1:80 }]
routes:
  - location: /
    proxy_pass: http://127.0.0.1:5001/app/
    add_headers: { X-A: \"a $scheme\", Strict-Transport-Security: { value: max-age=1, always: true } }
    hide_headers: [Server, X-Powered-By]
    proxy_redirect: [default, { \"~^/v1/\": /, http://b.test/: https://$host/ }]
    proxy_cookie_path: { /app/: / }
  - location: = /gone
    return: 410
    add_headers: { X-A: a, X-B: { value: b, always: true } }
",
    );
    let answers = |path: &str| {
        let url = format!("http://localhost{path}");
        let output = explain(dir.path(), &[&url, "--client", "http"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        let at = printed
            .rfind(
                "
asked for",
            )
            .or_else(|| {
                printed.rfind(
                    "
answer ",
                )
            });
        let at = at.unwrap() + 1;
        printed[at..].split_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(
        answers("/a.txt"),
        "adds       X-A: a ${scheme}   to 200, 201, 204, 206, 301, 302, 303, 304, 307, 308
           Strict-Transport-Security: max-age=1   to every answer but a 101
hides      Server, X-Powered-By
redirects  /app/ -> /   `default`
           ~^/v1/ -> /
           http://b.test/ -> https://$host/
cookies    Path=/app/ -> /
"
    );
    assert_eq!(answers("/gone"), "adds       X-B: b\n");
    let output = explain(dir.path(), &["http://localhost/a.txt", "--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        printed["requests"][0]["outcome"]["answers"],
        serde_json::json!({
            "adds": [
                { "name": "X-A", "value": "a ${scheme}", "always": false },
                { "name": "Strict-Transport-Security", "value": "max-age=1", "always": true },
            ],
            "hides": ["Server", "X-Powered-By"],
            "redirects": [
                { "from": "/app/", "to": "/", "default": true },
                { "from": "~^/v1/", "to": "/", "default": false },
                { "from": "http://b.test/", "to": "https://$host/", "default": false },
            ],
            "cookie_paths": [{ "from": "/app/", "to": "/" }],
        })
    );
}

#[test]
fn the_readme_shows_what_is_printed() {
    let dir = folder(
        "listen:\n  - address: 0.0.0.0:80\n  - address: 0.0.0.0:443\n    tls: self_signed\nroutes:\n\
         \x20 - location: /hello\n    proxy_pass: http://127.0.0.1:5001\n\
         \x20 - location: /socket.io\n    proxy_pass: http://127.0.0.1:5002\n",
    );
    let output = explain(dir.path(), &["ws://www.example.com/hello"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    assert!(
        fs::read_to_string(readme).unwrap().contains(&printed),
        "{printed}"
    );
}

#[test]
fn what_no_route_takes_is_a_404_that_says_so() {
    let dir = folder(ROUTES);
    let found = json(
        dir.path(),
        &["http://localhost/nothing", "--client", "http"],
    );
    let outcome = &found["requests"][0]["outcome"];
    assert_eq!(outcome["kind"], "refused");
    assert_eq!(outcome["status"], 404);
    assert_eq!(outcome["text"], "no location matches this path");
}

#[test]
fn the_name_that_an_upstream_is_verified_by_is_shown_if_it_is_not_that_of_proxy_pass() {
    let dir = folder(
        "listen: [{ address: 80 }]\nroutes:\n\
         \x20 - { location: /a, proxy_pass: \"https://10.0.0.5\", ca: ca.pem, tls_name: Chat.example.com }\n\
         \x20 - { location: /b, proxy_pass: \"https://10.0.0.5\", ca: ca.pem }\n",
    );
    let made = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
    fs::write(dir.path().join("ca.pem"), made.cert.pem()).unwrap();
    for (path, text, name) in [
        (
            "/a",
            "upstream   https://10.0.0.5:443, verified as chat.example.com\n",
            Some("chat.example.com"),
        ),
        ("/b", "upstream   https://10.0.0.5:443\n", None),
    ] {
        let question = [&format!("http://localhost{path}"), "--client", "http"];
        let printed = explain(dir.path(), &question).stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains(text), "{printed}");
        let found = json(dir.path(), &question);
        assert_eq!(found["requests"][0]["outcome"]["tls_name"].as_str(), name);
    }
}

#[test]
fn what_depends_on_the_client_is_minded_and_not_guessed() {
    let dir = folder(
        "listen: [{ address: 0.0.0.0:80 }]\nroutes:\n\
         \x20 - { location: /a, proxy_pass: \"http://127.0.0.1:1\", allowed_origins: [\"https://a.test\", \"https://*.b.test\"] }\n\
         \x20 - { location: /b, proxy_pass: \"http://127.0.0.1:1\", allowed_origins: \"https://a.test\", missing_origin: deny }\n\
         \x20 - { location: /c, proxy_pass: \"http://127.0.0.1:1\", allow: [10.0.0.0/8, all], deny: \"2001:db8::/32\" }\n\
         \x20 - { location: /d, proxy_pass: \"http://127.0.0.1:1\", deny: all }\n\
         tests: [{ url: \"ws://a.test/d\", client: ws, expect: 403 }]\n",
    );
    let minded = |question: &[&str]| {
        let found = json(dir.path(), question);
        let outcome = &found["requests"][0]["outcome"];
        let warnings = found["warnings"].as_array().unwrap().clone();
        let texts = warnings
            .iter()
            .map(|warning| warning["text"].as_str().unwrap().to_owned());
        let texts: Vec<String> = texts.filter(|text| text.contains("403")).collect();
        (outcome["kind"].clone(), outcome["text"].clone(), texts)
    };
    let upstream = |text: &str| ("upstream".into(), Value::Null, vec![text.to_owned()]);
    assert_eq!(
        minded(&["ws://localhost/a", "--client", "ws"]),
        upstream(
            "`/a` (routes.yaml:3) opens a WebSocket for pages of https://a.test, https://*.b.test only, and tells others 403 \
             (`allowed_origins`); a client that sends no Origin may too"
        )
    );
    assert_eq!(
        minded(&["ws://localhost/b", "--client", "ws"]),
        upstream(
            "`/b` (routes.yaml:4) opens a WebSocket for pages of https://a.test only, and tells others 403 \
             (`allowed_origins`); a client that sends no Origin may not either (`missing_origin`)"
        )
    );
    assert_eq!(
        minded(&["ws://localhost/c", "--client", "ws"]),
        upstream(
            "`/c` (routes.yaml:5) answers clients of some addresses only, and tells others 403 (`allow`: 10.0.0.0/8, \
             0.0.0.0/0, ::/0; `deny`: 2001:db8::/32)"
        )
    );
    // What is no upgrade is not judged by its page.
    let page = minded(&["http://localhost/a", "--client", "http"]);
    assert_eq!(page, ("upstream".into(), Value::Null, vec![]));
    assert_eq!(
        minded(&["ws://localhost/d", "--client", "ws"]),
        (
            "refused".into(),
            "this address may not ask here (deny)".into(),
            vec![]
        )
    );
}

#[test]
fn a_wrong_question_is_a_usage_error() {
    let dir = folder(ROUTES);
    for (question, said) in [
        (
            &["www.example.com/hello"][..],
            "the URL has no scheme: `www.example.com/hello`\n  = help: write `ws://www.example.com/hello`\n",
        ),
        (
            &["ws://h", "--path", "hello"],
            "a client's `path` begins with a slash: `hello`\n  = help: write `/hello`\n",
        ),
        (
            &["ws://h", "--client", "http", "--path", "/x"],
            "`path` is an option of Socket.IO clients, not of `http`\n  = help: take it out: the path of such a client \
             stands in the URL\n",
        ),
    ] {
        let output = explain(dir.path(), question);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said);
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn a_broken_promise_keeps_a_start_away_and_can_still_be_explained() {
    let text = format!(
        "{ROUTES}tests:\n  - {{ url: \"ws://localhost/hello\", expect: \"http://127.0.0.1:5003\" }}\n"
    );
    let dir = folder(&text);
    let run = command(dir.path(), &["run"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(
        said.lines().next(),
        Some(
            "routes.yaml:30:12: error: `ws://localhost/hello` goes to http://127.0.0.1:5004 (routes.yaml:13), not to \
             http://127.0.0.1:5003"
        )
    );
    assert_eq!(
        explain(dir.path(), &["ws://localhost/hello"]).status.code(),
        Some(0)
    );
}

const OPEN: &str = r#"0{"sid":"kkRumerAWARXZW80AAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

#[tokio::test]
async fn an_engine_io_session_is_told_with_its_times() {
    let mut upstream = Upstream::saying(OPEN).await;
    let says = asked(&upstream, &[]).await;
    assert_eq!(says["kind"], "engine_io_open");
    assert_eq!(
        says["text"],
        "200: an Engine.IO session is open: ping every 25s, answered within 20s, upgrades to websocket, EIO=4"
    );
    let received = upstream.received().await;
    assert_eq!(
        received.head.first_line(),
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1"
    );
}

#[tokio::test]
async fn a_refused_protocol_comes_with_what_to_do() {
    let refusal = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{refusal}",
        refusal.len()
    ))
    .await;
    let says = asked(&upstream, &["--client", "socket.io@2"]).await;
    assert_eq!(says["kind"], "engine_io_refused");
    assert_eq!(says["status"], 400);
    assert_eq!(
        says["help"],
        "the server is of version 3 or 4 and was not started with `allowEIO3: true`: set that, or use a client of version \
         3 or 4"
    );
}

#[tokio::test]
async fn a_refusal_inside_the_websocket_is_found_there() {
    let inside = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\nContent-Length: 28\r\n\r\n\
                  Unsupported protocol version";
    let upstream = Upstream::answering([SWITCHING, inside.as_bytes()].concat()).await;
    let says = asked(&upstream, &["--client", "weapp@2"]).await;
    assert_eq!(says["kind"], "engine_io_refused");
    assert_eq!(says["status"], 101);
}

#[tokio::test]
async fn a_websocket_a_page_and_silence_are_told_apart() {
    let websocket = Upstream::answering(SWITCHING).await;
    let says = asked(&websocket, &["--client", "websocket"]).await;
    assert_eq!(says["text"], "101: a WebSocket is open");
    let page = Upstream::saying("<!doctype html>").await;
    assert_eq!(asked(&page, &[]).await["kind"], "not_engine_io");
    assert_eq!(asked(&page, &["--client", "http"]).await["text"], "200 OK");
    let silent = Upstream::scripted().await;
    let says = asked(&silent, &[]).await;
    assert_eq!(says["text"], "no answer within 300ms (`response_timeout`)");
}

#[tokio::test]
async fn an_upstream_that_refuses_is_an_answer_too() {
    let address = Upstream::scripted().await.address();
    let says = ask(address.to_string(), &[]).await;
    assert_eq!(says["kind"], "no_connection");
    assert_eq!(
        says["text"],
        format!("cannot connect to upstream {address}: connection refused")
    );
}

#[tokio::test]
async fn each_server_of_a_group_is_asked() {
    let well = Upstream::saying(OPEN).await;
    let page = Upstream::saying("<!doctype html>").await;
    let gone = Upstream::scripted().await.address();
    let (well, page) = (well.address(), page.address());
    let says = tokio::task::spawn_blocking(move || {
        let dir = folder(&format!(
            "listen: [{{ address: 127.0.0.1:0 }}]\nroutes:\n  - location: /\n    \
             proxy_pass: [http://{well}, http://{page}, http://{gone}]\n"
        ));
        let output = explain(dir.path(), &["ws://localhost", "--connect"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let found = json(dir.path(), &["ws://localhost", "--connect"]);
        (text, found["requests"][0].clone())
    });
    let (text, request) = says.await.unwrap();
    let at = text.find("says ").unwrap();
    let said: Vec<&str> = text[at..].lines().take(4).collect();
    let refused = format!("{gone}: cannot connect to upstream {gone}: connection refused");
    assert!(
        said[0].starts_with(&format!(
            "says       {well}: 200: an Engine.IO session is open"
        )),
        "{text}"
    );
    let no_server = format!("           {page}: 200: no Socket.IO server, or none at this path");
    assert_eq!(said[1], no_server);
    assert!(said[2].starts_with("           = help: "), "{text}");
    assert_eq!(said[3].trim_start(), refused);
    assert_eq!(request["says"], Value::Null);
    let kinds = request["servers_say"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds
        .map(|says| {
            let text = |key: &str| says[key].as_str().unwrap().to_owned();
            (text("server"), text("kind"))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (well.to_string(), "engine_io_open".to_owned()),
            (page.to_string(), "not_engine_io".to_owned()),
            (gone.to_string(), "no_connection".to_owned()),
        ]
    );
}

async fn asked(upstream: &Upstream, options: &'static [&'static str]) -> Value {
    ask(upstream.address().to_string(), options).await
}

/// What `--connect` says about the first request.
async fn ask(upstream: String, options: &'static [&'static str]) -> Value {
    tokio::task::spawn_blocking(move || {
        let dir = folder(&format!(
            "response_timeout: 300ms\nlisten:\n  - address: 127.0.0.1:0\nroutes:\n  - location: /\n    proxy_pass: http://{upstream}\n"
        ));
        let question = [&["ws://localhost", "--connect"], options].concat();
        json(dir.path(), &question)["requests"][0]["says"].clone()
    })
    .await
    .unwrap()
}

fn json(dir: &Path, question: &[&str]) -> Value {
    let output = explain(dir, &[question, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn folder(routes: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("routes.yaml"), routes).unwrap();
    dir
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
    command.args(arguments).current_dir(dir);
    command
}

fn explain(dir: &Path, question: &[&str]) -> Output {
    command(dir, &[&["explain"], question].concat())
        .output()
        .unwrap()
}
