//! One message of the upstream to each of many tunnels.

use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::bench::micros_each;
use crate::bench::quiet;
use crate::bench::rounds;
use crate::contenders::Entrance;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::upstream::BROADCAST;

const TUNNELS: usize = 1000;

/// Broadcasts in a round, one after the other.
const TIMES: usize = 10;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let mut groups = Vec::new();
        for (number, proxy) in proxies.iter().enumerate() {
            let mut members = Vec::new();
            let path = format!("/fan/{}{number}", entrance.name());
            for _ in 0..TUNNELS {
                let opened = bench
                    .clients
                    .open(proxy.address(entrance), entrance, &path)
                    .await;
                members.push(opened.expect("a tunnel"));
            }
            groups.push(members);
            quiet(proxy).await;
        }
        let taken = rounds(bench.plan.rounds, &proxies, async |index, proxy| {
            let before = proxy.process.cpu();
            for _ in 0..TIMES {
                let mut members = std::mem::take(&mut groups[index]);
                members[0].send(b"!").await.expect("sent");
                let reading: Vec<_> = members
                    .into_iter()
                    .map(|mut member| {
                        spawn_local(async move {
                            let mut buffer = [0; BROADCAST];
                            let all = member.take(BROADCAST, &mut buffer);
                            timeout(Duration::from_secs(10), all)
                                .await
                                .expect("in time")
                                .expect("a message");
                            member
                        })
                    })
                    .collect();
                for member in reading {
                    groups[index].push(member.await.expect("no panic"));
                }
            }
            micros_each(proxy.process.cpu() - before, (TIMES * TUNNELS) as u64)
        })
        .await;
        figures.push(Figure {
            name: entrance.name().to_owned(),
            unit: "µs",
            better: Better::Less,
            target: Target::None,
            rounds: taken,
        });
    }
    Section {
        title: "CPU per message of a broadcast".to_owned(),
        how: format!("The upstream sends {BROADCAST} bytes to each of {TUNNELS} tunnels at once."),
        figures,
    }
}
