//! The only place that turns a [`Config`] into running parts: sockets, threads, what replaces them at a reload, and at the
//! end their drain.
//!
//! [`open`] does what the system can still refuse, so that everything that can go wrong at a start goes wrong before the
//! first thread runs. [`Opened::start`] gives every thread its own runtime and its own listening sockets.
//! [`Running::reload`] does the same beside what runs, and swaps only when all of it is there. [`Supervisor`] is what the
//! thread that has started the others does in the background meanwhile.

mod changes;
mod descriptors;
mod error;
mod file_watch;
mod group_watch;
mod groups;
mod health;
mod keep_upstreams;
mod listeners;
mod names;
mod observers;
mod reload;
mod serving_table;
mod supervise;
mod worker;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod group_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod observer_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod one_server_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod panic_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod test_support;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::config::Config;
use crate::engineio::EngineIoSessions;
use crate::limits::AddressLimits;
use crate::limits::Connections;
use crate::listener;
use crate::listener::Phase;
use crate::observe::LineSink;
use crate::proxy::Proxy;
use crate::server::listeners::Listeners;
use crate::server::listeners::OpenListener;
use crate::server::listeners::OpeningContext;
use crate::server::listeners::Sockets;
use crate::server::observers::Observers;
use crate::server::worker::Order;
use crate::server::worker::Worker;
use crate::server::worker::WorkerMessage;
use crate::stream::ListenAddr;
use crate::tls;

pub use crate::server::changes::Change;
pub use crate::server::changes::ChangeSign;
pub use crate::server::descriptors::descriptors_for_a_start;
pub use crate::server::error::StartError;
pub use crate::server::file_watch::WatchError;
pub use crate::server::reload::Renewed;
pub use crate::server::serving_table::serving_table;
pub use crate::server::supervise::Event;
pub use crate::server::supervise::Probed;
pub use crate::server::supervise::Supervisor;

/// Longest wait for tunnels to close once they were told to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A listener as it was opened.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address with the port that the system gave, or a Unix socket.
    pub address: ListenAddr,
    /// Who may connect to a Unix socket, as the permission bits of its file.
    pub mode: u32,
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
    config: Config,
    listeners: Listeners,
    sockets: Sockets,
    shared: tls::Shared,
}

/// Opens every address on every thread.
///
/// # Errors
/// An address cannot be listened on, or what `self_signed` needs cannot be written.
pub fn open(config: Config, now: OffsetDateTime) -> Result<Opened, StartError> {
    descriptors::raise_limit();
    let shared = tls::Shared::new().map_err(StartError::Tickets)?;
    let opening = OpeningContext {
        shared: &shared,
        threads: config.threads.get(),
        now,
    };
    let (listeners, sockets) = Listeners::default().prepare(&config, opening)?;
    Ok(Opened {
        config,
        listeners,
        sockets,
        shared,
    })
}

/// What every thread serves by.
#[derive(Clone, Debug)]
struct ThreadSettings {
    /// What decides about requests, and who hears of them.
    proxy: Proxy,
    /// What connections obey.
    timeouts: listener::ConnectionTimeouts,
}

impl ThreadSettings {
    /// Those of `config`. What is counted of `addresses` goes on, and their limits are the new ones from now on.
    fn new(config: &Config, observers: &Observers, addresses: AddressLimits) -> Self {
        addresses.allow(config.per_ip);
        Self {
            proxy: Proxy {
                sites: Arc::new(serving_table(config).sites),
                trusted: config.trusted_proxies.clone(),
                addresses,
                sessions: &EngineIoSessions,
                observer: observers.of_requests(config),
            },
            timeouts: listener::ConnectionTimeouts {
                tls_handshake: config.limits.tls_handshake,
                header: config.limits.header,
                keepalive: config.limits.keepalive,
            },
        }
    }
}

