//! What the main thread finds out about groups reaches the threads that serve, and what is under way goes on.

use std::net::IpAddr;
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
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::GroupEvent;
use crate::observe::Observer;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::server;
use crate::server::Supervisor;
use crate::server::group_watch::WatchTerms;
use crate::server::health::Pace;
use crate::server::observers::Observers;
use crate::server::test_support::DEADLINE;
use crate::server::test_support::ask;
use crate::server::test_support::config;
use crate::server::test_support::read;
use crate::server::test_support::upgrade;

/// Writes down what it hears of groups, and who ended tunnels.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// Waits for a line that begins so.
    async fn has(&self, beginning: &str) -> String {
        let waiting = async {
            loop {
                let lines = self.0.lock().unwrap().clone();
                let mut lines = lines.into_iter();
                if let Some(line) = lines.find(|line| line.starts_with(beginning)) {
                    return line;
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        let line = timeout(DEADLINE, waiting).await;
        line.unwrap_or_else(|_| panic!("no `{beginning}` in {:?}", self.0.lock().unwrap()))
    }
}

impl Observer for Log {
    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        assert_eq!(upstream, "chat");
        self.note(match event {
            GroupEvent::Down { server, .. } => format!("down {server}"),
            GroupEvent::Up { server, .. } => format!("up {server}"),
            GroupEvent::Drained { server } => format!("drained {server}"),
            GroupEvent::AllDown => "all down".to_owned(),
            GroupEvent::Resolved {
                addresses,
                draining,
                ..
            } => format!("resolved: {addresses}, {draining}"),
            GroupEvent::Unresolved { reason, .. } => format!("unresolved: {reason}"),
        });
    }

    fn tunnel_ended(&self, _: TunnelId, _: &Exchange, end: &TunnelEnd) {
        if end.ended_by == EndedBy::Down {
            self.note("tunnel ended".to_owned());
        }
    }
}

/// Answers each request with its own IP address, after a while one to `/held`; in a tunnel it says that first, and then what it hears.
async fn serve(listener: TcpListener, release: Arc<tokio::sync::Notify>) {
    while let Ok((mut tcp, _)) = listener.accept().await {
        let release = Arc::clone(&release);
        tokio::spawn(async move {
            let ip = tcp.local_addr().unwrap().ip();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = tcp.read_u8().await else {
                    return;
                };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            if head.contains("Upgrade: websocket") {
                let switching = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n{ip}\n"
                );
                let _ = tcp.write_all(switching.as_bytes()).await;
                let (mut from, mut to) = tcp.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                return;
            }
            if head.starts_with("GET /held") {
                release.notified().await;
            }
            let says = format!("{ip}\n");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{says}",
                says.len()
            );
            let _ = tcp.write_all(answer.as_bytes()).await;
        });
    }
}

/// Servers at one port of several addresses, and wsgate in front of the name that leads to some of them.
struct House {
    log: Arc<Log>,
    gate: SocketAddr,
    /// What the name leads to.
    found: Arc<Mutex<Result<Vec<IpAddr>, &'static str>>>,
    release: Arc<tokio::sync::Notify>,
    servers: Vec<JoinHandle<()>>,
    /// Other files to be served.
    files: mpsc::UnboundedSender<(String, oneshot::Sender<usize>)>,
    text: String,
    _folder: TempDir,
}

const IPS: [&str; 2] = ["127.0.0.21", "127.0.0.22"];

