//! What becomes of the cost when there is more of everything: tunnels, and routes.

use crate::bench::Bench;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::bench::settled;
use crate::contenders::Entrance;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::measures::messages;
use crate::measures::requests;
use crate::measures::window::Work;
use crate::measures::window::window;

const TUNNELS: [usize; 3] = [100, 1000, 8000];
const ROUTES: [usize; 3] = [1, 100, 5000];

/// What else is in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Others {
    /// `/r0001/` and so on.
    Prefixes,
    /// `~ ^/r0001/[a-z]+$` and so on.
    Regexes,
}

impl Others {
    /// One of them, as all three write it.
    pub(crate) fn pattern(self, number: usize) -> String {
        match self {
            Self::Prefixes => format!("/r{number:04}/"),
            Self::Regexes => format!("^/r{number:04}/[a-z]+$"),
        }
    }
}

pub(crate) async fn measure(bench: &Bench) -> Section {
    let mut figures = by_tunnels(bench).await;
    for others in [Others::Prefixes, Others::Regexes] {
        for count in ROUTES {
            figures.push(by_routes(bench, others, count).await);
        }
    }
    Section {
        title: "Growth".to_owned(),
        how: "A message of 125 bytes and the memory of a tunnel with ever more of them, all echoing at once, each proxy \
              for itself (ws); and a poll with ever more locations beside the one that answers, which is the last to be \
              looked at."
            .to_owned(),
        figures,
    }
}

async fn by_tunnels(bench: &Bench) -> Vec<Figure> {
    let mut figures = Vec::new();
    for count in TUNNELS.map(|count| count.min(bench.plan.storm)) {
        let (mut cpu, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..bench.plan.few_rounds {
            let (mut cpus, mut memories) = (Vec::new(), Vec::new());
            for kind in &bench.kinds {
                let proxy = bench.proxy(*kind);
                let _first = messages::open(bench, &proxy, Entrance::Ws, 1).await;
                let empty = settled(&proxy).await;
                let clients = messages::open(bench, &proxy, Entrance::Ws, count).await;
                memories.push(Some((settled(&proxy).await - empty) / count as f64));
                cpus.push(Some(
                    window(bench, &proxy, clients, Work::Echo(messages::SMALL))
                        .await
                        .0,
                ));
                quiet(&proxy).await;
            }
            cpu.push(cpus);
            memory.push(memories);
        }
        for (name, unit, rounds) in [("a message", "µs", cpu), ("an idle tunnel", "KiB", memory)] {
            figures.push(Figure {
                name: format!("{name}, {count} tunnels"),
                unit,
                better: Better::Less,
                target: Target::None,
                rounds,
            });
        }
    }
    figures
}

async fn by_routes(bench: &Bench, others: Others, count: usize) -> Figure {
    let proxies: Vec<Proxy> = bench
        .kinds
        .iter()
        .map(|kind| bench.proxy_with(*kind, others, count - 1))
        .collect();
    let what = match others {
        Others::Prefixes => "prefixes",
        Others::Regexes => "regexes",
    };
    Figure {
        name: format!("a poll, {count} {what}"),
        unit: "µs",
        better: Better::Less,
        target: Target::None,
        rounds: requests::taken(bench, &proxies, Entrance::Ws, bench.plan.rounds.div_ceil(2)).await,
    }
}
