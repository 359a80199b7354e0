//! A timer that never runs out, and knows who waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use hyper::rt::Sleep;
use hyper::rt::Timer;

/// A timer that never runs out. The test has a copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<()>);

impl Clock {
    /// How many sleeps there are that hyper was given and has not dropped.
    pub(super) fn sleeps(&self) -> usize {
        // One copy is the test's, one hyper's own.
        Arc::strong_count(&self.0) - 2
    }
}

impl Timer for Clock {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Never(Arc::clone(&self.0)))
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

struct Never(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {}
