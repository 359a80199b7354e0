//! Memory of idle tunnels, before and after what happens to them, and of slow readers.

use crate::bench::Bench;
use crate::bench::settled;
use crate::client::Client;
use crate::contenders::Entrance;
use crate::contenders::Kind;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::measures::messages::open;
use crate::measures::storm::all_at_once;

/// What comes back at a time in the storm.
const AT_A_TIME: usize = 1000;

const SLOW_READERS: usize = 100;

/// More than all buffers of the kernel between upstream and client.
const FLOOD: u64 = 64 * 1024 * 1024;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let count = bench.plan.tunnels;
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let mut taken: [Vec<Vec<Option<f64>>>; 5] = Default::default();
        for _ in 0..bench.plan.few_rounds {
            let mut round = [(); 5].map(|()| Vec::new());
            for kind in &bench.kinds {
                let life = life(bench, *kind, entrance, count).await;
                for (round, figure) in round.iter_mut().zip(life) {
                    round.push(Some(figure));
                }
            }
            for (taken, round) in taken.iter_mut().zip(round) {
                taken.push(round);
            }
        }
        let name = entrance.name();
        let after = match entrance {
            Entrance::Ws => Target::Figure {
                must: 1.6,
                goal: 1.0,
            },
            _ => Target::Figure {
                must: 5.1,
                goal: 4.5,
            },
        };
        let slow = match entrance {
            Entrance::Ws => Target::Figure {
                must: 2.0,
                goal: 1.0,
            },
            _ => Target::None,
        };
        for (rounds, (name, unit, target)) in taken.into_iter().zip([
            (
                format!("{name}, each idle tunnel, fresh"),
                "KiB",
                Target::None,
            ),
            (
                format!("{name}, after a message of 16 KiB each"),
                "KiB",
                Target::None,
            ),
            (
                format!("{name}, after a storm, {AT_A_TIME} at a time"),
                "KiB",
                after,
            ),
            (
                format!("{name}, left when all {count} have gone"),
                "MiB",
                Target::None,
            ),
            (
                format!("{name}, {SLOW_READERS} slow readers, in all"),
                "MiB",
                slow,
            ),
        ]) {
            figures.push(Figure {
                name,
                unit,
                better: Better::Less,
                target,
                rounds,
            });
        }
    }
    Section {
        title: "Memory".to_owned(),
        how: format!(
            "Private memory of the proxy's processes, over what they had with one tunnel open, when it has stopped to \
             change. {count} idle tunnels; the storm lets them all go and come back twice. A slow reader reads nothing \
             while its upstream sends {} MiB.",
            FLOOD / 1024 / 1024
        ),
        figures,
    }
}

/// A proxy from its start to an empty house.
async fn life(bench: &Bench, kind: Kind, entrance: Entrance, count: usize) -> [f64; 5] {
    let proxy = bench.proxy(kind);
    let _first = open(bench, &proxy, entrance, 1).await;
    let empty = settled(&proxy).await;
    let each = |memory: f64| (memory - empty) / count as f64;

    let mut clients = open(bench, &proxy, entrance, count).await;
    let fresh = each(settled(&proxy).await);

    speak(&mut clients).await;
    let spoken = each(settled(&proxy).await);

    for _ in 0..2 {
        drop(clients);
        clients = Vec::with_capacity(count);
        while clients.len() < count {
            let next = AT_A_TIME.min(count - clients.len());
            clients.extend(all_at_once(bench, &proxy, entrance, next).await);
        }
        speak(&mut clients).await;
    }
    let stormed = each(settled(&proxy).await);

    drop(clients);
    let left = (settled(&proxy).await - empty) / 1024.0;
    let slow = slow_readers(bench, &proxy, entrance).await;
    [fresh, spoken, stormed, left, slow]
}

async fn speak(clients: &mut [Client]) {
    let message = vec![b'm'; 16 * 1024];
    let mut back = vec![0; message.len()];
    for client in clients {
        client.echo(&message, &mut back).await.expect("an echo");
    }
}

/// By how many MiB a proxy grows when nobody reads.
async fn slow_readers(bench: &Bench, proxy: &Proxy, entrance: Entrance) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..SLOW_READERS {
        let opened = bench
            .clients
            .open(proxy.address(entrance), entrance, "/bulk")
            .await;
        clients.push(opened.expect("a tunnel"));
    }
    let before = settled(proxy).await;
    for client in &mut clients {
        client.send(&FLOOD.to_be_bytes()).await.expect("sent");
    }
    (settled(proxy).await - before) / 1024.0
}
