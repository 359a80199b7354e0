//! One socket to an upstream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::stream::PeerAddr;
use crate::stream::Stream;
use crate::stream::vanished;
use crate::tls;
use crate::upstream::Address;
use crate::upstream::ConnectError;
use crate::upstream::Host;
use crate::upstream::Server;
use crate::upstream::lookup::look_up;

/// The first wait of a connection to a Unix socket whose queue is full; then it doubles, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// See [`FIRST_WAIT`].
const LONGEST_WAIT: Duration = Duration::from_millis(64);

/// How long a SYN may be without an answer before another one is sent; then twice as long, and so on. TCP waits a second
/// (RFC 6298 §2); from one side of the earth to the other and back it takes 0.3.
const FIRST_SYN: Duration = Duration::from_millis(100);

/// SYNs of one connection that are waited for at the same time.
const SYNS: usize = 2;

/// A connection to a server.
#[derive(Debug)]
pub struct Connected {
    /// Past its TLS handshake, if it has one.
    pub stream: Stream,
    /// The address that accepted.
    pub address: PeerAddr,
    /// How many of the first bytes went out with it.
    pub sent: usize,
}

/// Connects to a server, and does the TLS handshake with one of `https://`. A name is looked up for each
/// connection, together with all others of this thread that ask for it at the same time, and its addresses are tried in the resolver's order, each for its share of what is left of the time.
/// `connect_timeout` is the longest time for all of that: to look up the name, to be accepted, and for the TLS handshake.
///
/// Where a server takes a connection at once, as on the same machine, `first` is written before anything waits: that
/// saves a turn of the runtime. [`Connected::sent`] says how much of it; the rest is up to the caller.
///
/// # Errors
/// The name has no address, every address refused, the TLS handshake failed, or time was up.
///
/// # Cancel safety
/// Dropping the future closes what was being opened.
pub async fn connect(
    to: &Server,
    connect_timeout: Duration,
    first: &[u8],
) -> Result<Connected, ConnectError> {
    let attempt = Attempt {
        to,
        limit: connect_timeout,
        deadline: Instant::now() + connect_timeout,
    };
    let (stream, address, sent) = match (to.proxy_pass().address(), to.tls()) {
        (Address::Unix(path), _) => {
            let (unix, address) = attempt.unix(path).await?;
            (unix, address, 0)
        }
        (Address::Port { host, port, .. }, None) => {
            let (tcp, address, sent) = attempt.tcp(host, *port, first).await?;
            (Stream::Plain(tcp), address, sent)
        }
        (Address::Port { host, port, .. }, Some(tls)) => {
            let (tcp, address, _) = attempt.tcp(host, *port, &[]).await?;
            let (stream, address) = attempt.tls(tls, tcp, address).await?;
            (stream, address, 0)
        }
    };
    Ok(Connected {
        stream,
        address,
        sent,
    })
}

/// What is connected to, and until when.
struct Attempt<'a> {
    to: &'a Server,
    limit: Duration,
    deadline: Instant,
}

impl Attempt<'_> {
    async fn tcp(
        &self,
        host: &Host,
        port: u16,
        first: &[u8],
    ) -> Result<(TcpStream, PeerAddr, usize), ConnectError> {
        match (host, self.to.pinned()) {
            (Host::Ip(ip), _) | (Host::Name(_), Some(ip)) => {
                self.first_of(&[SocketAddr::new(*ip, port)], first).await
            }
            (Host::Name(name), None) => {
                match timeout_at(self.deadline, look_up(name, port)).await {
                    Err(_) => Err(self.timeout()),
                    Ok(Err(source)) => Err(ConnectError::Resolve {
                        upstream: self.to.authority(),
                        source,
                    }),
                    Ok(Ok(found)) => self.first_of(&found, first).await,
                }
            }
        }
    }

    async fn first_of(
        &self,
        addresses: &[SocketAddr],
        first: &[u8],
    ) -> Result<(TcpStream, PeerAddr, usize), ConnectError> {
        let mut refused = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let still_to_try = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match timeout(left / still_to_try, open(*address, first)).await {
                Ok(Ok((tcp, sent))) => return Ok((tcp, PeerAddr::Ip(*address), sent)),
                Ok(Err(error)) => refused = Some((PeerAddr::Ip(*address), error)),
                Err(_) => {}
            }
        }
        Err(match refused {
            Some((address, source)) => self.refused(address, source),
            None => self.timeout(),
        })
    }

    async fn tls(
        &self,
        tls: &tls::UpstreamTls,
        tcp: TcpStream,
        address: PeerAddr,
    ) -> Result<(Stream, PeerAddr), ConnectError> {
        // Boxed, so that plain connections do not carry the room for it.
        match timeout_at(self.deadline, Box::pin(tls.connect(tcp))).await {
            Ok(Ok(tls)) => Ok((Stream::UpstreamTls(Box::new(tls)), address)),
            Ok(Err(source)) => Err(ConnectError::Tls {
                upstream: self.to.authority(),
                address,
                source: Box::new(source),
            }),
            Err(_) => Err(ConnectError::TlsTimeout {
                upstream: self.to.authority(),
                address,
                limit: self.limit,
            }),
        }
    }

    async fn unix(&self, path: &Arc<Path>) -> Result<(Stream, PeerAddr), ConnectError> {
        let mut wait = FIRST_WAIT;
        let connected = async {
            loop {
                match UnixStream::connect(path).await {
                    // Its queue is full, as in a storm of clients; unlike TCP the system does not wait, nor does it say
                    // when there is room (connect(2), EAGAIN).
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        sleep(wait).await;
                        wait = LONGEST_WAIT.min(wait * 2);
                    }
                    connected => return connected,
                }
            }
        };
        let address = PeerAddr::Unix(Arc::clone(path));
        match timeout_at(self.deadline, connected).await {
            Ok(Ok(unix)) => Ok((Stream::Unix(unix), address)),
            Ok(Err(source)) => Err(self.refused(address, source)),
            Err(_) => Err(self.timeout()),
        }
    }

    fn refused(&self, address: PeerAddr, source: io::Error) -> ConnectError {
        ConnectError::Refused {
            upstream: self.to.authority(),
            address,
            source,
        }
    }

    fn timeout(&self) -> ConnectError {
        ConnectError::Timeout {
            upstream: self.to.authority(),
            limit: self.limit,
        }
    }
}

