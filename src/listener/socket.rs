//! Listening sockets: how they are opened.
//!
//! Every thread has a socket of its own on each address (SO_REUSEPORT), so that a connection lives and dies on one thread.

use std::io;
use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::listener::listen_error::ListenError;
use crate::listener::unix_socket;
use crate::listener::unix_socket::BoundUnix;
use crate::listener::unix_socket::SocketFile;
use crate::stream::ListenAddr;
use crate::stream::vanished;

/// Connections that the system keeps until they are accepted; it cuts this to `net.core.somaxconn`. Large, since a
/// restarted upstream brings thousands of clients back within a second.
const BACKLOG: i32 = 4096;

/// A listening socket that no runtime has yet.
#[derive(Debug)]
pub enum ListeningSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// What is to be listened on.
#[derive(Clone, Copy, Debug)]
pub struct BindTarget<'a> {
    /// The address or the file.
    pub address: &'a ListenAddr,
    /// Who may connect to a Unix socket, as the permission bits of its file.
    pub mode: u32,
    /// Whether another process may listen there too, or listens there and is to be relieved.
    pub is_shared: bool,
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
pub fn claim(address: &ListenAddr) -> Result<(), ListenError> {
    let address = match address {
        ListenAddr::Ip(address) => *address,
        ListenAddr::Unix(path) => {
            let found = unix_socket::found(path);
            let free = found.and_then(|found| found.free());
            return free.map_err(|fault| ListenError::new(address.clone(), fault));
        }
    };
    match socket(address, Sharing::Alone) {
        Ok(_free) => Ok(()),
        Err(source) => Err(ListenError::of_ip(address, source)),
    }
}

/// Sockets that have one address and do not listen on it yet, so that nobody has connected when something else fails.
#[derive(Debug)]
pub enum Bound {
    /// Sockets of an address and a port.
    Ip {
        /// The address that they have.
        address: SocketAddr,
        /// One for each thread.
        sockets: Vec<Socket>,
    },
    /// A Unix socket.
    Unix(BoundUnix),
}

impl Bound {
    /// The address that they have: a port 0 has become one of the system's.
    pub fn address(&self) -> ListenAddr {
        match self {
            Self::Ip { address, .. } => ListenAddr::Ip(*address),
            Self::Unix(bound) => ListenAddr::Unix(bound.path()),
        }
    }

    /// Begins to listen. A Unix socket has a file, which is removed when what is returned is dropped.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen(self) -> Result<(Vec<ListeningSocket>, Option<SocketFile>), ListenError> {
        match self {
            Self::Ip { address, sockets } => {
                let listening = sockets.into_iter().map(|socket| {
                    socket.listen(BACKLOG)?;
                    Ok(ListeningSocket::Tcp(socket.into()))
                });
                let listening: io::Result<_> = listening.collect();
                let listening = listening.map_err(|source| ListenError::of_ip(address, source))?;
                Ok((listening, None))
            }
            Self::Unix(bound) => {
                let address = ListenAddr::Unix(bound.path());
                let listening = bound.listen(BACKLOG);
                let (sockets, file) =
                    listening.map_err(|fault| ListenError::new(address, fault))?;
                let sockets = sockets.into_iter().map(ListeningSocket::Unix);
                Ok((sockets.collect(), Some(file)))
            }
        }
    }
}

/// Gives one address to `count` sockets. Those of a Unix socket are one, which the threads share.
///
/// # Errors
/// In use, not permitted, or no address of this machine.
pub fn bind(wanted: BindTarget<'_>, count: usize) -> Result<Bound, ListenError> {
    let address = match wanted.address {
        ListenAddr::Ip(address) => *address,
        ListenAddr::Unix(path) => {
            let bound = BoundUnix::new(path, wanted.mode, wanted.is_shared, count);
            let bound = bound.map_err(|fault| ListenError::new(wanted.address.clone(), fault));
            return Ok(Bound::Unix(bound?));
        }
    };
    let error = |source| ListenError::of_ip(address, source);
    let first = socket(address, Sharing::Shared).map_err(error)?;
    let bound = first.local_addr().map_err(error)?;
    let bound = bound.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(socket(bound, Sharing::Shared).map_err(error)?);
    }
    Ok(Bound::Ip {
        address: bound,
        sockets,
    })
}

/// Whether nobody could listen on one of the two while somebody else listens on the other.
pub fn overlap(one: &ListenAddr, other: &ListenAddr) -> bool {
    let (one, other) = match (one, other) {
        (ListenAddr::Ip(one), ListenAddr::Ip(other)) => (one, other),
        (one, other) => return one == other,
    };
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
    use std::net::SocketAddr;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use socket2::SockRef;

    use crate::listener::socket::BindTarget;
    use crate::listener::socket::ListeningSocket;
    use crate::listener::socket::bind;
    use crate::listener::socket::claim;
    use crate::stream::ListenAddr;
    use crate::stream::vanished;

    fn wanted(address: &ListenAddr) -> BindTarget<'_> {
        BindTarget {
            address,
            mode: 0,
            is_shared: false,
        }
    }

    #[test]
    fn a_trial_finds_who_listens_there_however_that_one_shares() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = address.parse().expect("an address");
            let bound = bind(wanted(&ListenAddr::Ip(any)), 2).expect("a port");
            let shared = bound.address().ip().expect("an address");
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
                    let error = claim(&ListenAddr::Ip(tried)).expect_err("it is in use");
                    let said = format!("cannot listen on {tried}: address already in use");
                    assert_eq!(error.to_string(), said);
                }
            }
        }
    }

    #[test]
    fn an_accepted_socket_has_what_finds_a_peer_that_vanished() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = bind(wanted(&ListenAddr::Ip(any)), 1).expect("a port");
        let address = bound.address().ip().expect("an address");
        let (mut listeners, file) = bound.listen().expect("it listens");
        assert!(file.is_none());
        let Some(ListeningSocket::Tcp(listener)) = listeners.pop() else {
            panic!("TCP");
        };
        listener.set_nonblocking(false).expect("it waits");
        let _client = TcpStream::connect(address).expect("connected");
        let (accepted, _) = listener.accept().expect("accepted");
        let socket = SockRef::from(&accepted);
        assert!(vanished::is_found(&socket).expect("options"));
        assert!(socket.tcp_nodelay().expect("an option"));
    }
}
