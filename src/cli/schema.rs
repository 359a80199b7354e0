//! `wsgate schema`: the JSON Schema of `routes.yaml`, for editors.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use crate::config::JSON_SCHEMA;

/// Prints the schema to stdout. The exit code is 1 if that is not possible, where nobody is left to whom it could be
/// said.
pub(super) fn run() -> ExitCode {
    match io::stdout().write_all(JSON_SCHEMA.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
