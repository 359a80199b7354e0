//! Real nginx and the real wsgate with the same tables, asked the same, on both of wsgate's ways: the fields of their answers are
//! the same.
//!
//! Each row is a server of its own. The upstream answers with what a request's `X-Answer` says. Left out are the fields that nginx
//! writes itself whatever is configured, and `absolute_redirect` is off, of which `docs/configuration.md` speaks.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::support::Head;
use crate::support::KEY;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::within;

/// The same route twice.
struct Row {
    location: &'static str,
    /// What stands behind the authority of `proxy_pass`; `None` where nothing is passed on.
    path: Option<&'static str>,
    nginx: &'static str,
    yaml: &'static str,
}

/// `UPSTREAM` stands for the upstream's authority in both files.
const ROWS: [Row; 14] = [
    Row {
        location: "/",
        path: Some(""),
        nginx: "add_header X-A a; add_header X-WHO \"$scheme $host $request_uri $remote_addr\" always; add_header X-Empty \"\"; \
            add_header Set-Cookie added=1; add_header Set-Cookie added=2 always; add_header ETag '\"new\"'; \
            add_header Cache-Control private; add_header X-xss-PROTECTION 0; add_header Location /added;",
        yaml: "add_headers: { X-A: a, X-WHO: { value: '$scheme $host $request_uri $remote_addr', always: true }, \
            X-Empty: '', Set-Cookie: [added=1, { value: added=2, always: true }], ETag: '\"new\"', \
            Cache-Control: private, X-xss-PROTECTION: 0, Location: /added }",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "add_header Last-Modified \"\"; add_header ETag \"\" always;",
        yaml: "add_headers: { Last-Modified: '', ETag: { value: '', always: true } }",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "proxy_hide_header x-powered-BY; proxy_hide_header Set-Cookie; add_header X-Powered-By mine;",
        yaml: "hide_headers: [x-powered-BY, Set-Cookie]\n    add_headers: { X-Powered-By: mine }",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "proxy_redirect off;",
        yaml: "proxy_redirect: off",
    },
    Row {
        location: "/",
        path: Some("/app/"),
        nginx: "proxy_redirect default;",
        yaml: "proxy_redirect: default",
    },
    Row {
        location: "/app/",
        path: Some("/"),
        nginx: "",
        yaml: "proxy_redirect: default",
    },
    Row {
        location: "/app/",
        path: Some(""),
        nginx: "",
        yaml: "proxy_redirect: default",
    },
    Row {
        location: "~ ^/app/",
        path: Some(""),
        nginx: "",
        yaml: "proxy_redirect: default",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "proxy_redirect http://$host:81/ /port/; proxy_redirect ~^http://old\\.test/(.*)$ https://new.test/$1; \
            proxy_redirect ~*^HTTP://Mixed\\.test(/[^/]*)/? $1-$scheme; proxy_redirect /app/ http://$host/; \
            proxy_redirect default; proxy_redirect http:// https://;",
        yaml: "proxy_redirect: [{ 'http://$host:81/': /port/, '~^http://old\\.test/(.*)$': 'https://new.test/$1', \
            '~*^HTTP://Mixed\\.test(/[^/]*)/?': $1-$scheme, /app/: 'http://$host/' }, default, { 'http://': 'https://' }]",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "proxy_cookie_path /app/ /; proxy_cookie_path ~^/v[0-9]+/(.*) /api/$1; proxy_cookie_path ~*^/mixed $host; \
            proxy_cookie_path / /all/;",
        yaml: "proxy_cookie_path: { /app/: /, '~^/v[0-9]+/(.*)': /api/$1, ~*^/mixed: $host, /: /all/ }",
    },
    Row {
        location: "/",
        path: None,
        nginx: "return 200 text; add_header X-A a; add_header X-B b always;",
        yaml: "return: 200 text\n    add_headers: { X-A: a, X-B: { value: b, always: true } }",
    },
    Row {
        location: "/",
        path: None,
        nginx: "return 404; add_header X-A a; add_header X-B b always;",
        yaml: "return: 404\n    add_headers: { X-A: a, X-B: { value: b, always: true } }",
    },
    Row {
        location: "/",
        path: None,
        nginx: "proxy_pass http://127.0.0.1:1; add_header X-A a; add_header X-B b always;",
        yaml: "proxy_pass: http://127.0.0.1:1\n    add_headers: { X-A: a, X-B: { value: b, always: true } }",
    },
    Row {
        location: "/",
        path: Some(""),
        nginx: "deny all; add_header X-A a; add_header X-B b always;",
        yaml: "deny: all\n    add_headers: { X-A: a, X-B: { value: b, always: true } }",
    },
];

const STATUSES: [u16; 22] = [
    200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 403, 404, 410, 418,
    500, 502, 503,
];

