//! `wsgate completions SHELL` and `wsgate man`: what the definition of the command line has to say to a shell and to man(1).

use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// The name that shells complete, and the page's.
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

/// Where stdout is closed there is no one to tell.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
