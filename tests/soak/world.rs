//! What all sessions share: the doors, the upstreams, the ledger, and what is counted.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::children::Child;
use crate::doors::Doors;
use crate::doors::Entrance;
use crate::ledger::Ledger;

/// The time from a message to its answer, in microseconds: of this window, and of all.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) window: Histogram<u64>,
    pub(crate) all: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let empty = || Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        Self {
            window: empty(),
            all: empty(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) doors: Doors,
    pub(crate) children: Vec<Child>,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) through: RefCell<Latencies>,
    pub(crate) direct: RefCell<Latencies>,
    /// Tunnels and sessions that are open.
    pub(crate) open: Cell<usize>,
    /// What happened, and how often.
    pub(crate) tally: RefCell<BTreeMap<&'static str, u64>>,
    /// Everyone comes to an end.
    pub(crate) stopping: Cell<bool>,
}

impl World {
    pub(crate) fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    pub(crate) fn find(&self, finding: String) {
        self.ledger.borrow_mut().find(finding);
    }

    pub(crate) fn answered(&self, entrance: Entrance, asked: Instant) {
        let latencies = match entrance {
            Entrance::Direct => &self.direct,
            Entrance::Plain | Entrance::Tls => &self.through,
        };
        let micros = asked.elapsed().as_micros() as u64;
        let mut latencies = latencies.borrow_mut();
        latencies.window.saturating_record(micros);
        latencies.all.saturating_record(micros);
    }

    /// Waits, but not when everyone comes to an end.
    pub(crate) async fn pause(&self, duration: Duration) {
        const LOOK: Duration = Duration::from_secs(1);
        let until = Instant::now() + duration;
        while !self.stopping.get() && Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
        }
    }
}

/// One more that is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Open<'w>(&'w World);

impl<'w> Open<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        world.open.set(world.open.get() + 1);
        Self(world)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}
