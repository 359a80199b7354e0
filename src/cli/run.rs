//! `wsgate run`: serve until a signal, by what the file says at each moment.

use std::future::Future;
use std::future::pending;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use time::OffsetDateTime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::timeout;

use crate::cli::LogFormat;
use crate::cli::check;
use crate::cli::logging;
use crate::cli::reload;
use crate::cli::reload::Content;
use crate::cli::reload::Reload;
use crate::cli::reload::Trigger;
use crate::cli::report;
use crate::cli::report::Asked;
use crate::cli::report::Voice;
use crate::config::Action;
use crate::config::Config;
use crate::server;
use crate::server::Running;
use crate::server::StartError;
use crate::upstream::Upstream;

/// Reads, opens, serves, drains.
pub(super) fn run(file: &Path, format: LogFormat) -> ExitCode {
    let held = reload::content(file);
    let Some(config) = check::read(file, OffsetDateTime::now_utc()) else {
        return ExitCode::from(2);
    };
    logging::begin(format);
    let code = match serve(config, held, Voice::new(format)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::cannot_run(&error, format);
            ExitCode::FAILURE
        }
    };
    logging::finish();
    code
}

fn serve(config: Config, held: Content, voice: Voice) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    // Heard from here on: a signal that comes right behind the words of the start must drain or reload, not kill.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(StartError::Thread)?
    };
    let opened = server::open(config, OffsetDateTime::now_utc())?;
    let listening = opened.listening();
    let running = opened.start()?;
    voice.started(running.config(), &listening);
    let outcome = runtime.block_on(watch(voice, held, running, signals));
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    outcome
}

/// Reloads until a signal to stop, then drains under a deadline. A second signal ends the process at once.
async fn watch(
    voice: Voice,
    held: Content,
    mut running: Running,
    mut signals: Signals,
) -> Result<(), StartError> {
    // Asked only now, in the background: wsgate listens also while its upstreams are still starting.
    let mut asking = Asking::new(voice);
    asking.ask(report::to_ask(running.config(), &[]));
    asking.begin().await;
    let mut reload = Reload::new(&running.config().file, held, voice);
    reload.look(Trigger::Start, &mut running).await;
    let name = loop {
        let trigger = tokio::select! {
            biased;
            name = signals.stop.next() => break name,
            // Only a panic ends a thread that nobody told to.
            ended = running.ended() => return ended.and(Err(StartError::Died)),
            _ = signals.hup.recv() => Trigger::Hangup,
            () = reload.changed() => Trigger::File,
            () = asking.done() => continue,
        };
        let known = upstreams(running.config());
        reload.look(trigger, &mut running).await;
        asking.ask(report::to_ask(running.config(), &known));
    };
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

fn upstreams(config: &Config) -> Vec<Upstream> {
    let routes = config.routes.iter();
    let upstreams = routes.filter_map(|route| match &route.to {
        Action::ProxyPass(upstream) => Some(upstream.clone()),
        Action::Return(_) => None,
    });
    upstreams.collect()
}

/// Upstreams that are being asked whether they answer, one after the other.
struct Asking {
    voice: Voice,
    under_way: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Asking {
    fn new(voice: Voice) -> Self {
        let under_way = None;
        Self { voice, under_way }
    }

    /// Asks these too, behind those that are not asked yet.
    fn ask(&mut self, upstreams: Vec<Asked>) {
        if upstreams.is_empty() {
            return;
        }
        let (before, voice) = (self.under_way.take(), self.voice);
        self.under_way = Some(Box::pin(async move {
            if let Some(before) = before {
                before.await;
            }
            voice.upstreams(upstreams).await;
        }));
    }

    /// Goes on with it as far as it goes without waiting.
    async fn begin(&mut self) {
        poll_fn(|cx| {
            if let Some(under_way) = &mut self.under_way
                && under_way.as_mut().poll(cx).is_ready()
            {
                self.under_way = None;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Goes on with it, until all are asked.
    async fn done(&mut self) {
        match &mut self.under_way {
            Some(under_way) => under_way.await,
            None => pending().await,
        }
        self.under_way = None;
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
