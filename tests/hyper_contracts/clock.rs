//! Time that passes when a test says so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use hyper::rt::Sleep;
use hyper::rt::Timer;

/// Time that passes when the test says so.
#[derive(Clone, Debug)]
pub(super) struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Timer for Clock {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + time)
    }

    fn sleep_until(&self, until: Instant) -> Pin<Box<dyn Sleep>> {
        let clock = self.clone();
        Box::pin(Until { clock, until })
    }

    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

struct Until {
    clock: Clock,
    until: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.until {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Sleep for Until {}
