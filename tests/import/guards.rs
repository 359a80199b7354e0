//! Every guard that keeps clients out, in front of a `proxy_pass` at every level: nginx refuses a client that comes with
//! nothing, and the import never leaves the `proxy_pass` open, and never says that nothing is lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::import::guards::Level::Http;
use crate::import::guards::Level::Location;
use crate::import::guards::Level::Server;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::support::Peer;
use crate::support::within;

/// The outermost block in which nginx takes a guard; it may stand in all within that too.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    Http,
    Server,
    Location,
}

/// A guard.
struct Guard {
    /// The directives.
    text: &'static str,
    from: Level,
    /// The innermost level at which it may stand.
    to: Level,
    /// Whether nginx refuses a request that comes with nothing, over plain HTTP, and has what the guard needs.
    refuses: bool,
}

const fn of(from: Level, text: &'static str) -> Guard {
    Guard {
        text,
        from,
        to: Location,
        refuses: true,
    }
}

/// Guards about TLS, which stand in no location, and which nginx does not ask about a plain connection.
const fn of_tls(text: &'static str) -> Guard {
    Guard {
        text,
        from: Http,
        to: Server,
        refuses: false,
    }
}

/// Guards that let a request pass without some of its parts, or that need a module that this nginx has not.
const fn unasked(from: Level, text: &'static str) -> Guard {
    Guard {
        text,
        from,
        to: Location,
        refuses: false,
    }
}

const GUARDS: &[Guard] = &[
    of(Http, "auth_basic x; auth_basic_user_file htpasswd;"),
    of(
        Http,
        "satisfy any; allow 192.0.2.0/24; deny all; auth_basic x; auth_basic_user_file htpasswd;",
    ),
    of(
        Http,
        "satisfy any; deny all; auth_basic x; auth_basic_user_file htpasswd;",
    ),
    of(
        Http,
        "satisfy all; allow all; auth_basic x; auth_basic_user_file htpasswd; auth_delay 10ms;",
    ),
    of(Http, "auth_request /ask;"),
    of(Http, "allow unix:; deny all;"),
    of(Http, "deny unix:; deny 127.0.0.0/8;"),
    of_tls("ssl_verify_client on;"),
    of_tls("ssl_verify_client optional;"),
    of_tls("ssl_verify_client optional_no_ca;"),
    of_tls("ssl_reject_handshake on;"),
    unasked(Http, "proxy_pass_request_headers off;"),
    unasked(Http, "proxy_pass_request_body off;"),
    unasked(Http, "auth_jwt x; auth_jwt_key_file key;"),
    unasked(Server, "access_by_lua_file x.lua;"),
    unasked(Http, "include /nowhere/authelia-location.conf;"),
    unasked(Http, "shib_request /shibauthorizer;"),
    unasked(Http, "modsecurity on;"),
    unasked(Http, "Deny all;"),
    of(Server, "if ($cookie_a != b) { return 403; }"),
    of(Server, "if ($cookie_a != b) { return 401; }"),
    of(Server, "if ($cookie_a != b) { return 444; }"),
    of(Server, "if ($cookie_a != b) { return 503; }"),
    of(Server, "if ($cookie_a != b) { return 200 closed; }"),
    of(Server, "if ($cookie_a != b) { return 302 /login; }"),
    of(Server, "if ($cookie_a != b) { rewrite ^ /login redirect; }"),
    of(
        Server,
        "if ($cookie_a != b) { rewrite ^ http://login.test/ permanent; }",
    ),
    of(
        Server,
        "if ($cookie_a != b) { set $why cookie; return 403; }",
    ),
    of(
        Server,
        "set $block 1; if ($cookie_a = b) { set $block 0; } if ($block = 1) { return 403; }",
    ),
    of(
        Server,
        "set $pass ''; if ($cookie_a = b) { set $pass yes; } if ($pass = '') { return 403; }",
    ),
    of(Server, "if ($remote_addr != 192.0.2.1) { return 403; }"),
    of(Server, "if ($arg_token != secret) { return 401; }"),
    of(Server, "if ($http_x_key = '') { return 403; }"),
    of(
        Server,
        "if ($http_authorization !~ ^Bearer) { return 401; }",
    ),
    of(Server, "if ($args !~ token=) { return 403; }"),
    of(Server, "if ($request_uri !~ open) { return 403; }"),
    of(Server, "if ($host != a.test) { return 444; }"),
    of(Server, "if ($request_method ~ G) { return 405; }"),
    of(Server, "if (!-f $document_root/open) { return 503; }"),
    of(Server, "if (!-e nowhere) { return 403; }"),
    of(Server, "if ($ssl_client_verify != SUCCESS) { return 403; }"),
    of(Server, "rewrite ^ /ask;"),
    of(Server, "rewrite ^/(.*)$ /as$1k; rewrite ^ /ask last;"),
    of(Server, "if ($inside = 0) { return 403; }"),
    of(Server, "if ($kind = other) { return 403; }"),
    of(
        Server,
        "valid_referers server_names; if ($invalid_referer) { return 403; }",
    ),
    of(
        Server,
        "secure_link $arg_md5; secure_link_md5 word; if ($secure_link = '') { return 403; }",
    ),
    of(
        Location,
        "if ($cookie_a != b) { proxy_pass http://127.0.0.1:1; }",
    ),
    of(
        Location,
        "if ($cookie_a != b) { fastcgi_pass 127.0.0.1:1; }",
    ),
    of(
        Location,
        "if ($cookie_a != b) { rewrite ^ /nowhere/login last; }",
    ),
    of(
        Location,
        "if ($cookie_a != b) { add_header X-Why cookie always; return 403; }",
    ),
    of(
        Location,
        "limit_except POST { auth_basic x; auth_basic_user_file htpasswd; } if ($cookie_a != b) { return 403; }",
    ),
];