impl House {
    async fn begin(of_group: &str) -> Self {
        let first = TcpListener::bind((IPS[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind((IPS[1], port)).await.unwrap();
        let release = Arc::<tokio::sync::Notify>::default();
        let servers = [first, second].map(|one| tokio::spawn(serve(one, Arc::clone(&release))));
        let folder = TempDir::new().unwrap();
        let text = format!(
            "threads: 2\nlisten: [{{ address: '127.0.0.1:0' }}]\nupstreams:\n  chat:\n    valid: 20ms\n    \
             servers: [{{ server: 'chat.test:{port}', resolve: true }}]\n{of_group}\
             routes:\n  - {{ location: /, proxy_pass: 'http://chat' }}\n"
        );
        let log = Arc::<Log>::default();
        let opened = server::open(config(&folder, &text), OffsetDateTime::now_utc()).unwrap();
        let gate = opened.listening()[0].address.ip().unwrap();
        let observers = Observers::with(Arc::clone(&log) as Arc<dyn Observer>);
        let running = opened.start_telling(observers).unwrap();
        let found = Arc::new(Mutex::new(Ok(vec![IPS[0].parse().unwrap()])));
        let resolver = {
            let found = Arc::clone(&found);
            move |_: &str| found.lock().unwrap().clone().map_err(std::io::Error::other)
        };
        let (files, mut read) = mpsc::unbounded_channel::<(String, oneshot::Sender<usize>)>();
        let terms = WatchTerms {
            resolver: Arc::new(resolver),
            pace: Pace {
                look: Duration::from_millis(5),
                interval: Duration::from_millis(20),
                drain: Duration::from_millis(100),
                ..Pace::USUAL
            },
            tunnels_end_within: Duration::ZERO,
        };
        let mut supervisor = Supervisor::begin_with(terms, running).await;
        spawn_local(async move {
            let folder = TempDir::new().unwrap();
            loop {
                tokio::select! {
                    _ = supervisor.next() => {}
                    file = read.recv() => match file {
                        Some((text, done)) => {
                            let now = OffsetDateTime::now_utc();
                            let changes = supervisor.reload(config(&folder, &text), now).await;
                            let _ = done.send(changes.unwrap().len());
                        }
                        None => return supervisor.end().cut(),
                    },
                }
            }
        });
        log.has("resolved: 1, 0").await;
        Self {
            log,
            gate,
            found,
            release,
            servers: servers.into(),
            files,
            text,
            _folder: folder,
        }
    }

    fn leads_to(&self, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().unwrap());
        *self.found.lock().unwrap() = Ok(ips.collect());
    }

    /// Serves another file; returns how many changes it has.
    async fn reload(&self, from: &str, to: &str) -> usize {
        let (done, changes) = oneshot::channel();
        let text = self.text.replace(from, to);
        self.files.send((text, done)).unwrap();
        timeout(DEADLINE, changes).await.unwrap().unwrap()
    }

    async fn answers(&self) -> String {
        let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        let (said, _) = ask(self.gate, request, "nothing").await;
        assert!(said.contains("\r\n\r\n"), "{said}");
        last_line(&said)
    }

    /// Waits until it is these servers that answer.
    async fn is_answered_by(&self, servers: &[&str]) {
        let waiting = async {
            let mut in_a_row = 0;
            while in_a_row < 8 {
                let answers = self.answers().await;
                in_a_row = if servers.contains(&answers.as_str()) {
                    in_a_row + 1
                } else {
                    0
                };
            }
        };
        timeout(DEADLINE, waiting).await.expect("they answer");
    }

    async fn tunnel(&self) -> (String, TcpStream) {
        let (said, tunnel) = ask(self.gate, &upgrade("/ws"), ".21\n").await;
        (last_line(&said), tunnel)
    }
}

fn last_line(said: &str) -> String {
    said.lines().last().unwrap_or_default().to_owned()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}

#[test]
fn a_name_is_followed_while_what_is_under_way_goes_on() {
    run(async {
        let house = House::begin("").await;
        house.is_answered_by(&[IPS[0]]).await;
        let (of, mut tunnel) = house.tunnel().await;
        assert_eq!(of, IPS[0]);
        let mut held = TcpStream::connect(house.gate).await.unwrap();
        let request = "GET /held HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        held.write_all(request.as_bytes()).await.unwrap();
        // The server has it when another request has gone the whole way.
        house.answers().await;

        house.leads_to(&IPS[1..]);
        house.log.has("resolved: 1, 1").await;
        house.is_answered_by(&IPS[1..]).await;
        tunnel.write_all(b"still here\n").await.unwrap();
        assert_eq!(read(&mut tunnel, "\n").await, "still here\n");
        house.release.notify_one();
        assert_eq!(last_line(&read(&mut held, "nothing").await), IPS[0]);

        // An unrelated edit, and failures of the name server, change nothing.
        let listeners = "listen: [{ address: '127.0.0.1:0' }, { address: '127.0.0.1:0' }]";
        let before = "listen: [{ address: '127.0.0.1:0' }]";
        assert_eq!(house.reload(before, listeners).await, 1);
        house.is_answered_by(&IPS[1..]).await;
        *house.found.lock().unwrap() = Err("SERVFAIL");
        house.log.has("unresolved: SERVFAIL").await;
        house.is_answered_by(&IPS[1..]).await;
        tunnel.write_all(b"and here\n").await.unwrap();
        assert_eq!(read(&mut tunnel, "\n").await, "and here\n");
        drop(tunnel);
        house.log.has("drained 127.0.0.21").await;
        house.leads_to(&IPS);
        house.log.has("resolved: 2, 0").await;
        house.is_answered_by(&IPS).await;
    });
}

#[test]
fn a_server_that_hangs_is_left_and_its_tunnels_end() {
    run(async {
        let mut house = House::begin("    health_check: tcp\n    close_tunnels: true\n").await;
        let (of, mut tunnel) = house.tunnel().await;
        assert_eq!(of, IPS[0]);
        house.leads_to(&IPS);
        house.log.has("resolved: 2, 0").await;
        // Nobody listens there any more, and the tunnel stays.
        house.servers.remove(0).abort();
        house.log.has("down 127.0.0.21").await;
        house.log.has("tunnel ended").await;
        assert_eq!(read(&mut tunnel, "nothing").await, "");
        house.is_answered_by(&IPS[1..]).await;
    });
}
