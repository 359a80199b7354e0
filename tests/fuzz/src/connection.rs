//! A whole connection: what a client sends and an upstream says, cut and ended anywhere, over sockets of this machine and a
//! clock that stands still until nothing else is left to do.
//!
//! Behind the first line, which has `t` for an upstream over TCP (else a Unix socket) and `p` for a PROXY header, come bytes
//! and marks. A mark waits until nothing moves any more: `\x01` what follows is sent by the client, `\x02` by the upstream over
//! its newest connection, `\x03` who sent last ends its direction, `\x04` it is gone at once, `\x05` the process drains, `\x06` a
//! minute passes.
//!
//! - No byte of the client's reaches the upstream behind an upgrade request before the upstream's own 101, and then only those
//!   that stand behind the request.
//! - What the upstream sees are clear requests, on whose ends all readers of `tests/hostile` agree; each was sent by the
//!   client, in that order, and no more often (a GET may come once more over another connection).
//! - What the client is told are clear answers, one for a request at most, and a 101 only if the upstream agreed.
//! - It ends, at the latest when the upstream is gone.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Version;
use http::header;
use socket2::SockRef;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::LocalSet;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tokio::time::timeout;
use wsgate::engineio::Diagnosis;
use wsgate::headers::upgrade;
use wsgate::headers::upgrade::Asked;
use wsgate::headers::upgrade::Body;
use wsgate::limits::AddressLimits;
use wsgate::limits::Connections;
use wsgate::listener;
use wsgate::listener::Context;
use wsgate::listener::LiveListener;
use wsgate::listener::ListenerSettings;
use wsgate::listener::Phase;
use wsgate::listener::Tasks;
use wsgate::observe::AccessLog;
use wsgate::observe::ConnectionLog;
use wsgate::proxy::CurrentProxy;
use wsgate::proxy::Proxy;
use wsgate::server;
use wsgate::tunnel::IdleSweep;

use crate::answers;
use crate::file;
use crate::hostile;
use crate::hostile::Next;
use crate::log;

/// Longer than all limits of wsgate one after the other, for as many requests as an input can have.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Bytes of an input that are looked at.
const MOST: usize = 64 * 1024;

thread_local! {
    static WORLD: World = World::new();
}

/// What all runs of a thread share.
struct World {
    runtime: Runtime,
    listener: TcpListener,
    tcp: TcpListener,
    unix: UnixListener,
    over_tcp: Proxy,
    over_unix: Proxy,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        log::write();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        {
            // Rust's own `main`, which libFuzzer has not, leaves it to the one that writes.
            let _entered = runtime.enter();
            drop(signal(SignalKind::pipe()).expect("a signal"));
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("upstream");
        let unix = UnixListener::bind(&path).expect("a Unix socket");
        let [listener, tcp] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        for set in [
            listener.set_nonblocking(true),
            tcp.set_nonblocking(true),
            unix.set_nonblocking(true),
        ] {
            set.expect("a mode");
        }
        let port = tcp.local_addr().expect("an address").port();
        Self {
            over_tcp: proxy(&format!("http://127.0.0.1:{port}")),
            over_unix: proxy(&format!("http://unix:{}", path.display())),
            runtime,
            listener,
            tcp,
            unix,
            _dir: dir,
        }
    }
}

fn proxy(upstream: &str) -> Proxy {
    let routes = format!(
        "tunnel_timeout: 5s\nhalf_closed_timeout: 3s\ntrusted_proxies: 127.0.0.2\nlisten: [{{ address: 8080 }}]\nroutes:\n  \
         - {{ location: /, proxy_pass: '{upstream}' }}\n  - {{ location: /own, return: 404 }}\n"
    );
    let (config, _) = file::read(routes.as_bytes()).expect("a configuration");
    Proxy {
        sites: Arc::new(server::serving_table(&config).sites),
        trusted: config.trusted_proxies.clone(),
        addresses: AddressLimits::default(),
        observer: Arc::new((
            (AccessLog::default(), ConnectionLog::default()),
            Diagnosis::default(),
        )),
    }
}

/// Holds the above.
pub fn run(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let flags = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let script = data.get(flags.len() + 1..).unwrap_or_default();
    WORLD.with(|world| {
        let local = LocalSet::new();
        local.block_on(&world.runtime, serve(world, flags, script));
    });
}

