//! The TCP sockets of a process, as the system knows them.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

/// States of `/proc/net/tcp`.
const LISTEN: &str = "0A";
const CLOSE_WAIT: &str = "08";

/// The addresses on which it listens, each once.
pub(super) fn listening(id: u32) -> Vec<SocketAddr> {
    let mut addresses = in_state(id, LISTEN);
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// How many of its sockets are in CLOSE_WAIT.
pub(super) fn close_waits(id: u32) -> usize {
    in_state(id, CLOSE_WAIT).len()
}

/// The own addresses of its IPv4 sockets in this state.
fn in_state(id: u32, state: &str) -> Vec<SocketAddr> {
    let own = inodes(id);
    let table = fs::read_to_string(format!("/proc/{id}/net/tcp")).unwrap_or_default();
    let socket = |line: &str| {
        // sl, local_address, rem_address, st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout, inode
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.len() > 9 && fields[3] == state && own.contains(fields[9]))
            .then(|| address(fields[1]))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// The inodes of its sockets.
fn inodes(id: u32) -> HashSet<String> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{id}/fd")) else {
        return HashSet::new();
    };
    let inode = |target: std::path::PathBuf| {
        let target = target
            .to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?;
        Some(target.to_owned())
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(inode)
        .collect()
}

/// `0100007F:1F90`: the address in the machine's order, the port as it is read.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').unwrap();
    let ip = u32::from_str_radix(ip, 16).unwrap();
    let port = u16::from_str_radix(port, 16).unwrap();
    SocketAddr::from((Ipv4Addr::from(ip.to_ne_bytes()), port))
}
