//! Networks of IPv4 and IPv6 addresses, written as nginx does: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use ipnet::Ipv4Net;
use ipnet::Ipv6Net;

/// A network, or a single address.
///
/// An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is IPv4 here, as that of a client is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network(Members);

/// Who is in a network.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Members {
    /// Whoever has one of these addresses.
    Of(IpNet),
    /// Whoever comes through a Unix socket, and so has no address.
    Unix,
}

/// How the network of those who come through a Unix socket is written, as in nginx.
const UNIX: &str = "unix:";

/// Why a text is no network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetworkError {
    /// No address stands before the slash, or anywhere.
    NotAnAddress,
    /// The address is in brackets, which belong to a port.
    Brackets,
    /// The prefix length is no number, or more than this, which is how many bits the address has.
    Length(u8),
    /// Bits behind the prefix are set, so that it is unclear what is meant; perhaps this network.
    Bits(Network),
}

impl NetworkError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::NotAnAddress => {
                "write an address such as `192.0.2.7`, or a network such as `10.0.0.0/8` or `2001:db8::/32`; names are \
                 not looked up"
                    .to_owned()
            }
            Self::Brackets => "write it without them, as in `::1`".to_owned(),
            Self::Length(most) => format!("write how many bits are fixed, from 0 to {most}"),
            Self::Bits(network) => format!("write `{network}`, or the address without a slash"),
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnAddress => "is no address and no network",
            Self::Brackets => "has brackets",
            Self::Length(_) => "has no prefix length behind its slash",
            Self::Bits(_) => "is an address within a network, not a network",
        })
    }
}

impl std::error::Error for NetworkError {}

impl Network {
    /// The network of all IPv4 addresses, and that of all IPv6 addresses.
    pub const ALL: [Self; 2] = [
        Self(Members::Of(IpNet::V4(Ipv4Net::new_assert(
            Ipv4Addr::UNSPECIFIED,
            0,
        )))),
        Self(Members::Of(IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::UNSPECIFIED,
            0,
        )))),
    ];

    /// Those who come through a Unix socket.
    pub const UNIX: Self = Self(Members::Unix);

    /// Whether it contains all addresses of `other`.
    pub fn covers(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Members::Of(network), Members::Of(other)) => network.contains(&other),
            (Members::Unix, Members::Unix) => true,
            (Members::Of(_), Members::Unix) | (Members::Unix, Members::Of(_)) => false,
        }
    }

    /// Whether it contains `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        match self.0 {
            Members::Of(network) => network.contains(&address),
            Members::Unix => false,
        }
    }

    /// How many bits its addresses have in common.
    fn prefix_len(&self) -> u8 {
        match self.0 {
            Members::Of(network) => network.prefix_len(),
            Members::Unix => u8::MAX,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if text == UNIX {
            return Ok(Self::UNIX);
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        if address.starts_with('[') {
            return Err(NetworkError::Brackets);
        }
        let address: IpAddr = address.parse().map_err(|_| NetworkError::NotAnAddress)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits,
            Some(length) => length
                .parse()
                .ok()
                .filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()))
                .filter(|length| *length <= bits)
                .ok_or(NetworkError::Length(bits))?,
        };
        // The first 96 bits make an address an IPv4-mapped one, and are no part of its IPv4 prefix.
        let (address, length) = match (address.to_canonical(), length.checked_sub(96)) {
            (inside @ IpAddr::V4(_), Some(length)) if address.is_ipv6() => (inside, length),
            _ => (address, length),
        };
        let network = IpNet::new(address, length).map_err(|_| NetworkError::Length(bits))?;
        if network.trunc() == network {
            Ok(Self(Members::Of(network)))
        } else {
            Err(NetworkError::Bits(Self(Members::Of(network.trunc()))))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Members::Unix => f.write_str(UNIX),
            Members::Of(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Members::Of(network) => write!(f, "{network}"),
        }
    }
}

/// A list of networks, by default empty. It is cheap to clone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Arc<[Network]>);

impl Networks {
    /// Whether one of them holds `address`, which is IPv4 if it can be; `None` is that of whoever comes through a Unix socket.
    pub fn contain(&self, address: Option<IpAddr>) -> bool {
        match address {
            Some(address) => self.0.iter().any(|network| network.contains(address)),
            None => self.narrowest(None).is_some(),
        }
    }

