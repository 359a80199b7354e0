//! One server of a group: what is written of it, and what is known of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::upstream::Server;

/// What an entry of `servers` says beside the address; nginx's words and defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberSettings {
    /// Its share among the others.
    pub weight: u16,
    /// After how many failures in a row it is down; never, if 0.
    pub max_fails: u32,
    /// Within which time these failures must be.
    pub fail_timeout: Duration,
    /// The most requests and tunnels at a time.
    pub max_conns: Option<u32>,
    /// Whether it is asked only while no other server can be.
    pub backup: bool,
    /// Whether it is never asked.
    pub down: bool,
    /// Whether it gets nothing new: only what belongs to its sessions.
    pub drain: bool,
    /// Whether its name is followed: each of its addresses is a server, as they come and go.
    pub resolve: bool,
}

impl Default for MemberSettings {
    fn default() -> Self {
        Self {
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            max_conns: None,
            backup: false,
            down: false,
            drain: false,
            resolve: false,
        }
    }
}

/// One server of a group, which is one address.
#[derive(Clone, Debug)]
pub struct Member {
    server: Arc<Server>,
    settings: MemberSettings,
    state: Arc<MemberState>,
}

impl Member {
    /// A server of the group of this name, of which nothing is known yet.
    pub fn new(_group: &str, server: Arc<Server>, settings: MemberSettings) -> Self {
        Self {
            server,
            settings,
            state: Arc::default(),
        }
    }

    /// Where it is reached.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// What is written of it.
    pub fn settings(&self) -> &MemberSettings {
        &self.settings
    }

    /// What is known of it.
    pub fn state(&self) -> &Arc<MemberState> {
        &self.state
    }
}

/// What all threads know of a server. It outlives reloads.
#[derive(Debug, Default)]
pub struct MemberState {
    /// Requests and tunnels that it has, and those that are being connected.
    open: AtomicU32,
}

impl MemberState {
    /// How many requests and tunnels it has.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

/// Counts one request or tunnel of a server, until it is dropped.
#[derive(Debug)]
pub struct OpenGuard(Arc<MemberState>);

impl OpenGuard {
    /// Counts one more.
    pub fn new(of: &Arc<MemberState>) -> Self {
        of.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(of))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
