//! CPU time of a poll and of a connection where a route leads to a group of three servers.

use crate::bench::Bench;
use crate::bench::LOAD_CORE;
use crate::client::Handshake;
use crate::contenders::Entrance;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::measures::connections;
use crate::measures::requests;
use crate::upstream::Upstream;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let servers = [(); 3].map(|()| Upstream::start(LOAD_CORE));
    let proxies = bench.proxies_of_group(&servers);
    let lanes = connections::lanes(bench, &proxies);
    let (entrance, handshake) = (Entrance::Ws, Handshake::Full);
    let connection = connections::taken(bench, &proxies, &lanes, entrance, handshake).await;
    let poll = requests::taken(bench, &proxies, entrance, bench.plan.rounds).await;
    // What is wanted of one server is wanted of three.
    let figures = [
        ("a connection over ws", connection, 1.15, 1.0),
        ("a poll over http", poll, 1.0, 0.85),
    ];
    Section {
        title: "CPU with a group of three servers".to_owned(),
        how: "Connections and polls as above, where each proxy chooses the one of three servers with the fewest connections \
              (nginx's `least_conn`, HAProxy's `leastconn`). wsgate also remembers which server has which session, and the \
              polls name one: it looks for it each time, which the others do not."
            .to_owned(),
        figures: figures
            .into_iter()
            .map(|(name, rounds, must, goal)| Figure {
                name: name.to_owned(),
                unit: "µs",
                better: Better::Less,
                target: Target::Ratio { must, goal },
                rounds,
            })
            .collect(),
    }
}
