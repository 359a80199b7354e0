//! The command line: its arguments, and one file for each subcommand.

mod check;
mod completions;
mod explain;
mod import;
mod logging;
mod reload;
mod report;
mod run;
mod schema;
mod signals;

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::import::Strictness;

/// What signals do, at the end of the help of `wsgate` and `wsgate run`.
const SIGNALS: &str = "Signals:
  SIGHUP                    Read the file, the certificates and the keys again
  SIGTERM, SIGINT, SIGQUIT  Accept nothing new, and end when nothing is under way or `drain_timeout` is over; \
    a second one, half a second later or more, ends at once
  SIGUSR1, SIGUSR2          Nothing but a line in the log";

/// A reverse proxy for WebSocket upgrades: Socket.IO or any WebSocket server behind one address.
#[derive(Debug, Parser)]
#[command(version, about, after_long_help = SIGNALS)]
struct Arguments {
    /// The file with listeners and routes
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "routes.yaml"
    )]
    config: PathBuf,
    /// How log lines are written, to standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM, SIGINT or SIGQUIT (this is the default); a saved file takes effect at once
    ///
    /// The file is watched, and so are the certificates and keys that it names. A file that is wrong changes nothing,
    /// and the log says what is wrong with it. No connection is lost.
    #[command(after_long_help = SIGNALS)]
    Run,
    /// Read and check the file as a start would, and say what is wrong with it
    Check,
    /// Print an nginx.conf as a routes.yaml, and say what is not carried over
    Import {
        /// nginx's main file; what it includes is read too
        file: PathBuf,
        /// Print nothing if something is not carried over, and exit with 2
        #[arg(long)]
        strict: bool,
    },
    /// Say what a client requests for a URL, which listener and which route take it, and what the upstream is asked for
    Explain(explain::ExplainArguments),
    /// Print the JSON Schema of routes.yaml, for editors: `wsgate schema > routes.schema.json`
    Schema,
    /// Print the script that completes wsgate's words in a shell: `source <(wsgate completions bash)`
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page: `wsgate man | man -l -`
    Man,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Does what the arguments of the process say.
///
/// The exit code is 0 if it is done, 1 if it could not run, 2 if the usage or the configuration is wrong.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => run(&arguments.config, arguments.log_format),
        Command::Check => check::run(&arguments.config),
        Command::Import { file, strict: true } => import::run(&file, Strictness::Strict),
        Command::Import {
            file,
            strict: false,
        } => import::run(&file, Strictness::Lenient),
        Command::Explain(explain) => explain::run(&arguments.config, &explain),
        Command::Schema => schema::run(),
        Command::Completions { shell } => completions::script(Arguments::command(), shell),
        Command::Man => completions::page(Arguments::command()),
    }
}

/// Serves what the file `config` says until a signal ends the process, as `wsgate run` does.
pub fn run(config: &Path, log_format: LogFormat) -> ExitCode {
    run::run(config, log_format)
}
