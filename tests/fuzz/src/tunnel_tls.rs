//! The same as [`tunnel`](crate::tunnel) with TLS towards the client, and with `u` towards the upstream too: rustls'
//! buffered interface is at the far ends.
//!
//! The lines are: `2` or `3` for the version of TLS with `u` and `h` behind it, what the client does, by which schedules its
//! socket is read and written, the same for the upstream, and in which order pauses end. With `h` the schedules hold for the
//! TLS handshake too. What a far end does is written as a schedule is, with `k` for new keys, `c` for a close_notify and `g`
//! for bytes that are no TLS.
//!
//! - Every byte arrives once, in its order, and of what waits there is never more than a few buffers.
//! - Nothing spins, nothing is stuck, and an end without a close_notify is not taken for one in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::io::Read;
use std::io::Write;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::LazyLock;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::Connection;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::aws_lc_rs;
use rustls::server::UnbufferedServerConnection;
use rustls::version::TLS12;
use rustls::version::TLS13;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wsgate::stream::Tls;
use wsgate::tunnel::End;
use wsgate::tunnel::Ended;
use wsgate::tunnel::IdleSweep;
use wsgate::tunnel::TunnelTimeouts;
use wsgate::tunnel::Socket;
use wsgate::tunnel::relay;

use crate::script::Half;
use crate::script::Scripted;
use crate::script::State;
use crate::script::Step;
use crate::script::Woken;
use crate::script::byte_at;
use crate::script::bytes_from;
use crate::script::steps;

/// Of the client's bytes and of the upstream's.
const CLIENT: u8 = 0x00;
const UPSTREAM: u8 = 0xa5;

/// What may wait on its way: a tunnel's buffer, four records sealed and one not whole, and for `tokio-rustls` its own buffers
/// of 64 KiB each way.
const MOST_KEPT: usize = 32 * 1024 + 3 * 64 * 1024 + 20 * 1024;

/// Configurations of both sides for TLS 1.2 and TLS 1.3.
static CONFIGS: LazyLock<[(Arc<ServerConfig>, Arc<ClientConfig>); 2]> = LazyLock::new(|| {
    let names = ["chat.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let cert = made.cert.der().clone();
    [&TLS12, &TLS13].map(|version| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_no_client_auth()
            .with_single_cert(vec![cert.clone()], key.clone_key())
            .expect("a pair");
        let mut roots = RootCertStore::empty();
        roots.add(cert.clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    })
});

fn name() -> ServerName<'static> {
    "chat.example".try_into().expect("a name")
}

/// What a far end does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Send(usize),
    Pause,
    NewKeys,
    CloseNotify,
    Nonsense,
    End,
    Broken,
    Silence,
}

fn actions(line: &[u8]) -> VecDeque<Action> {
    let mut actions = VecDeque::new();
    for (byte, step) in line.iter().zip(steps(line)) {
        actions.push_back(match (byte, step) {
            (b'k', _) => Action::NewKeys,
            (b'c', _) => Action::CloseNotify,
            (b'g', _) => Action::Nonsense,
            (_, Step::Piece(size)) => Action::Send(size),
            (_, Step::Pause | Step::PausedFlush | Step::PausedShutdown) => Action::Pause,
            (_, Step::End) => Action::End,
            (_, Step::Broken) => Action::Broken,
            (_, Step::Silence) => Action::Silence,
        });
    }
    actions.extend([Action::CloseNotify, Action::End]);
    actions
}

/// What lies between a near end and its far end.
#[derive(Debug)]
struct Wire {
    to_near: VecDeque<u8>,
    to_far: Vec<u8>,
    reads: Half,
    writes: Half,
    /// The far end has sent its last byte.
    far_ended: bool,
    broken: bool,
    /// The near end has.
    near_ended: bool,
    /// Nonsense was sent, and the near end has begun to close. Both together would only find that rustls says an alert behind
    /// a close_notify, which it asserts that it never does (0.23.46, `send_fatal_alert`): the socket breaks instead.
    nonsense: bool,
    closing: bool,
}