/// What the guards ask, in the block `http`.
const PRELUDE: &str =
    "geo $inside { default 0; 192.0.2.1 1; } map $cookie_a $kind { b this; default other; }";

/// What an `auth_request` asks, in each server.
const ASK: &str = " location = /ask { return 401; }";

/// The upstream that is guarded, and one that may be open.
const GUARDED: &str = "http://127.0.0.1:4999";
const OPEN: &str = "http://127.0.0.1:4998";

/// Where a guard stands in front of an upstream, and a path that leads there. `%` is the guard, `$S` its upstream, `$O`
/// another.
struct Place {
    level: Level,
    server: &'static str,
    path: &'static str,
    /// Whether the other upstream must be closed too.
    closes_all: bool,
    /// Whether the guard must be inherited to count: an `if` is not.
    inherits: bool,
}

const fn place(level: Level, path: &'static str, server: &'static str) -> Place {
    Place {
        level,
        server,
        path,
        closes_all: false,
        inherits: false,
    }
}

const PLACES: &[Place] = &[
    place(Http, "/", "location / { proxy_pass $S; }"),
    place(
        Http,
        "/a/b/c",
        "location /a { location /a/b { proxy_pass $S; } } location / { return 404; }",
    ),
    place(
        Http,
        "/a",
        "location / { try_files $uri @n; } location @n { proxy_pass $S; }",
    ),
    place(
        Http,
        "/a",
        "try_files $uri @n; location @n { proxy_pass $S; }",
    ),
    place(Server, "/", "% location / { proxy_pass $S; }"),
    place(Server, "/", "location / { proxy_pass $S; } %"),
    place(
        Server,
        "/a/b/c",
        "% location /a { location /a/b { proxy_pass $S; } } location / { return 404; }",
    ),
    place(
        Server,
        "/a",
        "% location / { try_files $uri @n; } location @n { proxy_pass $S; }",
    ),
    place(
        Server,
        "/a",
        "% location / { error_page 418 = @n; return 418; } location @n { proxy_pass $S; }",
    ),
    place(
        Server,
        "/x.png",
        "% location ~ \\.png$ { proxy_pass $S; } location / { return 404; }",
    ),
    place(Location, "/", "location / { % proxy_pass $S; }"),
    place(Location, "/", "location / { proxy_pass $S; % }"),
    place(
        Location,
        "/x.png",
        "location ~ \\.png$ { % proxy_pass $S; } location / { return 404; }",
    ),
    place(
        Location,
        "/in/x",
        "location / { proxy_pass $O; location /in { % proxy_pass $S; } }",
    ),
    place(
        Location,
        "/in/x",
        "location / { proxy_pass $O; location ~ ^/in { % proxy_pass $S; } }",
    ),
    place(
        Location,
        "/in/x",
        "location /in { proxy_pass $O; location /in { % proxy_pass $S; } }",
    ),
    place(
        Location,
        "/in/x",
        "location ~ ^/ { proxy_pass $O; location ~ ^/(?=in) { % proxy_pass $S; } }",
    ),
    place(
        Location,
        "/aa",
        "location / { proxy_pass $O; location ~ (.)\\1 { % proxy_pass $S; } }",
    ),
    place(
        Location,
        "/aa",
        "location / { proxy_pass $O; } location ~ (.)\\1 { % proxy_pass $S; }",
    ),
    Place {
        closes_all: true,
        ..place(
            Location,
            "/in/x",
            "location ^~ / { proxy_pass $O; location ~ /in { % proxy_pass $S; } } location ~ y { return 404; }",
        )
    },
    place(
        Location,
        "/a",
        "location / { try_files $uri @n; } location @n { % proxy_pass $S; }",
    ),
    place(
        Location,
        "/a",
        "location / { error_page 418 = @n; return 418; } location @n { % proxy_pass $S; }",
    ),
    place(
        Location,
        "/a",
        "location / { % try_files $uri @n; } location @n { proxy_pass $S; }",
    ),
    place(
        Location,
        "/",
        "location / { % if ($request_method = GET) { proxy_pass $S; } }",
    ),
    place(
        Location,
        "/",
        "location / { if ($request_method = POST) { return 405; } % proxy_pass $S; }",
    ),
    Place {
        inherits: true,
        ..place(
            Location,
            "/in/x",
            "location / { % location /in { proxy_pass $S; } }",
        )
    },
];

