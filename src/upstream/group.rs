//! A group of servers that answer the same requests: nginx's `upstream` block.
//!
//! A [`Group`] is a value: its settings, and a [`Member`] for each address that it has now. A reload, or a name that leads elsewhere,
//! makes another one. What must outlive both is in [`GroupState`] and in each member's [`MemberState`](crate::upstream::MemberState),
//! which go from one value to the next by the group's name and the member's address.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::affinity::Affinity;
use crate::upstream::HashKey;
use crate::upstream::Member;
use crate::upstream::MemberSettings;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::Server;
use crate::upstream::balance::cursor::Cursor;
use crate::upstream::balance::tier::Tiers;
use crate::upstream::group_set::EntryAddresses;
use crate::upstream::group_set::members;

/// The longest sequence in which the servers of a group take turns: the sum of the weights, once all are divided by what divides them
/// all. It is made when the configuration is read, and each of its turns takes two bytes.
pub const MOST_TURNS: u32 = 65_535;

/// What `upstreams` says of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// The name of the group; of a list in `proxy_pass`, the name of its route.
    pub name: String,
    /// How a server is chosen for a request that belongs to none of them.
    pub balance: Balance,
    /// How a request finds the server that it belongs to.
    pub sticky: Sticky,
    /// How servers are asked whether they are well, beside what requests show.
    pub health_check: Option<HealthCheck>,
    /// How long a server that has recovered is given less than its share.
    pub slow_start: Duration,
    /// Whether the tunnels of a server end that a health check has found down.
    pub close_tunnels: bool,
    /// How often names with `resolve` are looked up.
    pub valid: Duration,
}

impl GroupSettings {
    /// What holds for a group that says no more than its servers.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            balance: Balance::default(),
            sticky: Sticky::default(),
            health_check: None,
            slow_start: Duration::from_secs(10),
            close_tunnels: false,
            valid: Duration::from_secs(5),
        }
    }
}

/// How a server is chosen for a request that belongs to none of them: `balance`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balance {
    /// The server with the fewest open requests and tunnels by its weight.
    #[default]
    LeastConn,
    /// Servers in turn, by nginx's smooth weighted sequence.
    RoundRobin,
    /// By the address of the client.
    IpHash,
    /// By the value of these variables; where that is empty, by [`LeastConn`](Self::LeastConn).
    Hash(HashKey),
}

/// How a request finds the server that it belongs to: `sticky`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sticky {
    /// Whether by its Engine.IO session.
    pub sid: bool,
    /// Whether by a cookie, and by which one.
    pub cookie: Option<StickyCookie>,
}

impl Default for Sticky {
    /// By the session, which needs nothing of a client.
    fn default() -> Self {
        Self {
            sid: true,
            cookie: None,
        }
    }
}

/// The cookie with which a client comes back to its server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// What follows its value in `Set-Cookie`: `; Path=/; Secure`.
    pub attributes: String,
}

/// How servers are asked whether they are well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HealthCheck {
    /// By connecting.
    Tcp,
    /// By a GET for this path, which must be answered 2xx or 3xx.
    Http(String),
    /// By a poll at this path for a session that cannot exist, which an Engine.IO server refuses.
    EngineIo(String),
}

/// What outlives the values of a group.
#[derive(Debug, Default)]
pub struct GroupState {
    /// Which turn of the sequence is the next one.
    cursor: Cursor,
    /// Which server each session belongs to.
    affinity: Affinity,
}

impl GroupState {
    /// Which turn of the sequence is the next one.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Which server each session belongs to.
    pub fn affinity(&self) -> &Affinity {
        &self.affinity
    }
}

/// The servers of a group as they are now.
#[derive(Clone, Debug)]
pub struct Group {
    settings: Arc<GroupSettings>,
    /// What the group's entry says, each with what its TLS needs.
    written: Arc<[WrittenServer]>,
    /// Where each of these entries is reached now.
    addresses: Box<[EntryAddresses]>,
    state: Arc<GroupState>,
    members: Box<[Member]>,
    tiers: Tiers,
}