/// What nginx's `default` knows, or leaves as wsgate does; what wsgate's knows beyond that is held by unit tests.
const ADDRESSES: [&str; 18] = [
    "http://UPSTREAM/login",
    "http://UPSTREAM/app/login?a=b#c",
    "http://UPSTREAM/",
    "http://UPSTREAM",
    "https://UPSTREAM/app/",
    "http://HOST:81/x",
    "http://HOST:82/x",
    "http://old.test/a/b?c",
    "HTTP://old.test/a",
    "http://MIXED.test/a/b",
    "http://other.test/app/x",
    "ftp://UPSTREAM/app/",
    "login",
    "?a=/app/",
    "",
    "//UPSTREAM/app/x",
    "/elsewhere/",
    "http://",
];

const COOKIES: [&str; 16] = [
    "a=b; Path=/app/; HttpOnly",
    "a=b;path = /app/x ;Secure",
    "a=b; PATH=/v2/x?y; Max-Age=1",
    "a=/app/; Domain=a.test; Path=/app/; Path=/v1/z",
    "a=b; Path=/MIXED/x",
    "a=b; Path=\"/app/\"",
    "a=b; Path",
    "a=b; Path=",
    "a=b; Path=app",
    "a=b",
    "a; Path=/app/",
    "Path=/app/",
    "=b; Path=/app/",
    "a=b;;  ; Path=/app/;",
    "a=b; Pathology=/app/",
    "",
];

