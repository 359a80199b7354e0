//! CPU time of a message that passes a tunnel.

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
use crate::measures::window::Work;
use crate::measures::window::window;

pub(crate) const SMALL: usize = 125;
const LARGE: usize = 16 * 1024;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        for (active, idle) in [(1, 0), (100, 0), (100, bench.plan.idle)] {
            let mut lanes = Vec::new();
            let mut silent = Vec::new();
            for proxy in &proxies {
                silent.push(open(bench, proxy, entrance, idle).await);
                lanes.push(open(bench, proxy, entrance, active).await);
                quiet(proxy).await;
            }
            for size in [SMALL, LARGE] {
                let taken = rounds(bench.plan.rounds, &proxies, async |index, proxy| {
                    let clients = std::mem::take(&mut lanes[index]);
                    let (figure, clients) = window(bench, proxy, clients, Work::Echo(size)).await;
                    lanes[index] = clients;
                    figure
                })
                .await;
                figures.push(Figure {
                    name: name(entrance, size, active, idle),
                    unit: "µs",
                    better: Better::Less,
                    target: match (entrance, size) {
                        // With one tunnel, waking a thread is nearly all of the cost, for every proxy.
                        _ if active == 1 => Target::None,
                        (Entrance::Ws, SMALL) => Target::Ratio {
                            must: 1.05,
                            goal: 1.0,
                        },
                        (Entrance::Ws, _) => Target::Ratio {
                            must: 0.45,
                            goal: 0.33,
                        },
                        (_, SMALL) => Target::Ratio {
                            must: 0.8,
                            goal: 0.7,
                        },
                        _ => Target::Ratio {
                            must: 0.4,
                            goal: 0.33,
                        },
                    },
                    rounds: taken,
                });
            }
            drop((lanes, silent));
            for proxy in &proxies {
                quiet(proxy).await;
            }
        }
    }
    Section {
        title: "CPU per message".to_owned(),
        how: "Echoes over open tunnels: each client sends the next message when the last one is back. A message that \
              passes the proxy once is one message."
            .to_owned(),
        figures,
    }
}

fn name(entrance: Entrance, size: usize, active: usize, idle: usize) -> String {
    let size = if size == SMALL { "125 bytes" } else { "16 KiB" };
    let beside = if idle > 0 {
        format!(" beside {idle} idle")
    } else {
        String::new()
    };
    let tunnels = if active == 1 { "tunnel" } else { "tunnels" };
    format!("{}, {size}, {active} {tunnels}{beside}", entrance.name())
}

/// Open tunnels, made some at a time.
pub(crate) async fn open(
    bench: &Bench,
    proxy: &Proxy,
    entrance: Entrance,
    count: usize,
) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let some: Vec<_> = (0..(count - clients.len()).min(50))
            .map(|_| {
                let (all, to) = (bench.clients.clone(), proxy.address(entrance));
                spawn_local(async move { all.open(to, entrance, "/echo").await })
            })
            .collect();
        for client in some {
            let opened = client.await.expect("no panic");
            clients.push(opened.unwrap_or_else(|error| panic!("{}: {error}", proxy.kind.name())));
        }
    }
    clients
}
