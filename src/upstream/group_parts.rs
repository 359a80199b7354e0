//! What a value of a group is made of: its entries, where each of them is reached, and the servers that these are together.

use std::net::IpAddr;
use std::sync::Arc;

use crate::affinity::Affinity;
use crate::upstream::GroupSettings;
use crate::upstream::Member;
use crate::upstream::MemberSettings;
use crate::upstream::Server;
use crate::upstream::balance::cursor::Cursor;

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

/// Where the server of one entry is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct EntryAddresses {
    /// The addresses that its name has, in order. None before the first answer, and where no name is followed: then it is reached as it
    /// is written.
    pub(super) current: Vec<IpAddr>,
    /// The addresses that its name had, and whose servers still have something to do.
    pub(super) vanished: Vec<IpAddr>,
}

impl EntryAddresses {
    pub(super) fn is_as_written(&self) -> bool {
        self.current.is_empty()
    }

    /// How many servers the entry stands for, without the vanished ones.
    pub(super) fn servers(&self) -> usize {
        self.current.len().max(1)
    }
}

/// Whether what is known of one server holds for the other.
pub(super) fn is_same(own: &Member, known: &Member) -> bool {
    own.server().is_reached_alike(known.server())
}

/// The servers of a group, entry by entry: what each has now, then what has vanished. Of those that are reached alike, what is known is
/// that of `known`, each for one of them.
pub(super) fn members(parts: &GroupParts, known: &[&Member]) -> Box<[Member]> {
    let mut known: Vec<Option<&Member>> = known.iter().copied().map(Some).collect();
    let mut members = Vec::new();
    for (written, addresses) in parts.written.iter().zip(&parts.addresses) {
        let mut add = |server: Arc<Server>, settings: MemberSettings| {
            let fresh = Member::new(&parts.settings.name, server, settings);
            let mut slots = known.iter_mut();
            let known = slots.find(|slot| slot.is_some_and(|known| is_same(&fresh, known)));
            members.push(match known.and_then(Option::take) {
                Some(known) => fresh.going_on(known),
                None => fresh,
            });
        };
        if addresses.is_as_written() {
            add(Arc::clone(&written.server), written.settings.clone());
        }
        for ip in &addresses.current {
            add(Arc::new(written.server.at(*ip)), written.settings.clone());
        }
        for ip in &addresses.vanished {
            let settings = MemberSettings {
                drain: true,
                ..written.settings.clone()
            };
            add(Arc::new(written.server.at(*ip)), settings);
        }
    }
    members.into()
}
