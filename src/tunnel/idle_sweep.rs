//! Ends tunnels that were idle for too long, stayed half-closed for too long, or must close because the process's drain is over or
//! their server is down.
//!
//! One [`IdleSweep`] a thread looks through its tunnels in coarse steps. A tunnel only writes down the step of its last
//! byte, so a message costs no timer and no look at the clock.

use std::cell::Cell;
use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use crate::tunnel::Side;
use crate::tunnel::TunnelTimeouts;

/// The sweep over the tunnels of one thread.
#[derive(Debug, Default)]
pub struct IdleSweep {
    /// How many steps have passed.
    step: Rc<Cell<u32>>,
    tunnels: RefCell<Vec<Weak<Activity>>>,
    opened: Notify,
    /// Tunnels that end one after the other.
    endings: RefCell<Vec<Ending>>,
    /// Whether the drain is over (`drain_timeout` has passed, or a second signal came), so that a tunnel which begins now
    /// ends at once.
    is_over: Cell<bool>,
}

/// Whose tunnels they are which may have to end together: a number that nobody else has in this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TunnelOwner(NonZeroU32);

impl TunnelOwner {
    /// The owner with this number.
    pub fn new(number: NonZeroU32) -> Self {
        Self(number)
    }
}

/// Tunnels that end one after the other, so that their clients do not come back all at once.
#[derive(Debug)]
struct Ending {
    /// Those that are left.
    tunnels: Vec<Weak<Activity>>,
    /// In how many steps all of them are to have ended.
    steps: usize,
}

impl IdleSweep {
    /// Time between two steps: how exactly an idle limit is kept.
    pub const STEP: Duration = Duration::from_millis(250);

    /// How long an end may be silent before it is [doubted](crate::tunnel::Socket::doubt). Until its first byte it is
    /// doubted too. Every pong of Engine.IO and most other signs of life come more often.
    pub const DOUBT: Duration = Duration::from_secs(60);

    /// Ends tunnels at their limits for as long as it is polled. It sleeps while there are no tunnels.
    pub async fn run(&self) {
        loop {
            if self.tunnels.borrow().is_empty() {
                self.opened.notified().await;
            }
            tokio::time::sleep(Self::STEP).await;
            self.look();
        }
    }

    /// Ends every tunnel of this thread, now and whenever one begins, since the drain is over. Each reports
    /// [`Ended::Drained`](crate::tunnel::Ended::Drained).
    pub fn end_all(&self) {
        self.is_over.set(true);
        for activity in self.tunnels.borrow().iter().filter_map(Weak::upgrade) {
            activity.request_end(EndRequest::Drained);
        }
    }

    /// Ends the tunnels that this owner has now, spread over this time. Each reports [`Ended::Down`](crate::tunnel::Ended::Down).
    pub fn end_those_of(&self, owner: TunnelOwner, within: Duration) {
        let tunnels = self.tunnels.borrow();
        let of_owner = |one: &&Weak<Activity>| {
            let activity = one.upgrade();
            activity.is_some_and(|activity| activity.owner == Some(owner))
        };
        let tunnels: Vec<_> = tunnels.iter().filter(of_owner).cloned().collect();
        let steps = within.as_millis().div_ceil(Self::STEP.as_millis()).max(1);
        if !tunnels.is_empty() {
            self.endings.borrow_mut().push(Ending {
                tunnels,
                steps: usize::try_from(steps).unwrap_or(usize::MAX),
            });
        }
    }

    /// How many tunnels are open.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.tunnels
            .borrow()
            .iter()
            .filter(|activity| activity.strong_count() > 0)
            .count()
    }

    /// Watches a tunnel that begins now, under these limits, rounded up to whole steps. The record is for
    /// [`relay`](crate::tunnel::relay()); when it is dropped, the tunnel is over.
    pub fn watch(&self, limits: TunnelTimeouts) -> Rc<Activity> {
        self.watch_of(None, limits)
    }

    /// Watches a tunnel as [`watch`](Self::watch) does, which ends with the others of its owner, if it has one.
    pub fn watch_of(&self, owner: Option<TunnelOwner>, limits: TunnelTimeouts) -> Rc<Activity> {
        let activity = Rc::new(Activity {
            now: Rc::clone(&self.step),
            last: Cell::new(self.step.get()),
            ends: [(); 2].map(|()| EndActivity {
                last: Cell::new(self.step.get()),
                trust: Cell::new(Trust::Doubted),
            }),
            limit: Cell::new((steps(limits.idle), EndRequest::Idle)),
            half_closed: steps(limits.half_closed),
            owner,
            request: Cell::new(self.is_over.get().then_some(EndRequest::Drained)),
            waker: RefCell::new(None),
        });
        self.tunnels.borrow_mut().push(Rc::downgrade(&activity));
        self.opened.notify_one();
        activity
    }

    /// Takes one step: asks tunnels that have reached a limit to end, and forgets those that have ended.
    pub(super) fn look(&self) {
        let now = self.step.get().wrapping_add(1);
        self.step.set(now);
        self.tunnels.borrow_mut().retain(|activity| {
            let Some(activity) = activity.upgrade() else {
                return false;
            };
            let (limit, request) = activity.limit.get();
            if now.wrapping_sub(activity.last.get()) >= limit {
                activity.request_end(request);
            }
            activity.doubt(now);
            true
        });
        let mut endings = self.endings.borrow_mut();
        endings.retain_mut(Ending::step);
        let mut tunnels = self.tunnels.borrow_mut();
        if tunnels.len() < tunnels.capacity() / 4 {
            tunnels.shrink_to_fit();
        }
    }
}

