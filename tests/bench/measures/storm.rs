//! How long it takes until all clients that reconnect at the same time are up.

use std::time::Instant;

use tokio::task::spawn_local;

use crate::bench::Bench;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::client::Client;
use crate::contenders::Entrance;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let count = bench.plan.storm;
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let taken = rounds(bench.plan.few_rounds, &proxies, async |_, proxy| {
            quiet(proxy).await;
            let begun = Instant::now();
            let clients = all_at_once(bench, proxy, entrance, count).await;
            let took = begun.elapsed();
            drop(clients);
            quiet(proxy).await;
            took.as_secs_f64()
        })
        .await;
        figures.push(Figure {
            name: entrance.name().to_owned(),
            unit: "s",
            better: Better::Less,
            target: match entrance {
                Entrance::Ws if count >= 8000 => Target::Ratio {
                    must: 1.2,
                    goal: 1.0,
                },
                Entrance::Wss if count >= 8000 => Target::Ratio {
                    must: 0.75,
                    goal: 0.6,
                },
                _ => Target::None,
            },
            rounds: taken,
        });
    }
    Section {
        title: format!("{count} clients reconnect at once"),
        how: "Wall time until every client has its 101; the clients and the upstream share a core."
            .to_owned(),
        figures,
    }
}

/// Clients that all begin to connect before the first is answered.
pub(crate) async fn all_at_once(
    bench: &Bench,
    proxy: &Proxy,
    entrance: Entrance,
    count: usize,
) -> Vec<Client> {
    let opening: Vec<_> = (0..count)
        .map(|_| {
            let (clients, to) = (bench.clients.clone(), proxy.address(entrance));
            spawn_local(async move { clients.open(to, entrance, "/echo").await })
        })
        .collect();
    let mut open = Vec::with_capacity(count);
    for client in opening {
        let opened = client.await.expect("no panic");
        open.push(opened.unwrap_or_else(|error| panic!("{}: {error}", proxy.kind.name())));
    }
    open
}