    /// The narrowest of the networks that hold `address`, and the length of its prefix. Whoever comes through a Unix socket, and
    /// has no address, is in `unix:` and, as in nginx, in `all`.
    pub(super) fn narrowest(&self, address: Option<IpAddr>) -> Option<(u8, Network)> {
        let Some(address) = address else {
            if self.has(&Network::UNIX) {
                return Some((Network::UNIX.prefix_len(), Network::UNIX));
            }
            let all = Network::ALL.iter().all(|all| self.has(all));
            return all.then_some((0, Network::ALL[0]));
        };
        let holding = self.0.iter().filter(|network| network.contains(address));
        holding
            .map(|network| (network.prefix_len(), *network))
            .max_by_key(|(length, _)| *length)
    }

    /// Whether there are no networks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether exactly this network is among them.
    pub fn has(&self, network: &Network) -> bool {
        self.0.contains(network)
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// Writes the networks in their order, with commas between them; `none` if there are none.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, network) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{network}")?;
        }
        if self.0.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use crate::access::network::Network;
    use crate::access::network::NetworkError;
    use crate::access::network::Networks;

    fn read(text: &str) -> Result<String, NetworkError> {
        text.parse().map(|network: Network| network.to_string())
    }

    #[test]
    fn an_address_or_a_network_of_either_family_is_read() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::1", "::1"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_for_its_reason() {
        let bits = |text: &str| NetworkError::Bits(text.parse().unwrap());
        for (text, error) in [
            ("", NetworkError::NotAnAddress),
            ("lb.test", NetworkError::NotAnAddress),
            ("10.0.0", NetworkError::NotAnAddress),
            ("010.0.0.1", NetworkError::NotAnAddress),
            ("10.0.0.1:80", NetworkError::NotAnAddress),
            ("fe80::1%eth0", NetworkError::NotAnAddress),
            ("[::1]", NetworkError::Brackets),
            ("10.0.0.0/", NetworkError::Length(32)),
            ("10.0.0.0/33", NetworkError::Length(32)),
            ("10.0.0.0/+8", NetworkError::Length(32)),
            ("10.0.0.0/255.0.0.0", NetworkError::Length(32)),
            ("::/129", NetworkError::Length(128)),
            ("10.0.0.1/8", bits("10.0.0.0/8")),
            ("2001:db8::1/64", bits("2001:db8::/64")),
            ("::ffff:10.0.0.1/104", bits("10.0.0.0/8")),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn no_network_is_in_none_and_an_ipv6_one_holds_no_ipv4_address() {
        let address = Some(IpAddr::from([10, 1, 2, 3]));
        let networks = |texts: &[&str]| -> Networks {
            texts
                .iter()
                .map(|text| text.parse::<Network>().unwrap())
                .collect()
        };
        assert!(!Networks::default().contain(address));
        assert_eq!(Networks::default().to_string(), "none");
        assert!(!networks(&["::/0", "10.1.2.4"]).contain(address));
        let both = networks(&["::/0", "10.0.0.0/8"]);
        assert!(both.contain(address) && both.contain("::1".parse().ok()));
        assert_eq!(both.to_string(), "::/0, 10.0.0.0/8");
        // Who comes through a Unix socket has no address.
        assert!(!both.contain(None) && !networks(&["0.0.0.0/0"]).contain(None));
        assert!(networks(&["10.0.0.0/8", "unix:"]).contain(None));
        assert!(networks(&["0.0.0.0/0", "::/0"]).contain(None));
        assert!(!networks(&["unix:"]).contain(address));
        assert_eq!(networks(&["unix:"]).to_string(), "unix:");
    }

    proptest! {
        #[test]
        fn a_network_holds_what_has_its_first_bits(base: u32, other: u32, length in 0_u32..=32) {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let text = format!("{}/{length}", std::net::Ipv4Addr::from(base & mask));
            let network: Network = text.parse().unwrap();
            for address in [base, other] {
                let within = address & mask == base & mask;
                prop_assert_eq!(network.contains(std::net::Ipv4Addr::from(address).into()), within);
            }
        }

        #[test]
        fn any_text_is_a_network_or_none(text in "[0-9a-f:./\\[\\] -]{0,24}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            }
        }
    }
}
