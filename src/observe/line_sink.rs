//! Where the access log's lines go once they are bytes.

use std::cell::Cell;

use crate::observe::line_encoder::LineFormat;

/// The most that a thread keeps of its memory from one line to the next; a usual line has 250 bytes.
const KEPT: usize = 4 * 1024;

thread_local! {
    /// The memory in which this thread wrote its last line.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Takes the access log's lines as bytes, each whole and in one call.
///
/// The program that sets up logging makes one: it knows whether people or machines read the log, and where that is.
#[derive(Clone, Copy, Debug)]
pub struct LineSink {
    /// How lines look.
    pub format: LineFormat,
    /// Takes one line with its end. Serving threads call it, so it must not wait.
    pub write: fn(&[u8]),
}

impl LineSink {
    /// Lets `fill` write a line, and hands that on. A thread writes into memory of its own, so that no other one waits meanwhile.
    pub(super) fn write_line(&self, fill: impl FnOnce(&mut Vec<u8>)) {
        // A thread that ends has no such memory any more.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        fill(&mut line);
        (self.write)(&line);
        line.shrink_to(KEPT);
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}
