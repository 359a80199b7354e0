//! Who ends tunnels that do not end by themselves: the silent ones, and all of them when the process goes away.
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

use crate::tunnel::Ended;

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

    /// Ends every tunnel of this thread, also those that are yet to begin; each reports [`Ended::Drained`].
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

    /// A tab for a tunnel that may be silent for `idle`, rounded up to whole steps.
    pub(super) fn open(&self, idle: Duration) -> Rc<Tab> {
        let steps = idle.as_millis().div_ceil(Self::STEP.as_millis());
        let tab = Rc::new(Tab {
            now: Rc::clone(&self.step),
            last: Cell::new(self.step.get()),
            // One more: the tunnel opened somewhere within the current step.
            limit: u32::try_from(steps)
                .unwrap_or(u32::MAX - 1)
                .saturating_add(1),
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
            if now.wrapping_sub(tab.last.get()) >= tab.limit {
                tab.tell(Told::Idle);
            }
            true
        });
        let mut tabs = self.tabs.borrow_mut();
        if tabs.len() < tabs.capacity() / 4 {
            tabs.shrink_to_fit();
        }
    }
}

/// What the keeper knows of one tunnel.
#[derive(Debug)]
pub(super) struct Tab {
    now: Rc<Cell<u32>>,
    last: Cell<u32>,
    limit: u32,
    told: Cell<Option<Told>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Idle,
    Drained,
}

impl Tab {
    /// A byte passed.
    pub(super) fn touch(&self) {
        self.last.set(self.now.get());
    }

    /// What the keeper has decided, if it has; otherwise it will wake this task when it does.
    pub(super) fn told(&self, cx: &Context<'_>) -> Option<Ended> {
        match self.told.get() {
            Some(Told::Idle) => return Some(Ended::Idle),
            Some(Told::Drained) => return Some(Ended::Drained),
            None => {}
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
