//! Watches the servers of groups: knocks where requests found one down, asks those with a `health_check`, and tells what becomes of them.
//!
//! All of it happens on the main thread, and what comes of it is a verdict in a server's `MemberState`, which the threads that serve
//! read. No client's request is what finds out whether a server is back. A process without groups never wakes up for this.

mod judge;
mod pace;
mod question;
mod record;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::observe::GroupEvent;
use crate::observe::Observer;
use crate::server::health::judge::Sentence;
use crate::server::health::question::HealthFault;
use crate::server::health::record::MemberRecord;
use crate::server::health::record::Terms;
use crate::tunnel::TunnelOwner;
use crate::upstream::Group;
use crate::upstream::HealthCheck;
use crate::upstream::Member;

pub(super) use crate::server::health::pace::Pace;

/// The most servers that are asked at a time; others wait until one has answered.
const AT_ONCE: usize = 64;

/// A group whose servers are to be watched.
#[derive(Clone, Debug)]
pub(super) struct WatchedGroup {
    /// The group as it is now.
    pub(super) group: Arc<Group>,
    /// How long its servers may take to accept a knock: the longest `connect_timeout` of its routes.
    pub(super) connect_timeout: Duration,
}

/// What the threads that serve, or the group, have to do about a server.
#[derive(Debug)]
pub(super) enum HealthNews {
    /// The tunnels of this owner are to end.
    EndTunnels(TunnelOwner),
    /// These servers have vanished from their names, and have nothing left to do. It is said again for as long as they are there.
    Leave(Vec<Member>),
}

/// Where goes what is found out.
#[derive(Debug)]
pub(super) struct HealthSink {
    /// Hears what a person is to know.
    pub(super) observer: Arc<dyn Observer>,
    /// Gets what is to be done.
    pub(super) news: mpsc::UnboundedSender<HealthNews>,
}

