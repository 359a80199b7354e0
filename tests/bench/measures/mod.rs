//! What is measured; a file for each kind of work.

pub(crate) mod access_log;
pub(crate) mod bulk;
pub(crate) mod connections;
pub(crate) mod fan_out;
pub(crate) mod group;
pub(crate) mod growth;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod messages;
pub(crate) mod requests;
pub(crate) mod storm;
mod window;