/// What each thread is told: the same, and a socket of its own for each new listener.
fn orders(
    thread_settings: &ThreadSettings,
    listeners: &Listeners,
    sockets: Sockets,
    threads: usize,
    done: &mpsc::UnboundedSender<()>,
) -> Vec<Order> {
    let all = listeners.all.iter();
    let settings: Vec<_> = all
        .map(|listener| (listener.id, listener.settings()))
        .collect();
    let mut orders: Vec<Order> = (0..threads)
        .map(|_| Order {
            thread_settings: thread_settings.clone(),
            settings: settings.clone(),
            sockets: Vec::new(),
            done: done.clone(),
        })
        .collect();
    for (id, sockets) in sockets {
        for (order, socket) in orders.iter_mut().zip(sockets) {
            order.sockets.push((id, socket));
        }
    }
    orders
}

impl Opened {
    /// What listens where.
    pub fn listening(&self) -> Vec<Listening> {
        self.listeners
            .all
            .iter()
            .map(OpenListener::listening)
            .collect()
    }

    /// Serves on as many threads as the configuration says. The access log goes to `lines`, or through `tracing`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, lines: Option<LineSink>) -> Result<Running, StartError> {
        self.start_telling(Observers::new(lines))
    }

    /// Serves as [`start`](Self::start) does, while these hear of everything.
    fn start_telling(self, observers: Observers) -> Result<Running, StartError> {
        let (phase, told) = watch::channel(Phase::Running);
        let (ended, outcomes) = mpsc::unbounded_channel();
        let addresses = AddressLimits::default();
        let thread_settings = ThreadSettings::new(&self.config, &observers, addresses);
        let count = self.config.threads.get();
        let (done, _) = mpsc::unbounded_channel();
        let connections = Connections::up_to(descriptors::most_connections(&self.config, count));
        let orders = orders(
            &thread_settings,
            &self.listeners,
            self.sockets,
            count,
            &done,
        );
        let (mut threads, mut workers) = (Vec::new(), Vec::new());
        for (number, first) in orders.into_iter().enumerate() {
            let (worker, messages) = mpsc::unbounded_channel();
            workers.push(worker);
            let worker = Worker {
                first,
                messages,
                phase: told.clone(),
                connections: connections.clone(),
                observer: observers.of_connections(),
            };
            let ended = ended.clone();
            let thread = std::thread::Builder::new()
                .name(format!("wsgate-{number}"))
                .spawn(move || {
                    let _ = ended.send(worker.work());
                })
                .map_err(StartError::Thread)?;
            threads.push(thread);
        }
        Ok(Running {
            config: self.config,
            listeners: self.listeners,
            thread_settings,
            observers,
            shared: self.shared,
            connections,
            workers,
            phase,
            threads,
            outcomes,
            cut: 0,
        })
    }
}

/// Threads that serve.
#[derive(Debug)]
pub struct Running {
    config: Config,
    listeners: Listeners,
    thread_settings: ThreadSettings,
    /// Outlive every configuration, and with them what they have counted.
    observers: Observers,
    /// Outlives every configuration, and with it the sessions of clients.
    shared: tls::Shared,
    connections: Connections,
    workers: Vec<mpsc::UnboundedSender<WorkerMessage>>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    /// Of each thread, when it has ended, how many connections it cut.
    outcomes: mpsc::UnboundedReceiver<Result<usize, StartError>>,
    /// How many were cut by the threads that have ended.
    cut: usize,
}

impl Running {
    /// Stops accepting. What is under way goes on. The files of Unix sockets are removed first: whoever has connected is still
    /// accepted, and another process may listen there.
    pub fn drain(&self) {
        self.listeners.remove_files_but_of(&Listeners::default());
        self.phase.send_replace(Phase::Draining);
    }

    /// Ends what is still under way.
    pub fn cut(&self) {
        self.phase.send_replace(Phase::Over);
    }

    /// Waits until every thread has ended: after [`drain`](Self::drain) when nothing is under way any more. Returns at once
    /// when one has ended that could not go on: the others would serve at half strength.
    ///
    /// # Errors
    /// A thread could not work, or panicked.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ended(&mut self) -> Result<(), StartError> {
        while let Some(outcome) = self.outcomes.recv().await {
            self.cut += outcome?;
        }
        Ok(())
    }

    /// How many connections were cut, once every thread has [`ended`](Self::ended).
    pub fn join(self) -> usize {
        for thread in self.threads {
            // It has nothing left to do but to go; how it ended is known.
            let _ = thread.join();
        }
        self.cut
    }
}
