//! Real nginx with the original and the real wsgate with what `import` made of it: both are asked the same.
//!
//! In both files ports become ones that the system gives, each upstream an echo that says which it is, TLS to upstreams
//! none, and certificates ones that are there. IPv6 is left out, since not every machine has it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use regex::Regex;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::import::fixtures;
use crate::import::world::World;
use crate::import::world::included;
use crate::import::world::listen;
use crate::import::world::port_of;
use crate::import::world::ports;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::random::Random;
use crate::support::Head;
use crate::support::KEY;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::begin_tls;
use crate::support::within;

/// Requests for each file, chosen from all pairs of its hosts, paths and ports.
const REQUESTS: usize = 250;

/// Each file, and the beginnings of host and path where it is known not to be carried over.
const FILES: [(&str, &[&str]); 33] = [
    ("access", &["/admin", "/asked", "/if"]),
    // A field that is lost.
    ("answers", &["/lost"]),
    ("certbot", &[]),
    ("client_limits", &[]),
    ("closed_nested", &[]),
    // What is closed is only compared in what is open.
    (
        "closed_rewrite",
        &["/app", "/open/x", "/self/x", "/tools", "two.test/"],
    ),
    ("conditions", &[]),
    // These are known to be lost.
    (
        "constants",
        &["/sometimes", "/unknown", "sonarr.example.de"],
    ),
    ("debian", &["chat.example.com/.well-known"]),
    // In the test no upstream is a Unix socket, of which the host is `localhost`.
    ("default_host", &["/unix"]),
    ("default_type", &[]),
    ("docker", &[]),
    ("groups", &[]),
    ("groups_chosen", &[]),
    ("headers", &[]),
    ("leads_back", &["/lost"]),
    ("maps", &["/differs"]),
    ("nested", &[]),
    ("paths", &[]),
    ("ports", &[]),
    ("scheme", &[]),
    ("redirects", &["www.five.test"]),
    ("rails", &[]),
    ("returns", &[]),
    ("rewrites", &["/last", "/port"]),
    ("server_try_files", &["second.example.com", "/files"]),
    ("socketio_path", &[]),
    ("socketio_plain", &[]),
    ("socketio_sticky", &[]),
    ("sockets", &["/loop", "/cable"]),
    ("two_sites", &[]),
    // An `if` that closes its location.
    ("unix_sockets", &["/no-port"]),
    // These names are no wildcards of wsgate's.
    ("wildcards", &["me.example.net", "www.example.de"]),
];

/// Paths that meet regexes, or nothing.
const PATHS: [&str; 18] = [
    "/",
    "/other?x=1",
    "/a.png",
    "/IMG.SVG?v=1",
    "/room/12",
    "/room/1234",
    "/2024/x",
    "/.git/config",
    "/.well-known/x",
    "/app/x.php",
    "/app/img/x.png",
    "/u/me",
    "/%61pi/x",
    "/api//x/../y",
    "/a%20b/c",
    "/socket.io/?EIO=4&transport=polling",
    "/assets/deep/a.png",
    "/only",
];

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Came {
    /// An upstream got it: which, the target that it was asked for, and the fields `X-…` of its answer, of which one says
    /// its `Host`.
    Upstream(String, Vec<String>),
    /// An answer of its own, where it leads, and its fields `X-…`.
    Answer(u16, String, Vec<String>),
    Closed,
}

#[derive(Clone, Debug)]
struct Request {
    host: String,
    target: String,
    port: u16,
    upgrade: bool,
    /// One of those for which the file has conditions, else GET.
    method: String,
    /// Lines of header fields, with the values for which the file asks.
    fields: String,
}

