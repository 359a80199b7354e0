//! Real nginx with the original and the real wsgate with what `import` made of it: both are asked the same.
//!
//! In both files ports become ones that the system gives, each upstream an echo that says which it is, TLS to upstreams
//! none, and certificates ones that are there. IPv6 is left out, since not every machine has it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use regex::Captures;
use regex::Regex;
use socket2::Socket;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::import::fixtures;
use crate::import::with_certificates;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::nginx_locations::random::Random;
use crate::support::Head;
use crate::support::KEY;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::begin_tls;
use crate::support::within;
use crate::support::write_pair;

/// Requests for each file, chosen from all pairs of its hosts, paths and ports.
const REQUESTS: usize = 250;

/// Each file, and the beginnings of host and path where it is known not to be carried over.
const FILES: [(&str, &[&str]); 16] = [
    (
        "access",
        &["/inside", "/admin", "/asked", "/read", "/rewritten"],
    ),
    ("certbot", &[]),
    ("debian", &["chat.example.com/.well-known"]),
    ("docker", &[]),
    ("headers", &[]),
    ("nested", &["/app/x.php"]),
    ("paths", &[]),
    ("ports", &[]),
    ("rails", &[]),
    ("returns", &[]),
    ("socketio_path", &[]),
    ("socketio_plain", &[]),
    ("socketio_sticky", &[]),
    ("sockets", &["/loop"]),
    ("two_sites", &[]),
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
    /// An upstream got it: which, and the target that it was asked for.
    Upstream(String),
    /// An answer of its own, and where it leads.
    Answer(u16, String),
    Closed,
}

#[derive(Clone, Debug)]
struct Request {
    host: String,
    target: String,
    port: u16,
    upgrade: bool,
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
            let whole = format!("{}{}", request.host, request.target);
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
        (Came::Upstream(one), Came::Upstream(other)) => (one == other).then_some("upstream"),
        // `redirect: https` keeps methods, and tells a WebSocket client, which follows no redirect.
        (Came::Answer(301, to), Came::Answer(308, also)) => (to == also).then_some("to https"),
        (Came::Answer(301, to), Came::Answer(426, _)) => {
            (request.upgrade && to.starts_with("https://")).then_some("to https")
        }
        // The missing slash is added for an upgrade.
        (Came::Answer(301, to), Came::Upstream(_)) => {
            (request.upgrade && to.split('?').next()?.ends_with('/')).then_some("slash")
        }
        (Came::Answer(status, to), Came::Answer(other, also)) if status == other => {
            match to.as_str() {
                "" => also.is_empty().then_some("answer"),
                to if to.ends_with('/') && to == also => Some("slash"),
                to => (to == also).then_some("redirect"),
            }
        }
        // The one status that says that the import has left something out.
        (_, Came::Answer(501, _)) => Some("no file, no handler"),
        // nginx looks for an index.html, and goes round in a circle without one.
        (Came::Answer(500, _), Came::Answer(404, _)) => Some("no index.html"),
        (Came::Closed, Came::Answer(404, _)) => Some("closed is 404"),
        _ => None,
    }
}

impl Came {
    /// With a `Location` as it is behind the ports that the file names; nginx's own ones have the authority of `host`.
    fn without_port(self, port: u16, host: &str) -> Self {
        match self {
            Self::Answer(status, to) => {
                let host = host.to_ascii_lowercase();
                let own = ["http", "https"].map(|scheme| format!("{scheme}://{host}:{port}"));
                let path = own.iter().find_map(|own| to.strip_prefix(own.as_str()));
                let to = match path.filter(|_| !host.is_empty()) {
                    Some(path) => path.to_owned(),
                    None => to.replace(&format!(":{port}/"), "/"),
                };
                Self::Answer(status, to)
            }
            other => other,
        }
    }
}

/// Where a port of the file is, and whether there is TLS.
type Ports = BTreeMap<u16, (SocketAddr, bool)>;

