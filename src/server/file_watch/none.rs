//! Stands in for the watch where the system cannot tell that a file has changed; SIGHUP still makes wsgate read it again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::server::file_watch::WatchError;

/// The watch of a system that cannot tell. There is never one, so that nothing is asked of it.
#[derive(Debug)]
pub(in crate::server) struct NoWatch(Infallible);

impl NoWatch {
    /// Makes none.
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