/// Watches those groups that it is given, each time instead of those before, until nobody gives any more.
pub(super) async fn watch(
    pace: Pace,
    mut groups: mpsc::UnboundedReceiver<Vec<WatchedGroup>>,
    sink: HealthSink,
) {
    let mut watch = HealthWatch {
        pace,
        sink,
        groups: Vec::new(),
        asking: JoinSet::new(),
        next_look: Instant::now(),
    };
    loop {
        let wake = watch.next_wake();
        let wake = async {
            match wake {
                Some(at) => sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            watched = groups.recv() => match watched {
                Some(watched) => watch.follow(watched, Instant::now()),
                None => return,
            },
            Some(answered) = watch.asking.join_next() => match answered {
                Ok(answered) => watch.heard(&answered, Instant::now()),
                // It ends the process, as a panic on this very thread would.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = wake => watch.look(Instant::now()),
        }
    }
}

/// All that is watched.
struct HealthWatch {
    pace: Pace,
    sink: HealthSink,
    groups: Vec<GroupRecord>,
    asking: JoinSet<HealthAnswer>,
    /// When it is looked next who is down.
    next_look: Instant,
}

/// A group, and its servers.
struct GroupRecord {
    group: Arc<Group>,
    records: Vec<MemberRecord>,
    /// Whether it has been told that all of them are down.
    is_told_all_down: bool,
}

/// What a server has answered.
struct HealthAnswer {
    member: Member,
    /// What the check was, unless it was a knock.
    check: Option<HealthCheck>,
    outcome: Result<(), HealthFault>,
}

impl HealthWatch {
    /// Watches these groups and no others. What is known of a server stays; new ones are checked one after the other within an interval.
    fn follow(&mut self, watched: Vec<WatchedGroup>, now: Instant) {
        let before = std::mem::take(&mut self.groups);
        let told: Vec<String> = before
            .iter()
            .filter(|known| known.is_told_all_down)
            .map(|known| known.group.settings().name.clone())
            .collect();
        let mut known: Vec<MemberRecord> = before.into_iter().flat_map(|of| of.records).collect();
        for watched in watched {
            let group = watched.group;
            let settings = group.settings();
            let vanished: Vec<&Member> = group.vanished().collect();
            let count = u32::try_from(group.members().len()).unwrap_or(u32::MAX);
            let records = (0..).zip(group.members()).map(|(at, member)| {
                let terms = Terms {
                    check: settings.health_check.clone(),
                    connect_timeout: watched.connect_timeout,
                    has_vanished: vanished.iter().any(|one| std::ptr::eq(*one, member)),
                    from: now,
                };
                match known.iter().position(|known| known.is(member)) {
                    Some(at) => known.swap_remove(at).under(member.clone(), terms),
                    None => {
                        let due = now + self.pace.interval * at / count;
                        MemberRecord::new(member.clone(), terms, due)
                    }
                }
            });
            self.groups.push(GroupRecord {
                records: records.collect(),
                is_told_all_down: told.contains(&settings.name),
                group,
            });
        }
    }

    /// When there is something to do next.
    fn next_wake(&self) -> Option<Instant> {
        let mut wake = (!self.groups.is_empty()).then_some(self.next_look);
        if self.asking.len() < AT_ONCE {
            let records = self.groups.iter().flat_map(|of| &of.records);
            wake = records.filter_map(MemberRecord::due).chain(wake).min();
        }
        wake
    }

    /// Looks who is down, who is empty, and who is to be asked.
    fn look(&mut self, now: Instant) {
        if self.next_look <= now {
            self.next_look = now + self.pace.look;
            for at in 0..self.groups.len() {
                self.look_at(at, now);
            }
        }
        let records = self.groups.iter_mut().flat_map(|of| &mut of.records);
        let mut due: Vec<&mut MemberRecord> = records
            .filter(|record| record.due().is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|record| record.due());
        for record in due {
            if self.asking.len() >= AT_ONCE {
                return;
            }
            record.is_asked = true;
            let (member, question) = (record.member.clone(), record.question(&self.pace));
            let check = record.check.clone();
            self.asking.spawn_local(async move {
                let outcome = question.ask(member.server()).await;
                HealthAnswer {
                    member,
                    check,
                    outcome,
                }
            });
        }
    }

    fn look_at(&mut self, at: usize, now: Instant) {
        let of = &mut self.groups[at];
        let name = &of.group.settings().name;
        let mut leaving = Vec::new();
        for record in &mut of.records {
            record.look(now);
            if now
                .checked_sub(self.pace.look)
                .is_some_and(|moment| record.is_silently_down_since(moment))
            {
                let reason = "requests could not connect to it (`max_fails`)";
                self.sink.down(name, record, reason);
            }
            if record.may_be_empty(now, &self.pace)
                && record.member.state().open() == 0
                && record.counts(now, &self.pace)
                && of.group.live_sessions(&record.member, now) == 0
            {
                self.sink.drained(name, record);
                if record.has_vanished {
                    leaving.push(record.member.clone());
                }
            }
        }
        if !leaving.is_empty() {
            self.sink.news(HealthNews::Leave(leaving));
        }
        let is_all_down = of.group.is_all_down();
        if is_all_down && !of.is_told_all_down {
            self.sink.observer.group_changed(name, GroupEvent::AllDown);
        }
        of.is_told_all_down = is_all_down;
    }

    /// A server has answered, or not.
    fn heard(&mut self, answered: &HealthAnswer, now: Instant) {
        let mut groups = self.groups.iter_mut();
        let found = groups.find_map(|of| {
            let mut records = of.records.iter_mut();
            let record = records.find(|record| record.is(&answered.member))?;
            Some((&of.group, record))
        });
        // It may be watched no more.
        let Some((group, record)) = found else { return };
        record.look(now);
        record.is_asked = false;
        if record.check != answered.check {
            // A reload came in between: this says nothing of the check that there is now, and which is due at once.
            return;
        }
        if let Err(HealthFault::NotAsked) = answered.outcome {
            record.asked_again(now, &self.pace);
            return;
        }
        let name = &group.settings().name;
        let sentence = match (record.is_checked(), &answered.outcome) {
            (true, outcome) => record.judge.judge(outcome.is_ok(), &self.pace),
            (false, Ok(())) => Sentence::Up,
            (false, Err(_)) => Sentence::Nothing,
        };
        let reason = answered.outcome.as_ref().err();
        let reason = reason.and_then(HealthFault::reason);
        match sentence {
            Sentence::Down => {
                record.member.state().set_down(now);
                record.goes_down(now);
                // Where all are down nobody heeds that, and a tunnel that still works is more than there is elsewhere.
                if group.settings().close_tunnels
                    && !group.is_all_down()
                    && record.ends_tunnels(now, &self.pace)
                {
                    let owner = TunnelOwner::new(record.member.state().number());
                    self.sink.news(HealthNews::EndTunnels(owner));
                }
            }
            Sentence::Up if record.is_down() => self.sink.up(name, record, now),
            // What failed before, without making it go down, is forgotten. If a thread finds it down at this very moment, it stays so.
            Sentence::Up | Sentence::Nothing if answered.outcome.is_ok() && !record.is_down() => {
                record.member.state().has_connected(now);
            }
            Sentence::Up | Sentence::Nothing => {}
        }
        record.asked_again(now, &self.pace);
        if let Some(reason) = reason
            && record.is_down()
            && !record.is_told_down
        {
            self.sink.down(name, record, reason);
        }
    }
}

impl HealthSink {
    fn down(&self, group: &str, record: &mut MemberRecord, reason: &str) {
        record.is_told_down = true;
        let event = GroupEvent::Down {
            server: &record.member.server().authority(),
            reason,
            open: record.member.state().open(),
        };
        self.observer.group_changed(group, event);
    }

    /// It is up, whether or not it was down before.
    fn up(&self, group: &str, record: &mut MemberRecord, now: Instant) {
        let state = record.member.state();
        let since = state.down_since();
        if !state.set_up(now) {
            return;
        }
        if !record.is_told_down {
            let reason = "requests could not connect to it (`max_fails`)";
            self.down(group, record, reason);
        }
        record.comes_up();
        let event = GroupEvent::Up {
            server: &record.member.server().authority(),
            after: since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        };
        self.observer.group_changed(group, event);
    }

    /// It is empty, which is told once.
    fn drained(&self, group: &str, record: &mut MemberRecord) {
        if !std::mem::replace(&mut record.is_told_drained, true) {
            let server = &record.member.server().authority();
            self.observer
                .group_changed(group, GroupEvent::Drained { server });
        }
    }

    fn news(&self, news: HealthNews) {
        // When the process goes away nobody listens any more.
        let _ = self.news.send(news);
    }
}
