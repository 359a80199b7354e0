//! How much is under way on one thread: connections and tunnels, which the process counts too.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::watch;

use crate::limits::Connections;
use crate::listener::Phase;
use crate::observe::Observer;

/// Counts tasks, so that a drain knows when the last has ended.
#[derive(Clone, Debug)]
pub struct Tasks(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    count: Cell<usize>,
    cut: Cell<usize>,
    none: Notify,
    phase: watch::Receiver<Phase>,
    connections: Connections,
    observer: Arc<dyn Observer>,
}

/// Counts a connection among those that the process may have, before it is there; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct ConnectionPermit<'t>(&'t Tasks);

impl ConnectionPermit<'_> {
    /// The connection has come: from now on its task counts it.
    pub(super) fn take(self) -> Task {
        let inner = Rc::clone(&self.0.0);
        // The place goes to the task, whose drop gives it back.
        std::mem::forget(self);
        inner.count.set(inner.count.get() + 1);
        let task = Task(inner);
        task.0.observer.connection_accepted();
        task
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        self.0.0.connections.end();
    }
}

/// One task under way; dropping it is its end.
#[derive(Debug)]
pub(super) struct Task(Rc<Inner>);

impl Tasks {
    /// None yet, of those that the whole process may have.
    pub fn new(
        phase: watch::Receiver<Phase>,
        connections: Connections,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self(Rc::new(Inner {
            count: Cell::new(0),
            cut: Cell::new(0),
            none: Notify::new(),
            phase,
            connections,
            observer,
        }))
    }

    /// A permit for one more connection, if the process may have it.
    pub(super) fn permit(&self) -> Option<ConnectionPermit<'_>> {
        // `then_some` would make and drop a permit even when there is no room, and so give back a place that was never taken.
        self.0.connections.begin().then(|| ConnectionPermit(self))
    }

    /// How many the process may have.
    pub(super) fn most(&self) -> usize {
        self.0.connections.most()
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
        self.0.connections.end();
        self.0.count.set(self.0.count.get() - 1);
        if *self.0.phase.borrow() == Phase::Over {
            self.0.cut.set(self.0.cut.get() + 1);
        }
        if self.0.count.get() == 0 {
            self.0.none.notify_waiters();
        }
        self.0.observer.connection_ended();
    }
}
