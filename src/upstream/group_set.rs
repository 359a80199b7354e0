//! The servers that a group has now: those of its entries, and of the names among them those that the names lead to.
//!
//! A group is a value, and so is every change of it: [`Group::adopting`] goes on with what was known before a reload,
//! [`Group::resolved`] with other addresses of a name, and [`Group::without`] leaves out servers that a name does not lead to any
//! more and that have nothing left to do. Whoever holds the value of before keeps it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::upstream::Address;
use crate::upstream::Group;
use crate::upstream::Host;
use crate::upstream::Member;
use crate::upstream::WrittenServer;
use crate::upstream::group_parts::EntryAddresses;
use crate::upstream::group_parts::GroupParts;
use crate::upstream::group_parts::is_same;

/// The most addresses that are taken of one name: what comes over TCP from a name server could be four times as many, and no
/// service has so many.
const MOST_ADDRESSES: usize = 1024;

/// An entry of a group that is a name.
#[derive(Clone, Debug)]
pub struct EntryName {
    /// Which entry of the group it is.
    pub entry: usize,
    /// The name.
    pub name: String,
    /// The port.
    pub port: u16,
    /// Whether the name is followed for as long as it is served.
    pub resolve: bool,
}

impl Group {
    /// This group, as it was read from the file, with what is known from `before`: of its servers, wherever they are reached alike, and of
    /// the group. It is one of those itself if that is configured alike.
    pub fn adopting(self, before: &[Arc<Self>]) -> Arc<Self> {
        let named = before.iter();
        let named = named.filter(|other| other.settings().name == self.settings().name);
        let named: Vec<&Arc<Self>> = named.collect();
        if let Some(same) = named.iter().find(|other| self.is_configured_alike(other)) {
            return Arc::clone(same);
        }
        // Two schemes, or two ways to verify, are two groups of one name. Sessions go on with either.
        let shared = |other: &&&Arc<Self>| {
            let mut pairs = other.members().iter();
            pairs.any(|known| self.members().iter().any(|own| is_same(own, known)))
        };
        let Some(closest) = named.iter().find(shared).or(named.first()) else {
            return Arc::new(self);
        };
        let entries = named.iter().flat_map(|other| other.entries());
        let entries: Vec<_> = entries.collect();
        let addresses = self.written().iter().map(|written| {
            let address = written.server.proxy_pass().address();
            let mut known = entries.iter();
            let known = known.find(|(known, _)| known.server.proxy_pass().address() == address);
            known.map_or_else(EntryAddresses::default, |(_, found)| (*found).clone())
        });
        let parts = GroupParts {
            addresses: addresses.collect(),
            state: Arc::clone(closest.state()),
            ..self.parts()
        };
        let known = named.iter().flat_map(|other| other.members());
        Arc::new(Self::of(parts, &known.collect::<Vec<_>>()))
    }

    /// The entries that are names.
    pub fn names(&self) -> Vec<EntryName> {
        let written = self.written().iter().enumerate();
        let names =
            written.filter_map(
                |(entry, written)| match written.server.proxy_pass().address() {
                    Address::Port {
                        host: Host::Name(name),
                        port,
                        ..
                    } => Some(EntryName {
                        entry,
                        name: name.clone(),
                        port: *port,
                        resolve: written.settings.resolve,
                    }),
                    Address::Port { .. } | Address::Unix(_) => None,
                },
            );
        names.collect()
    }

    /// This group, now that the name of an entry leads to these addresses; `None` if nothing changes. Servers at addresses that it does
    /// not lead to any more get nothing new from now on. No address at all changes nothing: it is a failure of the name server more
    /// often than a group without servers.
    pub fn resolved(&self, entry: usize, found: &[IpAddr]) -> Option<Self> {
        let mut current = found.to_vec();
        current.sort_unstable();
        current.dedup();
        current.truncate(MOST_ADDRESSES);
        let written = self.written().get(entry)?;
        let before = self.addresses().get(entry)?;
        // One address is what a connection finds by itself, and follows.
        let is_plain = !written.settings.resolve
            && before.is_as_written()
            && (current.len() == 1 || is_this_machine(&current));
        if current.is_empty() || current == before.current || is_plain {
            return None;
        }
        let had = before.current.iter().chain(&before.vanished);
        let vanished = had.filter(|ip| !current.contains(ip)).copied();
        let vanished = vanished.collect();
        let mut parts = self.parts();
        parts.addresses[entry] = EntryAddresses { current, vanished };
        Some(self.with(parts))
    }

    /// The places of servers to whose addresses their names do not lead any more.
    pub fn vanished(&self) -> impl Iterator<Item = &Member> {
        let all = self.addresses().iter();
        let is_vanished = all.flat_map(|entry| {
            let (current, vanished) = (entry.servers(), entry.vanished.len());
            [false]
                .repeat(current)
                .into_iter()
                .chain([true].repeat(vanished))
        });
        let pairs = self.members().iter().zip(is_vanished);
        pairs.filter(|(_, is)| *is).map(|(member, _)| member)
    }

