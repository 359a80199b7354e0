//! Lines on their way to whoever reads the log, so that nobody who serves waits for that.
//!
//! One thread writes what the others leave here. While it is held up, by a pipe that nobody reads or a disk that is slow, up to
//! [`ROOM`] bytes wait; lines beyond are lost, and counted. What the system refuses (a closed pipe, a full disk) is lost at once.

use std::io::Write;
use std::mem;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// What may wait: about four thousand lines, a second of a busy day.
const ROOM: usize = 1024 * 1024;

/// What the thread keeps of its memory from one batch to the next.
const KEPT: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    written: Condvar,
}

#[derive(Debug)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    is_writing: bool,
}

impl Queue {
    pub(super) const fn new() -> Self {
        let waiting = Waiting {
            lines: Vec::new(),
            lost: 0,
            is_writing: false,
        };
        Self {
            waiting: Mutex::new(waiting),
            more: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Leaves one line, or several that belong together. Waits for nobody.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > ROOM {
            waiting.lost += 1;
            return;
        }
        let was_empty = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            self.more.notify_one();
        }
    }

    /// Writes what comes, for ever. `say_lost` says how many lines were lost behind those that are being written, by another
    /// line, for which there is room.
    pub(super) fn write_to(&self, to: &mut impl Write, say_lost: impl Fn(u64)) {
        let mut batch = Vec::new();
        loop {
            let lost = self.take(&mut batch);
            if lost > 0 {
                say_lost(lost);
            }
            let _ = to.write_all(&batch);
            batch.clear();
            batch.shrink_to(KEPT);
            self.lock().is_writing = false;
            self.written.notify_all();
        }
    }

    /// Waits until all of it is written, but not for long.
    pub(super) fn finish(&self, limit: Duration) {
        let waiting = self.lock();
        let _ = self.written.wait_timeout_while(waiting, limit, |waiting| {
            waiting.is_writing || !waiting.lines.is_empty()
        });
    }

    /// Takes all there is, as soon as there is any; how many lines were lost behind it.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() {
            let woken = self.more.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_writing = true;
        mem::swap(&mut waiting.lines, batch);
        mem::take(&mut waiting.lost)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Whoever panicked left bytes, which are as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::io::Write;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use crate::cli::logging::queue::Queue;
    use crate::cli::logging::queue::ROOM;

    /// Gives each batch to the test, and waits until the test lets it go on.
    struct Held {
        batches: mpsc::Sender<String>,
        go_on: mpsc::Receiver<()>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self
                .batches
                .send(String::from_utf8(bytes.to_vec()).unwrap());
            let _ = self.go_on.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue whose reader is in the hands of the test.
    fn held() -> (&'static Queue, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let queue: &Queue = Box::leak(Box::new(Queue::new()));
        let (batches, read) = mpsc::channel();
        let (go, go_on) = mpsc::channel();
        thread::spawn(move || {
            let mut held = Held { batches, go_on };
            queue.write_to(&mut held, |lost| {
                queue.push(format!("{lost} lost\n").as_bytes())
            });
        });
        (queue, read, go)
    }

    #[test]
    fn lines_come_in_their_order_however_slowly_they_are_read() {
        let (queue, read, go) = held();
        queue.push(b"1\n");
        assert_eq!(read.recv().unwrap(), "1\n");
        queue.push(b"2\n");
        queue.push(b"3\n");
        go.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "2\n3\n");
        queue.finish(Duration::from_millis(10));
        go.send(()).unwrap();
        queue.finish(Duration::from_secs(10));
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_and_counted_where_it_would_have_been() {
        let (queue, read, go) = held();
        queue.push(b"first\n");
        assert_eq!(read.recv().unwrap(), "first\n");
        let line = "x".repeat(1023) + "\n";
        for _ in 0..ROOM / 1024 + 3 {
            queue.push(line.as_bytes());
        }
        go.send(()).unwrap();
        assert_eq!(read.recv().unwrap().len(), ROOM);
        queue.push(b"later\n");
        go.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "3 lost\nlater\n");
        go.send(()).unwrap();
    }
}
