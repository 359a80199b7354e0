//! The only place that turns a [`Config`] into running parts: sockets, threads, and at the end their drain.
//!
//! [`open`] does what the system can still refuse, so that everything that can go wrong at a start goes wrong before the
//! first thread runs. [`Opened::start`] gives every thread its own runtime and its own listening sockets.

mod descriptors;
mod error;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::config;
use crate::config::Config;
use crate::config::Tls;
use crate::engineio::Diagnosis;
use crate::listener;
use crate::listener::Entrance;
use crate::listener::Phase;
use crate::observe::AccessLog;
use crate::proxy::Proxy;
use crate::proxy::Redirect;
use crate::table::Table;
use crate::tls;

pub use crate::server::error::StartError;
use crate::server::worker::Opening;

/// Longest wait for tunnels to close once they were told to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A listener as it was opened.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address with the port that the system gave.
    pub address: SocketAddr,
    /// What TLS shows, on a TLS listener.
    pub tls: Option<Shown>,
}

/// What a person wants to know of a listener's certificates.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Each certificate's file, names, and last day.
    pub certificates: Vec<(PathBuf, Vec<String>, OffsetDateTime)>,
}

/// Sockets and parts, not yet served.
#[derive(Debug)]
pub struct Opened {
    listening: Vec<Listening>,
    /// One list a thread.
    openings: Vec<Vec<Opening>>,
    proxy: Proxy,
}

/// Opens every address on every thread.
///
/// # Errors
/// An address cannot be listened on, or what `self_signed` needs cannot be written.
pub fn open(config: &Config, now: OffsetDateTime) -> Result<Opened, StartError> {
    descriptors::raise_limit();
    for listener in &config.listeners {
        if !listener.reuseport && listener.address.port() != 0 {
            let place = config.place(listener.line);
            listener::claim(listener.address)
                .map_err(|source| StartError::Listen { place, source })?;
        }
    }
    let shared = tls::Shared::new().map_err(StartError::Tickets)?;
    let mut listening = Vec::new();
    let mut openings: Vec<Vec<Opening>> = (0..config.threads.get()).map(|_| Vec::new()).collect();
    for listener in &config.listeners {
        let place = config.place(listener.line);
        let (tls, shown) = match &listener.tls {
            None => (None, None),
            Some(tls) => {
                let (config, shown) = certificates(tls, &shared, now, &place)?;
                (Some(config), Some(shown))
            }
        };
        let (address, sockets) = listener::open(listener.address, openings.len())
            .map_err(|source| StartError::Listen { place, source })?;
        for (openings, socket) in openings.iter_mut().zip(sockets) {
            openings.push(Opening {
                socket,
                entrance: Entrance {
                    tls: tls.clone(),
                    port: address.port(),
                    redirect: None,
                },
            });
        }
        listening.push(Listening {
            address,
            tls: shown,
        });
    }
    // A port 0 is known only now.
    for (at, listener) in config.listeners.iter().enumerate() {
        let redirect = listener.redirect.map(|to| Redirect {
            port: listening[to].address.port(),
        });
        for openings in &mut openings {
            openings[at].entrance.redirect = redirect;
        }
    }
    Ok(Opened {
        listening,
        openings,
        proxy: proxy(config),
    })
}

fn certificates(
    tls: &Tls,
    shared: &tls::Shared,
    now: OffsetDateTime,
    place: &str,
) -> Result<(Arc<ServerConfig>, Shown), StartError> {
    let pairs = match tls {
        Tls::Pairs(pairs) => pairs.clone(),
        Tls::SelfSigned { dir } => {
            let made =
                tls::self_signed::ensure(dir, now).map_err(|source| StartError::SelfSigned {
                    place: place.to_owned(),
                    source,
                })?;
            vec![made]
        }
    };
    let certificates = pairs
        .iter()
        .map(|pair| {
            (
                pair.path().to_owned(),
                pair.names().to_vec(),
                pair.not_after(),
            )
        })
        .collect();
    Ok((tls::server_config(pairs, shared), Shown { certificates }))
}

fn proxy(config: &Config) -> Proxy {
    let access_log = match config.access_log {
        config::AccessLog::On => AccessLog::On,
        config::AccessLog::Off => AccessLog::Off,
    };
    Proxy {
        sites: Arc::new(Table::new(config).sites),
        observer: Arc::new((access_log, Diagnosis::default())),
    }
}

impl Opened {
    /// What listens where.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Serves on one thread for each list of openings.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self) -> Result<Running, StartError> {
        let (phase, told) = watch::channel(Phase::Running);
        let (ended, workers_ended) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        for (number, openings) in self.openings.into_iter().enumerate() {
            let worker = worker::Worker {
                openings,
                proxy: self.proxy.clone(),
                phase: told.clone(),
            };
            let ended = ended.clone();
            let thread = std::thread::Builder::new()
                .name(format!("wsgate-{number}"))
                .spawn(move || {
                    // Dropped on a panic too, which is how that is noticed.
                    let _ended = ended;
                    worker.work()
                })
                .map_err(StartError::Thread)?;
            threads.push(thread);
        }
        Ok(Running {
            phase,
            threads,
            workers_ended,
        })
    }
}

/// Threads that serve.
#[derive(Debug)]
pub struct Running {
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<Result<usize, StartError>>>,
    workers_ended: mpsc::UnboundedReceiver<()>,
}

impl Running {
    /// Stops accepting. What is under way goes on.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Ends what is still under way.
    pub fn cut(&self) {
        self.phase.send_replace(Phase::Over);
    }

    /// Waits until every thread has ended: after [`drain`](Self::drain) when nothing is under way any more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ended(&mut self) {
        while self.workers_ended.recv().await.is_some() {}
    }

    /// How many connections were cut, once every thread has ended.
    ///
    /// # Errors
    /// A thread could not work, or panicked.
    pub fn join(self) -> Result<usize, StartError> {
        let mut cut = 0;
        for thread in self.threads {
            cut += thread.join().map_err(|_| StartError::Died)??;
        }
        Ok(cut)
    }
}
