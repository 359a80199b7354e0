//! The connections of the whole process.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// How many connections of clients there are, and how many there may be. Clones count together.
///
/// A connection costs one atomic operation when it begins and one when it ends; neither orders anything else.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Connections {
    /// Begins without a connection; there may be `most`.
    pub fn up_to(most: usize) -> Self {
        Self(Arc::new(Counts {
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
        }))
    }

    /// Changes how many there may be. Those that are open stay, also if they are more.
    pub fn allow(&self, most: usize) {
        self.0.most.store(most, Ordering::Relaxed);
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    /// Counts one connection more and returns true, if there is room. It must [`end`](Self::end) some time.
    pub fn begin(&self) -> bool {
        let before = self.0.open.fetch_add(1, Ordering::Relaxed);
        let is_room = before < self.most();
        if !is_room {
            self.end();
        }
        is_room
    }

    /// Counts one connection less.
    pub fn end(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use crate::limits::connections::Connections;

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let connections = Connections::up_to(2);
        assert_eq!(
            [(); 4].map(|()| connections.begin()),
            [true, true, false, false]
        );
        connections.end();
        assert!(connections.begin() && !connections.begin());
    }

    #[test]
    fn those_that_are_open_stay_when_fewer_are_allowed() {
        let connections = Connections::up_to(3);
        assert!(connections.begin() && connections.begin() && connections.begin());
        connections.allow(1);
        connections.end();
        connections.end();
        assert!(!connections.begin());
        connections.end();
        assert!(connections.begin() && !connections.begin());
    }

    #[test]
    fn many_threads_count_together() {
        let connections = Connections::up_to(3);
        let (at_once, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if connections.begin() {
                            begun.fetch_add(1, Ordering::Relaxed);
                            let others = at_once.fetch_add(1, Ordering::SeqCst);
                            assert!(others < 3, "{others} others");
                            at_once.fetch_sub(1, Ordering::SeqCst);
                            connections.end();
                        }
                    }
                });
            }
        });
        assert!(begun.load(Ordering::Relaxed) > 0);
        // What did not begin left nothing behind.
        assert!(connections.begin() && connections.begin() && connections.begin());
        assert!(!connections.begin());
    }
}
