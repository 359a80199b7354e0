//! A server is chosen once for each request: the one that is connected to is the one that errors and the log name, though the
//! upstream would give another one the next time it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Action;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::server;
use crate::server::Running;
use crate::server::observers::Observers;
use crate::server::test_support::DEADLINE;
use crate::server::test_support::ask;
use crate::server::test_support::config;
use crate::server::test_support::read;
use crate::server::test_support::upgrade;
use crate::upstream::Balance;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::MemberSettings;
use crate::upstream::Scheme;
use crate::upstream::Server;
use crate::upstream::Servers;
use crate::upstream::Sticky;
use crate::upstream::Upstream;
use crate::upstream::WrittenServer;

/// Writes down where each request went, and what went wrong there.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<(String, String)>>);

impl Log {
    fn note(&self, exchange: &Exchange, reason: Option<&Reason>) {
        let to = exchange.upstream_addr.as_ref().map(ToString::to_string);
        let reason = match reason {
            Some(Reason::Upstream(reason) | Reason::Unanswered(reason)) => reason.clone(),
            _ => String::new(),
        };
        let mut lines = self.0.lock().unwrap();
        lines.push((to.unwrap_or_default(), reason));
    }

    /// The line of the request that was answered last.
    async fn next(&self) -> (String, String) {
        let waiting = async {
            loop {
                if let Some(line) = self.0.lock().unwrap().pop() {
                    return line;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, waiting).await.expect("a line")
    }
}

impl Observer for Log {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        self.note(exchange, end.reason.as_ref());
    }

    fn tunnel_opened(&self, _: TunnelId, exchange: &Exchange) {
        self.note(exchange, None);
    }

    fn tunnel_ended(&self, _: TunnelId, _: &Exchange, _: &TunnelEnd) {}
}

/// A server whose answers say its port and what it was asked for. Asked for `/close` it closes the connection instead.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(answer(tcp, address.port()));
        }
    });
    address
}

async fn answer(mut tcp: TcpStream, port: u16) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        if target.ends_with("/close") {
            return None;
        }
        let says = format!("{port} {target}\n");
        let answer = match head.contains("Upgrade: websocket") {
            true => format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n{says}"
            ),
            false => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{says}",
                says.len()
            ),
        };
        tcp.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// A group in which the servers of these upstreams take turns, at the path of the first one.
fn taking_turns(upstreams: &[Upstream]) -> Upstream {
    let servers = upstreams.iter().map(|upstream| match upstream.servers() {
        Servers::One(server) => WrittenServer {
            server: Arc::new(Server::new(server.proxy_pass().without_uri(), |_| None).unwrap()),
            settings: MemberSettings::default(),
        },
        Servers::Group(_) => panic!("a group"),
    });
    let settings = GroupSettings {
        name: "turns".to_owned(),
        balance: Balance::RoundRobin,
        sticky: Sticky::default(),
        health_check: None,
        slow_start: Duration::ZERO,
        close_tunnels: false,
        valid: Duration::from_secs(5),
    };
    let group = Arc::new(Group::new(settings, servers.collect()));
    let uri = upstreams[0].uri().map(str::to_owned);
    Upstream::of_group(group, Scheme::Http, uri)
}

/// Serves `/` from two servers that take turns, and `/gone` from two that are not there.
async fn start(folder: &TempDir, log: &Arc<Log>) -> (Running, SocketAddr) {
    let mut gone = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.push((listener.local_addr().unwrap(), listener));
    }
    let mut text = "threads: 1\nlisten:\n  - address: 127.0.0.1:0\nroutes:\n".to_owned();
    for (location, to) in [
        ("/", upstream().await),
        ("= /other", upstream().await),
        ("/gone", gone[0].0),
        ("= /gone/other", gone[1].0),
    ] {
        text.push_str(&format!(
            "  - location: {location}\n    proxy_pass: http://{to}/at/\n"
        ));
    }
    drop(gone);
    let mut config = config(folder, &text);
    for (at, other) in [(0, 1), (2, 3)] {
        let both = [at, other].map(|at| match &config.routes[at].to {
            Action::ProxyPass(upstream) => upstream.clone(),
            Action::Return(_) => panic!("no upstream"),
        });
        config.routes[at].to = Action::ProxyPass(taking_turns(&both));
    }
    let opened = server::open(config, OffsetDateTime::now_utc()).unwrap();
    let address = opened.listening()[0].address.ip().unwrap();
    let observers = Observers::with(Arc::clone(log) as Arc<dyn Observer>);
    (opened.start_telling(observers).unwrap(), address)
}

