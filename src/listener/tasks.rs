//! How much is under way on one thread: connections and tunnels.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Counts tasks, so that a drain knows when the last has ended.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: Cell<usize>,
    none: Notify,
}

/// One task under way; dropping it is its end.
#[derive(Debug)]
pub(super) struct Task(Rc<Inner>);

impl Tasks {
    pub(super) fn begin(&self) -> Task {
        self.0.count.set(self.0.count.get() + 1);
        Task(Rc::clone(&self.0))
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.0.count.get()
    }

    /// Waits until none is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn none(&self) {
        loop {
            let none = self.0.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.none.notify_waiters();
        }
    }
}
