//! Who hears of what happens, from the start of the process to its end.

use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::engineio::Diagnosis;
use crate::observe::AccessLog;
use crate::observe::ConnectionLog;
use crate::observe::LineSink;
use crate::observe::Observer;
use crate::observe::OrdinaryLines;

/// The observers of a process. They are made once, at its start, so that what they have counted or said outlives every
/// configuration. Only whether there is an access log is up to a configuration: a request that began under one that wants
/// it is logged when it ends under another, and so is a tunnel.
#[derive(Clone, Debug)]
pub(super) struct Observers {
    others: Arc<dyn Observer>,
    /// Takes the access log's lines; without it they go through `tracing`.
    lines: Option<LineSink>,
}

impl Observers {
    /// The observers of every process; add another one here.
    pub(super) fn new(lines: Option<LineSink>) -> Self {
        let others = Arc::new((ConnectionLog::default(), Diagnosis::default()));
        Self { others, lines }
    }

    /// Only this observer, and the access log through `tracing`.
    #[cfg(test)]
    pub(super) fn with(observer: Arc<dyn Observer>) -> Self {
        Self {
            others: observer,
            lines: None,
        }
    }

    /// Hears of what happens to connections, which belong to no configuration.
    pub(super) fn of_connections(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.others)
    }

    /// Hears of requests that are served by `config`.
    pub(super) fn of_requests(&self, config: &Config) -> Arc<dyn Observer> {
        let access_log = AccessLog {
            ordinary: match config.access_log {
                config::AccessLog::On => OrdinaryLines::Written,
                config::AccessLog::Off => OrdinaryLines::LeftOut,
            },
            sink: self.lines,
        };
        Arc::new((access_log, Arc::clone(&self.others)))
    }

    /// Tells them that another configuration is about to be served.
    pub(super) fn reloaded(&self) {
        self.others.reloaded();
    }
}
