//! Two networks joined by a wire on which packets can be lost.
//!
//! Whoever is `there` is gone when the wire is cut: not a packet of it arrives any more, nor does its system say so. Sockets and
//! processes stay in the network in which they were made, so that a thread may go from one to the other.

use std::fs::File;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

use crate::support::within;

pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// The hardware address there.
const MAC: &str = "02:00:00:00:00:02";

/// Removed when it is dropped.
pub(super) struct Networks {
    here: String,
    there: String,
}

impl Networks {
    /// Makes them; the calling thread is here then. Needs root, or rather CAP_SYS_ADMIN and CAP_NET_ADMIN, and iproute2.
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("wsgate-faults-{}-{number}-{side}", std::process::id());
        let networks = Self {
            here: name("here"),
            there: name("there"),
        };
        let (here, there) = (networks.here.as_str(), networks.there.as_str());
        ip(&["netns", "add", here]);
        ip(&["netns", "add", there]);
        let peer = ["peer", "name", "wire", "netns", there];
        ip(&[
            &["-n", here, "link", "add", "wire", "type", "veth"][..],
            &peer,
        ]
        .concat());
        for (name, address) in [(here, HERE), (there, THERE)] {
            ip(&[
                "-n",
                name,
                "address",
                "add",
                &format!("{address}/24"),
                "dev",
                "wire",
            ]);
            ip(&["-n", name, "link", "set", "wire", "up"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        // As behind a router, which is still there when they are not: otherwise it would be missed on the wire itself.
        ip(&["-n", there, "link", "set", "wire", "address", MAC]);
        let to = THERE.to_string();
        let neighbour = ["neighbour", "replace", &to, "lladdr", MAC, "dev", "wire"];
        ip(&[&["-n", here][..], &neighbour, &["nud", "permanent"]].concat());
        networks.enter(here);
        networks
    }

    /// From there to an address here.
    pub(super) async fn connect(&self, to: SocketAddr) -> TcpStream {
        self.enter(&self.there);
        let socket = TcpSocket::new_v4().unwrap();
        self.enter(&self.here);
        within("connecting", socket.connect(to)).await.unwrap()
    }

    /// Listens there.
    pub(super) fn listen(&self) -> TcpListener {
        self.enter(&self.there);
        let listener = std::net::TcpListener::bind((THERE, 0)).unwrap();
        self.enter(&self.here);
        listener.set_nonblocking(true).unwrap();
        TcpListener::from_std(listener).unwrap()
    }

    /// From now on every packet from there is lost.
    pub(super) fn cut(&self) {
        let name = self.there.as_str();
        let queue = [
            "tc", "qdisc", "add", "dev", "wire", "root", "pfifo", "limit", "0",
        ];
        ip(&[&["netns", "exec", name][..], &queue].concat());
    }

    fn enter(&self, name: &str) {
        let network = File::open(format!("/run/netns/{name}")).unwrap();
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
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
