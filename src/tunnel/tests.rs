//! The relay over in-memory streams, and the size that it must keep.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::io::duplex;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::stream::Stream;
use crate::tunnel::Doubt;
use crate::tunnel::End;
use crate::tunnel::Ended;
use crate::tunnel::IdleSweep;
use crate::tunnel::Passed;
use crate::tunnel::Relay;
use crate::tunnel::Side;
use crate::tunnel::Socket;
use crate::tunnel::TunnelOwner;
use crate::tunnel::TunnelTimeouts;
use crate::tunnel::direction::Direction;
use crate::tunnel::relay;

const LIMITS: TunnelTimeouts = TunnelTimeouts {
    idle: Duration::from_secs(60),
    half_closed: Duration::from_secs(60),
};

fn run<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime");
    runtime.block_on(async {
        timeout(Duration::from_secs(20), test)
            .await
            .expect("in time")
    })
}

impl Socket for DuplexStream {
    fn close_says_the_end(&self) -> bool {
        true
    }
}

/// A relay under way, and the far ends of its two streams, each with room for `room` bytes.
fn begin(
    room: usize,
    early: [&'static [u8]; 2],
    limits: TunnelTimeouts,
) -> (
    DuplexStream,
    DuplexStream,
    JoinHandle<Passed>,
    Rc<IdleSweep>,
) {
    let (client, near_client) = duplex(room);
    let (upstream, near_upstream) = duplex(room);
    let sweep = Rc::new(IdleSweep::default());
    spawn_local({
        let sweep = Rc::clone(&sweep);
        async move { sweep.run().await }
    });
    let relay = relay(
        End {
            stream: near_client,
            early: Bytes::from_static(early[0]),
        },
        End {
            stream: near_upstream,
            early: Bytes::from_static(early[1]),
        },
        sweep.watch(limits),
        (),
    );
    (client, upstream, spawn_local(relay), sweep)
}

#[test]
fn what_was_read_beyond_either_head_goes_first() {
    run(async {
        let (mut client, mut upstream, relay, _) =
            begin(64, [b"from client", b"from upstream"], LIMITS);
        client.write_all(b" and more").await.expect("written");
        let mut got = [0; 20];
        upstream.read_exact(&mut got).await.expect("read");
        assert_eq!(&got, b"from client and more");
        let mut got = [0; 13];
        client.read_exact(&mut got).await.expect("read");
        assert_eq!(&got, b"from upstream");
        drop((client, upstream));
        let passed = relay.await.expect("no panic");
        assert_eq!((passed.to_upstream, passed.to_client), (20, 13));
    });
}

#[test]
fn a_half_close_is_passed_on_and_the_answer_still_arrives() {
    run(async {
        let (mut client, mut upstream, relay, _) = begin(64, [b"", b""], LIMITS);
        client.write_all(b"question").await.expect("written");
        client.shutdown().await.expect("half closed");
        let mut question = Vec::new();
        upstream.read_to_end(&mut question).await.expect("the end");
        assert_eq!(question, b"question");
        upstream.write_all(b"answer").await.expect("written");
        drop(upstream);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("the end");
        assert_eq!(answer, b"answer");
        assert!(matches!(
            relay.await.expect("no panic").ended,
            Ended::Closed(Side::Client)
        ));
    });
}

#[test]
fn a_slow_reader_stops_its_direction_and_loses_nothing() {
    run(async {
        // Each end takes 10 bytes at once, far less than one read of the relay.
        let (mut client, upstream, relay, _) = begin(10, [b"", b""], LIMITS);
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let (mut read, mut write) = tokio::io::split(upstream);
        let sending = spawn_local({
            let sent = sent.clone();
            async move {
                write.write_all(&sent).await.expect("written");
                write.shutdown().await.expect("half closed");
            }
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.expect("the end");
        assert_eq!(got, sent);
        sending.await.expect("sent");
        drop(client);
        let mut rest = Vec::new();
        read.read_to_end(&mut rest).await.expect("the end");
        assert_eq!(relay.await.expect("no panic").to_client, 200_000);
    });
}

#[test]
fn a_reader_that_is_gone_ends_the_tunnel() {
    run(async {
        let (client, mut upstream, relay, _) = begin(64, [b"", b""], LIMITS);
        drop(client);
        // The duplex reports a broken pipe to a writer whose other end is gone.
        let _ = upstream.write_all(b"too late").await;
        let mut end = Vec::new();
        upstream.read_to_end(&mut end).await.expect("the end");
        drop(upstream);
        let ended = relay.await.expect("no panic").ended;
        assert!(
            matches!(
                ended,
                Ended::Closed(Side::Client) | Ended::Broken(Side::Client, _)
            ),
            "{ended:?}"
        );
    });
}

#[test]
fn a_silent_tunnel_ends_after_its_limit_and_a_byte_begins_it_anew() {
    run(async {
        let limits = TunnelTimeouts {
            idle: Duration::from_millis(750),
            ..LIMITS
        };
        let (mut client, mut upstream, relay, _) = begin(64, [b"", b""], limits);
        let begun = std::time::Instant::now();
        let mut byte = [0];
        // Three bytes, each well within the limit, keep it open for longer than the limit.
        for _ in 0..3 {
            let wait = timeout(Duration::from_millis(400), client.read_exact(&mut byte)).await;
            assert!(wait.is_err(), "nothing was sent to the client");
            client.write_all(b"x").await.expect("still open");
            upstream.read_exact(&mut byte).await.expect("still open");
        }
        let passed = relay.await.expect("no panic");
        assert!(matches!(passed.ended, Ended::Idle), "{passed:?}");
        assert!(begun.elapsed() >= Duration::from_millis(1200 + 750));
    });
}

#[test]
fn a_tunnel_of_which_one_end_is_done_ends_when_the_other_is_silent() {
    run(async {
        let limits = TunnelTimeouts {
            half_closed: Duration::from_millis(750),
            ..LIMITS
        };
        let (mut client, mut upstream, relay, _) = begin(64, [b"", b""], limits);
        client.shutdown().await.expect("half closed");
        let mut byte = [0];
        assert_eq!(upstream.read(&mut byte).await.expect("the end"), 0);
        let begun = std::time::Instant::now();
        // Three bytes, each well within the limit, keep it open for longer than the limit.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            upstream.write_all(b"x").await.expect("still open");
            client.read_exact(&mut byte).await.expect("still open");
        }
        let passed = relay.await.expect("no panic");
        assert!(
            matches!(passed.ended, Ended::HalfClosed(Side::Client)),
            "{passed:?}"
        );
        assert!(begun.elapsed() >= Duration::from_millis(1200 + 750));
        assert_eq!(passed.to_client, 3);
    });
}

#[test]
fn a_half_closed_tunnel_may_not_be_silent_for_longer_than_another() {
    run(async {
        let limits = TunnelTimeouts {
            idle: Duration::from_millis(250),
            ..LIMITS
        };
        let (mut client, _upstream, relay, _) = begin(64, [b"", b""], limits);
        client.shutdown().await.expect("half closed");
        let passed = relay.await.expect("no panic");
        assert!(matches!(passed.ended, Ended::Idle), "{passed:?}");
    });
}

/// An end that writes down how it is doubted, and is told once that there will be no more.
struct Doubted(DuplexStream, Rc<RefCell<Vec<Doubt>>>, bool);

impl AsyncRead for Doubted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Doubted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.2, "it is shut down twice");
        self.2 = true;
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Socket for Doubted {
    fn close_says_the_end(&self) -> bool {
        true
    }

    fn doubt(&self, doubt: Doubt) {
        self.1.borrow_mut().push(doubt);
    }
}

#[test]
fn an_end_that_is_silent_is_doubted_until_it_speaks_whatever_the_other_one_says() {
    run(async {
        let says = [(); 2].map(|()| Rc::new(RefCell::new(Vec::new())));
        let (mut client, near_client) = duplex(64);
        let (mut upstream, near_upstream) = duplex(64);
        let end = |stream, says: &Rc<_>| End {
            stream: Doubted(stream, Rc::clone(says), false),
            early: Bytes::new(),
        };
        let sweep = Rc::new(IdleSweep::default());
        let limits = TunnelTimeouts {
            idle: Duration::from_secs(3600),
            ..LIMITS
        };
        let ends = (end(near_client, &says[0]), end(near_upstream, &says[1]));
        let _relay = spawn_local(relay(ends.0, ends.1, sweep.watch(limits), ()));
        let said = || [&says[0], &says[1]].map(|says| says.borrow_mut().split_off(0));
        let minute = IdleSweep::DOUBT.as_millis() / IdleSweep::STEP.as_millis();
        let mut byte = [0];
        // Both are doubted until they speak.
        client.write_all(b"x").await.expect("written");
        upstream.read_exact(&mut byte).await.expect("read");
        assert_eq!(said(), [vec![Doubt::Over], vec![]]);
        upstream.write_all(b"x").await.expect("written");
        client.read_exact(&mut byte).await.expect("read");
        assert_eq!(said(), [vec![], vec![Doubt::Over]]);
        // The upstream speaks all the time, as one does that has something to tell to a client that may be gone.
        for step in 0..=minute {
            assert_eq!(said(), [vec![], vec![]], "step {step}");
            sweep.look();
            upstream.write_all(b"x").await.expect("written");
            client.read_exact(&mut byte).await.expect("read");
            yield_now().await;
        }
        assert_eq!(said(), [vec![Doubt::Begins], vec![]]);
        client.write_all(b"x").await.expect("written");
        upstream.read_exact(&mut byte).await.expect("read");
        assert_eq!(said(), [vec![Doubt::Over], vec![]]);
        // Once, however long it is silent.
        for _ in 0..3 * minute {
            sweep.look();
            yield_now().await;
        }
        assert_eq!(said(), [vec![Doubt::Begins], vec![Doubt::Begins]]);
    });
}

#[test]
fn the_idle_sweep_ends_all_tunnels() {
    run(async {
        let (_client, _upstream, relay, sweep) = begin(64, [b"", b""], LIMITS);
        tokio::task::yield_now().await;
        assert_eq!(sweep.count(), 1);
        sweep.end_all();
        assert!(matches!(
            relay.await.expect("no panic").ended,
            Ended::Drained
        ));
        assert_eq!(sweep.count(), 0);
    });
}

#[test]
fn an_idle_tunnel_does_not_keep_the_buffer_of_a_head() {
    for early in [0, 5] {
        let mut read = Bytes::from(vec![b'x'; 8192]);
        let direction = Direction::owing(read.split_to(early));
        assert_eq!(read.is_unique(), early == 0, "{direction:?}");
    }
}

#[test]
fn an_idle_tunnel_is_small() {
    let size = size_of::<Relay<Stream, Stream, ()>>();
    assert!(size <= 256, "{size} bytes");
}

#[test]
fn an_end_that_was_told_is_not_told_again_when_the_process_ends() {
    run(async {
        let (mut client, near_client) = duplex(64);
        let (mut upstream, near_upstream) = duplex(64);
        let end = |stream| End {
            stream: Doubted(stream, Rc::default(), false),
            early: Bytes::new(),
        };
        let sweep = Rc::new(IdleSweep::default());
        let relay = relay(
            end(near_client),
            end(near_upstream),
            sweep.watch(LIMITS),
            (),
        );
        let relay = spawn_local(relay);
        client.shutdown().await.expect("half closed");
        let mut byte = [0];
        assert_eq!(upstream.read(&mut byte).await.expect("the end"), 0);
        sweep.end_all();
        assert!(matches!(
            relay.await.expect("no panic").ended,
            Ended::Drained
        ));
        assert_eq!(client.read(&mut byte).await.expect("the end"), 0);
    });
}

#[test]
fn the_tunnels_of_one_owner_end_one_after_the_other_and_no_others() {
    run(async {
        let sweep = Rc::new(IdleSweep::default());
        let owner = |number: u32| TunnelOwner::new(number.try_into().expect("above 0"));
        let mut far = Vec::new();
        let mut begin = |of: Option<TunnelOwner>| {
            let (client, near_client) = duplex(64);
            let (upstream, near_upstream) = duplex(64);
            let end = |stream| End {
                stream,
                early: Bytes::new(),
            };
            far.push((client, upstream));
            let watched = sweep.watch_of(of, LIMITS);
            spawn_local(relay(end(near_client), end(near_upstream), watched, ()))
        };
        let mut theirs: Vec<_> = (0..10).map(|_| begin(Some(owner(7)))).collect();
        let others = [begin(Some(owner(8))), begin(None)];
        yield_now().await;
        // Four steps for ten tunnels.
        sweep.end_those_of(owner(7), IdleSweep::STEP * 4);
        sweep.end_those_of(owner(9), IdleSweep::STEP * 4);
        let late = begin(Some(owner(7)));
        let mut left = Vec::new();
        for _ in 0..6 {
            sweep.look();
            for _ in 0..4 {
                yield_now().await;
            }
            theirs.retain(|relay| !relay.is_finished());
            left.push(theirs.len());
        }
        assert_eq!(left, [7, 4, 2, 0, 0, 0]);
        assert!(others.iter().all(|relay| !relay.is_finished()));
        assert!(!late.is_finished(), "it began when the server was back");
        assert_eq!(sweep.count(), 3);
    });
}

#[test]
fn a_tunnel_whose_server_is_down_says_so_and_tells_both_ends() {
    run(async {
        let sweep = IdleSweep::default();
        let owner = TunnelOwner::new(1.try_into().expect("above 0"));
        let (mut client, near_client) = duplex(64);
        let (mut upstream, near_upstream) = duplex(64);
        let end = |stream| End {
            stream,
            early: Bytes::new(),
        };
        let watched = sweep.watch_of(Some(owner), LIMITS);
        let relay = spawn_local(relay(end(near_client), end(near_upstream), watched, ()));
        yield_now().await;
        sweep.end_those_of(owner, Duration::ZERO);
        sweep.look();
        assert!(matches!(relay.await.expect("no panic").ended, Ended::Down));
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).await.expect("the end"), 0);
        assert_eq!(upstream.read(&mut byte).await.expect("the end"), 0);
    });
}
