//! CPU time of a poll over a connection that is kept.

use crate::bench::Bench;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::contenders::Entrance;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::measures::window::Work;
use crate::measures::window::window;

/// Clients at the same time.
const CLIENTS: usize = 32;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let taken = taken(bench, &proxies, entrance, bench.plan.rounds).await;
        let (name, must, goal) = match entrance {
            Entrance::Ws => ("http", 1.0, 0.85),
            _ => ("https", 0.85, 0.75),
        };
        figures.push(Figure {
            name: name.to_owned(),
            unit: "µs",
            better: Better::Less,
            target: Target::Ratio { must, goal },
            rounds: taken,
        });
    }
    Section {
        title: "CPU per poll".to_owned(),
        how: format!(
            "{CLIENTS} clients ask what an Engine.IO client asks, with a browser's header lines, over connections that \
             are kept on both sides of the proxy."
        ),
        figures,
    }
}

/// CPU time of a poll in each round.
pub(crate) async fn taken(
    bench: &Bench,
    proxies: &[Proxy],
    entrance: Entrance,
    count: usize,
) -> Vec<Vec<Option<f64>>> {
    let mut lanes = Vec::new();
    for proxy in proxies {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let connected = bench
                .clients
                .connect(proxy.address(entrance), entrance)
                .await;
            clients.push(connected.expect("a connection"));
        }
        lanes.push(clients);
        quiet(proxy).await;
    }
    rounds(count, proxies, async |index, proxy| {
        let clients = std::mem::take(&mut lanes[index]);
        let (figure, clients) = window(bench, proxy, clients, Work::Poll).await;
        lanes[index] = clients;
        figure
    })
    .await
}
