//! `wsgate check`: reads and checks the configuration as a start would, and binds nothing.

use std::collections::BTreeSet;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use time::OffsetDateTime;

use crate::cli::logging;
use crate::cli::report::counted;
use crate::cli::report::say;
use crate::config::Action;
use crate::config::Config;
use crate::config::Environment;
use crate::explain;

/// Prints `FILE: ok` with the counts to stdout, and warnings and errors to stderr.
///
/// The exit code is 0, or 2 if there are errors.
pub(super) fn run(file: &Path) -> ExitCode {
    let Some(config) = read(file, OffsetDateTime::now_utc()) else {
        return ExitCode::from(2);
    };
    let listeners = counted(config.listeners.len(), "listener");
    let routes = counted(config.routes.len(), "route");
    let groups = match groups(&config) {
        0 => String::new(),
        several => format!(", {}", counted(several, "group")),
    };
    let tests = match config.promises.len() {
        0 => String::new(),
        1 => ", 1 test holds".to_owned(),
        several => format!(", {several} tests hold"),
    };
    // Where stdout is closed nobody reads this; the exit code still says it.
    let _ = writeln!(
        io::stdout(),
        "{}: ok: {listeners}, {routes}{groups}{tests}",
        file.display()
    );
    ExitCode::SUCCESS
}

/// How many groups of servers the routes lead to.
fn groups(config: &Config) -> usize {
    let groups = config.routes.iter().filter_map(|route| match &route.to {
        Action::ProxyPass(upstream) => upstream.group(),
        Action::Return(_) => None,
    });
    let names: BTreeSet<&str> = groups.map(|group| &*group.settings().name).collect();
    names.len()
}

/// Reads the file and evaluates its `tests`. Errors and warnings go to stderr. `None` if the file cannot be served.
pub(super) fn read(file: &Path, now: OffsetDateTime) -> Option<Config> {
    let config = read_alone(file, now)?;
    match explain::promises(&config) {
        Ok(_) => Some(config),
        Err(broken) => {
            let paint = logging::paint(&io::stderr());
            say(&format!("{}\n", broken.shown(paint)));
            None
        }
    }
}

/// Reads the file without evaluating its `tests`, for `wsgate explain`, which is asked why one does not hold. Errors
/// and warnings go to stderr. `None` if the file cannot be served.
pub(super) fn read_alone(file: &Path, now: OffsetDateTime) -> Option<Config> {
    let paint = logging::paint(&io::stderr());
    match Config::read(file, &environment(), now) {
        Ok((config, warnings)) => {
            for warning in warnings {
                say(&format!("{}\n\n", warning.shown(paint)));
            }
            Some(config)
        }
        Err(errors) => {
            say(&format!("{}\n", errors.shown(paint)));
            None
        }
    }
}

/// The variables that values of the file may name: those of this process.
pub(super) fn environment() -> Environment {
    std::env::vars_os().collect()
}
