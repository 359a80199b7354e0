//! Bytes for each second of CPU time.

use crate::bench::Bench;
use crate::bench::rounds;
use crate::contenders::Entrance;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;

const MIB: usize = 1024 * 1024;

/// What passes in one round.
const SIZE: usize = 64 * MIB;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    let mut buffer = vec![0; MIB];
    for entrance in Entrance::BOTH {
        let mut clients = Vec::new();
        for proxy in &proxies {
            let opened = bench
                .clients
                .open(proxy.address(entrance), entrance, "/bulk")
                .await;
            clients.push(opened.expect("a tunnel"));
        }
        let taken = rounds(bench.plan.rounds, &proxies, async |index, proxy| {
            let before = proxy.process.cpu();
            let client = &mut clients[index];
            client
                .send(&(SIZE as u64).to_be_bytes())
                .await
                .expect("sent");
            client.take(SIZE, &mut buffer).await.expect("all of it");
            (SIZE / MIB) as f64 / (proxy.process.cpu() - before).as_secs_f64()
        })
        .await;
        figures.push(Figure {
            name: entrance.name().to_owned(),
            unit: "MiB/s",
            better: Better::More,
            // CPU for each KiB: half of nginx's, and better a quarter.
            target: Target::Ratio {
                must: 2.0,
                goal: 4.0,
            },
            rounds: taken,
        });
    }
    Section {
        title: "Bulk throughput for each second of CPU".to_owned(),
        how: format!(
            "{} MiB from the upstream to one client that reads as fast as it can.",
            SIZE / MIB
        ),
        figures,
    }
}
