//! Another configuration, or other certificates, while everything goes on.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::config::Config;
use crate::server::Running;
use crate::server::StartError;
use crate::server::ThreadSettings;
use crate::server::changes;
use crate::server::changes::Change;
use crate::server::changes::ChangeSign;
use crate::server::changes::ServingState;
use crate::server::descriptors;
use crate::server::groups::exchange_groups;
use crate::server::keep_upstreams::keep_upstreams;
use crate::server::listeners::OpeningContext;
use crate::server::listeners::Sockets;
use crate::server::worker::WorkerMessage;
use crate::tls::Certificate;
use crate::tls::CertificateError;
use crate::tls::KnownRoots;
use crate::tls::Remark;
use crate::tunnel::TunnelOwner;
use crate::upstream::Group;

/// Longest wait for the threads, which need milliseconds: were one stuck, signals must still be heard.
const OBEYED: Duration = Duration::from_secs(5);

/// What came of certificates that were read again.
#[derive(Debug, Default)]
pub struct Renewed {
    /// Those that are shown from now on.
    pub changes: Vec<Change>,
    /// Why others are not: the ones of before are still shown.
    pub kept: Vec<CertificateError>,
    /// What a person should know about those that are shown from now on.
    pub remarks: Vec<Remark>,
}

impl Running {
    /// Serves by `config` from the next request on. Listeners that stay keep their sockets; what is under way goes on as it
    /// began, in tunnels and in connections whose listener is gone. The number of threads stays what it was at the start.
    ///
    /// Returns what is different, when every thread is done with it.
    ///
    /// # Errors
    /// The system refuses something; then nothing has changed.
    pub async fn reload(
        &mut self,
        mut config: Config,
        now: OffsetDateTime,
    ) -> Result<Vec<Change>, StartError> {
        keep_upstreams(&mut config, &self.config);
        let opening = OpeningContext {
            shared: &self.shared,
            threads: self.workers.len(),
            now,
        };
        let (listeners, sockets) = self.listeners.prepare(&config, opening)?;
        let state = |config, listeners| ServingState {
            config,
            listeners,
            threads: self.workers.len(),
        };
        let moment = Instant::now();
        let changes = changes::between(
            state(&self.config, &self.listeners),
            state(&config, &listeners),
            &|group, member| group.live_sessions(member, moment),
        );
        // Whoever has just edited something wants to know whether it helped: what was said once is said again.
        if !changes.is_empty() {
            self.observers.begin_other_routes();
        }
        // The tables of before end here, when no thread asks them any more, and not between two requests of one of them.
        let addresses = self.thread_settings.proxy.addresses.clone();
        let thread_settings = ThreadSettings::new(&config, &self.observers, addresses);
        let _before = std::mem::replace(&mut self.thread_settings, thread_settings);
        let most = descriptors::most_connections(&config, self.workers.len());
        self.connections.allow(most);
        self.listeners.remove_files_but_of(&listeners);
        self.listeners = listeners;
        self.config = config;
        self.order(sockets).await;
        if !changes.is_empty() {
            self.observers.reloaded();
        }
        Ok(changes)
    }

