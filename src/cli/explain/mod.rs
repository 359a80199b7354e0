//! `wsgate explain URL`: says what a URL would do, and why. It is written to stdout, for a person or, with `--json`,
//! for a program.

mod answers;
mod ask;
mod json;
mod text;
mod upstream_answer;
mod words;

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use time::OffsetDateTime;

use crate::cli::check;
use crate::cli::explain::upstream_answer::ServerAnswer;
use crate::cli::logging;
use crate::cli::report::say;
use crate::clients;
use crate::clients::Options;
use crate::clients::Url;
use crate::config::Config;
use crate::explain;
use crate::explain::Explanation;

/// The arguments of `wsgate explain`.
#[derive(Clone, Debug, Args)]
pub(super) struct ExplainArguments {
    /// What the client is given: `io(…)`, `new WebSocket(…)`, `wx.connectSocket`
    url: String,
    /// Which client: socket.io, socket.io@2, weapp, weapp@2, weapp@3, websocket or http [default: a guess]
    #[arg(long)]
    client: Option<String>,
    /// The option `path` of a Socket.IO client [default: /socket.io]
    #[arg(long)]
    path: Option<String>,
    /// Ask the upstream too, and say what it answers
    #[arg(long)]
    connect: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What was found about the URL, ready to be printed.
struct Findings<'a> {
    config: &'a Config,
    explanation: Explanation,
    /// The answers to each request, of each server of its upstream; empty if no upstream was asked.
    answers: Vec<Vec<ServerAnswer>>,
}

/// Explains what becomes of a URL.
///
/// The exit code is 0 whatever becomes of it, also if the upstream does not answer, which is what was asked. It is 2
/// for a wrong URL, wrong options, or a file that cannot be served, and 1 if wsgate cannot ask an upstream at all.
pub(super) fn run(file: &Path, arguments: &ExplainArguments) -> ExitCode {
    let (url, options) = match read(arguments) {
        Ok(read) => read,
        Err(wrong) => return usage(&wrong),
    };
    let Some(config) = check::read_alone(file, OffsetDateTime::now_utc()) else {
        return ExitCode::from(2);
    };
    let explanation = match explain::explain(&config, &url, &options) {
        Ok(explanation) => explanation,
        Err(error) => return usage(&Wrong::new(&error, error.help())),
    };
    let answers = if arguments.connect {
        match ask::all(&config, &explanation) {
            Ok(answers) => answers,
            Err(error) => {
                say(&format!("cannot ask the upstream: {error}\n"));
                return ExitCode::FAILURE;
            }
        }
    } else {
        Vec::new()
    };
    let findings = Findings {
        config: &config,
        explanation,
        answers,
    };
    // Whoever has typed a value knows it.
    let filled = config.filled.but_those_in(&arguments.url);
    let printed = if arguments.json {
        json::of(&findings, &filled)
    } else {
        filled.as_written(&text::of(&findings, logging::paint(&io::stdout())))
    };
    // Where stdout is closed nobody reads it.
    let _ = io::stdout().lock().write_all(printed.as_bytes());
    ExitCode::SUCCESS
}

/// What is wrong with the command line, and what to write instead.
struct Wrong {
    message: String,
    help: String,
}

impl Wrong {
    /// An error with its help.
    fn new(message: &impl Display, help: impl Into<String>) -> Self {
        Self {
            message: message.to_string(),
            help: help.into(),
        }
    }
}

/// The URL and the client's options.
fn read(arguments: &ExplainArguments) -> Result<(Url, Options), Wrong> {
    let url = arguments
        .url
        .parse()
        .map_err(|error: clients::UrlError| Wrong::new(&error, error.help()))?;
    let kind = arguments.client.as_deref().map(str::parse).transpose();
    let kind = kind.map_err(|error: clients::ClientKindError| Wrong::new(&error, error.help()))?;
    let path = arguments.path.as_deref().map(str::parse).transpose();
    let path =
        path.map_err(|error: crate::engineio::PathError| Wrong::new(&error, error.help()))?;
    Ok((url, Options { kind, path }))
}

/// Prints what is wrong with the command line.
fn usage(wrong: &Wrong) -> ExitCode {
    say(&format!("{}\n  = help: {}\n", wrong.message, wrong.help));
    ExitCode::from(2)
}
