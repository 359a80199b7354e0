//! `wsgate schema`: the JSON Schema of `routes.yaml`, for editors.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use crate::config::JSON_SCHEMA;

/// Prints it. Where stdout is closed there is no one to tell.
pub(super) fn run() -> ExitCode {
    match io::stdout().write_all(JSON_SCHEMA.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
