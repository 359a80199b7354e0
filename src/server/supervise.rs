//! What the main thread does in the background while others serve: it follows files, asks upstreams whether they answer, watches the
//! servers of groups and follows their names, and counts the days.
//!
//! Here is the one place for such work. Whatever else is to go on beside serving is one more task that [`Supervisor::begin`]
//! begins, and one more [`Event`] if somebody is to hear of it. A task never blocks: signals are heard at any time.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::config::Action;
use crate::config::Config;
use crate::server::Change;
use crate::server::Renewed;
use crate::server::Running;
use crate::server::StartError;
use crate::server::WatchError;
use crate::server::file_watch::Watch;
use crate::server::group_watch::GroupWatch;
use crate::server::group_watch::WatchTerms;
use crate::upstream;
use crate::upstream::ConnectError;
use crate::upstream::Server;
use crate::upstream::Servers;
use crate::upstream::Upstream;

/// How often certificates are looked at whose files nobody touches.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What happened in the background.
#[derive(Debug)]
pub enum Event {
    /// A file that is followed may have changed.
    File,
    /// A server of an upstream was asked whether it answers.
    Upstream(Probed),
    /// Another day is over: what comes by itself as time passes may have come.
    Day,
    /// The threads that serve have ended, though nobody told them to. Only a panic does that.
    Ended(Result<(), StartError>),
}

/// Whether a server of an upstream answers.
#[derive(Debug)]
pub struct Probed {
    /// The server's authority, as the configuration says it.
    pub upstream: String,
    /// Where the first route that leads there is written.
    pub place: String,
    /// Nothing if it answers, and otherwise why not.
    pub outcome: Result<(), ConnectError>,
}

/// A server that is to be asked whether it answers.
#[derive(Debug)]
struct Probe {
    server: Arc<Server>,
    connect_timeout: Duration,
    place: String,
}

/// Threads that serve, and what goes on beside them on the thread that has started them.
#[derive(Debug)]
pub struct Supervisor {
    running: Running,
    watch: Option<Watch>,
    /// Upstreams that are asked one after the other.
    probes: mpsc::UnboundedSender<Probe>,
    events: mpsc::UnboundedReceiver<Event>,
    groups: GroupWatch,
    /// Everything that goes on in the background; dropping the set ends it.
    tasks: JoinSet<()>,
}

impl Supervisor {
    /// Begins the work beside these threads, and asks all upstreams: only now, since wsgate is to listen also while its
    /// upstreams are still starting. Needs a runtime that takes tasks of its own thread.
    pub async fn begin(running: Running) -> Self {
        Self::begin_with(WatchTerms::usual(), running).await
    }

    /// Begins as [`begin`](Self::begin) does, and watches groups on these terms.
    pub(super) async fn begin_with(terms: WatchTerms, running: Running) -> Self {
        let (happened, events) = mpsc::unbounded_channel();
        let (probes, asked) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn_local(days(DAY, happened.clone()));
        tasks.spawn_local(probe(asked, happened));
        let observer = running.observers.of_connections();
        let groups = GroupWatch::begin(terms, observer, &mut tasks);
        let supervisor = Self {
            running,
            watch: None,
            probes,
            events,
            groups,
            tasks,
        };
        supervisor.groups.follow(&supervisor.running);
        supervisor.probe_all_but(Vec::new());
        // The first one is connected to before a file is read.
        yield_now().await;
        supervisor
    }

