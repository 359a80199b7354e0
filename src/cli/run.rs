//! `wsgate run`: serve until a signal.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use time::OffsetDateTime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::timeout;

use crate::cli::LogFormat;
use crate::cli::check;
use crate::cli::logging;
use crate::cli::report;
use crate::cli::report::Voice;
use crate::config::Config;
use crate::server;
use crate::server::Running;
use crate::server::StartError;

/// Reads, opens, serves, drains.
pub(super) fn run(file: &Path, format: LogFormat) -> ExitCode {
    let now = OffsetDateTime::now_utc();
    let Some(config) = check::read(file, now) else {
        return ExitCode::from(2);
    };
    logging::begin(format);
    match serve(&config, Voice::new(format), now) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::cannot_run(&error, format);
            ExitCode::FAILURE
        }
    }
}

fn serve(config: &Config, voice: Voice, now: OffsetDateTime) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    // Heard from here on: a signal that comes right behind the words of the start must drain, not kill.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(StartError::Thread)?
    };
    let opened = server::open(config.clone(), now)?;
    let listening = opened.listening();
    let running = opened.start()?;
    voice.started(config, &listening);
    let outcome = runtime.block_on(async {
        // Asked only now, in the background: wsgate listens also while its upstreams are still starting.
        let asking = async {
            voice.upstreams(config).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = watch(config, voice, running, signals) => outcome,
            () = asking => Ok(()),
        }
    });
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    outcome
}

/// Waits for a signal, then drains under a deadline. A second signal ends the process at once.
async fn watch(
    config: &Config,
    voice: Voice,
    mut running: Running,
    mut signals: Signals,
) -> Result<(), StartError> {
    let name = tokio::select! {
        name = signals.next() => name,
        // Only a panic ends a thread that nobody told to.
        () = running.ended() => return running.join().and(Err(StartError::Died)),
    };
    voice.draining(name, config.drain_timeout);
    running.drain();
    let drained = async {
        if timeout(config.drain_timeout, running.ended())
            .await
            .is_err()
        {
            running.cut();
            running.ended().await;
        }
    };
    tokio::select! {
        () = drained => {}
        name = signals.next() => {
            voice.ended_at_once(name);
            std::process::exit(0);
        }
    }
    voice.ended(running.join()?);
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
