//! A restart behind a second instance on the same port, `reuseport: true`, while clients come, ask and talk.
//!
//! What a client may notice is that its tunnel is closed, that a connection is closed which it kept for its next request, and that one
//! is reset which no process had accepted: these are counted and printed. Anything else fails.
//!
//! An ordinary run restarts 50 times, `WSGATE_LONG=1 cargo test restart:: -- --nocapture` a thousand times.

mod echo;
mod load;

use std::env;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::time::sleep;

use crate::restart::echo::Echo;
use crate::restart::load::Load;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::within;

/// Restarts in an ordinary run, and in a long one.
const RESTARTS: usize = 50;
const LONG: usize = 1000;

/// How long a process that drains keeps its tunnels, as the file says. Short, since each restart waits for it.
const DRAIN: &str = "drain_timeout: 100ms";

/// Clients of each kind, half of them under TLS.
const COMING: usize = 4;
const KEEPING: usize = 4;
const TUNNELS: usize = 20;

/// How many of a thousand may see what the time of a few system calls decides; a busy machine makes it longer.
const FEW: usize = 20;

#[tokio::test]
async fn a_restart_behind_a_second_instance_loses_nothing_that_was_accepted() {
    let restarts = match env::var_os("WSGATE_LONG") {
        None => RESTARTS,
        Some(_) => LONG,
    };
    let echo = Echo::start().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let mut gate = instance(&echo, [any, any]).start().await;
    let addresses = [gate.address(), gate.tls_address()];
    let load = Load::start(addresses, Arc::clone(&echo), [COMING, KEEPING, TUNNELS]).await;
    let begun = Instant::now();
    let mut cut = 0;
    for _ in 0..restarts {
        let next = instance(&echo, addresses).start().await;
        assert_eq!([next.address(), next.tls_address()], addresses);
        let mut old = std::mem::replace(&mut gate, next);
        old.signal("TERM");
        let ended = old.log().first("ended").await;
        cut += usize::try_from(ended["connections_cut"].as_u64().unwrap()).unwrap();
        assert_eq!(old.finished().await.status.code(), Some(0));
        // Everyone is with the new one before that one goes in turn.
        let answers = load.seen().answers;
        within("tunnels and answers through the new process", async {
            while load.seen().open() < TUNNELS || load.seen().answers < answers + COMING {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    let took = begun.elapsed();
    let seen = load.stop().await;
    println!(
        "{restarts} restarts in {took:.0?}, {cut} connections cut at the end of a drain: {seen:#?}"
    );
    assert!(
        seen.closed_tunnels >= restarts && seen.closed_kept + seen.crossed >= restarts,
        "each restart closes some"
    );
    let tunnels = seen.closed_tunnels + seen.reset_tunnels;
    assert!(
        tunnels + seen.at_the_end <= cut,
        "more was cut than the old processes say"
    );
    let rare = [
        seen.resets,
        seen.crossed,
        seen.late,
        seen.at_the_end,
        seen.reset_tunnels,
    ];
    assert!(
        rare.iter().all(|count| count * 1000 <= seen.answers * FEW),
        "too many"
    );
}

/// A process like the one before.
fn instance(echo: &Echo, [plain, tls]: [std::net::SocketAddr; 2]) -> Setup {
    TestServer::setup()
        .top(DRAIN)
        .top("access_log: off")
        .address(plain)
        .of_listener("reuseport: true")
        .address(tls)
        .of_listener("reuseport: true")
        .of_listener("tls: { cert: cert.pem, key: key.pem }")
        .proxy_pass("/", format!("http://{}", echo.address))
}
