//! Who hears of what happens, from the start of the process to its end.

use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::engineio::Diagnosis;
use crate::observe::AccessLog;
use crate::observe::ConnectionLog;
use crate::observe::Observer;

/// The observers of a process. They are made once, at its start, so that what they have counted or said outlives every
/// configuration. Only whether there is an access log is up to a configuration: a request that began under one that wants
/// it is logged when it ends under another, and so is a tunnel.
#[derive(Clone, Debug)]
pub(super) struct Observers(Arc<dyn Observer>);

impl Observers {
    /// Those of every process. Another observer is added here.
    pub(super) fn new() -> Self {
        Self::with(Arc::new((ConnectionLog::default(), Diagnosis::default())))
    }

    /// This one, and beside it the access log.
    pub(super) fn with(observer: Arc<dyn Observer>) -> Self {
        Self(observer)
    }

    /// Hears of what happens to connections, which belong to no configuration.
    pub(super) fn of_connections(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0)
    }

    /// Hears of requests that are served by `config`.
    pub(super) fn of_requests(&self, config: &Config) -> Arc<dyn Observer> {
        let access_log = match config.access_log {
            config::AccessLog::On => AccessLog::On,
            config::AccessLog::Off => AccessLog::Off,
        };
        Arc::new((access_log, Arc::clone(&self.0)))
    }

    /// Tells them that another configuration is served from now on.
    pub(super) fn reloaded(&self) {
        self.0.reloaded();
    }
}
