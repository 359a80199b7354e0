//! Lines on their way to whoever reads the log, so that nobody who serves waits for that.
//!
//! One thread writes what the others leave here: the first line at once, and what comes within [`REST`] behind it together, since
//! waking that thread and writing cost ten times as much as a line. While it is held up, by a pipe that nobody reads or a disk
//! that is slow, up to [`ROOM`] bytes wait; lines beyond are lost, and counted. What the system refuses (a closed pipe, a full
//! disk) is lost at once.

use std::io::Write;
use std::mem;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// The most bytes that may wait: about four thousand lines, a second of a busy day.
const ROOM: usize = 1024 * 1024;

/// The bytes at which the thread stops to rest, so that none are lost only because it does.
const MANY: usize = ROOM / 4;

/// The time from one batch to the next, and so how late a line may be where many are written.
pub(super) const REST: Duration = Duration::from_millis(5);

/// The most that the thread keeps of its memory from one batch to the next: as much as 40,000 lines a second need.
const KEPT: usize = 64 * 1024;

/// A queue of lines with one thread that writes them.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<WaitingLines>,
    /// Wakes the thread that writes.
    more: Condvar,
    /// Wakes those who wait until all is written.
    written: Condvar,
    /// How long lines gather behind a batch.
    rest: Duration,
}

#[derive(Debug)]
struct WaitingLines {
    lines: Vec<u8>,
    lost: u64,
    writer: WriterState,
    /// Somebody waits until all is written.
    is_hurried: bool,
}

/// What the thread that writes is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WriterState {
    /// It writes, or was told to.
    Busy,
    /// It lets lines gather.
    Resting,
    /// It waits for a line.
    Idle,
}

impl Queue {
    /// Empty, with [`REST`] in all but tests.
    pub(super) const fn resting(rest: Duration) -> Self {
        let waiting = WaitingLines {
            lines: Vec::new(),
            lost: 0,
            writer: WriterState::Idle,
            is_hurried: false,
        };
        Self {
            waiting: Mutex::new(waiting),
            more: Condvar::new(),
            written: Condvar::new(),
            rest,
        }
    }

    /// Leaves one line, or several that belong together. Waits for nobody.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > ROOM {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        let wakes = match waiting.writer {
            WriterState::Busy => false,
            WriterState::Resting => waiting.lines.len() >= MANY,
            WriterState::Idle => true,
        };
        if wakes {
            waiting.writer = WriterState::Busy;
            drop(waiting);
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
            self.rest();
        }
    }

    /// Waits until all of it is written, but not for long.
    pub(super) fn finish(&self, limit: Duration) {
        let mut waiting = self.lock();
        waiting.is_hurried = true;
        self.more.notify_one();
        let waited = self.written.wait_timeout_while(waiting, limit, |waiting| {
            waiting.writer == WriterState::Busy || !waiting.lines.is_empty()
        });
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.is_hurried = false;
    }

    /// Takes all there is, as soon as there is any; how many lines were lost behind it.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() {
            waiting.writer = WriterState::Idle;
            let woken = self.more.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.writer = WriterState::Busy;
        mem::swap(&mut waiting.lines, batch);
        mem::take(&mut waiting.lost)
    }

    /// Lets lines gather, unless there are many or somebody waits for them.
    fn rest(&self) {
        let mut waiting = self.lock();
        waiting.writer = WriterState::Resting;
        if waiting.is_hurried {
            self.written.notify_all();
        }
        // There may be many already, which came while it wrote.
        let rests = |waiting: &mut WaitingLines| {
            waiting.writer == WriterState::Resting
                && !waiting.is_hurried
                && waiting.lines.len() < MANY
        };
        drop(self.more.wait_timeout_while(waiting, self.rest, rests));
    }

    fn lock(&self) -> MutexGuard<'_, WaitingLines> {
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

    use crate::cli::logging::queue::MANY;
    use crate::cli::logging::queue::Queue;
    use crate::cli::logging::queue::REST;
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
    fn held(rest: Duration) -> (&'static Queue, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let queue: &Queue = Box::leak(Box::new(Queue::resting(rest)));
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
        let (queue, read, go) = held(REST);
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

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_first_line_is_written_at_once_and_those_behind_it_together() {
        let (queue, read, go) = held(LONG);
        queue.push(b"1\n");
        assert_eq!(read.recv().unwrap(), "1\n");
        go.send(()).unwrap();
        queue.push(b"2\n");
        queue.push(b"3\n");
        let gathering = read.recv_timeout(Duration::from_millis(50));
        assert_eq!(gathering, Err(mpsc::RecvTimeoutError::Timeout));
        // The end of the process waits for no rest.
        let finishing = thread::spawn(|| queue.finish(LONG));
        assert_eq!(read.recv().unwrap(), "2\n3\n");
        go.send(()).unwrap();
        finishing.join().unwrap();
    }

    #[test]
    fn the_writer_does_not_rest_where_much_came_while_it_wrote() {
        let (queue, read, go) = held(LONG);
        queue.push(b"1\n");
        assert_eq!(read.recv().unwrap(), "1\n");
        let line = "x".repeat(1023) + "\n";
        for _ in 0..MANY / 1024 {
            queue.push(line.as_bytes());
        }
        go.send(()).unwrap();
        let taken = read.recv_timeout(Duration::from_secs(60));
        assert_eq!(taken.map(|lines| lines.len()), Ok(MANY));
        go.send(()).unwrap();
    }

    #[test]
    fn the_writer_does_not_rest_where_there_is_much_to_write() {
        let (queue, read, go) = held(LONG);
        queue.push(b"1\n");
        assert_eq!(read.recv().unwrap(), "1\n");
        go.send(()).unwrap();
        let line = "x".repeat(1023) + "\n";
        for _ in 0..MANY / 1024 {
            queue.push(line.as_bytes());
        }
        // How many it takes is between the two threads, but it does take them.
        let mut taken = 0;
        while taken < MANY {
            taken += read.recv().unwrap().len();
            go.send(()).unwrap();
            queue.push(line.as_bytes());
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_and_counted_where_it_would_have_been() {
        let (queue, read, go) = held(REST);
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
