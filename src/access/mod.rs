//! Decides who may ask, by the origins of pages and the networks of addresses.
//!
//! It is pure. Where its answer counts, and which of two addresses is the client's, is for `proxy` to say.

mod network;
mod origin;

use std::fmt;
use std::net::IpAddr;

pub use crate::access::network::Network;
pub use crate::access::network::NetworkError;
pub use crate::access::network::Networks;
pub use crate::access::origin::MissingOrigin;
pub use crate::access::origin::Origin;
pub use crate::access::origin::OriginError;
pub use crate::access::origin::OriginHost;
pub use crate::access::origin::Origins;

/// Who may ask a route; by default every client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// Networks whose addresses may ask. If there are any, addresses in no network of `allow` or `deny` may not.
    pub allow: Networks,
    /// Networks whose addresses may not ask.
    pub deny: Networks,
    /// Origins whose pages may open a WebSocket; `None` if the pages of every origin may.
    pub origins: Option<Origins>,
}

impl Access {
    /// Judges the address of a client, which is IPv4 if it can be, and `None` for one that comes through a Unix socket. Of all
    /// networks that hold it the narrowest decides.
    ///
    /// # Errors
    /// The client may not ask.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<(), Forbidden> {
        let (allow, deny) = (self.allow.narrowest(address), self.deny.narrowest(address));
        match (allow, deny) {
            (Some((allowed, _)), Some((denied, _))) if allowed > denied => Ok(()),
            (_, Some((_, network))) => Err(Forbidden::Denied(network)),
            (Some(_), None) => Ok(()),
            (None, None) if self.allow.is_empty() => Ok(()),
            (None, None) => Err(Forbidden::NotAllowed),
        }
    }

    /// Whether the address of a client decides if it may ask.
    pub fn asks_for_addresses(&self) -> bool {
        !(self.allow.is_empty() && self.deny.is_empty())
    }

    /// The refusal for every client if none may ask, whatever its address.
    pub fn closed(&self) -> Option<Forbidden> {
        let all = Network::ALL.iter().all(|all| self.deny.has(all));
        (self.allow.is_empty() && all).then_some(Forbidden::Denied(Network::ALL[0]))
    }

    /// How an upgrade request without `Origin` is judged.
    pub fn missing_origin(&self) -> MissingOrigin {
        self.origins
            .as_ref()
            .map_or(MissingOrigin::Allow, |origins| origins.missing)
    }
}

/// Why a client may not ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Forbidden {
    /// The narrowest network that holds the client's address is this one of `deny`.
    Denied(Network),
    /// The client's address is in none of the networks, and `allow` has some.
    NotAllowed,
    /// The page that opens the WebSocket is of this origin, which is cut to what can be shown.
    Origin(String),
    /// The request has several lines of `Origin`.
    Origins,
    /// The request has no `Origin`.
    NoOrigin,
}

impl Forbidden {
    /// The key of routes.yaml that forbids it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Denied(_) => "deny",
            Self::NotAllowed => "allow",
            Self::Origin(_) | Self::Origins => "allowed_origins",
            Self::NoOrigin => "missing_origin",
        }
    }

    /// The refusal for the client.
    pub fn told(&self) -> &'static str {
        match self {
            Self::Denied(_) => "this address may not ask here (deny)",
            Self::NotAllowed => "this address may not ask here (allow)",
            Self::Origin(_) => {
                "pages of this origin may not open a WebSocket here (allowed_origins)"
            }
            Self::Origins => {
                "a request with several Origin lines may not open a WebSocket here (allowed_origins)"
            }
            Self::NoOrigin => "without an Origin no WebSocket is opened here (missing_origin)",
        }
    }
}

/// Writes the refusal for the log, with the key, which the reader finds in the file.
impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by `{}`: ", self.key())?;
        match self {
            Self::Denied(network) => write!(f, "the address is in {network}"),
            Self::NotAllowed => f.write_str("the address is in none of its networks"),
            Self::Origin(origin) => write!(f, "origin {origin} is not among them"),
            Self::Origins => f.write_str("several Origin lines"),
            Self::NoOrigin => f.write_str("no Origin"),
        }
    }
}

impl std::error::Error for Forbidden {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use crate::access::Access;
    use crate::access::Forbidden;
    use crate::access::Network;
    use crate::access::Networks;

    fn networks(texts: &[&str]) -> Networks {
        let of = |text: &&str| match *text {
            "all" => Network::ALL.to_vec(),
            text => vec![text.parse().unwrap()],
        };
        texts.iter().flat_map(of).collect()
    }

