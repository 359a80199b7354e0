//! Where log lines go: standard error, as text or JSON.
//!
//! Rare lines go through `tracing` and its formatter, those of the access log come as bytes; all of them stand in one queue.
//! A log that cannot be written (a closed pipe, a full disk, a reader that does not read) loses lines, and nothing else.

mod queue;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::LogFormat;
use crate::cli::logging::queue::Queue;
use crate::cli::logging::queue::REST;
use crate::config::Paint;
use crate::observe::LineFormat;
use crate::observe::LineSink;

/// How long the end of the process waits for whoever reads the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// There once the process serves: then nobody waits for standard error but the thread that writes to it.
static QUEUE: OnceLock<&'static Queue> = OnceLock::new();

/// Sets up logging for the process; once. A panic is a line like any other.
///
/// What the access log writes to; nothing if the program that wsgate is part of has set up its own log, which gets all lines
/// through `tracing` then.
pub(super) fn begin(format: LogFormat) -> Option<LineSink> {
    static LINES: Queue = Queue::resting(REST);
    let writer = thread::Builder::new().name("wsgate-log".to_owned());
    let started = writer.spawn(|| {
        LINES.write_to(&mut io::stderr(), |lines| {
            tracing::warn!(
                lines,
                "lines of the log are lost: whoever reads it does not keep up"
            );
        });
    });
    // Without a thread the log is written by those who serve.
    if started.is_ok() {
        let _ = QUEUE.set(&LINES);
    }
    let format = match format {
        LogFormat::Json => LineFormat::Json,
        LogFormat::Text if colour() => LineFormat::ColouredText,
        LogFormat::Text => LineFormat::Text,
    };
    let is_ours = tracing::dispatcher::set_global_default(formatter(format, || Lines)).is_ok();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => Some(backtrace.to_string()),
            _ => None,
        };
        tracing::error!(
            thread = thread::current().name(),
            place,
            reason = panic.payload_as_str(),
            backtrace,
            "panic"
        );
        // The end of this thread is that of the process.
        if thread::current().name() == Some("main") {
            finish();
        }
    }));
    is_ours.then_some(LineSink { format, write })
}

/// What makes lines of what `tracing` is told.
fn formatter<W>(format: LineFormat, writer: W) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .with_ansi(format == LineFormat::ColouredText)
        .log_internal_errors(false);
    match format {
        LineFormat::Text | LineFormat::ColouredText => builder.finish().into(),
        LineFormat::Json => builder.json().flatten_event(true).finish().into(),
    }
}

/// Writes to standard error. When it is closed there is nobody to tell.
pub(super) fn write(bytes: &[u8]) {
    match QUEUE.get() {
        Some(queue) => queue.push(bytes),
        None => {
            let _ = io::stderr().lock().write_all(bytes);
        }
    }
}

/// Waits until all is written, but not for long: whoever reads the log may not be there.
pub(super) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish(LAST_LINES);
    }
}

/// Whole lines, one a call.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Colour only on a terminal, never with `NO_COLOR` (no-color.org).
pub(super) fn paint(output: &impl IsTerminal) -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && output.is_terminal() {
        Paint::Coloured
    } else {
        Paint::Plain
    }
}

fn colour() -> bool {
    paint(&io::stderr()) == Paint::Coloured
}