#[tokio::test]
async fn an_import_does_what_the_original_does() {
    let mut asked = 0;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (name, lost)) in FILES.iter().enumerate() {
        let conf = fs::read_to_string(fixtures().join(format!("{name}.conf"))).unwrap();
        let yaml = fs::read_to_string(fixtures().join(format!("{name}.yaml"))).unwrap();
        let echo = Echo::start().await;
        let mut world = World::of(&echo);
        let whole = conf.clone() + &included(&fixtures().join(name));
        world.learn(&whole);
        let (nginx_ports, _held) = ports(&whole);
        let running = Running::start(world.nginx(&conf, name, &nginx_ports));
        let (gate_ports, _also_held) = ports(&whole);
        let gate = TestServer::setup()
            .whole(world.yaml(&yaml, &gate_ports))
            .start()
            .await;
        let mut random = Random::of(1, number);
        for request in requests(&whole, &mut random) {
            let what = format!("{name}: {request:?}");
            let host = request.host.to_ascii_lowercase();
            let whole = format!("{host}{}", request.target);
            if lost
                .iter()
                .any(|begin| whole.starts_with(begin) || request.target.starts_with(begin))
            {
                continue;
            }
            let theirs = within(&what, ask(&request, nginx_ports[&request.port])).await;
            let ours = within(&what, ask(&request, gate_ports[&request.port])).await;
            let theirs = theirs.without_port(nginx_ports[&request.port].0.port(), &request.host);
            let ours = gate_ports.values().fold(ours, |ours, (address, _)| {
                ours.without_port(address.port(), "")
            });
            let kind = same(&request, &theirs, &ours)
                .unwrap_or_else(|| panic!("{what}\n  nginx:  {theirs:?}\n  wsgate: {ours:?}"));
            *seen.entry(kind).or_default() += 1;
            asked += 1;
        }
        drop((running, gate));
    }
    println!("{asked} requests: {seen:#?}");
    assert!(asked >= 2_000, "{asked}");
    for kind in [
        "upstream",
        "answer",
        "redirect",
        "to https",
        "no file, no handler",
        "closed is 404",
        "slash",
    ] {
        assert!(seen.contains_key(kind), "never seen: {kind}");
    }
}

/// How both did the same; `None` if they did not.
fn same(request: &Request, theirs: &Came, ours: &Came) -> Option<&'static str> {
    match (theirs, ours) {
        (Came::Upstream(one, fields), Came::Upstream(other, also)) => {
            (one == other && fields == also).then_some("upstream")
        }
        // `redirect: https` keeps methods, and tells a WebSocket client, which follows no redirect.
        (Came::Answer(301, to, _), Came::Answer(308, also, _)) => {
            leads_alike(to, also).then_some("to https")
        }
        (Came::Answer(301, to, _), Came::Answer(426, ..)) => {
            (request.upgrade && to.starts_with("https://")).then_some("to https")
        }
        // The missing slash is added for an upgrade.
        (Came::Answer(301, to, _), Came::Upstream(..)) => {
            (request.upgrade && to.split('?').next()?.ends_with('/')).then_some("slash")
        }
        (Came::Answer(status, to, fields), Came::Answer(other, also, too)) if status == other => {
            if fields != too {
                return None;
            }
            match to.as_str() {
                "" => also.is_empty().then_some("answer"),
                to if to.ends_with('/') && to == also => Some("slash"),
                to => leads_alike(to, also).then_some("redirect"),
            }
        }
        // The one status that says that the import has left something out.
        (_, Came::Answer(501, ..)) => Some("no file, no handler"),
        // nginx knows no file either, but says first that files are only read.
        (Came::Answer(405, ..), Came::Answer(404, ..)) if request.method != "GET" => {
            Some("no file, no method")
        }
        // nginx looks for an index.html, and goes round in a circle without one.
        (Came::Answer(500, ..), Came::Answer(404, ..)) => Some("no index.html"),
        (Came::Closed, Came::Answer(404, ..)) => Some("closed is 404"),
        _ => None,
    }
}

