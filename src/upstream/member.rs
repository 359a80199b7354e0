//! One server of a group: what is written of it, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::affinity::ServerId;
use crate::upstream::MemberState;
use crate::upstream::Server;
use crate::upstream::balance::rendezvous::Entrant;
use crate::upstream::sticky_cookie;

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
    id: ServerId,
    /// What a client's cookie says that leads here.
    cookie_value: Option<HeaderValue>,
    entrant: Entrant,
}

impl Member {
    /// A server of the group of this name, of which nothing is known yet.
    pub fn new(group: &str, server: Arc<Server>, settings: MemberSettings) -> Self {
        let address = server.authority();
        Self {
            id: ServerId::of(group, &address),
            cookie_value: sticky_cookie::value(group, &address),
            entrant: Entrant::new(&address, settings.weight),
            server,
            settings,
            state: Arc::default(),
        }
    }

    /// This server, of which all is known that is known of the other one, which is reached alike. It is the very same server, with its
    /// TLS sessions, unless it is written otherwise.
    pub(super) fn going_on(mut self, known: &Self) -> Self {
        self.state = Arc::clone(&known.state);
        if self.server.is_configured_alike(&known.server) {
            self.server = Arc::clone(&known.server);
        }
        self
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

    /// By what sessions and cookies name it.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// What a client's cookie says that leads here, without its name.
    pub(super) fn cookie_value(&self) -> Option<&HeaderValue> {
        self.cookie_value.as_ref()
    }

    /// How it takes part in the draws for a key.
    pub(super) fn entrant(&self) -> Entrant {
        self.entrant
    }
}
