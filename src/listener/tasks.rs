//! How much is under way on one thread: connections and tunnels.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::watch;

use crate::listener::Phase;

/// Counts tasks, so that a drain knows when the last has ended.
#[derive(Clone, Debug)]
pub struct Tasks(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    count: Cell<usize>,
    cut: Cell<usize>,
    none: Notify,
    phase: watch::Receiver<Phase>,
}

/// One task under way; dropping it is its end.
#[derive(Debug)]
pub(super) struct Task(Rc<Inner>);

impl Tasks {
    /// None yet.
    pub fn new(phase: watch::Receiver<Phase>) -> Self {
        Self(Rc::new(Inner {
            count: Cell::new(0),
            cut: Cell::new(0),
            none: Notify::new(),
            phase,
        }))
    }

    pub(super) fn begin(&self) -> Task {
        self.0.count.set(self.0.count.get() + 1);
        Task(Rc::clone(&self.0))
    }

    /// How many did not end before [`Phase::Over`].
    pub fn cut(&self) -> usize {
        self.0.cut.get() + self.0.count.get()
    }

    /// Waits until none is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn none(&self) {
        loop {
            let none = self.0.none.notified();
            if self.0.count.get() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if *self.0.phase.borrow() == Phase::Over {
            self.0.cut.set(self.0.cut.get() + 1);
        }
        if self.0.count.get() == 0 {
            self.0.none.notify_waiters();
        }
    }
}
