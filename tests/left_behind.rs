//! Nothing is left behind: connections that end abruptly at any point, on either side, and what the process still holds then.
//!
//! `WSGATE_SEED=7` ends others, `WSGATE_LONG=1` a hundred thousand: `WSGATE_LONG=1 cargo test left_behind -- --nocapture`.

mod plan;
mod upstream;

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::left_behind::plan::At;
use crate::left_behind::plan::Plan;
use crate::left_behind::upstream::Upstreams;
use crate::support::Over;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::begin_tls;
use crate::support::client_hello;
use crate::support::upgrade_to;

/// What an ordinary run makes its ends of.
const SEED: u64 = 1;

/// Abrupt ends in an ordinary run, and in a long one.
const ENDS: usize = 10_000;
const LONG: usize = 100_000;

/// Ends before anything is measured: what is taken once is taken then, also for as many clients as are waited for at a time
/// since they might still be there, which takes seconds to come to its height.
const WARM_UP: usize = 10_000;

/// Under way at a time.
const LANES: usize = 48;

/// How long the process may take to give back memory, which its allocator does within seconds.
const SETTLED: Duration = Duration::from_secs(20);

/// How long a socket may be in CLOSE_WAIT behind the last end.
const CLOSED: Duration = Duration::from_secs(60);

/// What may be left of memory.
const LEFT_KIB: u64 = 1024;

#[tokio::test]
async fn abrupt_ends_leave_no_descriptor_no_task_and_no_memory() {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect(name))
    };
    let seed = number("WSGATE_SEED").unwrap_or(SEED);
    let ends = match number("WSGATE_LONG") {
        Some(1..) => LONG,
        _ => ENDS,
    };
    println!("WSGATE_SEED={seed}");
    let upstreams = Upstreams::start().await;
    let mut gate = setup(&upstreams).start().await;
    end_abruptly(&gate, seed, 0..WARM_UP).await;
    let (descriptors, memory) = settled(&gate).await;

    let begun = Instant::now();
    end_abruptly(&gate, seed, WARM_UP..WARM_UP + ends).await;
    let took = begun.elapsed();
    let over = Instant::now();
    until("a descriptor is left", CLOSED, || {
        gate.close_waits() == 0 && gate.descriptors() <= descriptors
    })
    .await;
    let closed = over.elapsed();
    let mut after = gate.private_kib();
    until("memory is left", SETTLED, || {
        after = gate.private_kib();
        after <= memory + LEFT_KIB
    })
    .await;
    println!(
        "{ends} abrupt ends in {took:.1?}: {descriptors} descriptors before and {} after, no CLOSE_WAIT after {closed:.1?}, \
         {memory} KiB before and {after} after",
        gate.descriptors()
    );
    assert_eq!(gate.descriptors(), descriptors);
    assert_eq!(gate.connect().await.get("/ok").await.text(), "ok");

    // A drain waits for every task that serves a connection.
    let begun = Instant::now();
    gate.signal("TERM");
    let line = gate.log().first("ended").await;
    assert_eq!(line["connections_cut"], 0);
    assert_eq!(gate.finished().await.status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn setup(upstreams: &Upstreams) -> Setup {
    let gate = TestServer::setup()
        .top("access_log: off")
        .tls()
        .file("ca.pem", upstreams.authority.pem());
    let mut gate = gate.proxy_pass("/", format!("http://{}", upstreams.plain));
    for (location, to) in [
        ("/tls/", upstreams.tls),
        ("/slam/tls/", upstreams.slamming),
        ("/hello/", upstreams.at_hello),
    ] {
        gate = gate
            .proxy_pass(location, format!("https://localhost:{}/", to.port()))
            .of_route("ca: ca.pem");
    }
    gate.proxy_pass("/slam/", format!("http://{}", upstreams.slamming))
}

/// Descriptors and memory when nothing is under way.
async fn settled(gate: &TestServer) -> (usize, u64) {
    let mut last = (0, 0);
    let mut same = 0;
    // A client that has only ended its direction is waited for, so that its connection is still there for a while.
    until("a client that has left is waited for", CLOSED, || {
        gate.close_waits() == 0
    })
    .await;
    until("it does not settle", SETTLED, || {
        let now = (gate.descriptors(), gate.private_kib());
        let is_same = now.0 == last.0 && now.1.abs_diff(last.1) < 64;
        same = if is_same { same + 1 } else { 0 };
        last = now;
        same == 20
    })
    .await;
    last
}

async fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "{what} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn end_abruptly(gate: &TestServer, seed: u64, numbers: std::ops::Range<usize>) {
    let addresses = [gate.address(), gate.tls_address()];
    let (next, end) = (Arc::new(AtomicUsize::new(numbers.start)), numbers.end);
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let next = Arc::clone(&next);
        lanes.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return;
                }
                act(addresses, Plan::of(seed, number)).await;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
}

/// Comes to the point of the plan, and leaves there, or waits until the upstream has.
async fn act([plain, tls]: [SocketAddr; 2], plan: Plan) {
    let address = match plan.over {
        Over::Ws => plain,
        Over::Wss => tls,
    };
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut client = match (plan.at, plan.over) {
        (At::Connect | At::TlsHandshake, _) | (_, Over::Ws) => Peer::plain(tcp),
        (_, Over::Wss) => begin_tls(tcp).await,
    };
    let to = plan.to;
    let get = |what: &str| format!("GET {to}{what} HTTP/1.1\r\nHost: chat.test\r\n\r\n");
    let upgrade = |what: &str| upgrade_to(&format!("{to}{what}"), "");
    // A socket may be closed already where the upstream was faster; that is a point too.
    match plan.at {
        At::Connect => {}
        At::TlsHandshake => {
            let hello = client_hello();
            let _ = client
                .try_send(&hello[..plan.within(hello.len() + 1)])
                .await;
        }
        At::Head => {
            let head = upgrade("ok");
            let _ = client.try_send(&head[..plan.within(head.len())]).await;
        }
        At::Body => {
            let begin = format!(
                "POST {to}silent HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 1000\r\n\r\nhalf"
            );
            let _ = client.try_send(begin).await;
        }
        At::Waiting => {
            let _ = client.try_send(get("silent")).await;
        }
        At::Answer => {
            let _ = client.try_send(get("half")).await;
            client.up_to(1).await;
        }
        At::Upgrading => {
            let _ = client.try_send(upgrade("silent")).await;
        }
        At::Switched | At::Tunnel => {
            let _ = client.try_send(upgrade("ok")).await;
            client.up_to(1).await;
            if plan.at == At::Tunnel {
                let _ = client.try_send(vec![0x81; plan.within(4000)]).await;
            }
        }
        At::Upstream(point) => {
            let what = format!("leave/{point}");
            let _ = match plan.is_upgrade {
                true => client.try_send(upgrade(&what)).await,
                false => client.try_send(get(&what)).await,
            };
            // After an answer of its own wsgate would wait for the next request.
            if !client.up_to(12).await.starts_with(b"HTTP/1.1 50") {
                client.rest().await;
            }
        }
    }
    if plan.resets {
        client.reset();
    } else {
        client.vanish();
    }
}
