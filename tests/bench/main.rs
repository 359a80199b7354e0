//! wsgate beside nginx and HAProxy, in turns, on one machine.
//!
//! `cargo bench` takes about 20 minutes, `cargo bench -- --quick` about 3. The proxies have one core, the load and the
//! upstream another. What counts is the ratio of figures of the same round, and CPU time by the scheduler's account,
//! since wall time says more about the machine than about a proxy. The report goes to standard output and, with an SVG
//! chart, into a folder.

// Cargo says `test` to a benchmark without a harness, and leaves the tests themselves out: tests/main.rs runs them.
#![cfg_attr(test, allow(dead_code, unused_imports))]

mod bench;
mod client;
mod contenders;
mod figures;
mod measures;
mod process;
mod report;
mod upstream;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use clap::Parser;
use time::OffsetDateTime;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;

use crate::bench::Bench;
use crate::bench::LOAD_CORE;
use crate::bench::Plan;
use crate::contenders::Kind;
use crate::figures::Contender;
use crate::figures::Report;
use crate::figures::Section;
use crate::process::descriptors;
use crate::process::on_core;

/// Set where this program is on its core already.
const PINNED: &str = "WSGATE_BENCH_PINNED";

/// Descriptors that are not tunnels.
const SPARE: usize = 500;

/// wsgate beside nginx and HAProxy.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds and fewer tunnels: about 3 minutes
    #[arg(long)]
    quick: bool,
    /// Only these: messages, latency, bulk, connections, requests, group, access-log, fan-out, memory, storm, growth
    #[arg(long, value_delimiter = ',', value_name = "MEASURE")]
    only: Vec<String>,
    /// Rounds, instead of 10 or with --quick 3
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Where report.md and chart.svg go
    #[arg(long, value_name = "FOLDER", default_value = "target/side_by_side")]
    out: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// To be the upstream
    #[arg(long, hide = true)]
    upstream: bool,
}

const MEASURES: [&str; 11] = [
    "messages",
    "latency",
    "bulk",
    "connections",
    "requests",
    "group",
    "access-log",
    "fan-out",
    "memory",
    "storm",
    "growth",
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime");
    if arguments.upstream {
        let ended = runtime.block_on(upstream::serve());
        eprintln!("the upstream ended: {ended:?}");
        return ExitCode::FAILURE;
    }
    if let Some(wrong) = arguments
        .only
        .iter()
        .find(|name| !MEASURES.contains(&name.as_str()))
    {
        eprintln!(
            "there is no measure `{wrong}`: there are {}",
            MEASURES.join(", ")
        );
        return ExitCode::from(2);
    }
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2)
        && std::env::var_os(PINNED).is_none()
    {
        eprintln!("this needs two cores: one for the proxies, one for the load");
        return ExitCode::FAILURE;
    }
    if Kind::Nginx.binary().is_none() {
        eprintln!(
            "nginx is missing, which everything is compared with: install the package nginx-light"
        );
        return ExitCode::FAILURE;
    }
    if std::env::var_os(PINNED).is_none() {
        let own = std::env::current_exe().expect("a path");
        let error = on_core(LOAD_CORE, &own)
            .args(std::env::args_os().skip(1))
            .env(PINNED, "1")
            .exec();
        eprintln!("cannot start again on core {LOAD_CORE}: {error}");
        return ExitCode::FAILURE;
    }
    let report = runtime.block_on(measure(&arguments));
    let markdown = report.markdown();
    println!("{markdown}");
    let written = fs::create_dir_all(&arguments.out)
        .and_then(|()| fs::write(arguments.out.join("report.md"), &markdown))
        .and_then(|()| fs::write(arguments.out.join("chart.svg"), report.svg()));
    if let Err(error) = written {
        eprintln!("cannot write to {}: {error}", arguments.out.display());
        return ExitCode::FAILURE;
    }
    eprintln!(
        "written: {0}/report.md, {0}/chart.svg",
        arguments.out.display()
    );
    ExitCode::SUCCESS
}

