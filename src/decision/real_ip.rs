//! Who asked, where a trusted proxy in front says so: nginx's `real_ip_header X-Forwarded-For` with `real_ip_recursive on`.

use http::HeaderMap;
use http::HeaderValue;

use crate::access::Networks;
use crate::headers::forwarded;
use crate::headers::forwarded::Sender;
use crate::stream::ClientAddr;

/// What a trusted proxy says of its client.
#[derive(Clone, Debug)]
pub struct RealIp {
    /// The client; its port is 0 if that was not said.
    pub client: ClientAddr,
    /// The client's address as upstreams are told.
    address: HeaderValue,
    /// `X-Forwarded-For` for the upstream.
    chain: HeaderValue,
}

impl RealIp {
    /// If `peer` is one of the `trusted`: each proxy has added to the list from whom it had the request, so that the last
    /// entry which is none of them is the client. What stands before it, anybody may have written.
    pub fn find(trusted: &Networks, peer: ClientAddr, headers: &HeaderMap) -> Option<Self> {
        if !trusted.contain(peer.ip()) {
            return None;
        }
        let passed = forwarded::passed_on(headers);
        let mut client = peer;
        for (address, _) in passed.iter().rev() {
            client = address.map_or(ClientAddr::Unix, ClientAddr::Ip);
            if !trusted.contain(client.ip()) {
                break;
            }
        }
        Some(Self {
            client,
            address: forwarded::address(client.without_port()),
            chain: forwarded::chain(&passed, peer.without_port()),
        })
    }

    /// From whom the upstream is told that the request came.
    pub fn sender(&self) -> Sender<'_> {
        Sender::Proxy {
            client: &self.address,
            chain: &self.chain,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use proptest::prelude::*;

    use crate::access::Network;
    use crate::access::Networks;
    use crate::decision::real_ip::RealIp;
    use crate::stream::ClientAddr;

    fn find(peer: &str, lines: &[&str]) -> Option<(String, String)> {
        let trusted = ["10.0.0.0/8", "fd00::/8", "unix:"];
        let trusted: Networks = trusted
            .iter()
            .map(|text| text.parse::<Network>().unwrap())
            .collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append("x-forwarded-for", line);
        }
        let peer = match peer {
            "unix:" => ClientAddr::Unix,
            peer => ClientAddr::Ip(peer.parse().unwrap()),
        };
        let found = RealIp::find(&trusted, peer, &headers)?;
        let chain = found.chain.to_str().unwrap().to_owned();
        Some((found.client.to_string(), chain))
    }

    #[test]
    fn the_client_is_the_last_entry_that_is_no_believed_proxy() {
        for (lines, client, chain) in [
            (&[][..], "10.0.0.1:5", "10.0.0.1"),
            (&["192.0.2.7"], "192.0.2.7", "192.0.2.7, 10.0.0.1"),
            (
                &["6.6.6.6, 192.0.2.7"],
                "192.0.2.7",
                "6.6.6.6, 192.0.2.7, 10.0.0.1",
            ),
            (
                &["6.6.6.6,192.0.2.7 ,10.9.9.9", "fd00::1"],
                "192.0.2.7",
                "6.6.6.6, 192.0.2.7, 10.9.9.9, fd00::1, 10.0.0.1",
            ),
            (
                &["10.2.2.2, 10.1.1.1"],
                "10.2.2.2",
                "10.2.2.2, 10.1.1.1, 10.0.0.1",
            ),
            (
                &["192.0.2.7:4000"],
                "192.0.2.7:4000",
                "192.0.2.7:4000, 10.0.0.1",
            ),
            (
                &["[2001:db8::1]:4000, [fd00::2]"],
                "[2001:db8::1]:4000",
                "[2001:db8::1]:4000, [fd00::2], 10.0.0.1",
            ),
            (
                &["::ffff:192.0.2.7, ::ffff:10.1.1.1"],
                "192.0.2.7",
                "::ffff:192.0.2.7, ::ffff:10.1.1.1, 10.0.0.1",
            ),
            (&[", ,"], "10.0.0.1:5", "10.0.0.1"),
            (
                &["192.0.2.7, unix:, 10.2.2.2"],
                "192.0.2.7",
                "192.0.2.7, unix:, 10.2.2.2, 10.0.0.1",
            ),
        ] {
            let found = find("10.0.0.1:5", lines).unwrap();
            assert_eq!(found, (client.to_owned(), chain.to_owned()), "{lines:?}");
        }
    }

    #[test]
    fn what_stands_before_an_entry_that_cannot_be_read_is_not_believed() {
        for odd in [
            "unknown",
            "_hidden",
            "192.0.2.7;x",
            "\"192.0.2.7\"",
            "for=192.0.2.7",
            "192.0.2.7 10.1.1.1",
            "192.0.2.7:99999",
            "192.0.2.300",
            "fe80::1%eth0",
            "[::1",
            "é",
        ] {
            let lines = format!("6.6.6.6, {odd}, 10.1.1.1");
            assert_eq!(
                find("10.0.0.1:5", &[&lines]),
                Some(("10.1.1.1".to_owned(), "10.1.1.1, 10.0.0.1".to_owned())),
                "{odd}"
            );
            let last = find("10.0.0.1:5", &["6.6.6.6", odd]);
            let peer = ("10.0.0.1:5".to_owned(), "10.0.0.1".to_owned());
            assert_eq!(last, Some(peer), "{odd}");
            // Behind the client's entry it changes nothing about who that is.
            let (client, chain) = find("10.0.0.1:5", &[odd, "192.0.2.7"]).unwrap();
            assert_eq!(client, "192.0.2.7", "{odd}");
            assert_eq!(chain, "192.0.2.7, 10.0.0.1", "{odd}");
        }
    }

    #[test]
    fn a_proxy_before_a_unix_socket_is_believed_and_may_say_nothing() {
        for (lines, client, chain) in [
            (&["192.0.2.7"][..], "192.0.2.7", "192.0.2.7, unix:"),
            (&["6.6.6.6, x"], "unix:", "unix:"),
            (&[], "unix:", "unix:"),
        ] {
            let found = find("unix:", lines).unwrap();
            assert_eq!(found, (client.to_owned(), chain.to_owned()), "{lines:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(find("192.0.2.1:5", &["10.1.1.1"]), None);
        assert_eq!(find("[2001:db8::1]:5", &[]), None);
    }

    proptest! {
        #[test]
        fn a_client_that_no_believed_proxy_has_seen_is_found_by_none(
            claimed in "[0-9a-z., :\\[\\]\"=;]{0,40}",
            hops in 0_usize..4,
        ) {
            // An honest proxy adds from whom it has the request, whatever that one claims.
            let mut line = format!("{claimed}, 192.0.2.7");
            for hop in 0..hops {
                line += &format!(", 10.0.1.{hop}");
            }
            let (client, chain) = find("10.0.0.1:5", &[&line]).unwrap();
            prop_assert_eq!(client, "192.0.2.7");
            prop_assert!(chain.contains("192.0.2.7") && chain.ends_with("10.0.0.1"));
        }
    }
}
