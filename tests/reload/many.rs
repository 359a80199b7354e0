//! A hundred reloads, good and bad, under a thousand tunnels that are never silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::reload::Edited;
use crate::support::Flood;
use crate::support::Over;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::Wire;
use crate::support::raise_descriptor_limit;
use crate::support::within;
use crate::support::write_pair;

const TUNNELS: usize = 1000;

const RELOADS: usize = 100;

/// Bytes of the download that pass between two reloads.
const PIECE: usize = 64 * 1024;

/// How much more memory and how many more descriptors the process may have after 90 reloads than after 10: the first is
/// what the allocator does with it, the second what the other clients of this test have open just now.
const MORE_KIB: u64 = 2 * 1024;
const MORE_DESCRIPTORS: usize = 8;

/// What a reload brings, one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Edit {
    Whole,
    NoYaml,
    WithoutTheRoutes,
    BadRule,
    OtherPaths,
    BrokenPromise,
    MoreListeners,
    MissingCertificate,
    WithoutTls,
    OtherUpstream,
}

impl Edit {
    const ALL: [Self; 10] = [
        Self::Whole,
        Self::NoYaml,
        Self::WithoutTheRoutes,
        Self::BadRule,
        Self::OtherPaths,
        Self::BrokenPromise,
        Self::MoreListeners,
        Self::MissingCertificate,
        Self::WithoutTls,
        Self::OtherUpstream,
    ];

    fn is_good(self) -> bool {
        !matches!(
            self,
            Self::NoYaml | Self::BadRule | Self::BrokenPromise | Self::MissingCertificate
        )
    }

    /// The file; `/version` tells which one is in force.
    fn file(self, version: usize, world: &World) -> Setup {
        let (echo, slow) = (world.echo, world.slow);
        let echo = if self == Self::OtherUpstream {
            slow
        } else {
            echo
        };
        let certs = match self {
            Self::OtherPaths => "other/",
            Self::MissingCertificate => "missing/",
            _ => "",
        };
        let mut yaml = format!(
            "access_log: off\nlisten:\n  - address: 127.0.0.1:{}\n",
            world.port
        );
        if self != Self::WithoutTls {
            yaml += &format!(
                "  - address: 127.0.0.1:0\n    tls: {{ cert: {certs}cert.pem, key: {certs}key.pem }}\n"
            );
        }
        if self == Self::MoreListeners {
            yaml += "  - address: 127.0.0.1:0\n  - address: 127.0.0.2:0\n  - address: '[::1]:0'\n";
        }
        yaml += &format!("routes:\n  - {{ location: = /version, return: 200 version{version} }}\n");
        if self != Self::WithoutTheRoutes {
            yaml += &format!(
                "  - {{ location: /socket.io, proxy_pass: 'http://{echo}' }}\n  - {{ location: /slow, proxy_pass: 'http://{slow}' }}\n"
            );
        }
        match self {
            Self::NoYaml => yaml += "nonsense: [\n",
            Self::BadRule => yaml += "  - { location: ~ (, return: 403 }\n",
            Self::BrokenPromise => {
                yaml += &format!(
                    "tests:\n  - {{ url: 'http://127.0.0.1:{}/version', expect: 404, client: http }}\n",
                    world.port
                );
            }
            _ => {}
        }
        Setup::default().whole(yaml)
    }
}

/// What the file tells of.
#[derive(Clone, Copy, Debug)]
struct World {
    /// Of the listener that always stays.
    port: u16,
    /// Gives back what it gets, in a tunnel.
    echo: SocketAddr,
    /// Is asked for what takes long.
    slow: SocketAddr,
}