/// What can be done with the descriptors that there are, and what that leaves out.
fn plan(arguments: &Arguments, contenders: usize) -> (Plan, Vec<String>) {
    let (rounds, few_rounds, window, idle, tunnels, storm) = if arguments.quick {
        (3, 1, 80, 1000, 1000, 2000)
    } else {
        (10, 2, 500, 5000, 3000, 8000)
    };
    let mut notes = Vec::new();
    let descriptors = descriptors();
    let mut bounded = |what: &str, wanted: usize, possible: usize| {
        if wanted > possible {
            notes.push(format!(
                "{what}: {possible} instead of {wanted}, since a process may have {descriptors} descriptors (`ulimit -Hn`)"
            ));
        }
        wanted.min(possible)
    };
    let room = descriptors.saturating_sub(SPARE);
    let plan = Plan {
        rounds: arguments.rounds.unwrap_or(rounds),
        few_rounds: arguments
            .rounds
            .map_or(few_rounds, |rounds| rounds.min(few_rounds)),
        window: Duration::from_millis(window),
        // The load and the upstream have a socket of each tunnel of every proxy.
        idle: bounded("idle tunnels", idle, room / contenders),
        // A proxy has two sockets of each.
        tunnels: bounded("tunnels for memory", tunnels, room / 2),
        storm: bounded("clients that reconnect", storm, room / 2),
    };
    (plan, notes)
}

async fn measure(arguments: &Arguments) -> Report {
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.binary().is_some())
        .collect();
    let (plan, mut notes) = plan(arguments, kinds.len());
    if kinds.len() < Kind::ALL.len() {
        notes.push("HAProxy is not installed".to_owned());
    }
    let bench = Bench::start(plan, kinds.clone());
    let contenders = bench
        .proxies()
        .iter()
        .map(|proxy| Contender {
            name: proxy.kind.name(),
            version: proxy.kind.version(),
            configuration: proxy.configuration(),
        })
        .collect();
    let begun = Instant::now();
    let mut sections: Vec<Section> = Vec::new();
    for name in MEASURES {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("{:>5.0?} s  {name}", begun.elapsed().as_secs());
        sections.push(match name {
            "messages" => measures::messages::measure(&bench).await,
            "latency" => measures::latency::measure(&bench).await,
            "bulk" => measures::bulk::measure(&bench).await,
            "connections" => measures::connections::measure(&bench).await,
            "requests" => measures::requests::measure(&bench).await,
            "group" => measures::group::measure(&bench).await,
            "access-log" => measures::access_log::measure(&bench).await,
            "fan-out" => measures::fan_out::measure(&bench).await,
            "memory" => measures::memory::measure(&bench).await,
            "storm" => measures::storm::measure(&bench).await,
            _ => measures::growth::measure(&bench).await,
        });
    }
    let mut about = vec![
        (
            "date".to_owned(),
            OffsetDateTime::now_utc().date().to_string(),
        ),
        ("machine".to_owned(), machine()),
        (
            "rounds".to_owned(),
            format!(
                "{} in turns, each {} ms a proxy; memory and storms {}",
                plan.rounds,
                plan.window.as_millis(),
                plan.few_rounds
            ),
        ),
        (
            "command".to_owned(),
            format!(
                "`cargo bench{}`",
                if arguments.quick { " -- --quick" } else { "" }
            ),
        ),
    ];
    about.push((
        "lasted".to_owned(),
        format!("{} minutes", begun.elapsed().as_secs().div_ceil(60)),
    ));
    Report {
        contenders,
        about,
        sections,
        notes,
    }
}

/// Processor, cores and kernel.
fn machine() -> String {
    let first = |file: &str, key: &str| {
        let text = fs::read_to_string(Path::new(file)).unwrap_or_default();
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split(':').nth(1))
            .map_or_else(|| text.trim().to_owned(), |value| value.trim().to_owned())
    };
    let cores = Command::new("nproc")
        .arg("--all")
        .output()
        .map_or(String::new(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        });
    format!(
        "{}, {cores} cores, Linux {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/sys/kernel/osrelease", "\u{0}")
    )
}
