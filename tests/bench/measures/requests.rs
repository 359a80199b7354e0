//! CPU time of a poll over a connection that is kept.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::bench::Bench;
use crate::bench::micros_each;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::client::Client;
use crate::contenders::Entrance;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;

/// Clients at the same time.
const CLIENTS: usize = 32;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let taken = taken(bench, &proxies, entrance, bench.plan.rounds).await;
        figures.push(Figure {
            name: match entrance {
                Entrance::Ws => "http".to_owned(),
                _ => "https".to_owned(),
            },
            unit: "µs",
            better: Better::Less,
            target: Target::Ratio {
                must: 1.1,
                goal: 0.85,
            },
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
        let (figure, clients) = window(bench, proxy, clients).await;
        lanes[index] = clients;
        figure
    })
    .await
}

async fn window(bench: &Bench, proxy: &Proxy, clients: Vec<Client>) -> (f64, Vec<Client>) {
    let running = Rc::new(Cell::new(true));
    let polls = Rc::new(Cell::new(0));
    let lanes: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (running, polls) = (Rc::clone(&running), Rc::clone(&polls));
            spawn_local(async move {
                let mut buffer = Vec::with_capacity(1024);
                while running.get() {
                    client.poll(&mut buffer).await.expect("an answer");
                    polls.set(polls.get() + 1);
                }
                client
            })
        })
        .collect();
    sleep(bench.plan.window / 4).await;
    let (cpu, count) = (proxy.process.cpu(), polls.get());
    sleep(bench.plan.window).await;
    let (cpu, count) = (proxy.process.cpu() - cpu, polls.get() - count);
    running.set(false);
    let mut clients = Vec::new();
    for lane in lanes {
        clients.push(lane.await.expect("no panic"));
    }
    (micros_each(cpu, count), clients)
}