impl Wire {
    fn new() -> Self {
        Self {
            to_near: VecDeque::new(),
            to_far: Vec::new(),
            reads: Half::new(VecDeque::new()),
            writes: Half::new(VecDeque::new()),
            far_ended: false,
            broken: false,
            near_ended: false,
            nonsense: false,
            closing: false,
        }
    }
}

/// The near end of a [`Wire`].
#[derive(Debug)]
struct Pipe(Rc<RefCell<Wire>>);

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.borrow_mut().near_ended = true;
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if wire.to_near.is_empty() {
            if wire.far_ended {
                wire.reads.ended = true;
                return Poll::Ready(Ok(()));
            }
            wire.reads.wait(cx);
            return Poll::Pending;
        }
        let most = wire.to_near.len().min(buf.remaining());
        let read = wire.reads.poll_piece(cx, most, Step::Piece(usize::MAX));
        match &read {
            Poll::Ready(Ok(length)) => {
                wire.broken |= *length == 0;
                for byte in wire.to_near.drain(..length) {
                    buf.put_slice(&[byte]);
                }
            }
            Poll::Ready(Err(_)) => wire.broken = true,
            Poll::Pending => {}
        }
        read.map_ok(drop)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = wire
            .writes
            .poll_piece(cx, buf.len(), Step::Piece(usize::MAX));
        match &written {
            Poll::Ready(Ok(length)) => {
                wire.broken |= *length == 0;
                wire.to_far.extend_from_slice(&buf[..*length]);
            }
            Poll::Ready(Err(_)) => wire.broken = true,
            Poll::Pending => {}
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let done = wire.writes.poll_done(cx, Step::PausedFlush);
        wire.broken |= matches!(done, Poll::Ready(Err(_)));
        done
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let done = wire.writes.poll_done(cx, Step::PausedShutdown);
        wire.broken |= matches!(done, Poll::Ready(Err(_)));
        wire.near_ended |= matches!(done, Poll::Ready(Ok(())));
        done
    }
}

/// A far end: rustls, and what it does.
struct Far {
    session: Connection,
    wire: Rc<RefCell<Wire>>,
    actions: VecDeque<Action>,
    /// Bytes of its own that it has sent, and of the other side's that it has got.
    sent: usize,
    got: usize,
    brings: u8,
    takes: u8,
    /// It does what no peer does in order, or what it got made no sense to it.
    odd: bool,
    /// Its close_notify is out, and so is the other side's.
    said_close: bool,
    close_notify: bool,
    /// What it got was an error to it: nothing more is said.
    dead: bool,
}

impl Far {
    fn new(session: impl Into<Connection>, actions: VecDeque<Action>, seeds: (u8, u8)) -> Self {
        let mut session = session.into();
        session.set_buffer_limit(None);
        Self {
            session,
            wire: Rc::new(RefCell::new(Wire::new())),
            actions,
            sent: 0,
            got: 0,
            brings: seeds.0,
            takes: seeds.1,
            odd: false,
            said_close: false,
            close_notify: false,
            dead: false,
        }
    }

    fn pipe(&self) -> Pipe {
        Pipe(Rc::clone(&self.wire))
    }

