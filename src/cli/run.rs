//! `wsgate run`: serve until a signal, by what the file says at each moment.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use time::OffsetDateTime;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::timeout;

use crate::cli::LogFormat;
use crate::cli::check;
use crate::cli::logging;
use crate::cli::reload;
use crate::cli::reload::FileDigest;
use crate::cli::reload::Reload;
use crate::cli::reload::Trigger;
use crate::cli::report;
use crate::cli::report::Voice;
use crate::config::Config;
use crate::observe::LineSink;
use crate::server;
use crate::server::Event;
use crate::server::Running;
use crate::server::StartError;
use crate::server::Supervisor;

/// Reads, opens, serves, drains.
pub(super) fn run(file: &Path, format: LogFormat) -> ExitCode {
    let held = reload::content(file);
    let Some(config) = check::read(file, OffsetDateTime::now_utc()) else {
        return ExitCode::from(2);
    };
    let lines = logging::begin(format);
    let code = match serve(config, held, Voice::new(format), lines) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::cannot_run(&error, format);
            ExitCode::FAILURE
        }
    };
    logging::finish();
    code
}

fn serve(
    config: Config,
    held: FileDigest,
    voice: Voice,
    lines: Option<LineSink>,
) -> Result<(), StartError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Thread)?;
    // Heard from here on: a signal that comes right behind the words of the start must drain or reload, not kill.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(StartError::Thread)?
    };
    let opened = server::open(config, OffsetDateTime::now_utc())?;
    let listening = opened.listening();
    let running = opened.start(lines)?;
    voice.started(running.config(), &listening);
    let outcome = runtime.block_on(watch(voice, held, running, signals));
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    outcome
}

/// Reloads until a signal to stop, then drains under a deadline. A second signal ends the process at once.
async fn watch(
    voice: Voice,
    held: FileDigest,
    running: Running,
    mut signals: Signals,
) -> Result<(), StartError> {
    let mut supervisor = Supervisor::begin(running).await;
    let mut reload = Reload::new(&mut supervisor, held, voice);
    reload.look(Trigger::Start, &mut supervisor).await;
    let name = loop {
        let trigger = tokio::select! {
            biased;
            name = signals.stop.next() => break name,
            _ = signals.hup.recv() => Trigger::Hangup,
            event = supervisor.next() => match event {
                Event::Ended(ended) => return ended.and(Err(StartError::Died)),
                Event::File => Trigger::File,
                Event::Upstream(probed) => {
                    voice.upstream(&probed);
                    continue;
                }
            },
        };
        reload.look(trigger, &mut supervisor).await;
    };
    let mut running = supervisor.end();
    voice.draining(name, running.config().drain_timeout);
    drain(voice, &mut running, &mut signals).await?;
    voice.ended(running.join());
    Ok(())
}

/// Waits until everything is over.
async fn drain(
    voice: Voice,
    running: &mut Running,
    signals: &mut Signals,
) -> Result<(), StartError> {
    running.drain();
    let mut drained = pin!(async {
        let limit = running.config().drain_timeout;
        match timeout(limit, running.ended()).await {
            Ok(ended) => ended,
            Err(_) => {
                running.cut();
                running.ended().await
            }
        }
    });
    loop {
        tokio::select! {
            ended = &mut drained => return ended,
            name = signals.stop.next() => {
                voice.ended_at_once(name);
                logging::finish();
                std::process::exit(0);
            }
            _ = signals.hup.recv() => voice.ignored("SIGHUP"),
        }
    }
}

/// What wsgate listens to.
struct Signals {
    stop: Stop,
    /// SIGHUP, which reloads.
    hup: Signal,
}

/// SIGTERM and SIGINT.
struct Stop {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            stop: Stop {
                term: signal(SignalKind::terminate())?,
                int: signal(SignalKind::interrupt())?,
            },
            hup: signal(SignalKind::hangup())?,
        })
    }
}

impl Stop {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
