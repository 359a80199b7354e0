//! Finds out when hyper waits for a head, which it does not say: it asks its timer for the limit of a head when it begins to wait, and
//! drops what it was given when the head is there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use hyper::rt::Sleep;
use hyper::rt::Timer;

/// A timer for hyper that never runs out, whatever the limit: the limits of heads are kept outside of hyper.
///
/// Hyper wants a timer that may change threads; this one never does.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadTimer(Arc<AtomicBool>);

impl HeadTimer {
    /// Whether hyper waits for a head. A part of it may be in hyper's buffer.
    pub(super) fn is_waited_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.0.store(true, Ordering::Relaxed);
        Box::pin(HeadWait(Arc::clone(&self.0)))
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

/// Exists for as long as hyper waits for a head.
#[derive(Debug)]
struct HeadWait(Arc<AtomicBool>);

impl Future for HeadWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for HeadWait {}

impl Drop for HeadWait {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
