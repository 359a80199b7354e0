//! Listening sockets: how they are opened, and what accepts from them.
//!
//! Every thread has a socket of its own on each address (SO_REUSEPORT), so that a connection lives and dies on one thread.
//! A failed accept is waited out, and so is the time in which there are as many connections as there may be: neither ends
//! the listener, and neither spins.

mod announced;
mod connection;
mod crowd;
mod door;
mod tasks;
mod whole;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::task::yield_now;

use crate::listener::crowd::Crowd;
use crate::listener::tasks::Task;
use crate::proxy::Handle;
use crate::tunnel::Keeper;

pub use crate::listener::door::Door;
pub use crate::listener::door::Entrance;
pub use crate::listener::tasks::Tasks;

/// Connections that the system keeps until they are accepted; it cuts this to `net.core.somaxconn`. Large, since a
/// restarted upstream brings thousands of clients back within a second.
const BACKLOG: i32 = 4096;

/// Connections that are begun before others get their turn: a millisecond or two of work.
const BEGUN_IN_A_ROW: usize = 64;

/// Connections that are taken from the system before they are begun. Its queue is short, and whoever finds it full is turned
/// away and tries again after a second; here there is room for twice as many.
const TAKEN_AHEAD: usize = 8192;

/// How long accepting pauses when the process or the system has no room for another connection, before it looks again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take nothing of what it is sent before it counts as vanished; what keepalive takes to find one to which
/// nothing is sent: 60 s + 4 × 15 s. The system alone would go on for a quarter of an hour.
#[cfg(target_os = "linux")]
const VANISHED: Duration = Duration::from_secs(120);

/// What a connection obeys before a request is there.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest TLS handshake.
    pub tls_handshake: Duration,
    /// Longest wait for the whole head of a request, and so longest idleness between two requests.
    pub header: Duration,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Accepting.
    Running,
    /// No longer accepting; what is under way goes on.
    Draining,
    /// What is left is ended.
    Over,
}