/// What stands for the upstreams of a file.
struct World<'e> {
    echo: &'e Echo,
    /// The number of each authority.
    known: BTreeMap<String, usize>,
    /// The authority of the first server of each group.
    groups: BTreeMap<String, String>,
}

impl<'e> World<'e> {
    fn of(echo: &'e Echo) -> Self {
        Self {
            echo,
            known: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    fn learn(&mut self, conf: &str) {
        for group in upstream().captures_iter(conf) {
            let first = Regex::new(r"server\s+([^\s;]+)")
                .unwrap()
                .captures(&group[2])
                .unwrap();
            self.groups.insert(group[1].to_owned(), full(&first[1], 80));
        }
    }

    fn address(&mut self, authority: &str) -> String {
        let next = self.known.len();
        let number = *self.known.entry(authority.to_owned()).or_insert(next);
        self.echo.address(number).to_string()
    }

    /// A directory with the original, for these ports.
    fn nginx(&mut self, conf: &str, name: &str, ports: &Ports) -> TempDir {
        let dir = TempDir::new().unwrap();
        write_pair(dir.path());
        let mut texts = vec![("nginx.conf".to_owned(), framed(&self.upstreams(conf)))];
        for (path, text) in files(&fixtures().join(name)) {
            let below = path.strip_prefix(fixtures()).unwrap().display().to_string();
            texts.push((below, self.upstreams(&text)));
        }
        let mut first = ports.clone();
        for (path, text) in texts {
            let text = listen().replace_all(&text, |found: &Captures<'_>| {
                let Some(port) = port_of(&found[1]) else {
                    return String::new();
                };
                let (address, _) = ports[&port];
                let mut options: Vec<&str> = found[2]
                    .split_whitespace()
                    .filter(|word| ["ssl", "default_server"].contains(word))
                    .collect();
                if first.remove(&port).is_some() {
                    options.push("reuseport");
                }
                format!("listen {address} {};", options.join(" "))
            });
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.as_bytes()).unwrap();
        }
        dir
    }

    /// The text with echoes for upstreams, and without what belongs to another machine.
    fn upstreams(&mut self, conf: &str) -> String {
        let machine = r"(?m)^\s*(user|pid|error_log|access_log|worker_processes|ssl_dhparam|proxy_ssl_trusted_certificate|include /nowhere)\s?[^;]*;";
        let text = Regex::new(machine).unwrap().replace_all(conf, "");
        let folder = Regex::new(r"\b(root|alias) [^;]*;").unwrap();
        let text = folder.replace_all(&text, "$1 nothing/;");
        let text = upstream().replace_all(&text, |found: &Captures<'_>| {
            let first = self.groups[&found[1]].clone();
            format!(
                "upstream {} {{ server {}; }}",
                &found[1],
                self.address(&first)
            )
        });
        let pass = Regex::new(r"proxy_pass (https?)://(unix:[^:;]+|[^/;\s]+):?").unwrap();
        // The colon is that of a socket, since an authority has its own.
        let text = pass.replace_all(&text, |found: &Captures<'_>| {
            let authority = found[2].to_owned();
            if authority.contains('$') || self.groups.contains_key(&authority) {
                return format!("proxy_pass http://{authority}");
            }
            let port = if &found[1] == "https" { 443 } else { 80 };
            format!(
                "proxy_pass http://{}",
                self.address(&full(&authority, port))
            )
        });
        let certificate = Regex::new(r"ssl_certificate(_key)?\s+[^;]+;").unwrap();
        let text = certificate.replace_all(&text, |found: &Captures<'_>| match found.get(1) {
            Some(_) => "ssl_certificate_key key.pem;",
            None => "ssl_certificate cert.pem;",
        });
        text.into_owned()
    }

    /// The import, for the same upstreams and these ports.
    fn yaml(&mut self, yaml: &str, ports: &Ports) -> String {
        let yaml = with_certificates(yaml);
        let six = Regex::new("(?m)^  - address: \"\\[.*\n(    .*\n)*").unwrap();
        let yaml = six.replace_all(&yaml, "");
        let address = Regex::new(r"(?m)^  - address: (\d+).*$").unwrap();
        let yaml = address.replace_all(&yaml, |found: &Captures<'_>| {
            let (address, _) = ports[&found[1].parse().unwrap()];
            format!("  - address: \"{address}\"\n    reuseport: true")
        });
        let when = Regex::new(r"(?m)^    when: .*$").unwrap();
        let yaml = when.replace_all(&yaml, |found: &Captures<'_>| {
            let number = Regex::new(r"\d+").unwrap();
            let port =
                |found: &Captures<'_>| ports[&found[0].parse().unwrap()].0.port().to_string();
            number.replace_all(&found[0], port).into_owned()
        });
        let yaml = Regex::new(r"(?m)^    ca: .*\n")
            .unwrap()
            .replace_all(&yaml, "");
        let pass = Regex::new(r"(?m)^    proxy_pass: https?://(unix:[^:\s]+|[^/\s]+):?").unwrap();
        let yaml = pass.replace_all(&yaml, |found: &Captures<'_>| {
            format!("    proxy_pass: http://{}", self.address(&found[1]))
        });
        format!("threads: 1\n{yaml}")
    }
}

