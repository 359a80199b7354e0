//! `wsgate run`: serve until a signal, by what the file says at each moment.

use std::panic::resume_unwind;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::thread;

use time::OffsetDateTime;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::runtime::LocalRuntime;
use tokio::sync::oneshot;
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
use crate::cli::signals::Signals;
use crate::cli::signals::Told;
use crate::config::Config;
use crate::observe::LineSink;
use crate::server;
use crate::server::Event;
use crate::server::Running;
use crate::server::StartError;
use crate::server::Supervisor;

/// Reads, opens, serves, drains.
pub(super) fn run(file: &Path, format: LogFormat) -> ExitCode {
    let (runtime, mut signals) = match begin() {
        Ok(begun) => begun,
        Err(error) => {
            logging::begin(format);
            return failed(&error, format);
        }
    };
    let code = match runtime.block_on(read(file, &mut signals)) {
        Ok(ReadOutcome::Wrong) => ExitCode::from(2),
        Ok(ReadOutcome::Stopped(name)) => {
            logging::begin(format);
            Voice::new(format).ended_at_once(name);
            logging::finish();
            ExitCode::SUCCESS
        }
        Ok(ReadOutcome::Right(start)) => {
            let lines = logging::begin(format);
            match serve(&runtime, *start, (Voice::new(format), lines), signals) {
                Ok(()) => {
                    logging::finish();
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error, format),
            }
        }
        Err(error) => {
            logging::begin(format);
            failed(&error, format)
        }
    };
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    code
}

fn failed(error: &StartError, format: LogFormat) -> ExitCode {
    report::cannot_run(error, format);
    logging::finish();
    ExitCode::FAILURE
}

/// The runtime of this thread, and the signals: before anything is read, since a signal that nobody hears ends the process, or, where it
/// is the first one of a container, is lost.
fn begin() -> Result<(LocalRuntime, Signals), StartError> {
    server::descriptors_for_a_start()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Thread)?;
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(StartError::Thread)?
    };
    Ok((runtime, signals))
}

/// What came of the file.
enum ReadOutcome {
    /// It can be served.
    Right(Box<Start>),
    /// What is wrong with it has been said.
    Wrong,
    /// A signal to stop came before it was read.
    Stopped(&'static str),
}

/// What is served at first.
struct Start {
    config: Config,
    /// What the file held before it was read.
    held: FileDigest,
}

/// Reads the file, on a thread of its own: it may be a pipe that says nothing yet, and a signal must end that too.
async fn read(file: &Path, signals: &mut Signals) -> Result<ReadOutcome, StartError> {
    let (done, reading) = oneshot::channel();
    let file = file.to_owned();
    let reader = thread::Builder::new().name("wsgate-read".to_owned());
    let reader = reader.spawn(move || {
        let held = reload::content(&file);
        let config = check::read(&file, OffsetDateTime::now_utc());
        let start = config.map(|config| Box::new(Start { config, held }));
        // Nobody listens any more when a signal has come.
        let _ = done.send(start);
    });
    let reader = reader.map_err(StartError::Thread)?;
    tokio::select! {
        biased;
        name = signals.stop.next() => Ok(ReadOutcome::Stopped(name)),
        read = reading => match read {
            Ok(Some(start)) => Ok(ReadOutcome::Right(start)),
            Ok(None) => Ok(ReadOutcome::Wrong),
            // A panic, which goes on here.
            Err(_) => match reader.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => Err(StartError::Died),
            },
        },
    }
}

fn serve(
    runtime: &LocalRuntime,
    start: Start,
    (voice, lines): (Voice, Option<LineSink>),
    signals: Signals,
) -> Result<(), StartError> {
    let opened = server::open(start.config, OffsetDateTime::now_utc())?;
    let listening = opened.listening();
    let running = opened.start(lines)?;
    voice.started(running.config(), &listening);
    runtime.block_on(watch(voice, start.held, running, signals))
}

/// Reloads until a signal to stop, then drains under a deadline. A second signal to stop ends the process at once.
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
            told = signals.others.next() => match told {
                Told::Hangup => Trigger::Hangup,
                Told::Nothing { signal, reason } => {
                    voice.without_meaning(signal, reason);
                    continue;
                }
            },
            event = supervisor.next() => match event {
                Event::Ended(ended) => return ended.and(Err(StartError::Died)),
                Event::File => Trigger::File,
                Event::Day => {
                    voice.remarks(&supervisor.running().terms(OffsetDateTime::now_utc()));
                    continue;
                }
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
            told = signals.others.next() => match told {
                Told::Hangup => voice.ignored("SIGHUP"),
                Told::Nothing { signal, reason } => voice.without_meaning(signal, reason),
            },
        }
    }
}
