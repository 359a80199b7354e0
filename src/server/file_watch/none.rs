//! Where the system does not tell: SIGHUP does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::server::file_watch::WatchError;

/// Nothing is.
#[derive(Debug)]
pub(in crate::server) struct NoWatch(Infallible);

impl NoWatch {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub(in crate::server) fn new() -> Result<Self, WatchError> {
        Err(WatchError {
            path: None,
            errno: Errno::NOSYS,
        })
    }

    pub(in crate::server) fn follow(&mut self, _: &BTreeSet<PathBuf>) -> Result<(), WatchError> {
        match self.0 {}
    }

    pub(in crate::server) async fn changed(&mut self) {
        match self.0 {}
    }
}