/// An upstream that says what it is asked to say.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut peer = Peer::plain(tcp);
            tokio::spawn(async move {
                while peer.has_more().await {
                    let head = peer.head().await;
                    if peer.try_send(answer(&head)).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn answer(request: &Head) -> String {
    let said = request.value("x-answer").unwrap_or("200");
    let mut lines = said.split('|');
    let status = lines.next().unwrap();
    let more: String = lines.map(|line| format!("{line}\r\n")).collect();
    if status == "101" {
        let switching = String::from_utf8(SWITCHING.to_vec()).unwrap();
        return switching.replacen("\r\n", &format!("\r\n{more}"), 1);
    }
    match status {
        "204" | "304" => format!("HTTP/1.1 {status} x\r\n{more}\r\n"),
        _ => format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n{more}\r\nok"),
    }
}

fn host(row: usize) -> String {
    format!("row{row}.test")
}

fn nginx_conf(upstream: SocketAddr, listen: SocketAddr) -> String {
    let mut conf = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\n\
        events { worker_connections 512; }\nhttp {\nerror_log stderr emerg;\naccess_log off;\n\
        client_body_temp_path temp;\nproxy_temp_path temp;\nfastcgi_temp_path temp;\nuwsgi_temp_path temp;\n\
        scgi_temp_path temp;\nabsolute_redirect off;\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
        proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection upgrade;\n"
        .to_owned();
    for (at, row) in ROWS.iter().enumerate() {
        let reuse = if at == 0 { " reuseport" } else { "" };
        let pass = match row.path {
            Some(path) => format!("proxy_pass http://{upstream}{path};"),
            None => String::new(),
        };
        writeln!(
            conf,
            "server {{ listen {listen}{reuse}; server_name {}; location {} {{ {pass} {} }} }}",
            host(at),
            row.location,
            row.nginx
        )
        .unwrap();
    }
    conf.push_str("}\n");
    conf
}

fn gate_yaml(upstream: SocketAddr) -> String {
    let mut yaml = "listen: [{ address: 127.0.0.1:0 }]\nroutes:\n".to_owned();
    for (at, row) in ROWS.iter().enumerate() {
        writeln!(
            yaml,
            "  - host: {}\n    location: {}",
            host(at),
            row.location
        )
        .unwrap();
        if let Some(path) = row.path {
            writeln!(yaml, "    proxy_pass: http://{upstream}{path}").unwrap();
        }
        writeln!(yaml, "    {}", row.yaml).unwrap();
    }
    yaml
}

/// What the upstreams of a row are made to say.
fn answers(row: &Row) -> Vec<String> {
    let mut answers = Vec::new();
    let fields = "x-powered-by: Express|X-POWERED-BY: PHP|ETag: \"1\"|last-modified: Thu, 01 Jan 1970 00:00:00 GMT|\
        Set-Cookie: a=b|X-A: own|Cache-Control: public";
    answers.extend(STATUSES.iter().map(|status| format!("{status}|{fields}")));
    if row.yaml.contains("redirect") {
        // Of these wsgate's `default` knows more than nginx's: they are the upstream's own.
        let is_stripped = row.location == "/app/" && row.path == Some("/");
        let knows = |address: &&str| !(is_stripped && address.starts_with("/e"));
        for address in ADDRESSES.into_iter().filter(knows) {
            answers.push(format!("302|Location: {address}"));
            answers.push(format!("201|location: {address}|X-B: {address}"));
            answers.push(format!(
                "200|Refresh: 5; URL={address}|Content-Location: {address}"
            ));
        }
        answers.push("200|Refresh: 5".to_owned());
        answers.push("200|Refresh: 0;url=http://UPSTREAM/app/;url=http://UPSTREAM/app/".to_owned());
    }
    if row.yaml.contains("cookie") {
        answers.extend(
            COOKIES
                .iter()
                .map(|cookie| format!("200|Set-Cookie: {cookie}")),
        );
        let several: String = COOKIES
            .iter()
            .map(|cookie| format!("|set-cookie: {cookie}"))
            .collect();
        answers.push(format!("500{several}"));
    }
    answers
}

/// The status and the fields, with names in lower case and in the order of the alphabet.
fn seen(head: &Head) -> (u16, Vec<String>) {
    const NGINXS_OWN: [&str; 7] = [
        "server",
        "date",
        "connection",
        "content-length",
        "transfer-encoding",
        "content-type",
        "keep-alive",
    ];
    let lines = head
        .lines()
        .into_iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'));
    let mut lines: Vec<String> = lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| !NGINXS_OWN.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort();
    (head.status(), lines)
}

/// A client whose next requests go to this server, on a way of wsgate's if that is it.
async fn client(address: SocketAddr, through_hyper: bool) -> Peer {
    let tcp = within("connecting", TcpStream::connect(address)).await;
    let mut client = Peer::plain(tcp.unwrap());
    if through_hyper {
        client
            .send(format!("HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n", host(0)))
            .await;
        assert_eq!(client.head().await.status(), 200);
    }
    client
}

#[tokio::test]
async fn nginx_and_wsgate_change_the_same_in_answers() {
    let upstream = upstream().await;
    let (_port, listen) = reserve();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("nginx.conf"), nginx_conf(upstream, listen)).unwrap();
    let _nginx = Running::start(dir);
    let gate = TestServer::setup().whole(gate_yaml(upstream)).start().await;
    let mut compared = 0;
    let mut different = String::new();
    for (at, row) in ROWS.iter().enumerate() {
        for answer in answers(row) {
            let host = host(at);
            let answer = answer
                .replace("UPSTREAM", &upstream.to_string())
                .replace("HOST", &host);
            let request =
                format!("GET /app/x?y HTTP/1.1\r\nHost: {host}\r\nX-Answer: {answer}\r\n\r\n");
            let wanted = seen(&client(listen, false).await.ask(&request).await.head);
            for through_hyper in [false, true] {
                let got = client(gate.address(), through_hyper)
                    .await
                    .ask(&request)
                    .await;
                let got = seen(&got.head);
                if got != wanted {
                    writeln!(
                        different,
                        "row {at}, hyper {through_hyper}: {answer}\n nginx  {wanted:?}\n wsgate {got:?}"
                    )
                    .unwrap();
                }
                compared += 1;
            }
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!(compared > 1000, "{compared}");
}

/// nginx adds to a 101 what it adds always; wsgate adds nothing, but changes what an upstream says in it.
#[tokio::test]
async fn nginx_and_wsgate_change_the_same_in_a_101() {
    let upstream = upstream().await;
    let (_port, listen) = reserve();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("nginx.conf"), nginx_conf(upstream, listen)).unwrap();
    let _nginx = Running::start(dir);
    let gate = TestServer::setup().whole(gate_yaml(upstream)).start().await;
    let mut changed = 0;
    for (at, row) in ROWS
        .iter()
        .enumerate()
        .filter(|(_, row)| row.path.is_some())
    {
        if row.yaml.contains("deny") {
            continue;
        }
        let request = format!(
            "GET /app/x HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Version: 13\r\nX-Answer: 101|X-Powered-By: x|Set-Cookie: a=b; Path=/app/\r\n\r\n",
            host(at)
        );
        let mut client_of_nginx = client(listen, false).await;
        client_of_nginx.send(&request).await;
        let (status, mut wanted) = seen(&client_of_nginx.head().await);
        assert_eq!(status, 101);
        if at == 0 {
            wanted.retain(|line| line != "set-cookie: added=2" && !line.starts_with("x-who: "));
        }
        changed += usize::from(!wanted.contains(&"set-cookie: a=b; Path=/app/".to_owned()));
        for through_hyper in [false, true] {
            let mut client = client(gate.address(), through_hyper).await;
            client.send(&request).await;
            let got = seen(&client.head().await);
            assert_eq!(
                got,
                (101, wanted.clone()),
                "row {at}, hyper {through_hyper}"
            );
        }
    }
    assert_eq!(changed, 2);
}
