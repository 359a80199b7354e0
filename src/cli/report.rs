//! What a start and an end say: lines for a person, or JSON for a program.

mod reload;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use time::Date;
use time::format_description::well_known::Iso8601;

use crate::cli::LogFormat;
use crate::cli::logging;
use crate::config::Action;
use crate::config::Config;
use crate::config::Route;
use crate::server::Listening;
use crate::server::Probed;
use crate::server::StartError;
use crate::stream::ListenAddr;

/// Who is spoken to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice(LogFormat);

impl Voice {
    pub(super) fn new(format: LogFormat) -> Self {
        Self(format)
    }

    /// What listens where, and which location goes where.
    pub(super) fn started(self, config: &Config, listening: &[Listening]) {
        match self.0 {
            LogFormat::Text => say(&started(config, listening)),
            LogFormat::Json => {
                for listener in listening {
                    let url = listener
                        .address
                        .ip()
                        .map(|address| urls(address, listener).0);
                    tracing::info!(
                        address = listener.address.to_string().as_str(),
                        url = url.as_deref(),
                        "listening"
                    );
                }
                tracing::info!(
                    listeners = listening.len(),
                    routes = config.routes.len(),
                    threads = config.threads.get(),
                    "ready"
                );
            }
        }
    }

    /// An upstream was asked, by connecting only (with the TLS handshake of `https://`).
    pub(super) fn upstream(self, probed: &Probed) {
        let (upstream, route) = (probed.upstream.as_str(), probed.place.as_str());
        match &probed.outcome {
            Ok(()) => tracing::info!(upstream, route, "upstream answers"),
            Err(error) => tracing::warn!(
                upstream,
                route,
                reason = error.to_string().as_str(),
                "upstream does not answer"
            ),
        }
    }

    /// A signal came.
    pub(super) fn draining(self, signal: &str, limit: Duration) {
        tracing::info!(
            signal,
            drain_timeout = format!("{limit:?}").as_str(),
            "draining"
        );
    }

    /// Everything is over.
    pub(super) fn ended(self, cut: usize) {
        tracing::info!(connections_cut = cut, "ended");
    }

    /// A signal came that does nothing here.
    pub(super) fn without_meaning(self, signal: &str, reason: &str) {
        tracing::info!(signal, reason, "ignored");
    }

    /// A second signal came.
    pub(super) fn ended_at_once(self, signal: &str) {
        tracing::info!(signal, "ended at once");
    }
}

/// Why there is no start.
pub(super) fn cannot_run(error: &StartError, format: LogFormat) {
    match format {
        LogFormat::Text => say(&in_words(error)),
        LogFormat::Json => {
            tracing::error!(
                reason = error.to_string().as_str(),
                help = error.help().as_deref(),
                "cannot run"
            );
        }
    }
}

fn in_words(error: &StartError) -> String {
    let mut text = format!("{error}\n");
    if let Some(help) = error.help() {
        // Writing to a String cannot go wrong.
        let _ = writeln!(text, "  = help: {help}");
    }
    text
}

/// Words on standard error.
pub(super) fn say(text: &str) {
    logging::write(text.as_bytes());
}

fn started(config: &Config, listening: &[Listening]) -> String {
    let mut text = format!(
        "wsgate {} with {}, {}\n\nlistening\n",
        env!("CARGO_PKG_VERSION"),
        config.file.display(),
        counted(config.threads.get(), "thread")
    );
    let shown: Vec<(String, String)> = listening.iter().map(shown).collect();
    let widest = shown.iter().map(|(one, _)| one.len()).max().unwrap_or(0);
    for (listener, (one, other)) in listening.iter().zip(&shown) {
        let _ = write!(text, "  {one:widest$}   {other}");
        if listener
            .address
            .ip()
            .is_some_and(|of| of.ip().is_unspecified())
        {
            let _ = write!(text, "   on every interface");
        }
        text.push('\n');
        for (file, names, not_after) in listener.tls.iter().flat_map(|tls| &tls.certificates) {
            let _ = writeln!(
                text,
                "    {} for {}, valid until {}",
                file.display(),
                names.join(", "),
                day(not_after.date())
            );
        }
    }
    text.push_str("\nlocations\n");
    let routes = config.routes.iter();
    let locations: Vec<String> = routes
        .map(|route| config.filled.as_written(&requests(route)))
        .collect();
    let widest = locations
        .iter()
        .map(|location| location.chars().count())
        .max()
        .unwrap_or(0);
    for (route, location) in config.routes.iter().zip(&locations) {
        let to = match &route.to {
            Action::ProxyPass(to) => config.filled.as_written(&to.in_few_words()),
            Action::Return(written) => format!("return {}", written.status().as_u16()),
        };
        let _ = writeln!(
            text,
            "  {location:widest$}   {to}   {}",
            config.place(route.line)
        );
    }
    text.push('\n');
    text
}

/// Which requests a route is for.
pub(super) fn requests(route: &Route) -> String {
    let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
    let mut text = match hosts.as_slice() {
        [] => route.location.to_string(),
        hosts => format!("{} {}", hosts.join(", "), route.location),
    };
    if !route.when.is_empty() {
        text.push_str(" when ..");
    }
    text
}

/// A listener's addresses to copy, or its Unix socket and who may connect to that.
fn shown(listener: &Listening) -> (String, String) {
    match &listener.address {
        ListenAddr::Ip(address) => urls(*address, listener),
        ListenAddr::Unix(_) => {
            let tls = if listener.tls.is_some() { ", TLS" } else { "" };
            let mode = format!("mode {:04o}{tls}", listener.mode);
            (listener.address.to_string(), mode)
        }
    }
}

/// The addresses of a listener for a WebSocket client and for a browser.
fn urls(address: SocketAddr, listener: &Listening) -> (String, String) {
    let (ws, http, default_port) = match listener.tls {
        None => ("ws", "http", 80),
        Some(_) => ("wss", "https", 443),
    };
    let port = match address.port() {
        port if port == default_port => String::new(),
        port => format!(":{port}"),
    };
    let host = match address {
        address if address.ip().is_unspecified() => "localhost".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => match IpAddr::V6(*address.ip()).to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    };
    (
        format!("{ws}://{host}{port}"),
        format!("{http}://{host}{port}"),
    )
}

fn day(date: Date) -> String {
    date.format(&Iso8601::DATE)
        .unwrap_or_else(|_| date.to_string())
}

pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// What a file has is shown as it is, but for control characters.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
