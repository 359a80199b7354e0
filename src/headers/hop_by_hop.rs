//! Fields that concern one connection only and are never passed on (RFC 9110 §7.6.1).

use http::HeaderMap;
use http::HeaderName;
use http::header;

use crate::headers::forwarded;
use crate::headers::lists::members;

/// Removed from every message, whether `Connection` names them or not.
///
/// RFC 9110 §7.6.1 names all but the last three. `Proxy-*` is for the next proxy, which is us; HTTP2-Settings belongs to
/// `Upgrade: h2c`, which is never agreed to (RFC 9113 §3.1); trailers are dropped, so nothing announces them.
const ALWAYS: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("http2-settings"),
    header::TRAILER,
];

/// What `Connection` cannot remove, though RFC 9110 §7.6.1 asks to take out whatever it names, and forbids to name what is meant for
/// all recipients.
///
/// The first four say what the message is and where it ends, `Location` where it sends its reader. Those of RFC 6455 are what an upgrade
/// consists of; `Origin` is what `allowed_origins` judged, and the upstream must judge the same. Who asks is told by the next four, and
/// is no choice of a client whose `Connection` a proxy in front passed on. `Cookie`, `Authorization` and `Set-Cookie` are credentials, of
/// which the same holds.
const NEVER_BY_CONNECTION: [HeaderName; 18] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::LOCATION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
    header::ORIGIN,
    forwarded::X_REAL_IP,
    forwarded::X_FORWARDED_FOR,
    forwarded::X_FORWARDED_PROTO,
    forwarded::X_FORWARDED_HOST,
    header::COOKIE,
    header::AUTHORIZATION,
    header::SET_COOKIE,
];

/// Whether a field of this name is removed whatever `Connection` names.
pub fn is_one(name: &str) -> bool {
    ALWAYS
        .iter()
        .any(|known| known.as_str().eq_ignore_ascii_case(name))
}

/// Removes every hop-by-hop field, and whatever `Connection` names over all its lines.
pub fn remove(headers: &mut HeaderMap) {
    // Most messages have one or two of them, and looking is cheaper than removing.
    let there: Vec<HeaderName> = headers
        .keys()
        .filter(|name| ALWAYS.contains(name))
        .cloned()
        .collect();
    if there.is_empty() {
        return;
    }
    let named: Vec<HeaderName> = members(headers, header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| {
            headers.contains_key(name)
                && !NEVER_BY_CONNECTION.contains(name)
                && !ALWAYS.contains(name)
        })
        .collect();
    for name in named.iter().chain(&there) {
        headers.remove(name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;
    use http::header;
    use proptest::prelude::*;

    use crate::headers::hop_by_hop::ALWAYS;
    use crate::headers::hop_by_hop::NEVER_BY_CONNECTION;
    use crate::headers::hop_by_hop::remove;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_second_connection_line_is_honoured() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("close"));
        headers.append(
            header::CONNECTION,
            HeaderValue::from_static("X-Secret, Content-Length, Host"),
        );
        headers.insert("x-secret", HeaderValue::from_static("1"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
        headers.insert(header::HOST, HeaderValue::from_static("a.test"));
        remove(&mut headers);
        assert_eq!(headers, map(&[("content-length", "3"), ("host", "a.test")]));
    }

    proptest! {
        #[test]
        fn any_header_map_leaves_no_hop_by_hop_field(
            lines in prop::collection::vec(("[a-z0-9-]{1,6}|upgrade|te|keep-alive|connection|trailer", "[ -~]{0,12}"), 0..12),
            named in prop::collection::vec("[a-z0-9-]{1,6}|upgrade|host|content-length", 0..6),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            for name in &named {
                headers.append(header::CONNECTION, HeaderValue::from_str(name).unwrap());
            }
            let before = headers.clone();
            remove(&mut headers);
            for name in ALWAYS {
                prop_assert!(!headers.contains_key(name));
            }
            for name in &named {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                prop_assert!(NEVER_BY_CONNECTION.contains(&name) || !headers.contains_key(name));
            }
            for (name, value) in &headers {
                prop_assert!(before.get_all(name).iter().any(|v| v == value));
            }
        }
    }
}
