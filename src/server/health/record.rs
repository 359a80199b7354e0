//! What is known of one watched server beside what all threads know of it.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::server::health::judge::Judge;
use crate::server::health::pace::Pace;
use crate::server::health::question::HealthQuestion;
use crate::upstream::HealthCheck;
use crate::upstream::Member;

/// One server of a group.
#[derive(Debug)]
pub(super) struct MemberRecord {
    pub(super) member: Member,
    /// Whether its name does not lead to it any more.
    pub(super) has_vanished: bool,
    pub(super) check: Option<HealthCheck>,
    connect_timeout: Duration,
    pub(super) judge: Judge,
    /// When it is asked next, if it is one that is asked at that time.
    due: Instant,
    /// Whether a question is under way.
    pub(super) is_asked: bool,
    /// Since when it is known here that it is down.
    seen_down: Option<Instant>,
    /// Whether it has been told that it is down.
    pub(super) is_told_down: bool,
    /// Whether it has been told that it is drained.
    pub(super) is_told_drained: bool,
    /// Since when it drains, as far as it is known here.
    drains_since: Option<Instant>,
    /// When its sessions were counted last.
    counted: Option<Instant>,
    /// When its tunnels were ended last.
    ended_tunnels: Option<Instant>,
}

/// How a server of a group is watched.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) check: Option<HealthCheck>,
    pub(super) connect_timeout: Duration,
    pub(super) has_vanished: bool,
    /// From when on.
    pub(super) from: Instant,
}

impl MemberRecord {
    /// A server that is not known yet: it counts as up, and is checked first at `due`.
    pub(super) fn new(member: Member, terms: Terms, due: Instant) -> Self {
        Self {
            drains_since: member.settings().drain.then_some(terms.from),
            member,
            has_vanished: terms.has_vanished,
            check: terms.check,
            connect_timeout: terms.connect_timeout,
            judge: Judge::default(),
            due,
            is_asked: false,
            seen_down: None,
            is_told_down: false,
            is_told_drained: false,
            counted: None,
            ended_tunnels: None,
        }
    }

    /// The same server under other terms. Another check begins from nothing.
    pub(super) fn under(self, member: Member, terms: Terms) -> Self {
        let judge = match self.check == terms.check {
            true => self.judge,
            false => Judge::default(),
        };
        let drains = member.settings().drain;
        Self {
            is_told_drained: self.is_told_drained && drains,
            drains_since: drains.then(|| self.drains_since.unwrap_or(terms.from)),
            member,
            has_vanished: terms.has_vanished,
            check: terms.check,
            connect_timeout: terms.connect_timeout,
            judge,
            ..self
        }
    }

    pub(super) fn is(&self, other: &Member) -> bool {
        Arc::ptr_eq(self.member.state(), other.state())
    }

    pub(super) fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// Looks whether requests have found out that it is down: then it is asked at once.
    pub(super) fn look(&mut self, now: Instant) {
        if self.member.state().is_down() && self.seen_down.is_none() {
            self.goes_down(now);
            self.judge.forget_passed();
            self.due = now;
        }
    }

    /// It is known from now on that it is down.
    pub(super) fn goes_down(&mut self, now: Instant) {
        self.seen_down.get_or_insert(now);
    }

    /// It is up again.
    pub(super) fn comes_up(&mut self) {
        self.seen_down = None;
        self.is_told_down = false;
        self.ended_tunnels = None;
    }

    /// Whether it is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.seen_down.is_some()
    }

    /// Whether it is down since before this moment, and that has not been told.
    pub(super) fn is_silently_down_since(&self, moment: Instant) -> bool {
        !self.is_told_down && self.seen_down.is_some_and(|seen| seen <= moment)
    }

    /// When it is to be asked next; `None` while it is asked, and if it is one that is not asked now.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_needed = self.is_checked() || self.is_down();
        (is_needed && !self.is_asked && !self.member.settings().down).then_some(self.due)
    }

    /// What it is asked.
    pub(super) fn question(&self, pace: &Pace) -> HealthQuestion {
        match &self.check {
            Some(check) => HealthQuestion::Check(check.clone(), pace.timeout),
            None => HealthQuestion::Knock(self.connect_timeout),
        }
    }

    /// Whether it drains for long enough to say that it is empty, and that is still to be said or done.
    pub(super) fn may_be_empty(&self, now: Instant, pace: &Pace) -> bool {
        let matters = !self.is_told_drained || self.has_vanished;
        matters && self.drains_since.is_some() && has_passed(self.drains_since, pace.drain, now)
    }

    /// Whether its sessions are to be counted now, which is then noted.
    pub(super) fn counts(&mut self, now: Instant, pace: &Pace) -> bool {
        let counts = has_passed(self.counted, pace.between_counts(), now);
        if counts {
            self.counted = Some(now);
        }
        counts
    }

    /// Whether its tunnels are to be ended now, if any are left, which is then noted.
    pub(super) fn ends_tunnels(&mut self, now: Instant, pace: &Pace) -> bool {
        let has_any = self.member.state().open() > 0;
        let ends = has_any && has_passed(self.ended_tunnels, pace.between_ends(), now);
        if ends {
            self.ended_tunnels = Some(now);
        }
        ends
    }

    /// It has been asked, and is asked again after a while. One that is down is asked more often, so that it is not missed for long.
    pub(super) fn asked_again(&mut self, now: Instant, pace: &Pace) {
        self.due = match self.is_checked() && !self.is_down() {
            true => pace.next_check(now),
            false => now + pace.look,
        };
    }
}

/// Whether it has not happened, or so long ago.
fn has_passed(moment: Option<Instant>, wait: Duration, now: Instant) -> bool {
    moment.is_none_or(|moment| now.saturating_duration_since(moment) >= wait)
}
