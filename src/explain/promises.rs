//! Evaluates the `tests` of a file: whether what they promise would happen.

use std::fmt;

use crate::clients::Chosen;
use crate::clients::ClientRequests;
use crate::clients::Request;
use crate::config::Action;
use crate::config::Config;
use crate::config::Diagnostic;
use crate::config::Errors;
use crate::config::Expect;
use crate::config::Promise;
use crate::explain::Explainer;
use crate::explain::Explanation;
use crate::explain::Outcome;

/// Evaluates every entry of `tests`, and returns how many there are. A start and a reload do so before they serve
/// `config`.
///
/// # Errors
/// If entries do not hold: an error for each, at its place in the file.
pub fn promises(config: &Config) -> Result<usize, Errors> {
    if config.promises.is_empty() {
        return Ok(0);
    }
    let explainer = Explainer::new(config);
    let broken = config.promises.iter();
    let broken: Vec<Diagnostic> = broken
        .filter_map(|promise| broken_by(&explainer, promise))
        .collect();
    if broken.is_empty() {
        Ok(config.promises.len())
    } else {
        Err(Errors::new(broken))
    }
}

/// The error of an entry that does not hold.
fn broken_by(explainer: &Explainer<'_>, promise: &Promise) -> Option<Diagnostic> {
    let config = explainer.config;
    let asks = match ClientRequests::new(&promise.url, &promise.options) {
        Ok(asks) => asks,
        Err(error) => {
            let help = Some(error.help().to_owned());
            return Some(promise.spot.error(error.to_string(), help, &config.filled));
        }
    };
    let explanation = explainer.explain(&promise.url, asks);
    if let Err(none) = &explanation.listener {
        let message = format!("`{}` {}", promise.url, none.in_words(config, &promise.url));
        return Some(
            promise
                .spot
                .error(message, Some(listeners(config)), &config.filled),
        );
    }
    let mut traces = explanation.asks.requests.iter().zip(&explanation.traces);
    let (request, trace) =
        traces.find(|(_, trace)| !is_kept(&promise.expect, &trace.outcome, config))?;
    let is = what_happens(&trace.outcome, config);
    let message = match (&promise.expect, &trace.outcome) {
        (Expect::Upstream(to), outcome) => goes_not_to(&is, to, outcome),
        (Expect::Group(to), outcome) => goes_not_to(&is, to, outcome),
        (Expect::Status(status), Outcome::Upstream { .. }) => {
            format!("{is}, and is not answered {status}")
        }
        (Expect::Status(status), _) => format!("{is}, not {status}"),
    };
    let message = format!("`{}` {message}", promise.url);
    Some(promise.spot.error(
        message,
        Some(help(promise, &explanation, request)),
        &config.filled,
    ))
}

/// What is said of a request of which something `is` true, and which does not go where it should.
fn goes_not_to(is: &str, to: &impl fmt::Display, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Upstream { .. } => format!("{is}, not to {to}"),
        Outcome::Answer { .. } | Outcome::Refused { .. } => {
            format!("{is}, and does not go to {to}")
        }
    }
}

/// Whether a request becomes what was expected.
fn is_kept(expect: &Expect, outcome: &Outcome, config: &Config) -> bool {
    let upstream = match outcome {
        Outcome::Upstream { route, .. } => match &config.routes[*route].to {
            Action::ProxyPass(upstream) => Some(upstream),
            Action::Return(_) => None,
        },
        Outcome::Answer { .. } | Outcome::Refused { .. } => None,
    };
    match expect {
        Expect::Upstream(to) => upstream.is_some_and(|upstream| upstream.may_lead_to(to)),
        Expect::Group(to) => upstream.is_some_and(|upstream| upstream.is_group(to)),
        Expect::Status(status) => outcome.status().is_some_and(|answered| answered == *status),
    }
}

/// What becomes of a request, as a part of a sentence.
fn what_happens(outcome: &Outcome, config: &Config) -> String {
    match outcome {
        Outcome::Upstream { route, .. } => {
            let route = &config.routes[*route];
            let to = match &route.to {
                Action::ProxyPass(upstream) => upstream.origin(),
                Action::Return(_) => String::new(),
            };
            format!("goes to {to} ({})", config.place(route.line))
        }
        Outcome::Answer { route, status, .. } => {
            let by = match route {
                Some(route) => config.place(config.routes[*route].line),
                None => "`redirect: https`".to_owned(),
            };
            format!("is answered {} ({by})", status.as_u16())
        }
        Outcome::Refused { status, told } => format!("is answered {} ({told})", status.as_u16()),
    }
}

/// How to find out more about an entry that does not hold.
fn help(promise: &Promise, explanation: &Explanation, request: &Request) -> String {
    let asks = &explanation.asks;
    let method = if request.is_upgrade() {
        "a WebSocket at"
    } else {
        "GET"
    };
    let mut help = format!(
        "a client `{}` requests {method} {}",
        asks.kind, request.target
    );
    if asks.chosen == Chosen::Guessed {
        help += "; if it is another, say which, as in `client: websocket`";
    }
    help += &format!("\n`wsgate explain {}", in_a_shell(&promise.url.to_string()));
    if asks.chosen == Chosen::Said {
        help += &format!(" --client {}", asks.kind);
    }
    if let Some(path) = &promise.options.path {
        help += &format!(" --path {}", path.as_str());
    }
    help + "` says why"
}

/// A word as it is written in a shell, in quotes if it needs them.
fn in_a_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.@%+,=_-".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The addresses of all listeners, as a sentence.
pub fn listeners(config: &Config) -> String {
    let all =
        config
            .listeners
            .iter()
            .map(|listener| match (listener.address.ip(), &listener.tls) {
                (None, _) => listener.address.to_string(),
                (Some(address), None) => format!("ws://{address}"),
                (Some(address), Some(_)) => format!("wss://{address}"),
            });
    format!("the listeners are {}", all.collect::<Vec<_>>().join(", "))
}