    /// Reads those pairs again of which a file is among `files`, each for itself, and shows what is in order from the next
    /// TLS handshake on.
    pub async fn renew(&mut self, files: &BTreeSet<PathBuf>, now: OffsetDateTime) -> Renewed {
        let mut renewed = Renewed::default();
        let mut read: BTreeMap<(PathBuf, PathBuf), Certificate> = BTreeMap::new();
        // Read only if there is something to judge.
        let known = LazyCell::new(KnownRoots::system);
        for pair in self.pairs() {
            let paths = (pair.path().to_owned(), pair.key_path().to_owned());
            if read.contains_key(&paths) || !(files.contains(&paths.0) || files.contains(&paths.1))
            {
                continue;
            }
            let mut fresh = pair.clone();
            match Certificate::load(&paths.0, &paths.1, now) {
                Ok(certificate) if certificate.shows_the_same_as(pair) => {}
                Ok(certificate) => {
                    renewed
                        .changes
                        .push(changes::certificate(ChangeSign::Changed, &certificate));
                    renewed.remarks.extend(certificate.remarks(&known, now));
                    fresh = certificate;
                }
                Err(error) => renewed.kept.push(error),
            }
            read.insert(paths, fresh);
        }
        if renewed.changes.is_empty() {
            return renewed;
        }
        for listener in &mut self.listeners.all {
            let fresh: Vec<Certificate> = listener
                .pairs
                .iter()
                .map(|pair| {
                    let paths = (pair.path().to_owned(), pair.key_path().to_owned());
                    read.get(&paths).unwrap_or(pair).clone()
                })
                .collect();
            let mut pairs = fresh.iter().zip(&listener.pairs);
            if pairs.any(|(fresh, pair)| !fresh.shows_the_same_as(pair)) {
                listener.show(fresh, &self.shared);
            }
        }
        self.order(Vec::new()).await;
        renewed
    }

    /// What is served now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The files of all certificates that are shown, and of their keys.
    pub fn certificate_files(&self) -> BTreeSet<PathBuf> {
        let pairs = self.pairs();
        let files = pairs.flat_map(|pair| [pair.path(), pair.key_path()]);
        files.map(ToOwned::to_owned).collect()
    }

    /// The certificates that are shown of which the end is near, or over; each file once.
    pub fn terms(&self, now: OffsetDateTime) -> Vec<Remark> {
        let mut files = BTreeSet::new();
        let pairs = self.pairs().filter(|pair| files.insert(pair.path()));
        pairs.flat_map(|pair| pair.terms(now)).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = &Certificate> {
        self.listeners
            .all
            .iter()
            .flat_map(|listener| &listener.pairs)
    }

    /// Lets all routes that share a group share what `to` makes of it, from the next request on; what is under way keeps the group that it
    /// has. Nobody waits until the threads have done it. Returns whether any group was exchanged; nothing happens otherwise. Needs a
    /// runtime that takes tasks of its own thread.
    pub(super) fn exchange_groups(
        &mut self,
        to: impl Fn(&Arc<Group>) -> Option<Arc<Group>>,
    ) -> bool {
        if !exchange_groups(&mut self.config, to) {
            return false;
        }
        let addresses = self.thread_settings.proxy.addresses.clone();
        let thread_settings = ThreadSettings::new(&self.config, &self.observers, addresses);
        let before = std::mem::replace(&mut self.thread_settings, thread_settings);
        let (done, all_done) = mpsc::unbounded_channel();
        self.tell(Sockets::new(), &done);
        // The table of before ends here, as at a reload, and not on a thread between two requests.
        spawn_local(async move {
            until_all_done(all_done).await;
            drop(before);
        });
        true
    }

    /// Ends the tunnels that this owner has now on all threads, spread over this time.
    pub(super) fn end_tunnels(&self, owner: TunnelOwner, within: Duration) {
        for worker in &self.workers {
            let _ = worker.send(WorkerMessage::EndTunnels(owner, within));
        }
    }

    /// Tells every thread what there is now, and waits until each has done it. A thread that has ended says so elsewhere.
    pub(super) async fn order(&mut self, sockets: Sockets) {
        let (done, all_done) = mpsc::unbounded_channel();
        self.tell(sockets, &done);
        drop(done);
        until_all_done(all_done).await;
    }

    fn tell(&self, sockets: Sockets, done: &mpsc::UnboundedSender<()>) {
        for (worker, order) in self.workers.iter().zip(super::orders(
            &self.thread_settings,
            &self.listeners,
            sockets,
            self.workers.len(),
            done,
        )) {
            let _ = worker.send(WorkerMessage::Serve(order));
        }
    }
}

/// Waits until every thread has said so, or is gone.
async fn until_all_done(mut all_done: mpsc::UnboundedReceiver<()>) {
    let _ = timeout(OBEYED, async { while all_done.recv().await.is_some() {} }).await;
}
