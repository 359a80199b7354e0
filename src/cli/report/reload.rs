//! What a reload says: what is different now, or why everything stays as it is.

use std::io;
use std::path::Path;

use crate::cli::LogFormat;
use crate::cli::logging;
use crate::cli::report::Voice;
use crate::cli::report::one_line;
use crate::cli::report::say;
use crate::config::Config;
use crate::config::Diagnostic;
use crate::config::Errors;
use crate::config::Severity;
use crate::server::Change;
use crate::server::Renewed;
use crate::server::StartError;
use crate::server::WatchError;
use crate::tls::CertificateError;
use crate::tls::Remark;

/// How many changes of one reload get a line of their own.
const SHOWN: usize = 20;

impl Voice {
    /// Every error and warning, as `check` prints them.
    pub(in crate::cli) fn wrong(self, errors: &Errors) {
        match self.0 {
            LogFormat::Text => {
                say(&format!(
                    "{}\n",
                    errors.shown(logging::paint(&io::stderr()))
                ));
            }
            LogFormat::Json => errors.iter().for_each(diagnostic),
        }
    }

    /// What is worth a warning in a file that is served.
    pub(in crate::cli) fn warnings(self, warnings: &[Diagnostic]) {
        for warning in warnings {
            match self.0 {
                LogFormat::Text => {
                    let paint = logging::paint(&io::stderr());
                    say(&format!("{}\n", warning.shown(paint)));
                }
                LogFormat::Json => diagnostic(warning),
            }
        }
    }

    /// The system refused what the file says.
    pub(in crate::cli) fn refused(self, error: &StartError) {
        match self.0 {
            LogFormat::Text => say(&super::in_words(error)),
            LogFormat::Json => tracing::error!(
                reason = error.to_string().as_str(),
                help = error.help().as_deref(),
                "configuration"
            ),
        }
    }

    /// It was a pipe, for instance.
    pub(in crate::cli) fn only_once(self, file: &Path) {
        tracing::error!(
            place = file.display().to_string().as_str(),
            reason = "this is no file that could be read a second time",
            "configuration"
        );
    }

    /// The end of what is said about a file that is not served.
    pub(in crate::cli) fn not_reloaded(self, by: &str) {
        tracing::error!(by, "not reloaded: the configuration of before goes on");
    }

    /// All of a file is served now.
    pub(in crate::cli) fn reloaded(self, by: &str, changes: &[Change], config: &Config) {
        self.changes(changes);
        tracing::info!(
            by,
            listeners = config.listeners.len(),
            routes = config.routes.len(),
            changes = changes.len(),
            "reloaded"
        );
    }

    /// Nobody has written anything since the last time.
    pub(in crate::cli) fn nothing_changed(self, by: &str) {
        tracing::info!(by, "nothing changed");
    }

    /// Certificates were read again.
    pub(in crate::cli) fn renewed(self, renewed: &Renewed) {
        for error in &renewed.kept {
            self.kept(error);
        }
        self.changes(&renewed.changes);
        if !renewed.changes.is_empty() {
            tracing::info!(certificates = renewed.changes.len(), "certificates renewed");
        }
        self.remarks(&renewed.remarks);
    }

    /// Clients may refuse a certificate that is shown.
    pub(in crate::cli) fn remarks(self, remarks: &[Remark]) {
        for remark in remarks {
            let (reason, help) = (remark.to_string(), remark.help());
            let (reason, help) = (reason.as_str(), help.as_str());
            if remark.is_error() {
                tracing::error!(reason, help, "certificate");
            } else {
                tracing::warn!(reason, help, "certificate");
            }
        }
    }

    fn kept(self, error: &CertificateError) {
        tracing::error!(
            reason = error.to_string().as_str(),
            help = error.help().as_str(),
            "certificate not renewed: the one of before goes on"
        );
    }

    /// It comes too late.
    pub(in crate::cli) fn ignored(self, signal: &str) {
        tracing::info!(signal, "ignored: draining");
    }

    /// A file that is saved will not be noticed.
    pub(in crate::cli) fn not_watching(self, file: &Path, error: &WatchError) {
        tracing::warn!(
            reason = error.to_string().as_str(),
            help = error.help().as_str(),
            "changes of {} may not be noticed",
            file.display()
        );
    }

    fn changes(self, changes: &[Change]) {
        for change in changes.iter().take(SHOWN) {
            match self.0 {
                LogFormat::Text => tracing::info!("{}", one_line(&change.to_string())),
                LogFormat::Json => tracing::info!(
                    change = change.sign.word(),
                    kind = change.kind,
                    name = change.name.as_str(),
                    detail = some(&change.detail),
                    place = change.place.as_deref(),
                    "change"
                ),
            }
        }
        if let Some(more @ 1..) = changes.len().checked_sub(SHOWN) {
            tracing::info!(changes = more, "and more");
        }
    }
}

fn diagnostic(diagnostic: &Diagnostic) {
    let (place, reason, help) = diagnostic.in_parts();
    let (place, reason, help) = (place.as_str(), reason.as_str(), help.as_deref());
    match diagnostic.severity() {
        Severity::Error => tracing::error!(place, reason, help, "configuration"),
        Severity::Warning => tracing::warn!(place, reason, help, "configuration"),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