/// A request with one more line, which leaves it to hyper: without hyper nobody is served who expects something.
const WAYS: [&str; 2] = ["", "Expect: 100-continue\r\n"];

#[tokio::test]
async fn the_server_that_answers_is_the_one_in_the_log() {
    let (folder, log) = (TempDir::new().unwrap(), Arc::<Log>::default());
    let (running, address) = start(&folder, &log).await;
    for way in WAYS {
        let mut before = String::new();
        for _ in 0..4 {
            let request = format!("GET /x HTTP/1.1\r\nHost: a.test\r\n{way}\r\n");
            let (said, _) = ask(address, &request, " /at/x\n").await;
            let port = said.lines().last().unwrap().split(' ').next().unwrap();
            assert_ne!(port, before, "servers take turns");
            before = port.to_owned();
            let (to, reason) = log.next().await;
            assert_eq!((to, reason), (format!("127.0.0.1:{port}"), String::new()));
        }
    }
    running.cut();
}

#[tokio::test]
async fn a_connection_that_was_kept_is_used_for_its_own_server_only() {
    let (folder, log) = (TempDir::new().unwrap(), Arc::<Log>::default());
    let (running, address) = start(&folder, &log).await;
    for method in ["GET", "DELETE"] {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let mut before = String::new();
        for _ in 0..4 {
            let request = format!("{method} /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
            tcp.write_all(request.as_bytes()).await.unwrap();
            let said = read(&mut tcp, " /at/x\n").await;
            let port = said.lines().last().unwrap().split(' ').next().unwrap();
            assert_ne!(port, before, "servers take turns");
            before = port.to_owned();
            assert_eq!(log.next().await.0, format!("127.0.0.1:{port}"));
        }
    }
    running.cut();
}

#[tokio::test]
async fn the_server_that_is_blamed_is_the_one_that_was_asked() {
    let (folder, log) = (TempDir::new().unwrap(), Arc::<Log>::default());
    let (running, address) = start(&folder, &log).await;
    for (path, blames) in [
        (
            "/close",
            "upstream ADDRESS closed the connection without an answer",
        ),
        (
            "/gone/x",
            "cannot connect to upstream ADDRESS: connection refused",
        ),
    ] {
        for way in WAYS {
            for request in [
                format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{way}\r\n"),
                upgrade(path).replace("Host:", &format!("{way}Host:")),
            ] {
                for _ in 0..2 {
                    let (said, _) = ask(address, &request, "\n").await;
                    assert!(said.starts_with("HTTP/1.1 502"), "{said}");
                    let (to, reason) = log.next().await;
                    assert_eq!(reason, blames.replace("ADDRESS", &to));
                }
            }
        }
    }
    running.cut();
}

#[tokio::test]
async fn the_server_of_a_tunnel_is_the_one_in_the_log() {
    let (folder, log) = (TempDir::new().unwrap(), Arc::<Log>::default());
    let (running, address) = start(&folder, &log).await;
    for way in WAYS {
        let mut before = String::new();
        for _ in 0..2 {
            let request = upgrade("/ws").replace("Host:", &format!("{way}Host:"));
            let (said, _) = ask(address, &request, " /at/ws\n").await;
            assert!(said.starts_with("HTTP/1.1 101"), "{said}");
            let port = said.lines().last().unwrap().split(' ').next().unwrap();
            assert_ne!(port, before, "servers take turns");
            before = port.to_owned();
            assert_eq!(log.next().await.0, format!("127.0.0.1:{port}"));
        }
    }
    running.cut();
}
