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
    tabs: RefCell<Vec<Weak<Tab>>>,
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
            if self.tabs.borrow().is_empty() {
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
        for tab in self.tabs.borrow().iter().filter_map(Weak::upgrade) {
            tab.tell(Told::Drained);
        }
    }

    /// How many tunnels are open.
    pub fn count(&self) -> usize {
        self.tabs
            .borrow()
            .iter()
            .filter(|tab| tab.strong_count() > 0)
            .count()
    }

    /// A tab for a tunnel with these limits, rounded up to whole steps.
    pub(super) fn open(&self, limits: Limits) -> Rc<Tab> {
        let tab = Rc::new(Tab {
            now: Rc::clone(&self.step),
            last: Cell::new(self.step.get()),
            ends: [(); 2].map(|()| Heard {
                last: Cell::new(self.step.get()),
                trust: Cell::new(Trust::Doubt),
            }),
            limit: Cell::new((steps(limits.idle), Told::Idle)),
            half_closed: steps(limits.half_closed),
            told: Cell::new(self.over.get().then_some(Told::Drained)),
            waker: RefCell::new(None),
        });
        self.tabs.borrow_mut().push(Rc::downgrade(&tab));
        self.opened.notify_one();
        tab
    }

    /// One step.
    pub(super) fn look(&self) {
        let now = self.step.get().wrapping_add(1);
        self.step.set(now);
        self.tabs.borrow_mut().retain(|tab| {
            let Some(tab) = tab.upgrade() else {
                return false;
            };
            let (limit, told) = tab.limit.get();
            if now.wrapping_sub(tab.last.get()) >= limit {
                tab.tell(told);
            }
            tab.doubt(now);
            true
        });
        let mut tabs = self.tabs.borrow_mut();
        if tabs.len() < tabs.capacity() / 4 {
            tabs.shrink_to_fit();
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
pub(super) struct Tab {
    now: Rc<Cell<u32>>,
    last: Cell<u32>,
    /// The client, and the upstream.
    ends: [Heard; 2],
    /// The limit that is in force, in steps, and what is told when it is reached.
    limit: Cell<(u32, Told)>,
    half_closed: u32,
    told: Cell<Option<Told>>,
    waker: RefCell<Option<Waker>>,
}

/// What was heard of one end.
#[derive(Debug)]
struct Heard {
    last: Cell<u32>,
    trust: Cell<Trust>,
}

/// Whether an end that is silent may still be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    Full,
    /// It is to be doubted.
    Ending,
    Doubt,
}

/// Why a tunnel is to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Idle,
    HalfClosed,
    Drained,
}

impl Tab {
    /// A byte passed.
    pub(super) fn touch(&self) {
        self.last.set(self.now.get());
    }

    /// A byte came from this end. True if it was doubted.
    pub(super) fn hears(&self, end: Side) -> bool {
        let heard = self.heard(end);
        heard.last.set(self.now.get());
        heard.trust.replace(Trust::Full) == Trust::Doubt
    }

    /// Whether this end is to be doubted from now on; said once.
    pub(super) fn begins_to_doubt(&self, end: Side) -> bool {
        let trust = &self.heard(end).trust;
        let begins = trust.get() == Trust::Ending;
        if begins {
            trust.set(Trust::Doubt);
        }
        begins
    }

    fn heard(&self, end: Side) -> &Heard {
        let [client, upstream] = &self.ends;
        match end {
            Side::Client => client,
            Side::Upstream => upstream,
        }
    }

    /// Looks for silent ends, and wakes the tunnel of one.
    fn doubt(&self, now: u32) {
        let limit = steps(Keeper::DOUBT);
        for heard in &self.ends {
            if heard.trust.get() == Trust::Full && now.wrapping_sub(heard.last.get()) >= limit {
                heard.trust.set(Trust::Ending);
                self.wake();
            }
        }
    }

    /// One end is done.
    pub(super) fn half_close(&self) {
        self.touch();
        if self.half_closed < self.limit.get().0 {
            self.limit.set((self.half_closed, Told::HalfClosed));
        }
    }

    /// What the keeper has decided, if it has; otherwise it will wake this task when it does.
    pub(super) fn told(&self, cx: &Context<'_>) -> Option<Told> {
        if let Some(told) = self.told.get() {
            return Some(told);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        None
    }

    fn tell(&self, what: Told) {
        self.told.set(Some(what));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