    /// Reads what has come, and sends what it has to say.
    fn turn(&mut self) {
        let mut wire = self.wire.borrow_mut();
        let come = std::mem::take(&mut wire.to_far);
        let mut come = come.as_slice();
        while !come.is_empty() {
            match self.session.read_tls(&mut come) {
                Ok(0) => break,
                Ok(_) => {}
                // It reads the plaintext first.
                Err(_) => self.got += plain(&mut self.session, self.got, self.takes),
            }
            match self.session.process_new_packets() {
                Ok(state) => self.close_notify |= state.peer_has_closed(),
                Err(rustls::Error::AlertReceived(_)) if self.odd || wire.broken => self.dead = true,
                Err(_) if self.odd => self.dead = true,
                Err(error) => panic!("what the far end got makes no sense: {error}"),
            }
            self.got += plain(&mut self.session, self.got, self.takes);
        }
        let mut out = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut out).expect("written to memory");
        }
        if !out.is_empty() && !wire.far_ended {
            wire.to_near.extend(out);
            wire.reads.wake();
        }
    }

    /// Does what it has to do up to its next pause; false if it has nothing to do.
    fn act(&mut self) -> bool {
        let mut acted = false;
        while let Some(action) = self.actions.front().copied() {
            if action == Action::Silence {
                break;
            }
            self.actions.pop_front();
            acted = true;
            match action {
                Action::Send(size) => {
                    let bytes = bytes_from(self.sent, size, self.brings);
                    // Behind a close_notify nothing is taken, nor after an alert.
                    if !self.said_close && !self.dead {
                        self.session
                            .writer()
                            .write_all(&bytes)
                            .expect("written to memory");
                        self.sent += size;
                    }
                }
                Action::Pause => break,
                // There are none in TLS 1.2, nor behind a close_notify.
                Action::NewKeys | Action::CloseNotify if self.said_close || self.dead => {}
                Action::NewKeys => drop(self.session.refresh_traffic_keys()),
                Action::CloseNotify => {
                    self.session.send_close_notify();
                    self.said_close = true;
                }
                Action::Nonsense => {
                    self.odd = true;
                    self.turn();
                    let mut wire = self.wire.borrow_mut();
                    wire.broken |= wire.closing;
                    wire.nonsense = true;
                    if !wire.far_ended {
                        wire.to_near.extend(b"\x17\x03\x03\x00\x05hello");
                        wire.reads.wake();
                    }
                }
                Action::End | Action::Broken => {
                    self.turn();
                    self.odd |= !self.said_close || action == Action::Broken;
                    self.actions.clear();
                    let mut wire = self.wire.borrow_mut();
                    wire.far_ended = true;
                    wire.broken |= action == Action::Broken;
                    wire.reads.wake();
                    wire.writes.wake();
                    break;
                }
                Action::Silence => {}
            }
        }
        self.turn();
        acted
    }

    fn is_silent(&self) -> bool {
        let wire = self.wire.borrow();
        self.actions.front() == Some(&Action::Silence)
            || wire.reads.is_silent()
            || wire.writes.is_silent()
    }
}

/// Reads all plaintext, which must go on behind the first `got` bytes of the stream with this seed.
fn plain(session: &mut Connection, got: usize, seed: u8) -> usize {
    let mut more = Vec::new();
    // An end without a close_notify is an error, and no byte.
    let _ = session.reader().read_to_end(&mut more);
    for (at, byte) in more.iter().enumerate() {
        assert_eq!(*byte, byte_at(got + at, seed), "at {}", got + at);
    }
    more.len()
}

/// A near end.
#[derive(Debug)]
enum Near {
    Plain(Scripted),
    Client(Box<Tls<Pipe>>, Rc<RefCell<Wire>>),
    Upstream(Box<TlsStream<Pipe>>, Rc<RefCell<Wire>>),
}

impl Near {
    fn read(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Client(stream, _) => Pin::new(&mut **stream),
            Self::Upstream(stream, _) => Pin::new(&mut **stream),
        }
    }

    fn write(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Client(stream, _) => Pin::new(&mut **stream),
            Self::Upstream(stream, _) => Pin::new(&mut **stream),
        }
    }
}

impl AsyncRead for Near {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().read().poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Client(_, wire) | Self::Upstream(_, wire) = &*self {
            let mut wire = wire.borrow_mut();
            wire.closing = true;
            wire.broken |= wire.nonsense && !wire.to_near.is_empty();
        }
        self.get_mut().write().poll_shutdown(cx)
    }
}