/// Whether two redirects lead to one path. nginx's `rewrite` decodes it, and a part of a match is of the path that nginx
/// has tidied up.
fn leads_alike(one: &str, other: &str) -> bool {
    let tidy = |to: &str| {
        let (path, query) = to.split_once('?').unwrap_or((to, ""));
        let mut parts: Vec<&str> = Vec::new();
        let decoded = path
            .replace("%61", "a")
            .replace("%20", " ")
            .replace("//", "/");
        for part in decoded.split('/') {
            match part {
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        format!("{}?{query}", parts.join("/"))
    };
    tidy(one) == tidy(other)
}

impl Came {
    /// With a `Location` as it is behind the ports that the file names; nginx's own ones have the authority of `host`.
    fn without_port(self, port: u16, host: &str) -> Self {
        match self {
            Self::Answer(status, to, fields) => {
                let host = host.to_ascii_lowercase();
                let own = ["http", "https"].map(|scheme| format!("{scheme}://{host}:{port}"));
                let path = own.iter().find_map(|own| to.strip_prefix(own.as_str()));
                let to = match path.filter(|_| !host.is_empty()) {
                    Some(path) => path.to_owned(),
                    None => to.replace(&format!(":{port}/"), "/"),
                };
                Self::Answer(status, to, fields)
            }
            other => other,
        }
    }
}

/// Requests that meet the names and locations of a file, or just miss them.
fn requests(conf: &str, random: &mut Random) -> Vec<Request> {
    let mut hosts: Vec<String> = ["elsewhere.test", "me.example.net", "www.example.de"]
        .map(str::to_owned)
        .into();
    for names in Regex::new(r"server_name\s+([^;]+);")
        .unwrap()
        .captures_iter(conf)
    {
        for name in names[1].split_whitespace() {
            if let Some(below) = name.strip_prefix("*.").or(name.strip_prefix('.')) {
                hosts.extend([
                    below.to_owned(),
                    format!("x.{below}"),
                    format!("x.y.{below}"),
                ]);
            } else if !name.starts_with(['~', '_']) && !name.ends_with('*') {
                hosts.extend([name.to_owned(), name.to_uppercase(), format!("x.{name}")]);
            }
        }
    }
    let mut targets: Vec<String> = PATHS.map(str::to_owned).into();
    let location = Regex::new(r#"location\s+(?:=\s+|\^~\s+|~\*?\s+\^)?"?(/[^\s"{(]*)"#).unwrap();
    for found in location.captures_iter(conf) {
        let path = found[1].to_owned();
        let bare = path.trim_end_matches('/').to_owned();
        targets.extend([format!("{bare}/x/y?q=1"), path]);
        if !bare.is_empty() {
            targets.extend([format!("{bare}x"), bare]);
        }
    }
    for (name, value) in asked(conf, "arg") {
        let path = targets[random.below(targets.len())].clone();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        targets.extend([
            format!("{path}?{name}={value}"),
            format!("{path}?a=b&{name}=x"),
        ]);
    }
    let fields = asked(conf, "http");
    let methods: &[&str] = match conf.contains("$request_method") || conf.contains("limit_except") {
        true => &["GET", "GET", "POST", "OPTIONS", "DELETE"],
        false => &["GET"],
    };
    let mut ports: Vec<u16> = listen()
        .captures_iter(conf)
        .filter_map(|found| port_of(&found[1]))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let mut all = Vec::new();
    for host in &hosts {
        for target in &targets {
            for port in &ports {
                all.push((host, target, *port));
            }
        }
    }
    let picked = (0..REQUESTS.min(all.len() * 2)).map(|_| {
        let (host, target, port) = &all[random.below(all.len())];
        let upgrade = random.percent(25);
        let method = methods[random.below(methods.len())];
        let some = (0..fields.len().min(2)).map(|_| &fields[random.below(fields.len())]);
        let mut lines: Vec<String> = some
            .map(|(name, value)| format!("{}: {value}\r\n", name.replace('_', "-")))
            .collect();
        // Which of two lines counts is not the same for both.
        lines.dedup_by_key(|line| line.split(':').next().unwrap_or_default().to_owned());
        if random.percent(40) {
            lines.clear();
        }
        Request {
            host: (*host).clone(),
            target: (*target).clone(),
            port: *port,
            upgrade,
            // An upgrade is asked for by GET.
            method: if upgrade { "GET" } else { method }.to_owned(),
            fields: lines.concat(),
        }
    });
    picked.collect()
}

/// The fields or parameters for which a file asks, each with a value: `http_x_key` with `secret`, and with another.
fn asked(conf: &str, kind: &str) -> Vec<(String, String)> {
    let condition = Regex::new(&format!(r"\$\{{?{kind}_(\w+)\}}? !?[=~*]+ (.*?)\) \{{")).unwrap();
    let word = Regex::new(r"[a-zA-Z0-9:/. -]+").unwrap();
    let mut asked = Vec::new();
    for found in condition.captures_iter(conf) {
        let name = found[1].to_owned();
        if matches!(name.as_str(), "upgrade" | "connection") {
            continue;
        }
        let regex = found[2].replace('\\', "");
        let whole = regex.replace("(www.)?", "").replace('?', "");
        for value in [&regex, &whole] {
            asked.extend(
                word.find_iter(value)
                    .map(|word| (name.clone(), word.as_str().to_owned())),
            );
        }
        asked.push((name, "other".to_owned()));
    }
    let map = Regex::new(&format!(r"map \$\{{?{kind}_(\w+)\}}? \$\w+ \{{([^}}]*)\}}")).unwrap();
    for found in map.captures_iter(conf) {
        let keys = found[2]
            .split(';')
            .filter_map(|entry| entry.split_whitespace().next());
        let plain =
            |key: &&str| !matches!(&found[1], "upgrade" | "connection") && !key.starts_with('~');
        asked.extend(
            keys.filter(plain)
                .map(|key| (found[1].to_owned(), key.replace(['"', '\''], ""))),
        );
    }
    asked
}

async fn ask(request: &Request, (address, tls): (SocketAddr, bool)) -> Came {
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut peer = if tls {
        begin_tls(tcp).await
    } else {
        Peer::plain(tcp)
    };
    let upgrade = match request.upgrade {
        true => format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        ),
        false => String::new(),
    };
    let (target, host) = (&request.target, &request.host);
    let (method, fields) = (&request.method, &request.fields);
    let body = match method.as_str() {
        "POST" => "Content-Length: 0\r\n",
        _ => "",
    };
    peer.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{upgrade}{fields}{body}\r\n"
    ))
    .await;
    let mut read = Vec::new();
    loop {
        if !matches!(peer.wire().read_buf(&mut read).await, Ok(1..)) {
            return Came::Closed;
        }
        let Some(end) = read
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .map(|at| at + 4)
        else {
            continue;
        };
        let head = Head::new(&read[..end]);
        let length: usize = head
            .value("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if read.len() < end + length {
            continue;
        }
        let body = String::from_utf8_lossy(&read[end..]).into_owned();
        let said_by_echo = head.status() == 200
            && head
                .value("server")
                .is_none_or(|server| server.starts_with("nginx"))
            && body
                .split(' ')
                .next()
                .is_some_and(|number| number.parse::<usize>().is_ok());
        let fields = added(&String::from_utf8_lossy(&read[..end]), request);
        return match said_by_echo {
            true => Came::Upstream(body, fields),
            false => Came::Answer(
                head.status(),
                head.value("location").unwrap_or_default().to_owned(),
                fields,
            ),
        };
    }
}

/// The fields `X-…` and the `Location` of an upstream's head, sorted. nginx puts its own host before a path. A host is shown in lower case, and without the port that a client names: `$host` is
/// so in nginx, and goes on as the client wrote it in wsgate. That of a Unix socket is an address here, but not in the file.
fn added(head: &str, request: &Request) -> Vec<String> {
    let host = request.host.to_lowercase();
    let own = ["http", "https"].map(|scheme| format!("location: {scheme}://{host}"));
    let mut fields: Vec<String> = head
        .lines()
        .map(str::to_ascii_lowercase)
        .filter(|line| {
            line.starts_with("x-") || head.contains("X-Host") && line.starts_with("location: ")
        })
        .map(|line| match line.strip_prefix("x-host: ") {
            Some(host) if host.starts_with("127.0.0.1:") => line,
            Some(host) => format!("x-host: {}", host.split(':').next().unwrap()),
            None => match own.iter().find_map(|own| line.strip_prefix(own.as_str())) {
                Some(to) => format!("location: {}", &to[to.find('/').unwrap_or(0)..]),
                None => line,
            },
        })
        .collect();
    fields.sort();
    fields
}
