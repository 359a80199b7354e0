//! A panic ends its connection and nothing else, and one that ends a thread ends all of them.
//!
//! The panics are those of an observer, which is asked in the middle of requests and tunnels.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::server;
use crate::server::Running;
use crate::server::StartError;
use crate::server::listeners::Means;

const DEADLINE: Duration = Duration::from_secs(15);

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Panics where the request or the upstream says so, and writes down what it hears of the ends of these.
#[derive(Debug, Default)]
struct Panics {
    heard: Mutex<Vec<String>>,
}

impl Panics {
    fn hear(&self, what: &str, exchange: &Exchange) {
        let route = exchange.route.as_deref().unwrap_or("no route");
        let line = route.rsplit('/').next().unwrap_or_default();
        let said = format!("{what} {line}");
        self.heard.lock().unwrap().push(said);
    }
}

impl Observer for Panics {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        if end.reason == Some(Reason::Panic) {
            self.hear("request", exchange);
        }
    }

    fn tunnel_ended(&self, _: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        if end.ended_by == EndedBy::Panic {
            self.hear(
                &format!("tunnel, {} bytes", end.bytes_to_upstream),
                exchange,
            );
        }
    }

    fn listens(&self, exchange: &Exchange, _: StatusCode) -> bool {
        assert!(
            !exchange.request.to_string().contains("/panic"),
            "as asked for"
        );
        true
    }

    fn is_enough(&self, _: &Exchange, said: &[u8]) -> bool {
        assert!(!said.ends_with(b"panic"), "as said");
        false
    }
}

/// An upstream that answers any request, and says in a tunnel what it hears.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    if !matches!(tcp.read_buf(&mut read).await, Ok(1..)) {
                        return;
                    }
                }
                if read
                    .windows(8)
                    .any(|bytes| bytes.eq_ignore_ascii_case(b"upgrade:"))
                {
                    let _ = tcp.write_all(SWITCHING.as_bytes()).await;
                    let (mut from, mut to) = tcp.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                } else {
                    let answer =
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                    let _ = tcp.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

async fn start(folder: &TempDir, observer: Arc<Panics>) -> (Running, SocketAddr) {
    let to = upstream().await;
    let file = folder.path().join("routes.yaml");
    let text = format!(
        "threads: 2\nmax_connections: 8\nper_ip: {{ connections: 4 }}\nlisten:\n  - address: 127.0.0.1:0\nroutes:\n  - location: /\n    proxy_pass: http://{to}\n"
    );
    std::fs::write(&file, text).unwrap();
    let now = OffsetDateTime::now_utc();
    let (config, _) = Config::read(&file, now).unwrap();
    let opened = server::open(config, now).unwrap();
    let address = opened.listening()[0].address;
    (opened.start_telling(observer).unwrap(), address)
}

/// Sends a request, and returns what comes of it up to `enough`, or to the end.
async fn ask(address: SocketAddr, request: &str, enough: &str) -> (String, TcpStream) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let said = read(&mut tcp, enough).await;
    (said, tcp)
}

async fn read(tcp: &mut TcpStream, enough: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !said.ends_with(enough.as_bytes()) {
            if !matches!(tcp.read_buf(&mut said).await, Ok(1..)) {
                return;
            }
        }
    };
    timeout(DEADLINE, reading)
        .await
        .expect("an answer or the end");
    String::from_utf8(said).unwrap()
}

fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test]
async fn a_panic_ends_its_connection_with_a_line_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let observer = Arc::new(Panics::default());
    let (mut running, address) = start(&folder, Arc::clone(&observer)).await;
    let (said, mut tunnel) = ask(address, &upgrade("/stays"), "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");

    // Ten of each, which is more than there may be at a time: nothing of them is left.
    for round in 0..10 {
        let get = "GET /panic HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let chunks = "POST /panic HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        for request in [get, chunks] {
            let (said, _) = ask(address, request, "ok").await;
            assert_eq!(said, "", "round {round}: {request}");
        }
        let (said, mut tcp) = ask(address, &upgrade("/panic"), "\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        assert_eq!(read(&mut tcp, "nothing").await, "");
        let (said, mut tcp) = ask(address, &upgrade("/later"), "\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        tcp.write_all(b"panic").await.unwrap();
        assert_eq!(read(&mut tcp, "panic").await, "");

        tunnel.write_all(b"still here").await.unwrap();
        assert_eq!(read(&mut tunnel, "still here").await, "still here");
        let (said, _) = ask(address, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "ok").await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
    let mut heard = observer.heard.lock().unwrap().clone();
    heard.sort();
    let each = [
        "request routes.yaml:7",
        "tunnel, 0 bytes routes.yaml:7",
        "tunnel, 5 bytes routes.yaml:7",
    ];
    let expected: Vec<_> = each
        .iter()
        .zip([20, 10, 10])
        .flat_map(|(line, times)| vec![*line; times])
        .collect();
    assert_eq!(heard, expected);

    drop(tunnel);
    running.drain();
    timeout(DEADLINE, running.ended())
        .await
        .expect("a drain")
        .unwrap();
    assert_eq!(running.join(), 0);
}

#[tokio::test]
async fn a_thread_that_dies_is_an_error_while_the_others_live() {
    let folder = TempDir::new().unwrap();
    let (mut running, _) = start(&folder, Arc::default()).await;
    let wait = Duration::from_millis(100);
    assert!(
        timeout(wait, running.ended()).await.is_err(),
        "nothing is wrong yet"
    );

    // The runtime takes no socket that blocks: the first thread panics where it opens its listeners.
    let text = std::fs::read_to_string(&running.config.file).unwrap();
    let text = text.replace("routes:", "  - address: 127.0.0.2:0\nroutes:");
    std::fs::write(&running.config.file, text).unwrap();
    let now = OffsetDateTime::now_utc();
    let (config, _) = Config::read(&running.config.file, now).unwrap();
    let means = Means {
        shared: &running.shared,
        threads: 2,
        now,
    };
    let (listeners, mut sockets) = running.listeners.prepare(&config, means).unwrap();
    for (_, sockets) in &mut sockets {
        sockets.truncate(1);
        sockets[0].set_nonblocking(false).unwrap();
    }
    running.listeners = listeners;
    running.order(sockets).await;

    let ended = timeout(DEADLINE, running.ended())
        .await
        .expect("it is noticed");
    assert!(matches!(ended, Err(StartError::Died)), "{ended:?}");
}