impl Socket for Near {
    fn close_says_the_end(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

/// Who is at the upstream's end.
enum Other {
    Plain(Rc<RefCell<State>>),
    Tls(Box<Far>),
}

impl Other {
    fn turn(&mut self) {
        if let Self::Tls(far) = self {
            far.turn();
        }
    }

    fn sent(&self) -> usize {
        match self {
            Self::Plain(state) => state.borrow().reads.moved,
            Self::Tls(far) => far.sent,
        }
    }

    fn got(&self) -> usize {
        match self {
            Self::Plain(state) => state.borrow().written,
            Self::Tls(far) => far.got,
        }
    }

    fn is_broken(&self) -> bool {
        match self {
            Self::Plain(state) => state.borrow().broken,
            Self::Tls(far) => far.odd || far.wire.borrow().broken,
        }
    }

    fn go_on(&mut self, which: usize) -> bool {
        match (self, which) {
            (Self::Plain(state), 0) => state.borrow_mut().reads.go_on(),
            (Self::Plain(state), 1) => state.borrow_mut().writes.go_on(),
            (Self::Plain(_), _) => false,
            (Self::Tls(far), which) => go_on(far, which),
        }
    }

    fn is_silent(&self) -> bool {
        match self {
            Self::Plain(state) => {
                let state = state.borrow();
                state.reads.is_silent() || state.writes.is_silent()
            }
            Self::Tls(far) => far.is_silent(),
        }
    }

    fn moved(&self) -> usize {
        match self {
            Self::Plain(state) => {
                let state = state.borrow();
                state.reads.moved + state.written
            }
            Self::Tls(far) => moved(far),
        }
    }
}

fn go_on(far: &mut Far, which: usize) -> bool {
    match which {
        0 => far.wire.borrow_mut().reads.go_on(),
        1 => far.wire.borrow_mut().writes.go_on(),
        _ => far.act(),
    }
}

fn moved(far: &Far) -> usize {
    let wire = far.wire.borrow();
    wire.reads.moved + wire.writes.moved
}

/// Polls `handshake` to its end. `None` if a schedule never lets it come.
fn shake<F: Future>(
    handshake: F,
    far: &mut Far,
    waker: &Waker,
    woken: &Woken,
) -> Option<F::Output> {
    let mut handshake = pin!(handshake);
    loop {
        if let Poll::Ready(done) = handshake.as_mut().poll(&mut Context::from_waker(waker)) {
            far.turn();
            return Some(done);
        }
        far.turn();
        while !woken.take() {
            if !go_on(far, 0) && !go_on(far, 1) {
                assert!(
                    far.is_silent(),
                    "the TLS handshake is stuck: {:?}",
                    far.wire
                );
                return None;
            }
        }
    }
}

/// Holds the above.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let mode = line();
    let (server, client) = &CONFIGS[usize::from(!mode.contains(&b'2'))];
    let early = mode.contains(&b'h');
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));

    let session = ClientConnection::new(Arc::clone(client), name()).expect("a session");
    let mut far = Far::new(session, actions(line()), (CLIENT, UPSTREAM));
    let schedules = [steps(line()), steps(line())];
    let session = UnbufferedServerConnection::new(Arc::clone(server)).expect("a session");
    let shaken = within(&mut far, schedules, early, |far| {
        let handshake = Tls::handshake(far.pipe(), session);
        shake(handshake, far, &waker, &woken)
    });
    let Some(near_client) = shaken else {
        return;
    };

    let (near_upstream, mut other) = if mode.contains(&b'u') {
        let session = ServerConnection::new(Arc::clone(server)).expect("a session");
        let mut far = Far::new(session, actions(line()), (UPSTREAM, CLIENT));
        let schedules = [steps(line()), steps(line())];
        let shaken = within(&mut far, schedules, early, |far| {
            let handshake = TlsConnector::from(Arc::clone(client)).connect(name(), far.pipe());
            shake(handshake, far, &waker, &woken)
        });
        let Some(near) = shaken else {
            return;
        };
        let wire = Rc::clone(&far.wire);
        (
            Near::Upstream(Box::new(near), wire),
            Other::Tls(Box::new(far)),
        )
    } else {
        let upstream = Scripted::new(line(), line(), (UPSTREAM, CLIENT), 0);
        let state = upstream.state();
        (Near::Plain(upstream), Other::Plain(state))
    };
    let order = line();

    let sweep = Rc::new(IdleSweep::default());
    let limits = TunnelTimeouts {
        idle: Duration::from_secs(60),
        half_closed: Duration::from_secs(30),
    };
    let end = |stream| End {
        stream,
        early: Bytes::new(),
    };
    let near_client = Near::Client(near_client, Rc::clone(&far.wire));
    let relay = relay(
        end(near_client),
        end(near_upstream),
        sweep.watch(limits),
        (),
    );
    // Dropped before the last look at the far ends: closing is a part of what they see.
    let mut relay = Box::pin(relay);
    let mut order = order.iter();
    let mut drained = false;
    let passed = loop {
        let before = moved(&far) + other.moved();
        // What the far ends have said since then is no reason to spin.
        woken.take();
        let polled = relay.as_mut().poll(&mut Context::from_waker(&waker));
        let woke = woken.take();
        let progress = moved(&far) + other.moved() != before;
        far.turn();
        other.turn();
        if let Poll::Ready(passed) = polled {
            break passed;
        }
        assert!(!woke || progress, "it spins");
        if !far.odd && !far.wire.borrow().broken && !other.is_broken() {
            let kept = [far.sent - other.got(), other.sent() - far.got];
            // What a far end has said may wait in its own socket.
            let waits = match &other {
                Other::Plain(_) => 0,
                Other::Tls(far) => far.wire.borrow().to_near.len(),
            };
            let wire = far.wire.borrow().to_near.len();
            assert!(
                kept[0] <= wire + MOST_KEPT && kept[1] <= waits + MOST_KEPT,
                "{kept:?} bytes are kept"
            );
        }
        if woke {
            continue;
        }
        while !woken.take() {
            let first = usize::from(order.next().copied().unwrap_or(0)) % 6;
            let went_on = (first..first + 6).any(|which| match which % 6 {
                which @ 0..3 => go_on(&mut far, which),
                which => other.go_on(which - 3),
            });
            if went_on {
                continue;
            }
            assert!(
                (far.is_silent() || other.is_silent()) && !drained,
                "it is stuck"
            );
            drained = true;
            sweep.end_all();
        }
    };
    drop(relay);
    far.turn();
    other.turn();
    let broken = far.odd || far.wire.borrow().broken || other.is_broken();
    match passed.ended {
        Ended::Drained => assert!(drained),
        Ended::Broken(..) => assert!(broken, "{passed:?}"),
        Ended::Closed(_) if broken => {}
        Ended::Closed(_) => {
            assert_eq!((other.got(), far.got), (far.sent, other.sent()));
            assert_eq!(
                (passed.to_upstream, passed.to_client),
                (far.sent as u64, other.sent() as u64)
            );
            assert!(far.close_notify && far.wire.borrow().near_ended);
            if let Other::Tls(far) = &other {
                assert!(far.close_notify && far.wire.borrow().near_ended);
            }
        }
        Ended::Idle | Ended::HalfClosed(_) => panic!("nobody looked at the clock"),
    }
}

/// A TLS handshake with or without the schedules, which hold from then on. `None` if there is none.
fn within<T>(
    far: &mut Far,
    [reads, writes]: [VecDeque<Step>; 2],
    early: bool,
    handshake: impl FnOnce(&mut Far) -> Option<io::Result<T>>,
) -> Option<T> {
    let set = |far: &Far, reads, writes| {
        let mut wire = far.wire.borrow_mut();
        (wire.reads.steps, wire.writes.steps) = (reads, writes);
    };
    if early {
        set(far, reads, writes);
        let shaken = handshake(far)?;
        return match shaken {
            Ok(near) => Some(near),
            Err(error) => {
                assert!(far.wire.borrow().broken, "{error}");
                None
            }
        };
    }
    let shaken = handshake(far)?.expect("a TLS handshake");
    set(far, reads, writes);
    Some(shaken)
}