/// What all connections of one thread share.
#[derive(Debug)]
pub struct Context {
    /// Decides about requests.
    pub handle: Handle,
    /// Ends tunnels that do not end by themselves.
    pub keeper: Rc<Keeper>,
    /// Counts what is under way.
    pub tasks: Tasks,
    /// When to stop.
    pub phase: watch::Receiver<Phase>,
    /// See [`Limits`]. A connection obeys those that it finds when it comes.
    pub limits: Cell<Limits>,
}

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
/// Addresses in TIME_WAIT do not count, so that a restart works at once. All addresses are tried before the first is
/// opened, since 0.0.0.0:80 and 127.0.0.1:80 may stand side by side only with SO_REUSEPORT.
///
/// # Errors
/// In use, not permitted, or no address of this machine.
pub fn claim(address: SocketAddr) -> Result<(), ListenError> {
    let claimed = socket(address, Sharing::Alone).and_then(|socket| socket.listen(BACKLOG));
    claimed.map_err(|source| ListenError { address, source })
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
    // Accepted sockets inherit these (Linux), which saves five calls a connection. A peer that vanished is found in about two
    // minutes, whether it is owed something or not.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(VANISHED))?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepts until the process drains or the door is closed, then takes what the system has accepted already, and closes the socket.
///
/// What waits is taken before what was taken is served (the runtime would stop after 128): the system's queue is short, and
/// a client that finds it full tries again only after a second, while one that was taken waits for its turn in little room.
pub async fn accept(listener: TcpListener, door: Rc<Door>, context: Rc<Context>) {
    unconstrained(take(listener, door, context)).await;
}

async fn take(listener: TcpListener, door: Rc<Door>, context: Rc<Context>) {
    let mut phase = context.phase.clone();
    let mut over = pin!(async {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase > Phase::Running) => {}
            () = door.closed() => {}
        }
    });
    let mut crowd = Crowd::default();
    let mut taken = VecDeque::new();
    // Another thread had the last place when it was taken.
    let mut held: Option<(TcpStream, SocketAddr)> = None;
    loop {
        if let Some((tcp, peer)) = held.take() {
            match context.tasks.begin() {
                Some(task) => taken.push_back((tcp, peer, task)),
                None => held = Some((tcp, peer)),
            }
        }
        let is_full = held.is_some() || context.tasks.connections().is_full();
        let next = poll_fn(|cx| {
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Over);
            }
            if is_full {
                let is_begun = taken.is_empty();
                return Poll::Ready(if is_begun { Next::Full } else { Next::Nothing });
            }
            match listener.poll_accept(cx) {
                Poll::Ready(accepted) => Poll::Ready(Next::Accepted(accepted)),
                Poll::Pending if taken.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(Next::Nothing),
            }
        });
        match next.await {
            Next::Over => break,
            Next::Accepted(Ok((tcp, peer))) => match context.tasks.begin() {
                Some(task) => {
                    taken.push_back((tcp, peer, task));
                    if taken.len() < TAKEN_AHEAD {
                        continue;
                    }
                }
                None => {
                    held = Some((tcp, peer));
                    continue;
                }
            },
            // The client was gone before it was accepted.
            Next::Accepted(Err(error)) if is_about_one_connection(&error) => continue,
            Next::Accepted(Err(error)) => {
                crowd.is_refused(&error);
                for (tcp, peer, task) in taken.drain(..) {
                    begin(tcp, peer, task, (&door, &context));
                }
                tokio::select! {
                    biased;
                    () = &mut over => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            Next::Full => {
                crowd.is_full(context.tasks.connections().most());
                tokio::select! {
                    biased;
                    () = &mut over => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            Next::Nothing => {}
        }
        for (tcp, peer, task) in taken.drain(..taken.len().min(BEGUN_IN_A_ROW)) {
            begin(tcp, peer, task, (&door, &context));
        }
        if !taken.is_empty() {
            yield_now().await;
        }
    }
    for (tcp, peer, task) in taken {
        begin(tcp, peer, task, (&door, &context));
    }
    // It came before all that the system holds; without a place for it there is none for them.
    if let Some((tcp, peer)) = held {
        match context.tasks.begin() {
            Some(task) => begin(tcp, peer, task, (&door, &context)),
            None => return,
        }
    }
    // Closing the socket would reset those that wait in it. The system is asked, since the runtime may not know of them yet.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    loop {
        match listener.accept() {
            Ok((tcp, peer)) => {
                let Some(task) = context.tasks.begin() else {
                    return;
                };
                if tcp.set_nonblocking(true).is_ok()
                    && let Ok(tcp) = TcpStream::from_std(tcp)
                {
                    begin(tcp, peer, task, (&door, &context));
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// What a listening socket says.
enum Next {
    Over,
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    /// Nobody waits, or there is no place for who does; but some were taken before.
    Nothing,
    /// There are as many connections as there may be, and all are begun.
    Full,
}

/// Serves one connection; `task` is its place among all.
fn begin(tcp: TcpStream, peer: SocketAddr, task: Task, (door, context): (&Rc<Door>, &Rc<Context>)) {
    let keeper = Rc::clone(&context.keeper);
    let serving = connection::serve(tcp, peer, Rc::clone(door), Rc::clone(context));
    let serving = Box::pin(serving);
    tokio::task::spawn_local(async move {
        if let Some((client, switch)) = serving.await {
            // In a task of its own, which is no larger than a tunnel.
            tokio::task::spawn_local(switch.begin(client, &keeper, task));
        }
    });
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::SocketAddr;
    use std::net::TcpStream;

    use socket2::SockRef;

    use crate::listener::VANISHED;
    use crate::listener::bind;

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
        assert!(socket.keepalive().expect("an option"));
        let probes = (
            socket.tcp_keepalive_time().expect("an option"),
            socket.tcp_keepalive_interval().expect("an option"),
            socket.tcp_keepalive_retries().expect("an option"),
        );
        assert_eq!(probes.0 + probes.1 * probes.2, VANISHED);
        assert_eq!(
            socket.tcp_user_timeout().expect("an option"),
            Some(VANISHED)
        );
        assert!(socket.tcp_nodelay().expect("an option"));
    }
}
