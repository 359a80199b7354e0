//! What the rows of one combination of wires are acted out with: a wsgate, its upstream, and upstreams that are none.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::faults::row::Wires;
use crate::faults::words;
use crate::support::Authority;
use crate::support::Flood;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::agree;
use crate::support::upgrade_to;
use crate::support::within;

/// The limits of the locations whose upstream takes too long.
const HASTY: &str = "{ connect_timeout: 300ms, handshake_timeout: 300ms, response_timeout: 300ms";

/// More than the system holds between two ends.
pub(super) const FLOOD: usize = 24 * 1024 * 1024;

/// What wsgate may take for one that is held up, with what its allocator has yet to give back; a fraction of what was sent.
const GROWTH_KIB: u64 = 4 * 1024;

/// See the module.
pub(super) struct World {
    pub(super) wires: Wires,
    pub(super) gate: TestServer,
    pub(super) upstream: Upstream,
    /// The client of the present row.
    caller: Option<SocketAddr>,
    /// Listens, and its queue is full.
    _full: (TcpListener, Vec<TcpStream>),
    /// Listens, and says nothing.
    _mute: TcpListener,
}

impl World {
    pub(super) async fn new(wires: Wires) -> Self {
        let authority = Authority::new();
        let upstream = match wires.upstream {
            Over::Ws => Upstream::scripted().await,
            Over::Wss => {
                let identity = authority.issue(&["localhost"]);
                Upstream::scripted_tls(identity.server(&[&TLS13, &TLS12])).await
            }
        };
        let full = full().await;
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (scheme, more) = match wires.upstream {
            Over::Ws => ("http", ""),
            Over::Wss => ("https", ", ca: ca.pem"),
        };
        let location = |path: &str, to: String| {
            format!("{HASTY}, location: {path}, proxy_pass: \"{scheme}://{to}\"{more} }}")
        };
        let at = |address: SocketAddr| format!("localhost:{}", address.port());
        let gate = TestServer::setup()
            .top("threads: 1")
            .tls()
            .proxy_pass("/", format!("{scheme}://{}", at(upstream.address())));
        let gate = match wires.upstream {
            Over::Ws => gate,
            Over::Wss => gate.of_route("ca: ca.pem").file("ca.pem", authority.pem()),
        };
        let gate = gate
            .raw_route(&location("/hasty", at(upstream.address())))
            .raw_route(&location("/refused", at(closed().await)))
            // TCP has no way to a group of receivers: the system says so at once, and sends nothing.
            .raw_route(&location("/unreachable", "224.0.0.1:80".to_owned()))
            .raw_route(&location("/full", at(full.0.local_addr().unwrap())))
            .raw_route(&location("/mute", at(mute.local_addr().unwrap())))
            .raw_route("{ location: /marker, return: 204 }")
            .start()
            .await;
        Self {
            wires,
            gate,
            upstream,
            caller: None,
            _full: full,
            _mute: mute,
        }
    }

    /// A new client.
    pub(super) async fn client(&mut self) -> Peer {
        let client = self.gate.connect_over(self.wires.client).await;
        self.is_called_by(&client);
        client
    }

    /// One whose system takes little before it reads.
    pub(super) async fn slow_client(&mut self) -> Peer {
        let client = self
            .gate
            .connect_with_small_buffers(self.wires.client)
            .await;
        self.is_called_by(&client);
        client
    }

    /// What is said in the log from now on is about this one.
    pub(super) fn is_called_by(&mut self, client: &Peer) {
        self.caller = Some(client.tcp().local_addr().unwrap());
    }

    /// A client whose request has arrived, with the upstream's end.
    pub(super) async fn asked(&mut self, request: &[u8]) -> (Peer, Peer) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut server = self.upstream.accept().await;
        server.head().await;
        (client, server)
    }

    /// A tunnel.
    pub(super) async fn tunnel(&mut self) -> (Peer, Peer) {
        let mut client = self.client().await;
        client.send(upgrade_to("/", "")).await;
        let server = self.upstream.accept().await;
        agree(client, server).await
    }

    /// One end writes until it is refused; then the other one reads all of it. What is kept of it must be little all the while.
    pub(super) async fn flood(&self, writer: &mut Peer, reader: &mut Peer) {
        let before = self.gate.private_kib();
        let mut written = Flood::default();
        let taken = written.write_until_refused(writer).await;
        assert!(taken < FLOOD, "all of it is taken");
        self.has_grown_little(before).await;
        let mut read = Flood::default();
        tokio::join!(
            written.write_up_to(FLOOD, writer.wire()),
            read.read_up_to(FLOOD, reader.wire())
        );
    }

    /// It has taken little since it had so many KiB. What is kept for somebody stays; what the allocator has yet to give back
    /// goes, late on a busy machine.
    pub(super) async fn has_grown_little(&self, before: u64) {
        let what = format!("no more than {GROWTH_KIB} KiB over {:?}", self.wires);
        within(&what, async {
            while self.gate.private_kib().saturating_sub(before) >= GROWTH_KIB {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    }

    /// The upstream has not been asked anything.
    pub(super) fn nothing_came(&mut self) -> String {
        assert!(self.upstream.has_nothing_more());
        words::NOTHING.to_owned()
    }

    /// The line with this message about the present client.
    pub(super) async fn line(&self, message: &str) -> String {
        let caller = self.caller.unwrap().to_string();
        let line = self.gate.log();
        let line = line.find(message, |line| line["remote_addr"] == caller.as_str());
        words::line(&line.await)
    }

    /// What is said of the present client when everything about it is over.
    pub(super) async fn whatever_is_said(&self) -> String {
        // There is one thread: what it says of another request comes later.
        let mut other = self.gate.connect().await;
        let address = other.tcp().local_addr().unwrap().to_string();
        assert_eq!(other.get("/marker").await.status(), 204);
        let log = self.gate.log();
        log.find("request", |line| line["remote_addr"] == address.as_str())
            .await;
        let caller = self.caller.unwrap().to_string();
        let said = ["request", "no request", "no TLS handshake", "tunnel ended"];
        let lines: Vec<String> = said
            .iter()
            .flat_map(|message| log.all(message))
            .filter(|line| line["remote_addr"] == caller.as_str())
            .map(|line| words::line(&line))
            .collect();
        match lines.is_empty() {
            true => words::NOTHING.to_owned(),
            false => lines.join("; "),
        }
    }
}

/// An address on which nobody listens.
pub(super) async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A queue that is full: the system then drops whatever would open another connection.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(tcp) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(tcp.unwrap());
    }
    (full, waiting)
}