    /// This group without those vanished servers that have this in common; `None` if that is none of them.
    pub fn without(&self, gone: impl Fn(&Member) -> bool) -> Option<Self> {
        let mut kept = self.vanished().map(|member| !gone(member));
        let mut parts = self.parts();
        for entry in &mut parts.addresses {
            entry.vanished.retain(|_| kept.next().unwrap_or(true));
        }
        drop(kept);
        (*parts.addresses != *self.addresses()).then(|| self.with(parts))
    }

    fn with(&self, parts: GroupParts) -> Self {
        let known = self.members().iter();
        Self::of(parts, &known.collect::<Vec<_>>())
    }

    fn entries(&self) -> impl Iterator<Item = (&WrittenServer, &EntryAddresses)> {
        self.written().iter().zip(self.addresses())
    }
}

/// Whether these are the addresses by which a machine calls itself, as `localhost` has them: two ways to one server, not two servers.
fn is_this_machine(addresses: &[IpAddr]) -> bool {
    addresses.len() == 2 && addresses.iter().all(IpAddr::is_loopback) && {
        let [one, other] = [addresses[0], addresses[1]];
        one.is_ipv4() != other.is_ipv4()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::upstream::Balance;
    use crate::upstream::Group;
    use crate::upstream::GroupSettings;
    use crate::upstream::Member;
    use crate::upstream::MemberSettings;
    use crate::upstream::Server;
    use crate::upstream::Sticky;
    use crate::upstream::WrittenServer;

    fn settings(name: &str) -> GroupSettings {
        GroupSettings {
            name: name.to_owned(),
            balance: Balance::default(),
            sticky: Sticky::default(),
            health_check: None,
            slow_start: Duration::ZERO,
            close_tunnels: false,
            valid: Duration::from_secs(5),
        }
    }

    fn written(to: &str, settings: MemberSettings) -> WrittenServer {
        WrittenServer {
            server: Arc::new(
                Server::new(format!("http://{to}").parse().unwrap(), |_| None).unwrap(),
            ),
            settings,
        }
    }

    fn group(servers: &[&str]) -> Group {
        let servers = servers
            .iter()
            .map(|to| written(to, MemberSettings::default()));
        Group::new(settings("chat"), servers.collect())
    }

    /// A group of one name that is followed.
    fn followed() -> Group {
        let resolve = MemberSettings {
            resolve: true,
            ..MemberSettings::default()
        };
        Group::new(settings("chat"), vec![written("chat.test:3000", resolve)])
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Each server: `-` before one that gets nothing new.
    fn shown(group: &Group) -> Vec<String> {
        let members = group.members().iter();
        let shown = members.map(|member| {
            let sign = if member.settings().drain { "-" } else { "" };
            format!("{sign}{}", member.server().authority())
        });
        shown.collect()
    }

    #[test]
    fn a_server_stays_what_it_was_when_another_one_comes_goes_or_drains() {
        let before = Arc::new(group(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]));
        let drain = MemberSettings {
            drain: true,
            weight: 3,
            ..MemberSettings::default()
        };
        let mut servers = vec![written("10.0.0.4:1", MemberSettings::default())];
        servers.push(written("10.0.0.3:1", MemberSettings::default()));
        servers.push(written("10.0.0.1:1", drain));
        let other = Arc::new(Group::new(settings("other"), vec![]));
        let after = Group::new(settings("chat"), servers).adopting(&[other, Arc::clone(&before)]);
        assert_eq!(shown(&after), ["10.0.0.4:1", "10.0.0.3:1", "-10.0.0.1:1"]);
        for (at, was) in [(1, 2), (2, 0)] {
            let (is, was) = (&after.members()[at], &before.members()[was]);
            assert!(Arc::ptr_eq(is.state(), was.state()));
            assert!(Arc::ptr_eq(is.server(), was.server()));
        }
        assert_eq!(after.members()[2].settings().weight, 3);
        assert!(Arc::ptr_eq(after.state(), before.state()));
    }

    #[test]
    fn a_group_that_is_read_again_is_the_one_that_there_was() {
        let before = Arc::new(group(&["10.0.0.1:1", "10.0.0.2:1"]));
        let known = [Arc::clone(&before)];
        let after = group(&["10.0.0.1:1", "10.0.0.2:1"]).adopting(&known);
        assert!(Arc::ptr_eq(&after, &before));
        let mut renamed = group(&["10.0.0.1:1", "10.0.0.2:1"]);
        let parts = renamed.parts();
        renamed = Group::new(settings("news"), parts.written.to_vec());
        let after = renamed.adopting(&known);
        assert!(!Arc::ptr_eq(
            after.members()[0].state(),
            before.members()[0].state()
        ));
    }

    #[test]
    fn two_entries_of_one_address_are_counted_each_for_itself() {
        let before = Arc::new(group(&["10.0.0.1:1", "10.0.0.1:1"]));
        let after = group(&["10.0.0.1:1", "10.0.0.1:1", "10.0.0.2:1"]).adopting(&[before]);
        let [one, other, _] = after.members() else {
            panic!("three")
        };
        assert!(!Arc::ptr_eq(one.state(), other.state()));
    }

    #[test]
    fn a_name_is_one_server_until_it_is_known_and_then_as_many_as_it_has() {
        let group = followed();
        assert_eq!(shown(&group), ["chat.test:3000"]);
        assert!(
            group.resolved(0, &[]).is_none(),
            "no failure empties a group"
        );
        let found = ips(&["2001:db8::1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]);
        let group = group.resolved(0, &found).unwrap();
        let all = ["10.0.0.1:3000", "10.0.0.2:3000", "[2001:db8::1]:3000"];
        assert_eq!(shown(&group), all);
        let mut turned = found.clone();
        turned.reverse();
        assert!(
            group.resolved(0, &turned).is_none(),
            "the order means nothing"
        );
        assert!(group.resolved(0, &[]).is_none());
        assert_eq!(group.vanished().count(), 0);
    }

    #[test]
    fn an_address_that_vanishes_drains_and_comes_back_as_what_it_was() {
        let both = ips(&["10.0.0.1", "10.0.0.2"]);
        let begun = followed().resolved(0, &both).unwrap();
        let state = Arc::clone(begun.members()[1].state());
        let open = state.raise();
        let half = begun.resolved(0, &both[..1]).unwrap();
        assert_eq!(shown(&half), ["10.0.0.1:3000", "-10.0.0.2:3000"]);
        let is_idle = |member: &Member| member.state().open() == 0;
        assert!(
            half.without(is_idle).is_none(),
            "something is still open there"
        );
        let back = half.resolved(0, &both).unwrap();
        assert_eq!(shown(&back), ["10.0.0.1:3000", "10.0.0.2:3000"]);
        assert!(Arc::ptr_eq(back.members()[1].state(), &state));
        assert!(Arc::ptr_eq(
            back.members()[1].server(),
            begun.members()[1].server()
        ));
        drop(open);
        let gone = half.without(is_idle).unwrap();
        assert_eq!(shown(&gone), ["10.0.0.1:3000"]);
        // Both ends of a set that is exchanged as a whole.
        let others = half.resolved(0, &ips(&["10.0.0.3"])).unwrap();
        let all = ["10.0.0.3:3000", "-10.0.0.1:3000", "-10.0.0.2:3000"];
        assert_eq!(shown(&others), all);
        assert_eq!(others.vanished().count(), 2);
    }

    #[test]
    fn a_reload_keeps_the_addresses_of_a_name_also_those_that_drain() {
        let both = ips(&["10.0.0.1", "10.0.0.2"]);
        let before = followed().resolved(0, &both).unwrap();
        let before = Arc::new(before.resolved(0, &both[1..]).unwrap());
        let mut servers = followed().written().to_vec();
        servers[0].settings.weight = 2;
        servers.insert(0, written("10.0.0.9:1", MemberSettings::default()));
        let after = Group::new(settings("chat"), servers).adopting(&[Arc::clone(&before)]);
        assert_eq!(
            shown(&after),
            ["10.0.0.9:1", "10.0.0.2:3000", "-10.0.0.1:3000"]
        );
        for (is, was) in after.members()[1..].iter().zip(before.members()) {
            assert!(Arc::ptr_eq(is.state(), was.state()));
        }
        assert_eq!(after.members()[1].settings().weight, 2);
    }

    #[test]
    fn a_name_that_is_not_followed_is_several_servers_only_if_it_has_several() {
        let one = group(&["app.test:80", "localhost:81"]);
        assert_eq!(one.names().len(), 2);
        assert!(one.resolved(0, &ips(&["10.0.0.1"])).is_none());
        assert!(one.resolved(1, &ips(&["127.0.0.1", "::1"])).is_none());
        let two = one.resolved(0, &ips(&["10.0.0.2", "10.0.0.1"])).unwrap();
        assert_eq!(shown(&two), ["10.0.0.1:80", "10.0.0.2:80", "localhost:81"]);
        let test_names = one.resolved(1, &ips(&["127.0.0.1", "127.0.0.2"])).unwrap();
        assert_eq!(test_names.members().len(), 3);
    }

    #[test]
    fn three_hundred_addresses_are_three_hundred_servers_and_a_flood_is_cut() {
        let many = |count: u32| -> Vec<IpAddr> {
            (0..count)
                .map(|at| IpAddr::from((0x0a00_0000 + at).to_be_bytes()))
                .collect()
        };
        let group = followed().resolved(0, &many(300)).unwrap();
        assert_eq!(group.members().len(), 300);
        let group = group.resolved(0, &many(5000)).unwrap();
        assert_eq!(group.members().len(), 1024);
    }
}
