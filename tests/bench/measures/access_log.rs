//! CPU time of a poll and of a connection with the access log on, beside the same without.

use crate::bench::Bench;
use crate::client::Handshake;
use crate::contenders::Entrance;
use crate::contenders::Kind;
use crate::contenders::Proxy;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;
use crate::measures::connections;
use crate::measures::requests;

/// Figures of the proxies of [`Logs::start`], round by round.
type Rounds = Vec<Vec<Option<f64>>>;

pub(crate) async fn measure(bench: &Bench) -> Section {
    let logs = Logs::start(bench);
    let mut figures = Vec::new();
    for (name, entrance, must, goal) in [
        ("a poll over http", Entrance::Ws, 1.0, 0.9),
        ("a poll over https", Entrance::Wss, 0.85, 0.8),
    ] {
        let taken = requests::taken(bench, &logs.proxies, entrance, bench.plan.rounds).await;
        figures.extend(logs.figures(name, Target::Ratio { must, goal }, &taken));
    }
    let lanes = connections::lanes(bench, &logs.proxies);
    let (entrance, handshake) = (Entrance::Ws, Handshake::Full);
    let taken = connections::taken(bench, &logs.proxies, &lanes, entrance, handshake).await;
    let target = Target::Ratio {
        must: 1.15,
        goal: 1.0,
    };
    figures.extend(logs.figures("a connection over ws", target, &taken));
    Section {
        title: "CPU with the access log on".to_owned(),
        how: "Polls and connections as above, while nginx and wsgate write their access log into a file, each in the \
              format that it has by default; and what that adds to the same without a log (the median of the \
              differences within a round). A connection has one line in nginx's log and two in wsgate's."
            .to_owned(),
        figures,
    }
}

/// nginx and wsgate, each without and with its log.
struct Logs {
    kinds: Vec<Kind>,
    measured: Vec<Kind>,
    /// Of each measured kind one without and one with.
    proxies: Vec<Proxy>,
}

impl Logs {
    fn start(bench: &Bench) -> Self {
        let kinds = bench.kinds.clone();
        let measured: Vec<Kind> = kinds
            .iter()
            .copied()
            .filter(|kind| *kind != Kind::HaProxy)
            .collect();
        let proxies = measured
            .iter()
            .flat_map(|kind| [bench.proxy(*kind), bench.logging_proxy(*kind)])
            .collect();
        Self {
            kinds,
            measured,
            proxies,
        }
    }

    /// What was taken with the log, and how much more that was than without. A single difference can be anything, even less than
    /// nothing, so the median of all rounds stands for them.
    fn figures(&self, name: &str, target: Target, taken: &Rounds) -> [Figure; 2] {
        let figure = |name: String, target, rounds| Figure {
            name,
            unit: "µs",
            better: Better::Less,
            target,
            rounds,
        };
        let with = |_, with| with;
        let rounds: Rounds = taken.iter().map(|round| self.each(round, with)).collect();
        let more: Rounds = taken
            .iter()
            .map(|round| self.each(round, |without, with| with - without))
            .collect();
        let log = format!("{name}, of it the log");
        let more = figure(log.clone(), Target::None, more);
        let medians = (0..self.kinds.len())
            .map(|kind| more.median(kind))
            .collect();
        [
            figure(name.to_owned(), target, rounds),
            figure(log, Target::None, vec![medians]),
        ]
    }

    /// A round's figures in the report's order, with which HAProxy has nothing to do.
    fn each(&self, round: &[Option<f64>], of: fn(f64, f64) -> f64) -> Vec<Option<f64>> {
        let of_kind = |kind: &Kind| {
            let at = self.measured.iter().position(|measured| measured == kind)?;
            Some(of(round[2 * at]?, round[2 * at + 1]?))
        };
        self.kinds.iter().map(of_kind).collect()
    }
}
