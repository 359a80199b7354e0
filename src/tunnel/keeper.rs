//! Who ends tunnels that do not end by themselves: the silent ones, those of which half is silent and the other half over, and all
//! of them when the process goes away.
//!
//! One [`Keeper`] a thread looks through its tunnels in coarse steps. A tunnel only writes down the step of its last
//! byte, so a message costs no timer and no look at the clock.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use crate::tunnel::Limits;
use crate::tunnel::Side;

/// The tunnels of one thread.
#[derive(Debug, Default)]
pub struct Keeper {
    step: Rc<Cell<u32>>,
    tunnels: RefCell<Vec<Weak<Activity>>>,
    opened: Notify,
    over: Cell<bool>,
}

impl Keeper {
    /// How often the tunnels are looked through, and so how exact an idle limit is.
    pub const STEP: Duration = Duration::from_millis(250);

    /// How long an end may be silent before it is [doubted](crate::tunnel::Socket::doubt), as it is at the beginning. Every pong of
    /// Engine.IO and most other signs of life come more often.
    pub const DOUBT: Duration = Duration::from_secs(60);

    /// Ends silent tunnels, for as long as it is polled. Sleeps while there are none.
    pub async fn run(&self) {
        loop {
            if self.tunnels.borrow().is_empty() {
                self.opened.notified().await;
            }
            tokio::time::sleep(Self::STEP).await;
            self.look();
        }
    }

    /// Ends every tunnel of this thread, also those that are yet to begin; each reports
    /// [`Ended::Drained`](crate::tunnel::Ended::Drained).
    pub fn end_all(&self) {
        self.over.set(true);
        for activity in self.tunnels.borrow().iter().filter_map(Weak::upgrade) {
            activity.request_end(EndRequest::Drained);
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

    /// The record of activity of a tunnel with these limits, rounded up to whole steps.
    pub(super) fn open(&self, limits: Limits) -> Rc<Activity> {
        let activity = Rc::new(Activity {
            now: Rc::clone(&self.step),
            last: Cell::new(self.step.get()),
            ends: [(); 2].map(|()| EndActivity {
                last: Cell::new(self.step.get()),
                trust: Cell::new(Trust::Doubted),
            }),
            limit: Cell::new((steps(limits.idle), EndRequest::Idle)),
            half_closed: steps(limits.half_closed),
            request: Cell::new(self.over.get().then_some(EndRequest::Drained)),
            waker: RefCell::new(None),
        });
        self.tunnels.borrow_mut().push(Rc::downgrade(&activity));
        self.opened.notify_one();
        activity
    }

    /// One step.
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
        let mut tunnels = self.tunnels.borrow_mut();
        if tunnels.len() < tunnels.capacity() / 4 {
            tunnels.shrink_to_fit();
        }
    }
}

/// How many steps a limit is. One more: it begins somewhere within a step.
fn steps(limit: Duration) -> u32 {
    let steps = limit.as_millis().div_ceil(Keeper::STEP.as_millis());
    u32::try_from(steps)
        .unwrap_or(u32::MAX - 1)
        .saturating_add(1)
}

/// What the keeper knows of one tunnel.
#[derive(Debug)]
pub(super) struct Activity {
    now: Rc<Cell<u32>>,
    last: Cell<u32>,
    /// The client, and the upstream.
    ends: [EndActivity; 2],
    /// The limit that is in force, in steps, and what is requested when it is reached.
    limit: Cell<(u32, EndRequest)>,
    half_closed: u32,
    request: Cell<Option<EndRequest>>,
    waker: RefCell<Option<Waker>>,
}

/// What is known of one end.
#[derive(Debug)]
struct EndActivity {
    last: Cell<u32>,
    trust: Cell<Trust>,
}

/// Whether an end that is silent may still be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    Full,
    /// It is to be doubted.
    ToBeDoubted,
    Doubted,
}

/// Why a tunnel is to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum EndRequest {
    Idle,
    HalfClosed,
    Drained,
}

impl Activity {
    /// A byte passed.
    pub(super) fn touch(&self) {
        self.last.set(self.now.get());
    }

    /// A byte came from this end. True if it was doubted.
    pub(super) fn note_byte_from(&self, end: Side) -> bool {
        let end = self.end(end);
        end.last.set(self.now.get());
        end.trust.replace(Trust::Full) == Trust::Doubted
    }

    /// Whether this end is to be doubted from now on; said once.
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

    /// Looks for silent ends, and wakes the tunnel of one.
    fn doubt(&self, now: u32) {
        let limit = steps(Keeper::DOUBT);
        for end in &self.ends {
            if end.trust.get() == Trust::Full && now.wrapping_sub(end.last.get()) >= limit {
                end.trust.set(Trust::ToBeDoubted);
                self.wake();
            }
        }
    }

    /// One end is done.
    pub(super) fn half_close(&self) {
        self.touch();
        if self.half_closed < self.limit.get().0 {
            self.limit.set((self.half_closed, EndRequest::HalfClosed));
        }
    }

    /// What the keeper has decided, if it has; otherwise it will wake this task when it does.
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
