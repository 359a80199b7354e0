//! Who asked, told to the upstream: `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP`.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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

/// Replaces every field by which a client could pretend to be somebody else.
///
/// `Forwarded` (RFC 7239) is removed rather than written: an upstream that reads it would otherwise believe whatever a
/// client put there. `X-Forwarded-Host` is the `Host` line of the request.
pub fn write(headers: &mut HeaderMap, client: &HeaderValue, scheme: Scheme) {
    headers.insert(X_REAL_IP, client.clone());
    headers.insert(X_FORWARDED_FOR, client.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    match headers.get(header::HOST).cloned() {
        Some(host) => headers.insert(X_FORWARDED_HOST, host),
        None => headers.remove(X_FORWARDED_HOST),
    };
    headers.remove(header::FORWARDED);
}

/// An address as [`write()`] takes it.
pub fn address(client: IpAddr) -> HeaderValue {
    // Digits, letters, dots and colons are valid, so that `unknown` (RFC 7239 §6.2) is said of none.
    HeaderValue::try_from(client.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;

    use crate::headers::forwarded::Scheme;
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
        let client = address("127.0.0.9".parse().unwrap());
        write(&mut headers, &client, Scheme::Https);
        let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["127.0.0.9"]);
        assert_eq!(headers["x-real-ip"], "127.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "chat.test:8080");
        assert!(!headers.contains_key("forwarded"));
    }
}
