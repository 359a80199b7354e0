//! A server that listens for unit tests, an upstream that it asks, and clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::config::Environment;
use crate::observe::Observer;
use crate::server;
use crate::server::Running;
use crate::server::observers::Observers;
use crate::upstream::Balance;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::MemberSettings;
use crate::upstream::Server;
use crate::upstream::Sticky;
use crate::upstream::WrittenServer;

/// Longest wait for anything.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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

/// Serves a file that begins with these keys, and has one listener and one upstream.
pub(super) async fn start(
    folder: &TempDir,
    keys: &str,
    observer: Arc<dyn Observer>,
) -> (Running, SocketAddr) {
    let to = upstream().await;
    let text = format!(
        "{keys}listen:\n  - address: 127.0.0.1:0\nroutes:\n  - location: /\n    proxy_pass: http://{to}\n"
    );
    let opened = server::open(config(folder, &text), OffsetDateTime::now_utc()).unwrap();
    let address = opened.listening()[0].address.ip().unwrap();
    let running = opened.start_telling(Observers::with(observer));
    (running.unwrap(), address)
}

/// Writes a file, and reads it.
pub(super) fn config(folder: &TempDir, text: &str) -> Config {
    let file = folder.path().join("routes.yaml");
    std::fs::write(&file, text).unwrap();
    let read = Config::read(&file, &Environment::default(), OffsetDateTime::now_utc());
    read.unwrap().0
}

/// The group `chat` of these servers, each with these settings.
pub(super) fn group_of(servers: &[&str], settings: &MemberSettings) -> Group {
    let of_group = GroupSettings {
        name: "chat".to_owned(),
        balance: Balance::RoundRobin,
        sticky: Sticky::default(),
        health_check: None,
        slow_start: Duration::ZERO,
        close_tunnels: false,
        valid: Duration::from_secs(5),
    };
    group_with(of_group, servers, settings)
}

/// A group of these servers, each with these settings.
pub(super) fn group_with(
    of_group: GroupSettings,
    servers: &[&str],
    settings: &MemberSettings,
) -> Group {
    let servers = servers.iter().map(|to| WrittenServer {
        server: Arc::new(Server::new(format!("http://{to}").parse().unwrap(), |_| None).unwrap()),
        settings: settings.clone(),
    });
    Group::new(of_group, servers.collect())
}

/// Sends a request, and returns what comes of it up to `enough`, or to the end.
pub(super) async fn ask(address: SocketAddr, request: &str, enough: &str) -> (String, TcpStream) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let said = read(&mut tcp, enough).await;
    (said, tcp)
}

/// Reads up to `enough`, or to the end.
pub(super) async fn read(tcp: &mut TcpStream, enough: &str) -> String {
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

/// A client's opening handshake.
pub(super) fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
