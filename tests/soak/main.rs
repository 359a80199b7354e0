//! An hour in the life of wsgate: a thousand tunnels, polling sessions and plain clients, and everything that may happen to them.
//!
//! `cargo bench --bench soak -- --minutes 60`. Messages are numbered and checksummed at both ends, and what both ends say must
//! agree; memory, descriptors and latency are looked at all the time. README.md beside this file says what was seen. What is done is
//! decided by a seed, which is printed; when it happens is up to the machine.

#![allow(clippy::unwrap_used)] // as in a test, a panic is the report
// Cargo says `test` to a benchmark without a harness.
#![cfg_attr(test, allow(dead_code, unused_imports))]

#[allow(dead_code)]
#[path = "../support/authority.rs"]
mod authority;
mod chart;
mod children;
mod client;
mod dice;
mod doors;
mod edits;
mod faults;
mod gate;
mod http;
mod ledger;
mod message;
#[allow(dead_code)]
#[path = "../bench/process.rs"]
mod process;
mod report;
mod run;
mod samples;
mod upstream;
#[path = "../support/wire.rs"]
mod wire;
mod world;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;

/// What an hour takes.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// How long everyone talks
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Tunnels, polling sessions and plain clients together
    #[arg(long, default_value_t = 1000)]
    sessions: u64,
    /// What decides all that is done
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another binary than the one that cargo has built
    #[arg(long, default_value = env!("CARGO_BIN_EXE_wsgate"))]
    wsgate: PathBuf,
    /// Where report.md and chart.svg go
    #[arg(long, value_name = "FOLDER", default_value = "target/soak")]
    out: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// To be an upstream at this port
    #[arg(long, hide = true)]
    upstream: Option<u16>,
    /// Which one it is at its port
    #[arg(long, hide = true, default_value_t = 1)]
    generation: u64,
}

fn main() -> ExitCode {
    // `cargo bench` runs every benchmark: this one only where it is told for how long.
    if !std::env::args().any(|argument| {
        argument.starts_with("--minutes") || argument == "--upstream" || argument == "--help"
    }) {
        println!(
            "soak: runs only when it is told for how long: cargo bench --bench soak -- --minutes 60"
        );
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    if let Some(port) = arguments.upstream {
        let ended = runtime.block_on(upstream::serve(port, arguments.generation, arguments.seed));
        eprintln!("the upstream ended: {ended:?}");
        return ExitCode::FAILURE;
    }
    let outcome = runtime.block_on(run::soak(&arguments));
    let markdown = report::markdown(&outcome);
    println!("{markdown}");
    let written = fs::create_dir_all(&arguments.out)
        .and_then(|()| fs::write(arguments.out.join("report.md"), &markdown))
        .and_then(|()| fs::write(arguments.out.join("chart.svg"), chart::svg(&outcome)));
    if let Err(error) = written {
        eprintln!("cannot write to {}: {error}", arguments.out.display());
        return ExitCode::FAILURE;
    }
    match outcome.ledger.found {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
