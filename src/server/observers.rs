//! Who hears of what happens, from the start of the process to its end.

use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::engineio::Diagnosis;
use crate::observe::AccessLog;
use crate::observe::ConnectionLog;
use crate::observe::GroupLog;
use crate::observe::LineSink;
use crate::observe::Observer;
use crate::observe::OrdinaryLines;

/// The observers of a process. They are made once, at its start, so that what they have counted or said outlives every
/// configuration. Two things are up to a configuration: whether there is an access log, and what the diagnosis has said already. A
/// request keeps those of the configuration under which it began, to the end of the tunnel that it may become.
#[derive(Clone, Debug)]
pub(super) struct Observers {
    others: Arc<dyn Observer>,
    /// Says why clients of the routes that are served now are refused, of each once a minute.
    diagnosis: Arc<Diagnosis>,
    /// Takes the access log's lines; without it they go through `tracing`.
    lines: Option<LineSink>,
}

impl Observers {
    /// The observers of every process; add another one here.
    pub(super) fn new(lines: Option<LineSink>) -> Self {
        Self {
            others: Arc::new((ConnectionLog::default(), GroupLog)),
            diagnosis: Arc::default(),
            lines,
        }
    }

    /// Only this observer, and the access log through `tracing`.
    #[cfg(test)]
    pub(super) fn with(observer: Arc<dyn Observer>) -> Self {
        Self {
            others: observer,
            diagnosis: Arc::default(),
            lines: None,
        }
    }

    /// Hears of what happens to connections and to the servers of groups, which belong to no configuration.
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
        let others = (Arc::clone(&self.diagnosis), Arc::clone(&self.others));
        Arc::new((access_log, others))
    }

    /// From now on requests are served by other routes, of which the diagnosis has said nothing. What began under those of before
    /// is diagnosed by what was said of them.
    pub(super) fn begin_other_routes(&mut self) {
        self.diagnosis = Arc::default();
    }

    /// Tells them that another configuration is served.
    pub(super) fn reloaded(&self) {
        self.others.reloaded();
    }
}
