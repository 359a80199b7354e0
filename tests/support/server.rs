//! A wsgate that serves, for as long as a test lasts.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

use crate::support::log::Log;
use crate::support::peer::Peer;
use crate::support::process::Finished;
use crate::support::process::Process;
use crate::support::setup::Setup;
use crate::support::sockets;
use crate::support::tls;
use crate::support::upstream::Upstream;
use crate::support::within;

/// For whom wsgate writes its log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum LogFormat {
    #[default]
    Json,
    Text,
}

/// Over what a client comes, for tests that must hold for both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Ws,
    Wss,
}

impl Over {
    pub(crate) const BOTH: [Self; 2] = [Self::Ws, Self::Wss];
}

/// The real binary with a `routes.yaml` of its own.
#[derive(Debug)]
pub(crate) struct TestServer {
    process: Process,
    addresses: Vec<SocketAddr>,
    dir: TempDir,
}

impl TestServer {
    /// Something to add to before the start.
    pub(crate) fn setup() -> Setup {
        Setup::default()
    }

    /// One listener without TLS, and these locations.
    pub(crate) async fn with_routes(routes: &[(&str, &Upstream)]) -> Self {
        let mut setup = Self::setup();
        for (location, upstream) in routes {
            setup = setup.route(location, upstream);
        }
        setup.start().await
    }

    pub(super) async fn ready(process: Process, dir: TempDir, log_format: LogFormat) -> Self {
        let addresses = addresses(&process.log, log_format).await;
        Self {
            process,
            addresses,
            dir,
        }
    }

    /// One of whose log nothing can be read.
    pub(super) async fn unheard(process: Process, dir: TempDir) -> Self {
        let listening = async {
            loop {
                let addresses = sockets::listening(process.id());
                if !addresses.is_empty() {
                    return addresses;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let addresses = within("a listening socket", listening).await;
        Self {
            process,
            addresses,
            dir,
        }
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// A client without TLS.
    pub(crate) async fn connect(&self) -> Peer {
        let tcp = within("connecting", TcpStream::connect(self.address())).await;
        Peer::plain(tcp.unwrap())
    }

    /// A client with TLS, past its TLS handshake.
    pub(crate) async fn connect_tls(&self) -> Peer {
        let tcp = within("connecting", TcpStream::connect(self.tls_address())).await;
        tls::begin(tcp.unwrap()).await
    }

    /// A client of either kind.
    pub(crate) async fn connect_over(&self, over: Over) -> Peer {
        match over {
            Over::Ws => self.connect().await,
            Over::Wss => self.connect_tls().await,
        }
    }

    /// A client whose system takes little before the client reads.
    pub(crate) async fn connect_with_small_buffers(&self, over: Over) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let address = match over {
            Over::Ws => self.address(),
            Over::Wss => self.tls_address(),
        };
        let tcp = within("connecting", socket.connect(address)).await.unwrap();
        match over {
            Over::Ws => Peer::plain(tcp),
            Over::Wss => tls::begin(tcp).await,
        }
    }

    /// The address of the second listener, which has TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.addresses[1]
    }

    pub(crate) fn log(&self) -> &Log {
        &self.process.log
    }

    /// Stops reading the log and closes the pipe.
    pub(crate) fn close_log(&mut self) {
        self.process.log.close();
    }

    /// Stops reading the log, and keeps the pipe.
    pub(crate) fn stall_log(&mut self) {
        self.process.log.stall();
    }

    /// Reads the log again.
    pub(crate) fn resume_log(&mut self) {
        self.process.log.resume();
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// Sends a signal, named as in `kill -TERM`.
    pub(crate) fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for the process's end.
    pub(crate) async fn finished(mut self) -> Finished {
        self.process.finished().await
    }

    /// A file beside `routes.yaml`, or that.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Saves another `routes.yaml`, in place.
    pub(crate) fn save(&self, setup: &Setup) {
        let yaml = setup.yaml();
        if yaml.contains("cert.pem") && !self.path("cert.pem").exists() {
            tls::write_pair(self.dir.path());
        }
        fs::write(self.path("routes.yaml"), yaml).unwrap();
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How many descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id()))
            .unwrap()
            .count()
    }

    /// Sockets of the process whose other end has said that it is done, and that it has not closed.
    pub(crate) fn close_waits(&self) -> usize {
        sockets::close_waits(self.process.id())
    }

    /// Memory that the process has written to and that is its own, in KiB. The program's own pages are no part of it: they are
    /// private as soon as no other test runs the same program.
    pub(crate) fn private_kib(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.process.id());
        let rollup = fs::read_to_string(path).unwrap();
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Private_Dirty:"))
            .unwrap();
        line.trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// The process's memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim_end_matches(" kB").trim().parse().unwrap()
    }
}

/// What listens, in the order of the file, once everything does.
async fn addresses(log: &Log, format: LogFormat) -> Vec<SocketAddr> {
    if format == LogFormat::Json {
        log.first("ready").await;
        return log
            .all("listening")
            .iter()
            .map(|line| line["address"].as_str().unwrap().to_owned())
            // A Unix socket has a path, which its test knows.
            .filter(|address| !address.starts_with("unix:"))
            .map(|address| address.parse().unwrap())
            .collect();
    }
    // For people: `  ws://127.0.0.1:41234   http://…` between `listening` and `locations`.
    log.containing("locations").await;
    log.lines()
        .iter()
        .filter_map(|line| line.trim().split(' ').next())
        .filter_map(|url| {
            url.strip_prefix("ws://")
                .or_else(|| url.strip_prefix("wss://"))
        })
        .map(|address| address.parse().unwrap())
        .collect()
}
