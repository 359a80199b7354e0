//! `wsgate import`: prints an nginx.conf as a `routes.yaml`, and says what is not carried over.

use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::logging;
use crate::cli::report::counted;
use crate::cli::report::one_line;
use crate::cli::report::say;
use crate::nginx;
use crate::nginx::ImportError;

/// Whether it is an error if a directive is not carried over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Strictness {
    /// Such a directive is named on stderr, and the rest is printed.
    Lenient,
    /// Such a directive is an error, and no `routes.yaml` is printed.
    Strict,
}

/// Prints the `routes.yaml` to stdout, and to stderr what is not carried over.
///
/// The exit code is 0; 1 if the file cannot be read; 2 if it is no nginx.conf or, with [`Strictness::Strict`], if a
/// directive is not carried over.
pub(super) fn run(file: &Path, strictness: Strictness) -> ExitCode {
    let imported = match nginx::import(file) {
        Ok(imported) => imported,
        Err(error) => {
            let (diagnostic, code) = match error {
                ImportError::Unreadable(diagnostic) => (diagnostic, 1),
                ImportError::Refused(diagnostic) => (diagnostic, 2),
            };
            let paint = logging::paint(&io::stderr());
            say(&format!("{}\n", diagnostic.shown(paint)));
            return ExitCode::from(code);
        }
    };
    for left in &imported.left {
        say(&shown(&format!(
            "{}: not carried over: `{}`: {}",
            left.place, left.what, left.why
        )));
    }
    let name = file.display();
    let left = counted(imported.left.len(), "directive");
    if strictness == Strictness::Strict && !imported.left.is_empty() {
        say(&shown(&format!(
            "{name}: error: {left} not carried over, and `--strict` wants all of them"
        )));
        return ExitCode::from(2);
    }
    // Where stdout is closed nobody reads it, and nobody misses it.
    let _ = io::stdout().write_all(imported.yaml.as_bytes());
    let listeners = counted(imported.listeners, "listener");
    let routes = counted(imported.routes, "route");
    let needless = counted(imported.needless, "directive");
    say(&shown(&format!(
        "{name}: {listeners}, {routes}; {needless} not needed, {} not carried over",
        imported.left.len()
    )));
    ExitCode::SUCCESS
}

/// A text as one line for a terminal.
fn shown(text: &str) -> String {
    one_line(text) + "\n"
}
