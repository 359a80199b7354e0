//! CPU time of a connection: connect, upgrade, close.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::spawn_local;

use crate::bench::Bench;
use crate::bench::micros_each;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::client::Clients;
use crate::client::Handshake;
use crate::contenders::Entrance;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;

/// Clients at the same time, and connections of all of them in a round. With few of them the load's core falls asleep in
/// between, and waking it, which is dear in a virtual machine, is put to the account of whoever sends.
const CLIENTS: usize = 64;
const CONNECTIONS: u64 = 800;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let lanes = lanes(bench, &proxies);
    let mut figures = Vec::new();
    for (name, entrance, handshake, must, goal) in [
        ("ws", Entrance::Ws, Handshake::Full, 1.15, 1.0),
        (
            "wss, full, ECDSA P-256",
            Entrance::Wss,
            Handshake::Full,
            0.55,
            0.42,
        ),
        (
            "wss, full, RSA-2048",
            Entrance::WssRsa,
            Handshake::Full,
            0.75,
            0.68,
        ),
        (
            "wss, resumed",
            Entrance::Wss,
            Handshake::Resumed,
            0.55,
            0.45,
        ),
    ] {
        let taken = taken(bench, &proxies, &lanes, entrance, handshake).await;
        figures.push(Figure {
            name: name.to_owned(),
            unit: "µs",
            better: Better::Less,
            target: Target::Ratio { must, goal },
            rounds: taken,
        });
    }
    Section {
        title: "CPU per connection".to_owned(),
        how: format!(
            "Connect, upgrade, close, by {CLIENTS} clients at a time; TLS 1.3 with X25519. A connection is over when its \
             client has said so and has seen the upstream's end."
        ),
        figures,
    }
}

/// Clients of each proxy. OpenSSL leaves one session for each one that it resumes, so no lane may take another's.
pub(crate) fn lanes(bench: &Bench, proxies: &[Proxy]) -> Vec<Vec<Clients>> {
    let of_one = |_| {
        let clients = (0..CLIENTS).map(|_| bench.clients.with_own_sessions());
        clients.collect()
    };
    proxies.iter().map(of_one).collect()
}

/// CPU time of a connection in each round.
pub(crate) async fn taken(
    bench: &Bench,
    proxies: &[Proxy],
    lanes: &[Vec<Clients>],
    entrance: Entrance,
    handshake: Handshake,
) -> Vec<Vec<Option<f64>>> {
    rounds(bench.plan.rounds, proxies, async |index, proxy| {
        let lanes = &lanes[index];
        if handshake == Handshake::Resumed {
            for clients in lanes {
                clients
                    .begin_session(proxy.address(entrance))
                    .await
                    .expect("a session");
            }
        }
        quiet(proxy).await;
        let before = proxy.process.cpu();
        come_and_go(lanes, proxy, entrance, handshake).await;
        quiet(proxy).await;
        micros_each(proxy.process.cpu() - before, CONNECTIONS)
    })
    .await
}

async fn come_and_go(lanes: &[Clients], proxy: &Proxy, entrance: Entrance, handshake: Handshake) {
    let left = Rc::new(Cell::new(CONNECTIONS));
    let lanes: Vec<_> = lanes
        .iter()
        .map(|clients| {
            let (left, clients) = (Rc::clone(&left), clients.clone());
            let to = proxy.address(entrance);
            spawn_local(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let mut client = clients.open_by(to, entrance, handshake, "/echo").await?;
                    if handshake == Handshake::Resumed {
                        // The next session comes behind the TLS handshake.
                        client.echo(b"!", &mut [0]).await?;
                    }
                    client.close().await?;
                }
                std::io::Result::Ok(())
            })
        })
        .collect();
    for lane in lanes {
        let outcome = lane.await.expect("no panic");
        outcome.unwrap_or_else(|error| panic!("{}: {error}", proxy.kind.name()));
    }
}
