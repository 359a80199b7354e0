//! The relay under any schedule: sockets that give, take, wait, end and break as a script says, polled by hand.
//!
//! What must hold, whatever the script: every byte in order and once; backpressure, so that little is ever kept; no
//! poll that nobody asked for, and no wait from which nothing wakes; an end that is passed on behind the last byte.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::io::duplex;

use crate::stream::Tls;
use crate::stream::test_support::Choppy;
use crate::stream::test_support::over;
use crate::stream::test_support::pieces;
use crate::stream::test_support::receive;
use crate::stream::test_support::run;
use crate::stream::test_support::send;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::IdleSweep;
use crate::tunnel::Passed;
use crate::tunnel::Relay;
use crate::tunnel::Side;
use crate::tunnel::Socket;
use crate::tunnel::TunnelTimeouts;
use crate::tunnel::direction::BUFFER;
use crate::tunnel::direction::READS_PER_TURN;
use crate::tunnel::relay;

const LIMITS: TunnelTimeouts = TunnelTimeouts {
    idle: Duration::from_secs(60),
    half_closed: Duration::from_secs(60),
};

/// What a socket does when it is read. Behind the last step it has ended.
#[derive(Clone, Copy, Debug)]
enum Read {
    Gives(usize),
    Waits,
    Breaks,
}

/// What it does when it is written to, flushed or shut down. Behind the last step it takes everything.
#[derive(Clone, Copy, Debug)]
enum Write {
    Takes(usize),
    Waits,
    Breaks,
}

/// One end of the tunnel, as both the relay and the test have it.
#[derive(Clone, Debug)]
struct Wire(Rc<RefCell<Script>>);

#[derive(Debug)]
struct Script {
    /// What it gives, which is not what the other end does.
    gives: &'static [u8],
    reads: VecDeque<Read>,
    writes: VecDeque<Write>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// How many bytes were read from it, those before the tunnel included.
    given: usize,
    has_ended: bool,
    taken: Vec<u8>,
    is_shut: bool,
    /// Reads since the test looked last.
    asked: usize,
}