/// The guards and the places at which each may stand, as a `server` without its addresses and as what `http` has.
fn cases() -> Vec<(String, String, &'static Guard, &'static Place)> {
    let mut cases = Vec::new();
    for guard in GUARDS {
        for place in PLACES {
            let is_inherited = !["if (", "rewrite "]
                .iter()
                .any(|one| guard.text.contains(one));
            let fits = guard.from <= place.level && place.level <= guard.to;
            // Of several upstreams that conditions choose, nginx takes the last.
            let is_last = !guard.text.contains("_pass 127") && !guard.text.contains("{ proxy_pass");
            let fits = fits && (is_last || !place.server.contains("if ("));
            if !fits || (place.inherits && !is_inherited) {
                continue;
            }
            let server = place.server.replace('%', guard.text) + ASK;
            let http = if place.level == Http { guard.text } else { "" };
            cases.push((http.to_owned(), server, guard, place));
        }
    }
    cases
}

#[test]
fn no_guard_at_any_level_is_opened_or_passed_over_in_silence() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("nginx.conf");
    let mut wrong = String::new();
    let cases = cases();
    for (http, server, _, place) in &cases {
        let tls = "listen 8443 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;";
        let text = format!("http {{ {PRELUDE} {http} server {{ listen 8080; {tls} {server} }} }}");
        let text = text.replace("$S", GUARDED).replace("$O", OPEN);
        fs::write(&file, &text).unwrap();
        let imported = wsgate::nginx::import(&file).unwrap();
        let is_open = |upstream: &str| {
            let open = format!("    proxy_pass: {upstream}");
            imported.yaml.lines().any(|line| line.starts_with(&open))
        };
        let said = imported
            .yaml
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let shown = said
            .replace("# ", "")
            .contains(&format!("write instead: proxy_pass: {GUARDED}"));
        // A location without a place of its own is closed by a route for its paths.
        let others = !is_open(OPEN) || (!place.closes_all && closes(&imported.yaml, place));
        if is_open(GUARDED)
            || !shown
            || !others
            || imported.left.is_empty()
            || strict(&file) == Some(0)
        {
            wrong += &format!("{text}\n{}\n", imported.yaml);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases.len() > 700, "{}", cases.len());
}

