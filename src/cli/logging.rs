//! Where log lines go: standard error, as text or JSON.

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
use std::io;
use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

use crate::cli::LogFormat;
use crate::config::Paint;

/// Sets up logging for the process; once. A panic is a line like any other.
///
/// A log that cannot be written (a closed pipe, a full disk) loses lines, and nothing else.
pub(super) fn begin(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .log_internal_errors(false);
    // An error here means that the program we are part of has set up its own log, and that is good.
    let _ = match format {
        LogFormat::Text => {
            tracing::subscriber::set_global_default(builder.with_ansi(colour()).finish())
        }
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => Some(backtrace.to_string()),
            _ => None,
        };
        tracing::error!(
            thread = std::thread::current().name(),
            place,
            reason = panic.payload_as_str(),
            backtrace,
            "panic"
        );
    }));
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