/// Bytes of which no two neighbours are alike, for each end its own: more than any script gives.
static BYTES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [0x00, 0xff].map(|mask| (0..3_000_000).map(|at| (at % 251) as u8 ^ mask).collect())
});

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Script {
    /// The next step of a write, of which a wait stays until the test takes it away.
    fn step(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        assert!(!self.is_shut, "written to behind its end");
        match self.writes.front() {
            None => Poll::Ready(Ok(usize::MAX)),
            Some(Write::Waits) => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Write::Breaks) => Poll::Ready(Err(broken())),
            Some(Write::Takes(most)) => {
                let most = *most;
                self.writes.pop_front();
                Poll::Ready(Ok(most))
            }
        }
    }

    /// Takes away the wait that stands first, if somebody waits: of a read or of a write.
    fn go_on(&mut self, reading: bool) -> bool {
        let waker = if reading {
            match (self.reads.front(), self.reader.take()) {
                (Some(Read::Waits), Some(waker)) => {
                    self.reads.pop_front();
                    waker
                }
                _ => return false,
            }
        } else {
            match (self.writes.front(), self.writer.take()) {
                (Some(Write::Waits), Some(waker)) => {
                    self.writes.pop_front();
                    waker
                }
                _ => return false,
            }
        };
        waker.wake();
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut script = self.0.borrow_mut();
        assert!(!script.has_ended, "read behind its end");
        script.asked += 1;
        match script.reads.front().copied() {
            None => {
                script.has_ended = true;
                Poll::Ready(Ok(()))
            }
            Some(Read::Waits) => {
                script.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Read::Breaks) => Poll::Ready(Err(broken())),
            Some(Read::Gives(most)) => {
                script.reads.pop_front();
                let next = &script.gives[script.given..];
                let next = &next[..most.min(buf.remaining())];
                buf.put_slice(next);
                script.given += next.len();
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut script = self.0.borrow_mut();
        assert!(!buf.is_empty(), "nothing is written");
        script.step(cx).map_ok(|most| {
            let taken = most.min(buf.len());
            script.taken.extend_from_slice(&buf[..taken]);
            taken
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().step(cx).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.borrow_mut();
        script.step(cx).map_ok(|_| script.is_shut = true)
    }
}

impl Socket for Wire {
    fn close_says_the_end(&self) -> bool {
        true
    }
}

/// Counts how often the relay was told to go on.
#[derive(Debug, Default)]
struct Told(AtomicUsize);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A tunnel under a script, and what has been seen of it.
struct Tunnel {
    relay: Relay<Wire, Wire, ()>,
    ends: [Wire; 2],
}

impl Tunnel {
    fn new(ends: [(Vec<Read>, Vec<Write>); 2], early: [usize; 2]) -> Self {
        let mut bytes = BYTES.iter().zip(early);
        let wires = ends.map(|(reads, writes)| {
            let (gives, given) = bytes.next().expect("two");
            Wire(Rc::new(RefCell::new(Script {
                gives,
                reads: reads.into(),
                writes: writes.into(),
                reader: None,
                writer: None,
                given,
                has_ended: false,
                taken: Vec::new(),
                is_shut: false,
                asked: 0,
            })))
        });
        let end = |wire: &Wire| {
            let script = wire.0.borrow();
            End {
                stream: wire.clone(),
                early: Bytes::copy_from_slice(&script.gives[..script.given]),
            }
        };
        let sweep = Rc::new(IdleSweep::default());
        Self {
            relay: relay(end(&wires[0]), end(&wires[1]), sweep.watch(LIMITS), ()),
            ends: wires,
        }
    }

    /// Polls to the end, and lets a socket go on whenever the relay waits: which one says `order`.
    fn run(mut self, order: &[usize]) -> (Passed, [Wire; 2]) {
        let told = Arc::new(Told::default());
        let waker = Waker::from(Arc::clone(&told));
        let mut cx = Context::from_waker(&waker);
        let mut order = order.iter().cycle();
        let early = self.kept();
        told.0.fetch_add(1, Ordering::SeqCst);
        loop {
            while told.0.swap(0, Ordering::SeqCst) > 0 {
                let polled = Pin::new(&mut self.relay).poll(&mut cx);
                let most = self.ends.iter().map(|end| {
                    let asked = std::mem::take(&mut end.0.borrow_mut().asked);
                    assert!(asked <= usize::from(READS_PER_TURN) + 1, "{asked} reads");
                    asked
                });
                let most = most.max().unwrap_or_default();
                if told.0.load(Ordering::SeqCst) > 0 {
                    assert!(most >= usize::from(READS_PER_TURN), "it spins");
                }
                for (kept, early) in self.kept().into_iter().zip(early) {
                    assert!(kept <= BUFFER.max(early), "{kept} bytes are kept");
                }
                if let Poll::Ready(passed) = polled {
                    return (passed, self.ends);
                }
            }
            let first = *order.next().expect("an order");
            let went_on = (first..first + 4).any(|which| {
                let end = &self.ends[which % 2];
                end.0.borrow_mut().go_on(which % 4 < 2)
            });
            assert!(went_on, "it waits, and nothing will wake it");
        }
    }

    /// Bytes that were read from each end, and not taken by the other one yet.
    fn kept(&self) -> [usize; 2] {
        let [client, upstream] = [&self.ends[0], &self.ends[1]].map(|end| end.0.borrow());
        [
            client.given - upstream.taken.len(),
            upstream.given - client.taken.len(),
        ]
    }
}

fn reads(breaks: bool) -> impl Strategy<Value = Vec<Read>> {
    let step = prop_oneof![
        3 => (1..50_000_usize).prop_map(Read::Gives),
        3 => (1..20_usize).prop_map(Read::Gives),
        2 => Just(Read::Waits),
    ];
    let steps = proptest::collection::vec(step, 0..40);
    (steps, any::<bool>()).prop_map(move |(mut steps, really)| {
        if breaks && really {
            steps.push(Read::Breaks);
        }
        steps
    })
}

fn writes(breaks: bool) -> impl Strategy<Value = Vec<Write>> {
    let step = prop_oneof![
        3 => (1..50_000_usize).prop_map(Write::Takes),
        3 => (1..20_usize).prop_map(Write::Takes),
        3 => Just(Write::Waits),
    ];
    let steps = proptest::collection::vec(step, 0..60);
    (steps, any::<bool>()).prop_map(move |(mut steps, really)| {
        if breaks && really {
            steps.push(Write::Breaks);
        }
        steps
    })
}

/// What the `other` end has taken is how what `this` one gave begins.
fn is_in_order(this: &Wire, other: &Wire) {
    let (this, other) = (this.0.borrow(), other.0.borrow());
    assert!(other.taken.len() <= this.given);
    let expected = &this.gives[..other.taken.len()];
    assert!(other.taken == expected, "bytes are altered");
    if other.is_shut {
        assert!(this.has_ended, "an end that was none");
        assert_eq!(other.taken.len(), this.given, "an end before the last byte");
    }
}

/// The whole of what one end gave has come to the other, and its end too, unless that is closed with the tunnel.
fn is_complete(this: &Wire, other: &Wire) {
    let (this, other) = (this.0.borrow(), other.0.borrow());
    assert!(this.reads.is_empty() && this.has_ended);
    assert_eq!(other.taken.len(), this.given);
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..4_usize, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_passes_in_order_and_once_and_the_ends_behind_them(
        client in (reads(false), writes(false)),
        upstream in (reads(false), writes(false)),
        early in [0..40_000_usize, 0..300_usize],
        order in order(),
    ) {
        let (passed, [client, upstream]) = Tunnel::new([client, upstream], early).run(&order);
        prop_assert!(matches!(passed.ended, Ended::Closed(_)), "{:?}", passed.ended);
        for (this, other, count) in [(&client, &upstream, passed.to_upstream), (&upstream, &client, passed.to_client)] {
            is_in_order(this, other);
            is_complete(this, other);
            prop_assert_eq!(count, this.0.borrow().given as u64);
        }
        // The last one to be told sees its socket closed.
        prop_assert!(client.0.borrow().is_shut || upstream.0.borrow().is_shut);
    }

    #[test]
    fn whatever_breaks_the_tunnel_ends_and_what_passed_is_in_order(
        client in (reads(true), writes(true)),
        upstream in (reads(true), writes(true)),
        early in [0..40_000_usize, 0..300_usize],
        order in order(),
    ) {
        let (passed, [client, upstream]) = Tunnel::new([client, upstream], early).run(&order);
        for (this, other, count) in [(&client, &upstream, passed.to_upstream), (&upstream, &client, passed.to_client)] {
            is_in_order(this, other);
            prop_assert_eq!(count, other.0.borrow().taken.len() as u64);
        }
        if let Ended::Closed(_) = passed.ended {
            is_complete(&client, &upstream);
            is_complete(&upstream, &client);
        }
    }

    /// Who cannot be written to any more may have said something before, and that still arrives.
    #[test]
    fn what_an_end_has_sent_arrives_though_nothing_can_be_written_to_it(
        client in (reads(false), writes(true)),
        upstream in (reads(false), writes(false)),
        order in order(),
    ) {
        let (passed, [client, upstream]) = Tunnel::new([client, upstream], [0, 0]).run(&order);
        is_in_order(&client, &upstream);
        is_complete(&client, &upstream);
        let is_fair = matches!(passed.ended, Ended::Closed(_) | Ended::Broken(Side::Client, _));
        prop_assert!(is_fair, "{:?}", passed.ended);
    }
}

/// TLS towards the client.
impl Socket for Box<Tls<Choppy>> {
    fn close_says_the_end(&self) -> bool {
        false
    }
}

impl Socket for Choppy {
    fn close_says_the_end(&self) -> bool {
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every byte passes also under TLS, with a real client at its far end and an upstream that may be slow.
    #[test]
    fn every_byte_passes_under_tls_however_both_sockets_cut_them(
        old in any::<bool>(),
        rooms in [2_000..100_000_usize, 1..100_000_usize],
        sockets in [[pieces(), pieces()], [pieces(), pieces()]],
        writes in [pieces(), pieces()],
        takes in [pieces(), pieces()],
        lengths in [0..150_000_usize, 0..150_000_usize],
    ) {
        run(async {
            let version = if old { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
            let (near, far) = duplex(rooms[0]);
            let near = Choppy::new(near, &sockets[0][0], &sockets[0][1]);
            let (tls, client) = over(version, near, far).await;
            let (near, upstream) = duplex(rooms[1]);
            let near = Choppy::new(near, &sockets[1][0], &sockets[1][1]);
            let sweep = Rc::new(IdleSweep::default());
            let end = |stream| End { stream, early: Bytes::new() };
            let client_end = End { stream: tls, early: Bytes::new() };
            let relay = relay(client_end, end(near), sweep.watch(LIMITS), ());
            let sent = [&BYTES[0][..lengths[0]], &BYTES[1][..lengths[1]]];
            let (from_client, to_client) = tokio::io::split(client);
            let (from_upstream, to_upstream) = tokio::io::split(upstream);
            let (passed, (), (), asked, answered) = tokio::join!(
                relay,
                send(to_client, sent[0], &writes[0]),
                send(to_upstream, sent[1], &writes[1]),
                receive(from_upstream, &takes[0]),
                receive(from_client, &takes[1]),
            );
            assert!(asked == sent[0] && answered == sent[1], "bytes are lost or altered");
            assert!(matches!(passed.ended, Ended::Closed(_)), "{:?}", passed.ended);
            assert_eq!([passed.to_upstream, passed.to_client], lengths.map(|length| length as u64));
        });
    }
}