/// Opens one connection, and writes of `first` what goes at once.
///
/// A server whose queue of connections is full (511 in Node) drops the SYN without a word, and TCP tries again after a
/// second, then two: that is what clients feel when thousands of them come back at once. Here another SYN is on its way
/// before; whichever is answered first is the connection.
async fn open(address: SocketAddr, first: &[u8]) -> io::Result<(TcpStream, usize)> {
    let (tcp, sent) = begin(address, first)?;
    if sent > 0 {
        return Ok((tcp, sent));
    }
    let mut waiting = VecDeque::from([tcp]);
    let mut wait = FIRST_SYN;
    loop {
        match timeout(wait, poll_fn(|cx| poll_stands(&mut waiting, cx))).await {
            Ok(stands) => return stands.map(|tcp| (tcp, 0)),
            Err(_) => wait *= 2,
        }
        // If no descriptor is left for another SYN, the earlier one still waits.
        if let Ok((tcp, sent)) = begin(address, first) {
            if sent > 0 {
                return Ok((tcp, sent));
            }
            waiting.push_back(tcp);
        }
        if waiting.len() > SYNS {
            waiting.pop_front();
        }
    }
}

/// Begins a connection, and writes of `first` what goes at once: nothing if it does not stand yet.
fn begin(address: SocketAddr, first: &[u8]) -> io::Result<(TcpStream, usize)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    prepare(&socket, address);
    match socket.connect(&address.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => return Err(error),
        _ => {}
    }
    let mut tcp = std::net::TcpStream::from(socket);
    // Only a connection that stands takes a byte.
    let sent = if first.is_empty() {
        0
    } else {
        match tcp.write(first) {
            Ok(sent) => sent,
            Err(error) if is_too_early(&error) => 0,
            Err(error) => return Err(error),
        }
    };
    Ok((TcpStream::from_std(tcp)?, sent))
}

/// The first of them that stands, or that was refused: that is an answer too.
fn poll_stands(
    waiting: &mut VecDeque<TcpStream>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<TcpStream>> {
    for at in 0..waiting.len() {
        if let Poll::Ready(ready) = waiting[at].poll_write_ready(cx) {
            ready?;
            if let Some(error) = waiting[at].take_error()? {
                return Poll::Ready(Err(error));
            }
            if let Some(tcp) = waiting.remove(at) {
                return Poll::Ready(Ok(tcp));
            }
        }
    }
    Poll::Pending
}

/// Whether a write failed for nothing but that the connection does not stand yet.
fn is_too_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

/// Messages leave at once, and a peer that vanished is found in about two minutes, whether it is owed something or not; one on
/// this machine cannot vanish without a word, and not to ask saves five system calls.
///
/// A socket that refuses an option still carries bytes, so nothing is made of it.
fn prepare(socket: &Socket, address: SocketAddr) {
    let _ = socket.set_tcp_nodelay(true);
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    let _ = vanished::find(socket);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::SocketAddr;

    use socket2::Domain;
    use socket2::Socket;
    use socket2::Type;

    use crate::stream::vanished;
    use crate::upstream::connect::prepare;

    #[test]
    fn a_socket_to_another_machine_has_what_finds_that_it_vanished() {
        for (ip, elsewhere) in [([192, 0, 2, 1], true), ([127, 0, 0, 1], false)] {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            prepare(&socket, SocketAddr::from((ip, 80)));
            assert!(socket.tcp_nodelay().expect("an option"));
            assert_eq!(vanished::is_found(&socket).expect("options"), elsewhere);
        }
    }
}