    /// Waits until something has happened.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Event {
        loop {
            let changed = async {
                match &mut self.watch {
                    Some(watch) => watch.changed().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                ended = self.running.ended() => return Event::Ended(ended),
                () = changed => return Event::File,
                Some(event) = self.events.recv() => return event,
                Some(news) = self.groups.next() => self.groups.heed(news, &mut self.running),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended
                        && let Ok(panic) = error.try_into_panic()
                    {
                        // It ends the process, as a panic on this very thread would.
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }

    /// The threads that serve.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Ends the work in the background, since the process goes away; returns the threads that are left.
    pub fn end(self) -> Running {
        self.running
    }

    /// Begins to follow files, none at first.
    ///
    /// # Errors
    /// The system does not tell when a file changes.
    pub fn watch(&mut self) -> Result<(), WatchError> {
        self.watch = Some(Watch::new()?);
        Ok(())
    }

    /// Follows these files and no others, if files are followed at all. What happens to one of them from here on is an
    /// [`Event::File`], so that a file is to be read after this.
    ///
    /// # Errors
    /// The first thing that cannot be watched; all others are.
    pub fn follow(&mut self, files: &BTreeSet<PathBuf>) -> Result<(), WatchError> {
        match &mut self.watch {
            Some(watch) => watch.follow(files),
            None => Ok(()),
        }
    }

    /// Serves by another configuration, as [`Running::reload`] does, and asks those upstreams that are new.
    ///
    /// # Errors
    /// The system refuses something; then nothing has changed.
    pub async fn reload(
        &mut self,
        config: Config,
        now: OffsetDateTime,
    ) -> Result<Vec<Change>, StartError> {
        let known = probes(self.running.config());
        let known: Vec<Arc<Server>> = known.map(|probe| probe.server).collect();
        let changes = self.running.reload(config, now).await?;
        self.groups.follow(&self.running);
        self.probe_all_but(known);
        Ok(changes)
    }

    /// Reads certificates again, as [`Running::renew`] does.
    pub async fn renew(&mut self, files: &BTreeSet<PathBuf>, now: OffsetDateTime) -> Renewed {
        self.running.renew(files, now).await
    }

    /// Asks each server once, but for those that are `known`.
    fn probe_all_but(&self, mut known: Vec<Arc<Server>>) {
        for probe in probes(self.running.config()) {
            if !known
                .iter()
                .any(|other| other.is_asked_alike(&probe.server))
            {
                known.push(Arc::clone(&probe.server));
                // The task that receives it ends only when this is dropped.
                let _ = self.probes.send(probe);
            }
        }
    }
}

/// What asks the servers of each route, in the order of the file.
fn probes(config: &Config) -> impl Iterator<Item = Probe> {
    config.routes.iter().flat_map(|route| {
        let servers = match &route.to {
            Action::ProxyPass(upstream) => asked_servers(upstream),
            Action::Return(_) => Vec::new(),
        };
        servers.into_iter().map(|server| Probe {
            server,
            connect_timeout: route.timeouts.connect,
            place: config.place(route.line),
        })
    })
}

/// The servers of an upstream, without those that are never asked.
fn asked_servers(upstream: &Upstream) -> Vec<Arc<Server>> {
    match upstream.servers() {
        Servers::One(server) => vec![Arc::clone(server)],
        Servers::Group(group) => {
            let members = group.members().iter();
            let asked = members.filter(|member| !member.settings().down);
            asked.map(|member| Arc::clone(member.server())).collect()
        }
    }
}

/// Tells that `day` is over, again and again.
async fn days(day: Duration, happened: mpsc::UnboundedSender<Event>) {
    loop {
        sleep(day).await;
        // When the process goes away nobody listens any more.
        let _ = happened.send(Event::Day);
    }
}

/// Asks upstreams one after the other, and tells what comes of each as soon as it is known.
async fn probe(mut probes: mpsc::UnboundedReceiver<Probe>, happened: mpsc::UnboundedSender<Event>) {
    while let Some(probe) = probes.recv().await {
        let probed = Probed {
            upstream: probe.server.authority(),
            outcome: upstream::answers(&probe.server, probe.connect_timeout).await,
            place: probe.place,
        };
        // When the process goes away nobody listens any more.
        let _ = happened.send(Event::Upstream(probed));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use tempfile::TempDir;
    use time::OffsetDateTime;
    use tokio::runtime::Builder;
    use tokio::runtime::LocalOptions;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use crate::observe::AccessLog;
    use crate::server::Event;
    use crate::server::Supervisor;
    use crate::server::supervise::days;
    use crate::server::test_support::DEADLINE;
    use crate::server::test_support::config;
    use crate::server::test_support::start;

    async fn next(supervisor: &mut Supervisor) -> String {
        let event = timeout(DEADLINE, supervisor.next()).await;
        match event.expect("an event") {
            Event::File => "file".to_owned(),
            Event::Upstream(probed) => {
                let place = probed.place.rsplit('/').next().unwrap();
                format!("{place}: {}", probed.outcome.is_ok())
            }
            Event::Day => "day".to_owned(),
            Event::Ended(ended) => panic!("{ended:?}"),
        }
    }

    #[test]
    fn a_day_comes_again() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (happened, mut events) = mpsc::unbounded_channel();
            let days = tokio::spawn(days(Duration::from_millis(1), happened));
            for _ in 0..2 {
                let event = timeout(DEADLINE, events.recv()).await.unwrap();
                assert!(matches!(event, Some(Event::Day)));
            }
            days.abort();
        });
    }

    #[test]
    fn a_certificate_that_comes_to_its_end_is_told_once_for_its_file() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let (mut running, _) = start(&folder, "threads: 1\n", Arc::new(AccessLog::default())).await;
            let now = OffsetDateTime::now_utc();
            assert_eq!(running.terms(now), []);
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_after = now + time::Duration::days(30);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap().pem();
            std::fs::write(folder.path().join("a.pem"), certificate).unwrap();
            std::fs::write(folder.path().join("a.key"), key.serialize_pem()).unwrap();
            let listener = "{ address: '127.0.0.1:0', tls: { cert: a.pem, key: a.key } }";
            let text = format!(
                "threads: 1\nlisten: [{listener}, {listener}]\nroutes: [{{ location: /, return: 404 }}]\n"
            );
            running.reload(config(&folder, &text), now).await.unwrap();
            let told = |days| {
                let remarks = running.terms(now + time::Duration::days(days));
                let all = remarks.iter().map(|remark| remark.is_error());
                all.collect::<Vec<_>>()
            };
            assert!(told(8).is_empty());
            assert_eq!(told(10), [false]);
            assert_eq!(told(31), [true]);
            running.drain();
            let ended = timeout(DEADLINE, running.ended()).await;
            assert!(ended.expect("a drain").is_ok());
        });
    }

    #[test]
    fn each_upstream_is_asked_once_and_files_are_followed_meanwhile() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        runtime.unwrap().block_on(async {
            let folder = TempDir::new().unwrap();
            let (running, _) = start(&folder, "threads: 1\n", Arc::new(AccessLog::default())).await;
            let file = running.config().file.clone();
            let text = std::fs::read_to_string(&file).unwrap();
            let mut supervisor = Supervisor::begin(running).await;
            assert_eq!(next(&mut supervisor).await, "routes.yaml:5: true");

            // Two routes to a server that is there no more, beside the one that is known.
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let to = gone.local_addr().unwrap();
            drop(gone);
            let more = |path| format!("  - {{ location: {path}, proxy_pass: 'http://{to}' }}\n");
            let text = format!("{text}{}{}", more("/a"), more("/b"));
            let now = OffsetDateTime::now_utc();
            let changes = supervisor.reload(config(&folder, &text), now).await;
            assert_eq!(changes.unwrap().len(), 2);
            assert_eq!(next(&mut supervisor).await, "routes.yaml:7: false");

            if cfg!(target_os = "linux") {
                supervisor.watch().unwrap();
                supervisor.follow(&BTreeSet::from([file.clone()])).unwrap();
                std::fs::write(&file, "other words").unwrap();
                assert_eq!(next(&mut supervisor).await, "file");
            }
            let mut running = supervisor.end();
            running.drain();
            let ended = timeout(DEADLINE, running.ended()).await;
            assert!(ended.expect("a drain").is_ok());
        });
    }
}