#[tokio::test]
async fn nobody_notices_a_hundred_reloads() {
    raise_descriptor_limit();
    let mut upstream = Upstream::scripted().await;
    let mut world = World {
        port: 0,
        echo: echo().await,
        slow: upstream.address(),
    };
    let mut edited = Edited::start(Edit::Whole.file(0, &world)).await;
    world.port = edited.gate.address().port();
    std::fs::create_dir(edited.gate.path("other")).unwrap();
    write_pair(&edited.gate.path("other"));
    let tunnels = open(&edited.gate).await;
    let stop = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn(talk(tunnels, Arc::clone(&stop)));
    let connected = Arc::new(AtomicUsize::new(0));
    let connecting = tokio::spawn(connect(edited.gate.address(), Arc::clone(&connected)));
    let (mut poll, mut poll_server) = slow(&edited.gate, &mut upstream, Over::Ws).await;
    let (mut download, mut download_server) = slow(&edited.gate, &mut upstream, Over::Wss).await;
    let length = RELOADS * PIECE;
    download_server
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    download.head().await;
    let (mut written, mut read) = (Flood::default(), Flood::default());

    let mut client = edited.gate.connect().await;
    let mut before = (0, 0);
    let mut slowest = Duration::ZERO;
    for number in 1..=RELOADS {
        let edit = Edit::ALL[number % Edit::ALL.len()];
        let saved = SystemTime::now();
        edited.gate.save(&edit.file(number, &world));
        // Every other time somebody does not wait until the file is noticed.
        if number % 4 >= 2 {
            edited.gate.signal("HUP");
        }
        if edit.is_good() {
            let version = format!("version{number}");
            while client.get("/version").await.text() != version {}
            let (_, summary) = edited.reloaded().await;
            slowest = slowest.max(between(saved, summary["timestamp"].as_str().unwrap()));
        } else {
            assert_eq!(edited.refused().await.len(), 1, "{edit:?}");
        }
        written
            .write_up_to(number * PIECE, download_server.wire())
            .await;
        read.read_up_to(number * PIECE, download.wire()).await;
        if edit == Edit::Whole && before == (0, 0) {
            before = (edited.gate.resident_kib(), edited.gate.descriptors());
        }
    }
    let after = (edited.gate.resident_kib(), edited.gate.descriptors());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(
        after.0 < before.0 + MORE_KIB,
        "{before:?} KiB and descriptors, then {after:?}"
    );
    assert!(
        after.1 < before.1 + MORE_DESCRIPTORS,
        "{before:?} KiB and descriptors, then {after:?}"
    );

    poll_server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .await;
    assert_eq!(poll.answer().await.text(), "late");
    assert!(!connecting.is_finished());
    connecting.abort();
    assert!(connected.load(Ordering::SeqCst) > RELOADS);
    stop.store(true, Ordering::SeqCst);
    let (tunnels, rounds) = within("the last messages", talking).await.unwrap();
    assert!(rounds > 10, "{rounds}");
    for mut tunnel in tunnels {
        tunnel.shutdown().await.unwrap();
        let mut rest = Vec::new();
        within("the end", tunnel.read_to_end(&mut rest))
            .await
            .unwrap();
        assert_eq!(rest, b"", "behind the last message");
    }
}

/// From a moment to one that wsgate tells, `2026-11-25T19:22:25.413468Z`, not a day later. What this process is slow in, with
/// all that it does in one thread, does not count.
fn between(from: SystemTime, to: &str) -> Duration {
    const DAY: f64 = 86_400.0;
    let time = to.split(['T', 'Z']).nth(1).unwrap();
    let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
    let to = parts.fold(0.0, |sum, part| sum * 60.0 + part);
    let from = from.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_secs_f64((to - from.as_secs_f64()).rem_euclid(DAY))
}

/// An upstream that gives back, in a tunnel, what it gets.
async fn echo() -> SocketAddr {
    async fn serve(mut client: TcpStream) -> std::io::Result<()> {
        let mut buffer = [0; 1024];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match client.read(&mut buffer).await? {
                0 => return Ok(()),
                read => head.extend(&buffer[..read]),
            }
        }
        client.write_all(SWITCHING).await?;
        loop {
            match client.read(&mut buffer).await? {
                0 => return client.shutdown().await,
                read => client.write_all(&buffer[..read]).await?,
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            tokio::spawn(serve(listener.accept().await.unwrap().0));
        }
    });
    address
}

/// The tunnels, every other one over TLS.
async fn open(gate: &TestServer) -> Vec<Wire> {
    let mut tunnels = Vec::new();
    for number in 0..TUNNELS {
        let mut client = gate.connect_over(Over::BOTH[number % 2]).await;
        client.send(UPGRADE).await;
        assert_eq!(client.head().await.status(), 101);
        tunnels.push(client.into_wire());
    }
    tunnels
}

/// Sends a message with its number through each tunnel and takes it back from each, until told to stop.
async fn talk(mut tunnels: Vec<Wire>, stop: Arc<AtomicBool>) -> (Vec<Wire>, u64) {
    let mut round: u64 = 0;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let message = |number: usize| [round.to_be_bytes(), number.to_be_bytes()].concat();
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            tunnel.write_all(&message(number)).await.unwrap();
            tunnel.flush().await.unwrap();
        }
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            let mut back = [0; 16];
            within("a message", tunnel.read_exact(&mut back))
                .await
                .unwrap();
            assert_eq!(back[..], message(number), "in tunnel {number}");
        }
        // The others shall have a core too.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (tunnels, round)
}

/// Comes again and again, and is always let in.
async fn connect(address: SocketAddr, connected: Arc<AtomicUsize>) {
    loop {
        let client = TcpStream::connect(address).await;
        let mut client = Peer::plain(client.expect("never refused"));
        assert_eq!(client.get("/version").await.status(), 200);
        connected.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request for what takes long: the client's end and the upstream's.
async fn slow(gate: &TestServer, upstream: &mut Upstream, over: Over) -> (Peer, Peer) {
    let mut client = gate.connect_over(over).await;
    client
        .send("GET /slow HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    (client, server)
}
