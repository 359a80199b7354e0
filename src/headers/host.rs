//! `Host`, and the authority of a target (RFC 9110 §7.2, RFC 3986 §3.2.2).

use std::net::Ipv6Addr;

/// Whether `value` is RFC 3986's `host [ ":" port ]` with a host: a name, an IPv4 address or an IPv6 one in brackets.
///
/// No userinfo, no path, no space, no list, nothing that a second reader could cut elsewhere.
pub fn is_valid(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else {
        return false;
    };
    let (host, port) = split(value);
    let host_is_valid = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()),
        None => is_registered_name(host),
    };
    host_is_valid
        && port.is_none_or(|port| {
            port.is_empty() || port.parse::<u16>().is_ok_and(|_| is_digits(port))
        })
}

/// Whether two authorities name the same place over `scheme`: without case, and with its default port left out or not.
pub fn same(one: &str, other: &str, scheme: &str) -> bool {
    let default = if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else {
        "80"
    };
    let parts = |value: &str| {
        let (host, port) = split(value);
        (
            without_port(host),
            port.filter(|port| !port.is_empty())
                .unwrap_or(default)
                .to_owned(),
        )
    };
    parts(one) == parts(other)
}

/// The host of a valid value, in lower case, without port and without a dot at its end, which makes a name absolute and not
/// another one: nginx's `$host`.
pub fn without_port(value: &str) -> String {
    let host = split(value).0;
    let host = host
        .strip_suffix('.')
        .filter(|name| !name.is_empty())
        .unwrap_or(host);
    host.to_ascii_lowercase()
}

/// Whether a valid value names the host `wanted`, on this port if it has one.
pub fn is(value: &str, wanted: &str) -> bool {
    let port = |value: &str| split(value).1.map(str::to_owned);
    without_port(value) == without_port(wanted)
        && (port(wanted).is_none() || port(value) == port(wanted))
}

/// The host, with its brackets, and what follows the colon behind it.
fn split(value: &str) -> (&str, Option<&str>) {
    let port_from = value.rfind(']').unwrap_or(0);
    match value[port_from..].find(':') {
        Some(colon) => (
            &value[..port_from + colon],
            Some(&value[port_from + colon + 1..]),
        ),
        None => (value, None),
    }
}

/// RFC 3986's `reg-name`, which an IPv4 address is too: unreserved, sub-delims, and whole percent-encodings. Underscores
/// are unreserved, so container names pass. A comma is a sub-delim but left out: `a,b` looks like a list.
fn is_registered_name(host: &str) -> bool {
    let bytes = host.as_bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => match bytes.get(at + 1..at + 3) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => at += 3,
                _ => return false,
            },
            byte if plain(byte) => at += 1,
            _ => return false,
        }
    }
    !bytes.is_empty()
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::headers::host::is_valid;
    use crate::headers::host::same;
    use crate::headers::host::without_port;

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for good in [
            "a.test",
            "a.test:80",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:443",
            "chat_1",
            "xn--fiq.cn:",
            "a%20b",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn anything_that_two_readers_could_cut_differently_is_no_host() {
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a.test:80:81",
            "a.test:+80",
            "a.test:99999",
            "u@a.test",
            "a/b",
            "a?b",
            "a#b",
            "::1",
            "[::1",
            "[::1]x",
            "[a]",
            "[::1]:x",
            "a\\b",
            "a%2",
            "a.test\t",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid(b"\xff"));
    }

    #[test]
    fn authorities_are_compared_without_case_and_default_port() {
        assert!(same("A.test", "a.TEST:80", "http"));
        assert!(same("a.test:443", "a.test", "https"));
        assert!(!same("a.test:443", "a.test", "http"));
        assert!(!same("a.test", "b.test", "http"));
        assert!(same("[::1]:80", "[::1]", "http"));
        assert!(same("a.test.", "a.test:80", "http"));
    }

    #[test]
    fn a_host_without_its_port_is_that_of_nginx() {
        for (value, host) in [
            ("A.test:80", "a.test"),
            ("a.test.", "a.test"),
            ("a.test.:8080", "a.test"),
            ("[::A]:80", "[::a]"),
            (".", "."),
        ] {
            assert_eq!(without_port(value), host, "{value}");
        }
    }
}