async fn serve(world: &World, flags: &[u8], script: &[u8]) {
    let (over_tcp, announced) = (flags.contains(&b't'), flags.contains(&b'p'));
    let (say_phase, phase) = watch::channel(Phase::Running);
    let sweep = Rc::new(IdleSweep::default());
    let mut proxy = if over_tcp {
        world.over_tcp.clone()
    } else {
        world.over_unix.clone()
    };
    if announced {
        proxy.trusted = ["127.0.0.0/8".parse().expect("a network")]
            .into_iter()
            .collect();
    }
    let observer = Arc::clone(&proxy.observer);
    let tasks = Tasks::new(phase.clone(), Connections::up_to(8), Arc::clone(&observer));
    let context = Rc::new(Context {
        current_proxy: CurrentProxy::new(proxy),
        sweep: Rc::clone(&sweep),
        tasks: tasks.clone(),
        phase,
        observer,
        timeouts: Cell::new(listener::ConnectionTimeouts {
            tls_handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
        }),
    });
    let live = Rc::new(LiveListener::new(ListenerSettings {
        tls: None,
        proxy_protocol: announced,
        port: 8080,
        redirect: None,
    }));
    let socket = world.listener.try_clone().expect("a descriptor");
    let socket = tokio::net::TcpListener::from_std(socket).expect("a socket");
    spawn_local(listener::accept(socket, live, context));
    spawn_local(async move { sweep.run().await });
    let upstreams = Rc::new(Upstreams::default());
    upstreams.unread.set(announced);
    take(world, over_tcp, Rc::clone(&upstreams));

    let address = world.listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).expect("a connection");
    client.set_nonblocking(true).expect("a mode");
    let client = Socket::Tcp(tokio::net::TcpStream::from_std(client).expect("a socket"));
    let client = Rc::new(Far::new(client));
    client.listen(|_| {});

    let mut sent = Vec::new();
    let mut at_client = true;
    for piece in pieces(script) {
        match piece {
            Piece::Bytes(bytes) if at_client => {
                sent.extend_from_slice(bytes);
                client.say(bytes).await;
            }
            Piece::Bytes(bytes) => {
                if let Some(upstream) = upstreams.newest() {
                    upstream.say(bytes).await;
                }
            }
            Piece::Client => at_client = true,
            Piece::Upstream => at_client = false,
            Piece::Ends | Piece::Leaves => {
                let far = if at_client {
                    Some(Rc::clone(&client))
                } else {
                    upstreams.newest()
                };
                match (far, piece) {
                    (Some(far), Piece::Ends) => far.end(),
                    (Some(far), _) => far.leave(),
                    (None, _) => {}
                }
            }
            Piece::Drains => drop(say_phase.send_replace(Phase::Draining)),
            Piece::Minute => sleep(Duration::from_secs(60)).await,
        }
        if !matches!(piece, Piece::Bytes(_)) {
            quiet().await;
        }
    }
    quiet().await;
    if timeout(LONG, tasks.none()).await.is_err() {
        // An answer that has begun may take as long as its upstream likes.
        upstreams.leave();
        let over = timeout(LONG, tasks.none()).await;
        assert!(over.is_ok(), "it does not end: {upstreams:?}");
    }
    quiet().await;
    // So that no port is kept for a minute, now that all is read.
    client.leave();
    if announced {
        return;
    }
    let agreed = upstreams.judge(&sent);
    let got = client.got.borrow();
    answers::judge(&sent, &got, &agreed);
}

/// Nothing moves any more: the clock goes on only then.
async fn quiet() {
    sleep(Duration::from_millis(1)).await;
}

#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    Client,
    Upstream,
    Ends,
    Leaves,
    Drains,
    Minute,
}

fn pieces(script: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = script;
    while let Some(mark) = rest.iter().position(|byte| (1..=6).contains(byte)) {
        if mark > 0 {
            pieces.push(Piece::Bytes(&rest[..mark]));
        }
        pieces.push(match rest[mark] {
            1 => Piece::Client,
            2 => Piece::Upstream,
            3 => Piece::Ends,
            4 => Piece::Leaves,
            5 => Piece::Drains,
            _ => Piece::Minute,
        });
        rest = &rest[mark + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Bytes(rest));
    }
    pieces
}

