//! Who asked, told to the upstream: `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP`.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

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
pub fn write(headers: &mut HeaderMap, client: IpAddr, scheme: Scheme) {
    // An address always is a valid value; should it not be, the fields stay away rather than forged.
    let address = HeaderValue::from_str(&client.to_string()).ok();
    set(
        headers,
        HeaderName::from_static("x-real-ip"),
        address.clone(),
    );
    set(headers, HeaderName::from_static("x-forwarded-for"), address);
    let scheme = HeaderValue::from_static(scheme.as_str());
    set(
        headers,
        HeaderName::from_static("x-forwarded-proto"),
        Some(scheme),
    );
    let host = headers.get(header::HOST).cloned();
    set(headers, HeaderName::from_static("x-forwarded-host"), host);
    headers.remove(header::FORWARDED);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;

    use crate::headers::forwarded::Scheme;
    use crate::headers::forwarded::write;

    #[test]
    fn what_a_client_claims_about_itself_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("2.2.2.2"));
        headers.insert("forwarded", HeaderValue::from_static("for=1.1.1.1"));
        headers.insert("x-forwarded-host", HeaderValue::from_static("evil.test"));
        headers.insert("host", HeaderValue::from_static("chat.test:8080"));
        write(&mut headers, "127.0.0.9".parse().unwrap(), Scheme::Https);
        let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["127.0.0.9"]);
        assert_eq!(headers["x-real-ip"], "127.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "chat.test:8080");
        assert!(!headers.contains_key("forwarded"));
    }
}
