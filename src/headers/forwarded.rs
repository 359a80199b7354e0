//! Who asked, told to the upstream: `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP`.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::headers::lists::members;

pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The field that says over what the client came.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Over what the client came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `http`, or `ws` for an upgrade.
    Http,
    /// `https`, or `wss` for an upgrade.
    Https,
}

impl Scheme {
    /// As in a URL and in nginx's `$scheme`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// From whom a request came.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'a> {
    /// From a client, of whose claims about itself none goes on; its address.
    Client(&'a HeaderValue),
    /// From a proxy that is believed.
    Proxy {
        /// The address of the client before it.
        client: &'a HeaderValue,
        /// `X-Forwarded-For` with the proxy itself: see [`chain()`].
        chain: &'a HeaderValue,
    },
}

/// Replaces every field by which a client could pretend to be somebody else. Of a believed proxy, what it says of scheme and
/// host stays.
///
/// `Forwarded` (RFC 7239) is removed rather than written: an upstream that reads it would otherwise believe whatever a
/// client put there. `X-Forwarded-Host` is the `Host` line of the request.
pub fn write(headers: &mut HeaderMap, sender: Sender<'_>, scheme: Scheme) {
    let (client, chain, is_believed) = match sender {
        Sender::Client(client) => (client, client, false),
        Sender::Proxy { client, chain } => (client, chain, true),
    };
    headers.insert(X_REAL_IP, client.clone());
    headers.insert(X_FORWARDED_FOR, chain.clone());
    if !(is_believed && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    }
    if !(is_believed && headers.contains_key(X_FORWARDED_HOST)) {
        match headers.get(header::HOST).cloned() {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }
    headers.remove(header::FORWARDED);
}

/// The entries of `X-Forwarded-For` over all its lines, in their order and as they are written, from the first one behind
/// any that is no address. A port that is not written is 0; an IPv4 address in IPv6's clothes is IPv4.
pub fn passed_on(headers: &HeaderMap) -> Vec<(Option<SocketAddr>, &str)> {
    let mut entries = Vec::new();
    for member in members(headers, X_FORWARDED_FOR) {
        match str::from_utf8(member)
            .ok()
            .and_then(|text| Some((entry(text)?, text)))
        {
            Some(entry) => entries.push(entry),
            None => entries.clear(),
        }
    }
    entries
}

/// An entry; within it `None` for `unix:`, which is how nginx calls a client that came through a Unix socket.
fn entry(text: &str) -> Option<Option<SocketAddr>> {
    if text == "unix:" {
        return Some(None);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let (address, port) = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>(), bare) {
        (Ok(address), ..) => (address, 0),
        (_, Ok(socket), _) => (socket.ip(), socket.port()),
        (.., Some(bare)) => (bare.parse::<Ipv6Addr>().ok()?.into(), 0),
        (.., None) => return None,
    };
    Some(Some(SocketAddr::new(address.to_canonical(), port)))
}

/// `X-Forwarded-For` as a proxy writes it that got a request with these entries from `peer`.
pub fn chain<T>(passed_on: &[(T, &str)], peer: impl fmt::Display) -> HeaderValue {
    let mut text = String::new();
    for (_, entry) in passed_on {
        text += entry;
        text += ", ";
    }
    // Writing to a String cannot go wrong.
    let _ = write!(text, "{peer}");
    // What was read as addresses has only what stands in fields.
    HeaderValue::try_from(text).unwrap_or(UNKNOWN)
}

/// RFC 7239 §6.2's word.
const UNKNOWN: HeaderValue = HeaderValue::from_static("unknown");

/// An address as [`write()`] takes it.
pub fn address(client: impl fmt::Display) -> HeaderValue {
    // Digits, letters, dots and colons are valid, so that it is said of none.
    HeaderValue::try_from(client.to_string()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;

    use crate::headers::forwarded::Scheme;
    use crate::headers::forwarded::Sender;
    use crate::headers::forwarded::address;
    use crate::headers::forwarded::write;

    #[test]
    fn what_a_client_claims_about_itself_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("2.2.2.2"));
        headers.insert("forwarded", HeaderValue::from_static("for=1.1.1.1"));
        headers.insert("x-forwarded-host", HeaderValue::from_static("evil.test"));
        headers.insert("host", HeaderValue::from_static("chat.test:8080"));
        let client = address("127.0.0.9");
        write(&mut headers, Sender::Client(&client), Scheme::Https);
        let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["127.0.0.9"]);
        assert_eq!(headers["x-real-ip"], "127.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "chat.test:8080");
        assert!(!headers.contains_key("forwarded"));
    }

    #[test]
    fn of_a_believed_proxy_scheme_and_host_stay_if_it_says_them() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        headers.insert("x-real-ip", HeaderValue::from_static("6.6.6.6"));
        headers.insert("forwarded", HeaderValue::from_static("for=6.6.6.6"));
        headers.insert("host", HeaderValue::from_static("inner.test"));
        let (client, chain) = (
            HeaderValue::from_static("192.0.2.7"),
            HeaderValue::from_static("192.0.2.7, 10.0.0.1"),
        );
        let sender = Sender::Proxy {
            client: &client,
            chain: &chain,
        };
        let mut said = headers.clone();
        said.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        said.insert("x-forwarded-host", HeaderValue::from_static("chat.test"));
        write(&mut headers, sender, Scheme::Http);
        write(&mut said, sender, Scheme::Http);
        for (headers, scheme, host) in [
            (headers, "http", "inner.test"),
            (said, "https", "chat.test"),
        ] {
            assert_eq!(headers["x-real-ip"], "192.0.2.7");
            assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 10.0.0.1");
            assert_eq!(headers["x-forwarded-proto"], scheme);
            assert_eq!(headers["x-forwarded-host"], host);
            assert!(!headers.contains_key("forwarded"));
        }
    }
}