    fn access(allow: &[&str], deny: &[&str]) -> Access {
        Access {
            allow: networks(allow),
            deny: networks(deny),
            ..Access::default()
        }
    }

    fn admits(access: &Access, address: &str) -> bool {
        access.admit(address.parse().ok()).is_ok()
    }

    #[test]
    fn the_narrowest_network_decides_and_without_one_whether_any_is_allowed() {
        let everybody = access(&[], &[]);
        let only = access(&["10.0.0.0/8", "::1"], &[]);
        let but = access(&[], &["10.0.0.0/8"]);
        let hole = access(&["10.0.0.0/8"], &["10.1.0.0/16"]);
        let island = access(&["10.1.2.3", "all"], &["10.0.0.0/8"]);
        let nested = access(&["10.0.0.0/8", "10.1.2.0/24"], &["10.1.0.0/16", "10.1.2.3"]);
        let nobody = access(&[], &["all"]);
        for (access, address, may) in [
            (&everybody, "192.0.2.7", true),
            (&only, "10.1.2.3", true),
            (&only, "::1", true),
            (&only, "192.0.2.7", false),
            (&only, "::2", false),
            (&but, "10.1.2.3", false),
            (&but, "192.0.2.7", true),
            (&but, "::1", true),
            (&hole, "10.2.2.3", true),
            (&hole, "10.1.2.3", false),
            (&hole, "192.0.2.7", false),
            (&island, "10.1.2.3", true),
            (&island, "10.1.2.4", false),
            (&island, "192.0.2.7", true),
            (&island, "::1", true),
            (&nested, "10.1.2.4", true),
            (&nested, "10.1.2.3", false),
            (&nested, "10.1.3.3", false),
            (&nested, "10.2.3.3", true),
            (&nobody, "10.1.2.3", false),
            (&nobody, "::1", false),
            // This is no address: who comes through a Unix socket has none.
            (&everybody, "unix:", true),
            (&only, "unix:", false),
            (&but, "unix:", true),
            (&island, "unix:", true),
            (&nobody, "unix:", false),
            (&access(&["unix:"], &["all"]), "unix:", true),
            (&access(&["all"], &["unix:"]), "unix:", false),
        ] {
            assert_eq!(admits(access, address), may, "{access:?} {address}");
        }
        let refused = hole.admit("10.1.2.3".parse().ok());
        assert_eq!(
            refused,
            Err(Forbidden::Denied("10.1.0.0/16".parse().unwrap()))
        );
        let refused = hole.admit("192.0.2.7".parse().ok());
        assert_eq!(refused, Err(Forbidden::NotAllowed));
        for access in [&everybody, &only, &but, &hole, &island, &nested] {
            assert_eq!(access.closed(), None, "{access:?}");
        }
        assert!(nobody.closed().is_some() && nobody.asks_for_addresses());
        assert!(!everybody.asks_for_addresses());
        assert_eq!(access(&[], &["0.0.0.0/0"]).closed(), None);
    }

    /// A network of few bits, so that several hold one address.
    fn network() -> impl Strategy<Value = Network> {
        (0_u32..=4, any::<u32>()).prop_map(|(length, bits)| {
            let bits = bits & u32::MAX.checked_shl(32 - length).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from(bits))
                .parse()
                .unwrap()
        })
    }

    proptest! {
        /// nginx's list, of which the first network that matches decides, is of the same mind when narrower networks
        /// stand before wider ones.
        #[test]
        fn it_is_the_ordered_list_with_the_narrowest_first(
            networks in proptest::collection::btree_map(
                network().prop_map(|network| network.to_string()),
                any::<bool>(),
                0..12,
            ),
            address: u32,
        ) {
            let address = IpAddr::from(Ipv4Addr::from(address));
            let mut ordered: Vec<(Network, bool)> = networks
                .into_iter()
                .map(|(network, allowed)| (network.parse().unwrap(), allowed))
                .collect();
            let pick = |which| ordered.iter().filter(move |(_, allowed)| *allowed == which).map(|(network, _)| *network);
            let access = Access {
                allow: pick(true).collect(),
                deny: pick(false).collect(),
                ..Access::default()
            };
            let allows = ordered.iter().any(|(_, allowed)| *allowed);
            ordered.sort_by_key(|(network, _)| std::cmp::Reverse(network.to_string().rsplit('/').next().unwrap().parse::<u8>().unwrap()));
            let first = ordered.iter().find(|(network, _)| network.contains(address));
            let may = first.map_or(!allows, |(_, allowed)| *allowed);
            prop_assert_eq!(access.admit(Some(address)).is_ok(), may);
        }
    }
}
