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
            limit: Cell::new((steps(limits.idle), Told::Idle)),
            half_closed: steps(limits.half_closed),
            told: Cell::new(self.over.get().then_some(Told::Drained)),
            waker: RefCell::new(None),
        });
        self.tabs.borrow_mut().push(Rc::downgrade(&tab));
        self.opened.notify_one();
        tab
    }

    fn look(&self) {
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
    /// The limit that is in force, in steps, and what is told when it is reached.
    limit: Cell<(u32, Told)>,
    half_closed: u32,
    told: Cell<Option<Told>>,
    waker: RefCell<Option<Waker>>,
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
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