/// System-given ports for those that the file listens on, held until both are dropped.
fn ports(conf: &str) -> (Ports, Vec<Socket>) {
    let (mut ports, mut held) = (Ports::new(), Vec::new());
    for listen in listen().captures_iter(conf) {
        let Some(port) = port_of(&listen[1]) else {
            continue;
        };
        let tls = listen[2].split_whitespace().any(|word| word == "ssl");
        ports.entry(port).or_insert_with(|| {
            let (socket, address) = reserve();
            held.push(socket);
            (address, tls)
        });
    }
    (ports, held)
}

/// With what every nginx of a test has.
fn framed(conf: &str) -> String {
    let http = "access_log off; log_not_found off; client_body_temp_path temp; proxy_temp_path temp;\n\
                fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;\n";
    let main = "daemon off; master_process off; pid nginx.pid; error_log stderr notice;\n";
    let events = Regex::new(r"events\s*\{[^}]*\}").unwrap();
    let conf = events.replace(conf, "");
    let conf = match conf.split_once("http {") {
        Some((before, inside)) => format!("{before}http {{\n{http}{inside}"),
        None => format!("http {{\n{http}{conf}\n}}"),
    };
    format!("{main}events {{ worker_connections 512; }}\n{conf}")
}

fn upstream() -> Regex {
    Regex::new(r"upstream\s+(\S+)\s*\{([^}]*)\}").unwrap()
}

fn listen() -> Regex {
    Regex::new(r"\blisten\s+([^\s;]+)([^;]*);").unwrap()
}

fn port_of(address: &str) -> Option<u16> {
    address.parse().ok()
}

fn full(authority: &str, port: u16) -> String {
    match authority.contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:{port}"),
    }
}

/// The files below a directory, if there is one.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

fn included(dir: &Path) -> String {
    files(dir).into_iter().map(|(_, text)| text).collect()
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
    let location = Regex::new(r#"location\s+(?:=\s+|\^~\s+)?"?(/[^\s"{]*)"#).unwrap();
    for found in location.captures_iter(conf) {
        let path = found[1].to_owned();
        let bare = path.trim_end_matches('/').to_owned();
        targets.extend([format!("{bare}/x/y?q=1"), path]);
        if !bare.is_empty() {
            targets.extend([format!("{bare}x"), bare]);
        }
    }
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
        Request {
            host: (*host).clone(),
            target: (*target).clone(),
            port: *port,
            upgrade: random.percent(25),
        }
    });
    picked.collect()
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
    peer.send(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n"
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
        return match said_by_echo {
            true => Came::Upstream(body),
            false => Came::Answer(
                head.status(),
                head.value("location").unwrap_or_default().to_owned(),
            ),
        };
    }
}