impl Ending {
    /// Takes one step; returns whether there is a next one.
    fn step(&mut self) -> bool {
        self.tunnels.retain(|one| one.strong_count() > 0);
        let ending = self.tunnels.len().div_ceil(self.steps);
        for activity in self.tunnels.drain(..ending).filter_map(|one| one.upgrade()) {
            activity.request_end(EndRequest::Down);
        }
        self.steps = (self.steps - 1).max(1);
        !self.tunnels.is_empty()
    }
}

/// How many steps a limit takes, rounded up, and one more, since it begins somewhere within a step.
fn steps(limit: Duration) -> u32 {
    let steps = limit.as_millis().div_ceil(IdleSweep::STEP.as_millis());
    u32::try_from(steps)
        .unwrap_or(u32::MAX - 1)
        .saturating_add(1)
}

/// The record of one tunnel, which the tunnel and the sweep share: when bytes passed, and whether it must end.
#[derive(Debug)]
pub struct Activity {
    /// The sweep's count of steps.
    now: Rc<Cell<u32>>,
    /// The step of the last byte in either direction.
    last: Cell<u32>,
    /// The client's end, and the upstream's.
    ends: [EndActivity; 2],
    /// The limit that is in force, in steps, and what is requested when it is reached.
    limit: Cell<(u32, EndRequest)>,
    /// The limit for a half-closed tunnel, in steps.
    half_closed: u32,
    /// Who may have all of its tunnels ended.
    owner: Option<TunnelOwner>,
    request: Cell<Option<EndRequest>>,
    waker: RefCell<Option<Waker>>,
}

/// When the last byte came from one end, and whether that end is doubted.
#[derive(Debug)]
struct EndActivity {
    last: Cell<u32>,
    trust: Cell<Trust>,
}

/// Whether the peer at an end may have vanished without a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    /// A byte has come from it within [`IdleSweep::DOUBT`].
    Full,
    /// It has been silent for that long, and its socket is not told yet.
    ToBeDoubted,
    /// It has been silent for that long, or since the tunnel began, and its socket knows.
    Doubted,
}

/// Why the sweep wants a tunnel to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum EndRequest {
    /// No byte came from either end for too long.
    Idle,
    /// One end is done, and no byte came from the other one for too long.
    HalfClosed,
    /// The drain is over: `drain_timeout` has passed, or a second signal came.
    Drained,
    /// A health check has found the server down.
    Down,
}

impl Activity {
    /// Notes that a byte passed in either direction.
    pub(super) fn touch(&self) {
        self.last.set(self.now.get());
    }

    /// Notes that a byte came from this end. Returns true if the end was doubted until now.
    pub(super) fn note_byte_from(&self, end: Side) -> bool {
        let end = self.end(end);
        end.last.set(self.now.get());
        end.trust.replace(Trust::Full) == Trust::Doubted
    }

    /// Returns true, once, when this end is to be doubted from now on.
    pub(super) fn take_new_doubt(&self, end: Side) -> bool {
        let trust = &self.end(end).trust;
        let begins = trust.get() == Trust::ToBeDoubted;
        if begins {
            trust.set(Trust::Doubted);
        }
        begins
    }

    fn end(&self, end: Side) -> &EndActivity {
        let [client, upstream] = &self.ends;
        match end {
            Side::Client => client,
            Side::Upstream => upstream,
        }
    }

    /// Marks the ends that have been silent for too long, and wakes the tunnel so that it tells their sockets.
    fn doubt(&self, now: u32) {
        let limit = steps(IdleSweep::DOUBT);
        for end in &self.ends {
            if end.trust.get() == Trust::Full && now.wrapping_sub(end.last.get()) >= limit {
                end.trust.set(Trust::ToBeDoubted);
                self.wake();
            }
        }
    }

    /// Notes that one end is done, which may shorten the limit.
    pub(super) fn half_close(&self) {
        self.touch();
        if self.half_closed < self.limit.get().0 {
            self.limit.set((self.half_closed, EndRequest::HalfClosed));
        }
    }

    /// The sweep's request, if there is one; otherwise the sweep will wake this task when it makes one.
    pub(super) fn end_request(&self, cx: &Context<'_>) -> Option<EndRequest> {
        if let Some(request) = self.request.get() {
            return Some(request);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        None
    }

    fn request_end(&self, request: EndRequest) {
        self.request.set(Some(request));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
