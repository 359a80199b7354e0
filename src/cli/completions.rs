//! `wsgate completions SHELL` and `wsgate man`: the command line as a script for a shell, and as a page for man(1).

use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// The name of the command that shells complete, and of the manual page.
const NAME: &str = "wsgate";

/// Prints the script that completes wsgate's words in `shell`.
pub(super) fn script(mut command: Command, shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    print(&script)
}

/// Prints the manual page, in roff.
pub(super) fn page(command: Command) -> ExitCode {
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => print(&page),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes to stdout. The exit code is 1 if that is not possible, where nobody is left to whom it could be said.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