/// What a value of a group is made of.
#[derive(Debug)]
pub(super) struct GroupParts {
    /// What `upstreams` says of the group.
    pub(super) settings: Arc<GroupSettings>,
    /// Its entries.
    pub(super) written: Arc<[WrittenServer]>,
    /// Where each of them is reached.
    pub(super) addresses: Box<[EntryAddresses]>,
    /// What outlives the value.
    pub(super) state: Arc<GroupState>,
}

/// One entry of a group's `servers`.
#[derive(Clone, Debug)]
pub struct WrittenServer {
    /// The server, by its name if it is written so. Its `proxy_pass` has no path.
    pub server: Arc<Server>,
    /// What the entry says of it.
    pub settings: MemberSettings,
}

impl Group {
    /// A group with these servers, which are as many as are written, and none of which is known yet.
    pub fn new(settings: GroupSettings, servers: Vec<WrittenServer>) -> Self {
        let addresses = servers.iter().map(|_| EntryAddresses::default());
        let parts = GroupParts {
            settings: Arc::new(settings),
            addresses: addresses.collect(),
            written: servers.into(),
            state: Arc::default(),
        };
        Self::of(parts, &[])
    }

    /// The group of these parts. What is known of servers is that of `known`, where those are reached alike.
    pub(super) fn of(parts: GroupParts, known: &[&Member]) -> Self {
        let members = members(&parts, known);
        Self {
            tiers: Tiers::of(&members),
            members,
            settings: parts.settings,
            written: parts.written,
            addresses: parts.addresses,
            state: parts.state,
        }
    }

    /// The parts of another value of this group.
    pub(super) fn parts(&self) -> GroupParts {
        GroupParts {
            settings: Arc::clone(&self.settings),
            written: Arc::clone(&self.written),
            addresses: self.addresses.clone(),
            state: Arc::clone(&self.state),
        }
    }

    /// Where each of its entries is reached now.
    pub(super) fn addresses(&self) -> &[EntryAddresses] {
        &self.addresses
    }

    /// What `upstreams` says of it.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// The entries of `servers`.
    pub fn written(&self) -> &[WrittenServer] {
        &self.written
    }

    /// Its servers as they are now.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What outlives this value.
    pub fn state(&self) -> &Arc<GroupState> {
        &self.state
    }

    /// Its servers among which it is chosen.
    pub(super) fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// Whether all servers among which it is chosen are down. They are chosen nevertheless, since nothing would be gained by not asking.
    pub fn is_all_down(&self) -> bool {
        let mut places = self.tiers.candidates().peekable();
        places.peek().is_some() && places.all(|at| self.members[at].state().is_down())
    }

    /// How many sessions of one of its servers are not over. This looks through all sessions, and is for threads that serve nobody.
    pub fn live_sessions(&self, member: &Member, now: Instant) -> usize {
        self.state.affinity().sessions_of(member.id(), now)
    }

    /// Whether the configuration says the same of both.
    pub fn is_configured_alike(&self, other: &Self) -> bool {
        let mut pairs = self.written.iter().zip(&*other.written);
        self.settings == other.settings
            && self.written.len() == other.written.len()
            && pairs.all(|(own, other)| {
                own.settings == other.settings && own.server.is_configured_alike(&other.server)
            })
    }
}

/// A `proxy_pass` that names a group.
#[derive(Clone, Debug)]
pub(super) struct GroupPass {
    /// The group, whose servers all have the scheme of this `proxy_pass`.
    pub(super) group: Arc<Group>,
    /// What replaces the location.
    pub(super) uri: Option<String>,
    /// `http://` or `https://`.
    pub(super) scheme: Scheme,
}

impl GroupPass {
    /// The `proxy_pass` as it is written, with this path.
    pub(super) fn shown(&self, uri: Option<&str>) -> String {
        if self.group.is_nameless_list() {
            return self.group.as_list(uri);
        }
        let uri = uri.unwrap_or_default();
        format!("{}{}{uri}", self.scheme, self.group.settings.name)
    }

    /// Whether one of the group's entries is this server.
    pub(super) fn has(&self, server: &ProxyPass) -> bool {
        let mut written = self.group.written.iter();
        written.any(|one| one.server.proxy_pass().address() == server.address())
    }
}
