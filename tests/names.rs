//! Upstreams that are given by name, while the name server of one of them is silent.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;
use tempfile::TempDir;

use crate::support::DEADLINE;
use crate::support::raise_descriptor_limit;

/// Requests for the silent name: more than a thread's pool has, which is 512.
const WAITING: usize = 1100;

/// Threads of a wsgate with two that serve: those, the log's, the allocator's, the first one, and two look-ups for each name and thread
/// that asks; there are two names, and the first one probes.
const FEW: usize = 24;

const YAML: &str = "
threads: 2
access_log: off
connect_timeout: 3s
listen:
  - address: 127.0.0.1:8080
routes:
  - { location: /silent, proxy_pass: 'http://silent.test:80' }
  - { location: /four, proxy_pass: 'http://four.test:3000' }
  - { location: /six, proxy_pass: 'http://six.test:3000' }
  - { location: /address, proxy_pass: 'http://127.0.0.1:3000' }
";

/// A network with its own files about names. Removed when it is dropped.
struct Network {
    name: String,
    etc: PathBuf,
}

impl Network {
    /// The calling thread is inside then. Needs root, or rather CAP_SYS_ADMIN and CAP_NET_ADMIN, and iproute2.
    fn new() -> Self {
        let name = format!("wsgate-names-{}", std::process::id());
        // `ip netns exec` puts these files in the place of those in /etc.
        let etc = PathBuf::from("/etc/netns").join(&name);
        fs::create_dir_all(&etc).unwrap();
        let network = Self { name, etc };
        for (file, text) in [
            ("hosts", "127.0.0.1 four.test\n::1 six.test\n"),
            ("resolv.conf", "nameserver 127.0.0.53\n"),
            ("nsswitch.conf", "hosts: files dns\n"),
        ] {
            fs::write(network.etc.join(file), text).unwrap();
        }
        ip(&["netns", "add", &network.name]);
        ip(&["-n", &network.name, "link", "set", "lo", "up"]);
        let inside = fs::File::open(format!("/run/netns/{}", network.name)).unwrap();
        move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
        let _ = fs::remove_dir_all(&self.etc);
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "ip {}: this needs root where network namespaces are allowed, and iproute2",
        arguments.join(" ")
    );
}

/// Answers everything, without end.
fn upstream(listener: TcpListener) {
    for client in listener.incoming() {
        std::thread::spawn(move || {
            let mut client = client.unwrap();
            let mut room = [0; 4096];
            while let Ok(1..) = client.read(&mut room) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = client.write_all(answer.as_bytes());
            }
        });
    }
}

fn asked(target: &str) -> TcpStream {
    let mut client = TcpStream::connect("127.0.0.1:8080").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    client
}

/// The status of an answer.
fn status(mut client: TcpStream) -> String {
    let mut line = [0; 12];
    client.read_exact(&mut line).unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}

/// Dropping it ends it.
struct Gate(Child);

impl Gate {
    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.0.id()))
            .unwrap()
            .count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_name_whose_server_is_silent_holds_up_no_other_upstream() {
    raise_descriptor_limit();
    let network = Network::new();
    let _silent = UdpSocket::bind("127.0.0.53:53").unwrap();
    for address in ["127.0.0.1:3000", "[::1]:3000"] {
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || upstream(listener));
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("routes.yaml"), YAML).unwrap();
    let mut gate = Command::new("ip");
    gate.args(["netns", "exec", &network.name, env!("CARGO_BIN_EXE_wsgate")]);
    gate.args(["--log-format", "json"])
        .current_dir(folder.path());
    let mut gate = Gate(gate.stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(gate.0.stderr.take().unwrap()).lines();
    assert!(
        log.any(|line| line.unwrap().contains("\"ready\"")),
        "it starts"
    );
    std::thread::spawn(move || log.for_each(drop));

    let began = Instant::now();
    let waiting: Vec<TcpStream> = (0..WAITING).map(|_| asked("/silent")).collect();
    for _ in 0..5 {
        for target in ["/four", "/six", "/address"] {
            let began = Instant::now();
            assert_eq!(status(asked(target)), "HTTP/1.1 200", "{target}");
            let took = began.elapsed();
            assert!(took < Duration::from_millis(1500), "{target}: {took:?}");
        }
    }
    for client in waiting {
        assert_eq!(status(client), "HTTP/1.1 504");
    }
    // Their limit is over, and the resolver still asks: those who come now wait with it.
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    let waiting: Vec<TcpStream> = (0..WAITING).map(|_| asked("/silent")).collect();
    assert_eq!(status(asked("/four")), "HTTP/1.1 200");
    let threads = gate.threads();
    assert!(threads <= FEW, "{threads} threads");
    drop(waiting);
}
