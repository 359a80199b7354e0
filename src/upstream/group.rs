//! A group of servers that answer the same requests: nginx's `upstream` block.
//!
//! A [`Group`] is a value: its settings, and a [`Member`] for each address that it has now. A reload, or a name that leads elsewhere,
//! makes another one. What must outlive both is in [`GroupState`] and in each member's [`MemberState`](crate::upstream::MemberState),
//! which go from one value to the next by the group's name and the member's address.

use std::sync::Arc;
use std::time::Instant;

use crate::upstream::GroupSettings;
use crate::upstream::GroupState;
use crate::upstream::Member;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::WrittenServer;
use crate::upstream::balance::tier::Tiers;
use crate::upstream::group_parts::EntryAddresses;
use crate::upstream::group_parts::GroupParts;
use crate::upstream::group_parts::members;

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
