//! A tunnel between two sockets that read and write by arbitrary schedules.
//!
//! The lines are: how many bytes were read beyond each head (two of the letters of [`script`](crate::script)), the client's
//! reads and writes, the upstream's reads and writes, and in which order pauses end.
//!
//! - Every byte arrives once, in its order; what one end was told to take and the other has not yet taken is never more than
//!   one buffer.
//! - Nothing spins: whoever asks to be polled again has moved a byte.
//! - Nothing is stuck: where no end waits for something, the tunnel ends; both ends learn of the other's end.
//! - What is said of it at the end is what passed.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use wsgate::tunnel::End;
use wsgate::tunnel::Ended;
use wsgate::tunnel::IdleSweep;
use wsgate::tunnel::TunnelTimeouts;
use wsgate::tunnel::Passed;
use wsgate::tunnel::relay;

use crate::script::Counts;
use crate::script::Scripted;
use crate::script::Seen;
use crate::script::State;
use crate::script::Step;
use crate::script::Woken;
use crate::script::bytes_from;
use crate::script::steps;

/// What one direction of a tunnel reads at once, and so keeps at most.
const BUFFER: usize = 32 * 1024;

/// Of the client's bytes and of the upstream's.
const CLIENT: u8 = 0x00;
const UPSTREAM: u8 = 0xa5;

/// Holds the above.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let early = line();
    let early = [0, 1].map(|at| match early.get(at).map(|byte| steps(&[*byte])[0]) {
        Some(Step::Piece(size)) => size,
        _ => 0,
    });
    let client = Scripted::new(line(), line(), (CLIENT, UPSTREAM), early[0]);
    let upstream = Scripted::new(line(), line(), (UPSTREAM, CLIENT), early[1]);
    let order = line();
    let ends = [client.state(), upstream.state()];
    let seen = Rc::new(Seen::default());
    let sweep = Rc::new(IdleSweep::default());
    let limits = TunnelTimeouts {
        idle: Duration::from_secs(60),
        half_closed: Duration::from_secs(30),
    };
    let mut relay = pin!(relay(
        End {
            stream: client,
            early: Bytes::from(bytes_from(0, early[0], CLIENT)),
        },
        End {
            stream: upstream,
            early: Bytes::from(bytes_from(0, early[1], UPSTREAM)),
        },
        sweep.watch(limits),
        Counts(Rc::clone(&seen)),
    ));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut order = order.iter();
    let mut drained = false;
    let passed = loop {
        let before = moved(&ends);
        if let Poll::Ready(passed) = relay.as_mut().poll(&mut Context::from_waker(&waker)) {
            break passed;
        }
        keeps_little(&ends, early);
        if woken.take() {
            assert_ne!(moved(&ends), before, "it spins");
            continue;
        }
        // Until somebody is woken, whoever waits goes on.
        while !woken.take() {
            let first = usize::from(order.next().copied().unwrap_or(0)) % 4;
            let went_on = (first..first + 4).any(|which| {
                let mut end = ends[which / 2 % 2].borrow_mut();
                match which % 2 {
                    0 => end.reads.go_on(),
                    _ => end.writes.go_on(),
                }
            });
            if went_on {
                continue;
            }
            let silent = ends.iter().any(|end| {
                let end = end.borrow();
                end.reads.is_silent() || end.writes.is_silent()
            });
            assert!(silent && !drained, "it is stuck: {ends:?}");
            drained = true;
            sweep.end_all();
        }
    };
    check(&passed, &ends, early, drained);
    let ends = ends.map(|end| end.borrow().reads.moved);
    assert_eq!([seen.client.get(), seen.upstream.get()], ends);
}

type Ends = [Rc<RefCell<State>>; 2];

fn moved(ends: &Ends) -> [usize; 4] {
    let [client, upstream] = ends.each_ref().map(|end| {
        let end = end.borrow();
        (
            end.reads.moved + usize::from(end.reads.ended),
            end.written + usize::from(end.shut),
        )
    });
    [client.0, client.1, upstream.0, upstream.1]
}

/// What is read from one end and not written to the other.
fn keeps_little(ends: &Ends, early: [usize; 2]) {
    for (from, to) in [(0, 1), (1, 0)] {
        if ends[to].borrow().broken {
            continue;
        }
        let read = early[from] + ends[from].borrow().reads.moved;
        let kept = read - ends[to].borrow().written;
        assert!(kept <= BUFFER.max(early[from]), "{kept} bytes are kept");
    }
}

/// What must be true when it is over.
fn check(passed: &Passed, ends: &Ends, early: [usize; 2], drained: bool) {
    let [client, upstream] = ends.each_ref().map(|end| end.borrow());
    assert_eq!(passed.to_upstream, upstream.written as u64);
    assert_eq!(passed.to_client, client.written as u64);
    let broken = client.broken || upstream.broken;
    match &passed.ended {
        Ended::Drained => assert!(drained),
        Ended::Broken(..) => assert!(broken),
        Ended::Closed(_) => {
            // A direction that nobody takes any more is given up.
            if !broken {
                assert!(client.reads.ended && upstream.reads.ended);
                assert_eq!(upstream.written, early[0] + client.reads.moved);
                assert_eq!(client.written, early[1] + upstream.reads.moved);
                // The one that is told last is told by being closed.
                assert!(client.shut || upstream.shut);
            }
        }
        Ended::Idle | Ended::HalfClosed(_) => panic!("nobody looked at the clock"),
    }
}