/// Whether the guarded path of a place has a route that answers 403, 404 or 501, before the one that is open.
fn closes(yaml: &str, place: &Place) -> bool {
    let lines: Vec<&str> = yaml.lines().collect();
    let routes = lines.iter().enumerate().filter_map(|(at, line)| {
        let location = line.strip_prefix("  - location: ")?.split(" # ").next()?;
        let location: wsgate::routing::Location = location.trim_matches('\'').parse().ok()?;
        let does = lines[at..].iter().find(|line| {
            line.starts_with("    return: ") || line.starts_with("    proxy_pass: ")
        })?;
        Some((location, (*does).to_owned()))
    });
    let mut routes: Vec<_> = routes
        .filter(|(location, _)| location.matches(place.path.as_bytes()))
        .collect();
    let mut regexes = routes
        .iter()
        .filter(|(location, _)| location.kind().is_regex());
    let found = match regexes.next() {
        Some((_, does)) => does.clone(),
        None => {
            routes.sort_by_key(|(location, _)| location.pattern().len());
            routes
                .last()
                .map(|(_, does)| does.clone())
                .unwrap_or_default()
        }
    };
    found.starts_with("    return: ")
}

/// How `wsgate import --strict` ends.
fn strict(file: &Path) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
    command.args(["import", "--strict"]).arg(file);
    command.output().unwrap().status.code()
}

#[tokio::test]
async fn nginx_refuses_a_client_with_nothing_at_each_of_these_places() {
    let echo = Echo::start().await;
    let cases = cases();
    let asked: Vec<_> = cases
        .iter()
        .filter(|(_, _, guard, _)| guard.refuses)
        .collect();
    // Those of `http` have a process each, the others a server in one.
    let (alone, together): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(http, ..)| !http.is_empty());
    let mut counted = 0;
    let mut groups: Vec<Vec<_>> = alone.into_iter().map(|case| vec![case]).collect();
    groups.push(together);
    for group in groups {
        let (_port, address) = reserve();
        let mut conf = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr notice; events {{ worker_connections 512; }}\n\
             http {{ error_log stderr crit; access_log off; client_body_temp_path temp; proxy_temp_path temp;\n\
             fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp; server_names_hash_max_size 4096; {PRELUDE}\n"
        );
        for (number, (http, server, ..)) in group.iter().enumerate() {
            conf += &format!("{http}\n");
            let reuse = if number == 0 { "reuseport" } else { "" };
            conf += &format!(
                "server {{ listen {address} {reuse}; server_name x{number}.test; {server} }}\n"
            );
        }
        conf += "}\n";
        let echo = |number: usize| format!("http://{}", echo.address(number));
        let conf = conf.replace("$S", &echo(0)).replace("$O", &echo(1));
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("htpasswd"), "").unwrap();
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let running = Running::start(dir);
        for (number, (_, server, guard, place)) in group.iter().enumerate() {
            let what = format!("{}: {server}", guard.text);
            let body = within(&what, ask(address, number, place.path)).await;
            assert!(
                !body.starts_with("0 "),
                "nginx lets it pass: {what}: {body}"
            );
            counted += 1;
        }
        drop(running);
    }
    assert!(counted > 500, "{counted}");
}

/// The body of the answer.
async fn ask(address: std::net::SocketAddr, number: usize, path: &str) -> String {
    let mut peer = Peer::plain(TcpStream::connect(address).await.unwrap());
    peer.send(format!(
        "GET {path} HTTP/1.1\r\nHost: x{number}.test\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let mut read = Vec::new();
    while matches!(peer.wire().read_buf(&mut read).await, Ok(1..)) {}
    let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = end.map_or(&[][..], |end| &read[end + 4..]);
    String::from_utf8_lossy(body).into_owned()
}
