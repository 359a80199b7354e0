//! Translates nginx's `allow` and `deny`, a list of which the first network that matches decides, into the two keys of
//! `routes.yaml`, of which the narrowest network that matches decides.

use crate::access::Network;
use crate::access::NetworkError;
use crate::nginx::tree::Directive;

/// The networks of the keys `allow` and `deny` of a route.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct AccessRules {
    pub(super) allow: Vec<Network>,
    pub(super) deny: Vec<Network>,
}

impl AccessRules {
    /// Translates the directives `rules`. `None` if one of them names no network.
    ///
    /// Of two networks one contains the other, or they have no address in common. nginx never reaches a network behind
    /// one that contains it, so it is left out. After that narrower networks stand before wider ones, and the first
    /// that matches is the narrowest.
    pub(super) fn of(rules: &[&Directive]) -> Option<Self> {
        let mut reached: Vec<(Network, bool)> = Vec::new();
        for rule in rules {
            for network in networks(rule)? {
                if !reached.iter().any(|(wider, _)| wider.covers(&network)) {
                    reached.push((network, rule.name == "allow"));
                }
            }
        }
        // In nginx an address that no rule names may pass.
        let rest: Vec<Network> = Network::ALL
            .into_iter()
            .filter(|all| !reached.iter().any(|(network, _)| network == all))
            .collect();
        reached.extend(rest.into_iter().map(|all| (all, true)));
        let pick = |allowed: bool| reached.iter().filter(move |(_, is)| *is == allowed);
        let mut found = Self {
            allow: pick(true).map(|(network, _)| *network).collect(),
            deny: pick(false).map(|(network, _)| *network).collect(),
        };
        // Where some are allowed all others are denied, and the reverse, so that one list of everything can be left
        // out.
        let is_all = |network: &Network| Network::ALL.contains(network);
        let has_all = |list: &[Network]| Network::ALL.iter().all(|all| list.contains(all));
        if !found.allow.is_empty() && has_all(&found.deny) {
            found.deny.retain(|network| !is_all(network));
        } else if has_all(&found.allow) && (found.deny.is_empty() || found.allow.iter().all(is_all))
        {
            found.allow.clear();
        }
        Some(found)
    }

    /// Whether every address may pass.
    pub(super) fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// The networks as `routes.yaml` writes them, with `all` for every address.
pub(super) fn written(networks: &[Network]) -> Vec<String> {
    let all = Network::ALL.iter().all(|all| networks.contains(all));
    let mut written: Vec<String> = networks
        .iter()
        .filter(|network| !(all && Network::ALL.contains(network)))
        .map(ToString::to_string)
        .collect();
    if all {
        written.push("all".to_owned());
    }
    written
}

/// The networks that an `allow` or `deny` names.
fn networks(rule: &Directive) -> Option<Vec<Network>> {
    let [text] = rule.args.as_slice() else {
        return None;
    };
    match (text.as_str(), text.parse()) {
        ("all", _) => Some(Network::ALL.to_vec()),
        // It is for clients of Unix sockets, for which `Network::ALL` is no network.
        (_, Ok(Network::UNIX)) => None,
        (_, Ok(network)) => Some(vec![network]),
        // nginx only warns of bits behind the network's length.
        (_, Err(NetworkError::Bits(network))) => Some(vec![network]),
        (_, Err(_)) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use crate::access::Access;
    use crate::access::Network;
    use crate::nginx::access_rules::AccessRules;
    use crate::nginx::access_rules::written;
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;

    fn directive(rule: &str) -> Directive {
        let (name, network) = rule.split_once(' ').unwrap();
        Directive {
            name: name.to_owned(),
            args: vec![network.to_owned()],
            block: None,
            place: SourceLine { file: 0, line: 1 },
            problem: None,
        }
    }

    fn of(rules: &[&str]) -> Option<AccessRules> {
        let rules: Vec<Directive> = rules.iter().map(|rule| directive(rule)).collect();
        AccessRules::of(&rules.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_people_write_becomes_what_they_would_write_here() {
        for (rules, allow, deny) in [
            (&[][..], "", ""),
            (&["allow all"], "", ""),
            (&["deny all"], "", "all"),
            (
                &["allow 10.0.0.0/8", "allow ::1", "deny all"],
                "10.0.0.0/8, ::1",
                "",
            ),
            (&["deny 192.0.2.7"], "", "192.0.2.7"),
            (&["deny 192.0.2.7", "allow all"], "", "192.0.2.7"),
            (
                &["deny 10.1.0.0/16", "allow 10.0.0.0/8", "deny all"],
                "10.0.0.0/8",
                "10.1.0.0/16",
            ),
            (
                &["allow 10.0.0.0/8", "deny 10.1.0.0/16", "deny all"],
                "10.0.0.0/8",
                "",
            ),
            (
                &["allow 10.1.2.3", "deny 10.0.0.0/8"],
                "10.1.2.3, all",
                "10.0.0.0/8",
            ),
            (&["allow all", "deny all"], "", ""),
            (&["allow 10.0.0.0/8"], "", ""),
            (&["deny 10.1.2.3/8"], "", "10.0.0.0/8"),
            (&["allow 0.0.0.0/0", "deny all"], "0.0.0.0/0", "::/0"),
        ] {
            let found = of(rules).unwrap();
            let shown = |networks: &[Network]| written(networks).join(", ");
            let shown = (shown(&found.allow), shown(&found.deny));
            assert_eq!(shown, (allow.to_owned(), deny.to_owned()), "{rules:?}");
        }
        assert_eq!(of(&["allow unix:", "deny all"]), None);
        assert_eq!(of(&["deny $x"]), None);
    }

    proptest! {
        #[test]
        fn the_same_may_pass_as_in_nginx(
            rules in proptest::collection::vec((any::<bool>(), 0_u32..=4, any::<u32>()), 0..8),
            address: u32,
        ) {
            let mask = |length: u32| u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let first = rules.iter().find(|(_, length, bits)| (address ^ bits) & mask(*length) == 0);
            let may = first.is_none_or(|(allowed, ..)| *allowed);
            let texts: Vec<String> = rules
                .iter()
                .map(|(allowed, length, bits)| {
                    let name = if *allowed { "allow" } else { "deny" };
                    format!("{name} {}/{length}", Ipv4Addr::from(bits & mask(*length)))
                })
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = of(&texts).unwrap();
            let access = Access {
                allow: found.allow.into_iter().collect(),
                deny: found.deny.into_iter().collect(),
                ..Access::default()
            };
            prop_assert_eq!(access.admit(Some(IpAddr::from(Ipv4Addr::from(address)))).is_ok(), may);
            // No rule is about IPv6.
            prop_assert!(access.admit("2001:db8::1".parse().ok()).is_ok());
        }
    }
}
