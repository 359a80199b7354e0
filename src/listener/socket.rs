//! Listening sockets: how they are opened.
//!
//! Every thread has a socket of its own on each address (SO_REUSEPORT), so that a connection lives and dies on one thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::stream::vanished;

/// Connections that the system keeps until they are accepted; it cuts this to `net.core.somaxconn`. Large, since a
/// restarted upstream brings thousands of clients back within a second.
const BACKLOG: i32 = 4096;

/// An address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl ListenError {
    /// What to do about it.
    pub fn help(&self) -> String {
        let port = self.address.port();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another process listens there: end it (`ss -ltnp 'sport = :{port}'` names it) or choose another port"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "ports below 1024 need a permission: start as root, give the binary \
                 `setcap cap_net_bind_service=+ep`, in systemd `AmbientCapabilities=CAP_NET_BIND_SERVICE`, \
                 or choose a port such as {}",
                u32::from(port) + 8000
            ),
            io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has this address (`ip address` lists them); 0.0.0.0 stands for all".to_owned()
            }
            _ => "choose another address".to_owned(),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str("address already in use"),
            io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
            io::ErrorKind::AddrNotAvailable => f.write_str("address not available"),
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Whether others may listen on the same address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sharing {
    /// No.
    Alone,
    /// Yes, those of the same user that say so too.
    Shared,
}

/// Tries an address without SO_REUSEPORT and lets go of it again: an error if anybody listens there, also another wsgate.
///
/// It is bound and does not listen, which Linux refuses for an address that somebody listens on as well; a client that knocks meanwhile
/// would be let in, and then reset. Addresses in TIME_WAIT do not count, so that a restart works at once. All addresses are tried before the first is
/// opened, since 0.0.0.0:80 and 127.0.0.1:80 may stand side by side only with SO_REUSEPORT.
///
/// # Errors
/// In use, not permitted, or no address of this machine.
pub fn claim(address: SocketAddr) -> Result<(), ListenError> {
    match socket(address, Sharing::Alone) {
        Ok(_free) => Ok(()),
        Err(source) => Err(ListenError { address, source }),
    }
}

/// Sockets that have one address and do not listen on it yet, so that nobody has connected when something else fails.
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    sockets: Vec<Socket>,
}

impl Bound {
    /// The address that they have: a port 0 has become one of the system's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen(self) -> Result<Vec<std::net::TcpListener>, ListenError> {
        let address = self.address;
        let listening = self.sockets.into_iter().map(|socket| {
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        });
        let listening: io::Result<_> = listening.collect();
        listening.map_err(|source| ListenError { address, source })
    }
}

/// Gives one address to `count` sockets.
///
/// # Errors
/// In use, not permitted, or no address of this machine.
pub fn bind(address: SocketAddr, count: usize) -> Result<Bound, ListenError> {
    let error = |source| ListenError { address, source };
    let first = socket(address, Sharing::Shared).map_err(error)?;
    let bound = first.local_addr().map_err(error)?;
    let bound = bound.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(socket(bound, Sharing::Shared).map_err(error)?);
    }
    Ok(Bound {
        address: bound,
        sockets,
    })
}

/// Whether nobody could listen on one of the two while somebody else listens on the other.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // As nginx's `listen [::]:443`, whose default is ipv6only=on.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Shared)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit these (Linux), which saves five calls a connection.
    socket.set_tcp_nodelay(true)?;
    vanished::find(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use socket2::SockRef;

    use crate::listener::socket::bind;
    use crate::listener::socket::claim;
    use crate::stream::vanished;

    #[test]
    fn a_trial_finds_who_listens_there_however_that_one_shares() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = address.parse().expect("an address");
            let bound = bind(any, 2).expect("a port");
            let shared = bound.address();
            let _listening = bound.listen().expect("it listens");
            let alone = TcpListener::bind(any).expect("a port");
            let alone = alone.local_addr().map(|address| (address, alone));
            let (alone, _open) = alone.expect("an address");
            for taken in [shared, alone] {
                let mut everywhere = taken;
                everywhere.set_ip(match taken {
                    SocketAddr::V4(_) => [0, 0, 0, 0].into(),
                    SocketAddr::V6(_) => [0u16; 8].into(),
                });
                for tried in [taken, everywhere] {
                    let error = claim(tried).expect_err("it is in use");
                    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse, "{tried}");
                }
            }
        }
    }

    #[test]
    fn an_accepted_socket_has_what_finds_a_peer_that_vanished() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = bind(any, 1).expect("a port");
        let address = bound.address();
        let listeners = bound.listen().expect("it listens");
        listeners[0].set_nonblocking(false).expect("it waits");
        let _client = TcpStream::connect(address).expect("connected");
        let (accepted, _) = listeners[0].accept().expect("accepted");
        let socket = SockRef::from(&accepted);
        assert!(vanished::is_found(&socket).expect("options"));
        assert!(socket.tcp_nodelay().expect("an option"));
    }
}