/// A connected socket.
#[derive(Debug)]
enum Socket {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Socket {
    async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(tcp) => {
                    tcp.readable().await?;
                    tcp.try_read(room)
                }
                Self::Unix(unix) => {
                    unix.readable().await?;
                    unix.try_read(room)
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::Tcp(tcp) => {
                    tcp.writable().await?;
                    tcp.try_write(bytes)
                }
                Self::Unix(unix) => {
                    unix.writable().await?;
                    unix.try_write(bytes)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }
}

/// A far end: what it got, and what it said.
#[derive(Debug)]
struct Far {
    socket: RefCell<Option<Rc<Socket>>>,
    reader: RefCell<Option<AbortHandle>>,
    got: RefCell<Vec<u8>>,
    said: RefCell<Vec<u8>>,
    /// Where in `got` the first request is that was not looked at, and where the tunnel begins.
    done: Cell<usize>,
    tunnel: Cell<Option<usize>>,
    /// The last request asks for a WebSocket, with this for an answer.
    accept: RefCell<Option<String>>,
}

impl Far {
    fn new(socket: Socket) -> Self {
        Self {
            socket: RefCell::new(Some(Rc::new(socket))),
            reader: RefCell::default(),
            got: RefCell::default(),
            said: RefCell::default(),
            done: Cell::new(0),
            tunnel: Cell::new(None),
            accept: RefCell::default(),
        }
    }

    /// Reads to the end; `look` is called behind each read.
    fn listen(self: &Rc<Self>, look: impl Fn(&Self) + 'static) {
        let far = Rc::downgrade(self);
        let Some(socket) = self.socket.borrow().clone() else {
            return;
        };
        let reader = spawn_local(async move {
            let mut room = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = socket.read(&mut room).await {
                let Some(far) = far.upgrade() else {
                    return;
                };
                far.got.borrow_mut().extend_from_slice(&room[..length]);
                look(&far);
            }
        });
        self.reader.replace(Some(reader.abort_handle()));
    }

    async fn say(&self, mut bytes: &[u8]) {
        let Some(socket) = self.socket.borrow().clone() else {
            return;
        };
        // Before it is sent, since it is judged by it.
        self.said.borrow_mut().extend_from_slice(bytes);
        while !bytes.is_empty() {
            match timeout(Duration::from_secs(1), socket.write(bytes)).await {
                Ok(Ok(length @ 1..)) => bytes = &bytes[length..],
                _ => return,
            }
        }
    }

    /// Ends its direction.
    fn end(&self) {
        let both = std::net::Shutdown::Write;
        if let Some(socket) = &*self.socket.borrow() {
            let _ = match &**socket {
                Socket::Tcp(tcp) => SockRef::from(tcp).shutdown(both),
                Socket::Unix(unix) => SockRef::from(unix).shutdown(both),
            };
        }
    }

