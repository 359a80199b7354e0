//! What the main thread does for groups while others serve: it follows their names, and watches their servers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Action;
use crate::observe::GroupEvent;
use crate::observe::Observer;
use crate::server::Running;
use crate::server::groups::groups;
use crate::server::health;
use crate::server::health::HealthNews;
use crate::server::health::HealthSink;
use crate::server::health::Pace;
use crate::server::health::WatchedGroup;
use crate::server::names;
use crate::server::names::LookedUp;
use crate::server::names::ResolveFn;
use crate::server::names::WantedName;
use crate::upstream::Group;
use crate::upstream::Member;

/// How names are looked up, and how fast all goes.
pub(super) struct WatchTerms {
    /// Looks names up.
    pub(super) resolver: Arc<ResolveFn>,
    /// How often servers are asked.
    pub(super) pace: Pace,
    /// Within which time the tunnels of a server end that is down.
    pub(super) tunnels_end_within: Duration,
}

impl WatchTerms {
    /// Those of every process. Tunnels end within 10 s, since their clients come back at once, all to the servers that are left.
    pub(super) fn usual() -> Self {
        Self {
            resolver: names::system(),
            pace: Pace::USUAL,
            tunnels_end_within: Duration::from_secs(10),
        }
    }
}

/// The tasks that follow names and watch servers, from outside.
#[derive(Debug)]
pub(super) struct GroupWatch {
    observer: Arc<dyn Observer>,
    tunnels_end_within: Duration,
    wants: mpsc::UnboundedSender<Vec<WantedName>>,
    looked_up: mpsc::UnboundedReceiver<LookedUp>,
    watches: mpsc::UnboundedSender<Vec<WatchedGroup>>,
    health: mpsc::UnboundedReceiver<HealthNews>,
}

/// Something that changes how a group is served.
#[derive(Debug)]
pub(super) enum GroupNews {
    /// A name was looked up.
    LookedUp(LookedUp),
    /// A server was found to be down, or empty.
    Health(HealthNews),
}

impl GroupWatch {
    /// Begins these tasks, which know of no group before [`follow`](Self::follow).
    pub(super) fn begin(
        terms: WatchTerms,
        observer: Arc<dyn Observer>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (wants, wanted) = mpsc::unbounded_channel();
        let (tells, looked_up) = mpsc::unbounded_channel();
        tasks.spawn_local(names::follow(terms.resolver, wanted, tells));
        let (watches, watched) = mpsc::unbounded_channel();
        let (news, health) = mpsc::unbounded_channel();
        let sink = HealthSink {
            observer: Arc::clone(&observer),
            news,
        };
        tasks.spawn_local(health::watch(terms.pace, watched, sink));
        Self {
            observer,
            tunnels_end_within: terms.tunnels_end_within,
            wants,
            looked_up,
            watches,
            health,
        }
    }

    /// Follows the names of these groups and watches their servers, and those of no others. Names that are not followed are looked up
    /// once more.
    pub(super) fn follow(&self, running: &Running) {
        // The task that receives it ends only when this is dropped.
        let _ = self.wants.send(names::wanted(&groups(running.config())));
        self.watch(running);
    }

    fn watch(&self, running: &Running) {
        let config = running.config();
        let watched = groups(config).into_iter().map(|group| {
            let routes = config.routes.iter().filter(|route| match &route.to {
                Action::ProxyPass(to) => to.group().is_some_and(|to| Arc::ptr_eq(to, &group)),
                Action::Return(_) => false,
            });
            let longest = routes.map(|route| route.timeouts.connect).max();
            WatchedGroup {
                group,
                connect_timeout: longest.unwrap_or_default(),
            }
        });
        let _ = self.watches.send(watched.collect());
    }

    /// Waits for news.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Option<GroupNews> {
        tokio::select! {
            biased;
            Some(looked_up) = self.looked_up.recv() => Some(GroupNews::LookedUp(looked_up)),
            Some(health) = self.health.recv() => Some(GroupNews::Health(health)),
            else => None,
        }
    }

    /// Does what the news ask for. The threads do their part when they come to it.
    pub(super) fn heed(&self, news: GroupNews, running: &mut Running) {
        match news {
            GroupNews::LookedUp(LookedUp { name, outcome }) => match outcome {
                Ok(found) => self.resolved(&name, &found, running),
                Err(reason) => self.unresolved(&name, &reason, running),
            },
            GroupNews::Health(HealthNews::EndTunnels(owner)) => {
                running.end_tunnels(owner, self.tunnels_end_within);
            }
            GroupNews::Health(HealthNews::Leave(members)) => {
                // One that has something to do again is named again when it has done it.
                let leaves = |one: &Member| {
                    let mut members = members.iter();
                    members.any(|member| Arc::ptr_eq(one.state(), member.state()))
                        && one.state().open() == 0
                };
                if running.exchange_groups(|group| group.without(leaves).map(Arc::new)) {
                    self.watch(running);
                }
            }
        }
    }

    fn resolved(&self, name: &str, found: &[IpAddr], running: &mut Running) {
        let resolved = |group: &Arc<Group>| {
            let mut after: Option<Group> = None;
            for of_entry in group.names().iter().filter(|one| one.name == name) {
                let now = after.as_ref().unwrap_or(group);
                if let Some(changed) = now.resolved(of_entry.entry, found) {
                    let event = GroupEvent::Resolved {
                        name: &format!("{name}:{}", of_entry.port),
                        addresses: found.len(),
                        draining: changed.vanished().count(),
                    };
                    self.observer.group_changed(&group.settings().name, event);
                    after = Some(changed);
                }
            }
            after.map(Arc::new)
        };
        if running.exchange_groups(resolved) {
            self.watch(running);
        }
    }

    fn unresolved(&self, name: &str, reason: &str, running: &Running) {
        for group in groups(running.config()) {
            for of_entry in group.names().iter().filter(|one| one.name == name) {
                let event = GroupEvent::Unresolved {
                    name: &format!("{name}:{}", of_entry.port),
                    reason,
                };
                self.observer.group_changed(&group.settings().name, event);
            }
        }
    }
}
