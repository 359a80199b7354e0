//! Where the system does not tell: SIGHUP does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::cli::watch::WatchError;

/// Nothing is.
#[derive(Debug)]
pub(in crate::cli) struct Watch(Infallible);

impl Watch {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub(in crate::cli) fn new() -> Result<Self, WatchError> {
        Err(WatchError {
            path: None,
            errno: Errno::NOSYS,
        })
    }

    pub(in crate::cli) fn follow(&mut self, _: &BTreeSet<PathBuf>) -> Result<(), WatchError> {
        match self.0 {}
    }

    pub(in crate::cli) async fn changed(&mut self) {
        match self.0 {}
    }
}