    /// Is gone at once.
    fn leave(&self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        if let Some(socket) = self.socket.take()
            && let Socket::Tcp(tcp) = &*socket
        {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

/// All connections to the upstream.
#[derive(Debug, Default)]
struct Upstreams {
    all: RefCell<Vec<Rc<Far>>>,
    /// Whom the upstream is told of is not what the readers expect: only that nothing breaks is held.
    unread: Cell<bool>,
    /// The requests that were seen, each with the number of its connection.
    seen: RefCell<Vec<(usize, Vec<u8>)>>,
}

/// Takes the upstream's connections; what an earlier run has left in the queue is gone.
fn take(world: &World, over_tcp: bool, upstreams: Rc<Upstreams>) {
    while world.tcp.accept().is_ok() || world.unix.accept().is_ok() {}
    if over_tcp {
        let socket = world.tcp.try_clone().expect("a descriptor");
        let socket = tokio::net::TcpListener::from_std(socket).expect("a socket");
        spawn_local(async move {
            while let Ok((tcp, _)) = socket.accept().await {
                upstreams.add(Socket::Tcp(tcp));
            }
        });
    } else {
        let socket = world.unix.try_clone().expect("a descriptor");
        let socket = tokio::net::UnixListener::from_std(socket).expect("a socket");
        spawn_local(async move {
            while let Ok((unix, _)) = socket.accept().await {
                upstreams.add(Socket::Unix(unix));
            }
        });
    }
}

impl Upstreams {
    fn newest(&self) -> Option<Rc<Far>> {
        self.all.borrow().last().cloned()
    }

    /// All are gone at once.
    fn leave(&self) {
        self.all.borrow().iter().for_each(|far| far.leave());
    }

    fn add(self: &Rc<Self>, socket: Socket) {
        let far = Rc::new(Far::new(socket));
        let number = self.all.borrow().len();
        self.all.borrow_mut().push(Rc::clone(&far));
        let upstreams = Rc::downgrade(self);
        far.listen(move |far| {
            if let Some(upstreams) = upstreams.upgrade() {
                upstreams.look(number, far);
            }
        });
    }

    /// Judges what a connection has got so far.
    fn look(&self, number: usize, far: &Far) {
        let got = far.got.borrow();
        if self.unread.get() {
            return;
        }
        while far.tunnel.get().is_none() && far.done.get() < got.len() {
            let at = far.done.get();
            if let Some(accept) = &*far.accept.borrow() {
                let said = far.said.borrow();
                if has(&said, b" 101 ") && has(&said, accept.as_bytes()) {
                    far.tunnel.set(Some(at));
                    return;
                }
                let answered = has(&said, b"\r\n\r\n") || has(&said, b"\n\n");
                assert!(answered, "before a 101: {}", got[at..].escape_ascii());
            }
            match hostile::next(&got[at..]) {
                Next::Whole(request) => {
                    far.accept
                        .replace(request.is_upgrade.then(|| accept(&request.fields)));
                    far.done.set(at + request.length);
                    self.seen.borrow_mut().push((number, request.first));
                }
                Next::Partial(_) => return,
                Next::Garbage(why) => panic!("the upstream got {why}: {}", got.escape_ascii()),
            }
        }
    }

    /// Judges all that was got; returns what the upstreams said that agreed to a tunnel.
    fn judge(&self, sent: &[u8]) -> Vec<Vec<u8>> {
        let mut agreed = Vec::new();
        for far in self.all.borrow().iter() {
            let got = far.got.borrow();
            let end = far.tunnel.get().unwrap_or(got.len());
            hostile::agree(&got[..end])
                .unwrap_or_else(|why| panic!("{why}: {}", got.escape_ascii()));
            let tunnel = &got[end..];
            let sent_behind_a_head = (0..sent.len()).any(|at| {
                sent[at..].starts_with(tunnel)
                    && (sent[..at].ends_with(b"\n\r\n") || sent[..at].ends_with(b"\n\n"))
            });
            assert!(
                tunnel.is_empty() || sent_behind_a_head,
                "through the tunnel: {}",
                tunnel.escape_ascii()
            );
            let said = far.said.borrow();
            if let Some(accept) = &*far.accept.borrow()
                && has(&said, b" 101 ")
                && has(&said, accept.as_bytes())
            {
                agreed.push(said.clone());
            }
        }
        let mut seen = self.seen.borrow().clone();
        // A GET is sent again once if its connection was just closing.
        seen.dedup_by(|again, first| {
            let idempotent = first.1.starts_with(b"GET ") || first.1.starts_with(b"HEAD ");
            idempotent && again.1 == first.1 && again.0 != first.0
        });
        let requests = count(sent, b"HTTP/1.");
        assert!(
            seen.len() <= requests,
            "{} of {requests} requests: {seen:?}",
            seen.len()
        );
        let mut from = 0;
        for (_, first) in &seen {
            let target = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let place = find(&sent[from..], target).or_else(|| find(&sent[from..], &target[1..]));
            let place =
                place.unwrap_or_else(|| panic!("not sent, or not then: {}", first.escape_ascii()));
            from += place + target.len().saturating_sub(1);
        }
        agreed
    }
}

/// What `Sec-WebSocket-Accept` must be.
fn accept(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"sec-websocket-key") {
            let value = HeaderValue::from_bytes(value).expect("a value");
            headers.append(header::SEC_WEBSOCKET_KEY, value);
        }
    }
    match upgrade::asked(&Method::GET, Version::HTTP_11, &headers, Body::None) {
        Ok(Asked::WebSocket(key)) => key.accept(),
        other => panic!("an upgrade request that is none: {other:?}"),
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes
        .windows(what.len().max(1))
        .position(|part| part == what)
}

pub(crate) fn has(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, what).is_some()
}

pub(crate) fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes
        .windows(what.len())
        .filter(|part| *part == what)
        .count()
}
