//! Whether a field has a value, compared as wsgate itself compares it wherever it reads that field.

use http::HeaderMap;
use http::HeaderName;
use http::header;

use crate::headers::host;
use crate::headers::lists::has_member;
use crate::headers::lists::members;

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    /// The field is a list of words, over all its lines, that mean the same in any case.
    Tokens,
    /// The field is a list of words, over all its lines, whose case matters.
    Words,
    /// The field is a host with or without a port.
    Host,
    /// Nobody but the application knows what the field means: a line is compared as a whole, byte by byte.
    Line,
}

/// Fields whose members are compared without case: RFC 9110 §7.6.1 (Connection), §7.8 (Upgrade), §10.1.1 (Expect), §10.1.4
/// (TE), §6.6.2 (Trailer), RFC 9112 §7 (Transfer-Encoding).
const TOKENS: [HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

impl Comparison {
    fn of(name: &HeaderName) -> Self {
        match *name {
            // Subprotocols are names that an application chose (RFC 6455 §11.3.4).
            header::SEC_WEBSOCKET_PROTOCOL => Self::Words,
            header::HOST => Self::Host,
            ref name if TOKENS.contains(name) => Self::Tokens,
            _ => Self::Line,
        }
    }
}

/// Whether a field has this value.
///
/// `Connection`, `Upgrade`, `Expect`, `TE`, `Trailer` and `Transfer-Encoding` have it if all members of the value are
/// among theirs, in any case; so has `Sec-WebSocket-Protocol`, whose case matters. `Host` is compared as the `host` of a route
/// is: without case, and without its port if the value has none. Any other field has the value if one of its lines is just
/// that, byte by byte.
pub fn has_value(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    let has_line = || {
        let mut lines = headers.get_all(name).into_iter();
        lines.any(|line| line.as_bytes() == value.as_bytes())
    };
    let mut wanted = value
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .peekable();
    match Comparison::of(name) {
        Comparison::Tokens if wanted.peek().is_some() => {
            wanted.all(|member| has_member(headers, name, member))
        }
        Comparison::Words if wanted.peek().is_some() => {
            wanted.all(|member| members(headers, name).any(|found| found == member.as_bytes()))
        }
        Comparison::Host => {
            let mut lines = headers.get_all(name).into_iter();
            lines.any(|line| line.to_str().is_ok_and(|line| host::is(line, value)))
        }
        Comparison::Tokens | Comparison::Words | Comparison::Line => has_line(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;

    use crate::headers::values::has_value;

    fn has(lines: &[&str], name: &str, value: &str) -> bool {
        let name: HeaderName = name.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        has_value(&headers, &name, value)
    }

    #[test]
    fn what_wsgate_reads_without_case_is_compared_without_case_over_all_members_and_lines() {
        for name in [
            "upgrade",
            "connection",
            "expect",
            "te",
            "trailer",
            "transfer-encoding",
        ] {
            assert!(has(&["x-One"], name, "X-oNE"), "{name}");
            assert!(has(&["a, x", "b , X-one"], name, "x-one"), "{name}");
            assert!(has(&["a", "b, c"], name, "C, A"), "{name}");
            assert!(!has(&["a", "b, c"], name, "a, d"), "{name}");
            assert!(!has(&["x-oneb", "bx-one"], name, "x-one"), "{name}");
            assert!(!has(&[], name, "x-one"), "{name}");
            assert!(has(&[""], name, "") && !has(&["a"], name, ""), "{name}");
            assert!(!has(&[], name, ""), "{name}");
        }
    }

    #[test]
    fn a_subprotocol_is_one_of_those_that_are_offered_and_keeps_its_case() {
        assert!(has(&["chat, v2.chat"], "sec-websocket-protocol", "v2.chat"));
        assert!(!has(
            &["chat, V2.chat"],
            "sec-websocket-protocol",
            "v2.chat"
        ));
    }

    #[test]
    fn a_host_is_compared_as_that_of_a_route() {
        assert!(has(&["A.test:8080"], "host", "a.TEST"));
        assert!(has(&["a.test."], "host", "a.test"));
        assert!(has(&["a.test:8080"], "host", "a.test:8080"));
        assert!(!has(&["a.test"], "host", "a.test:8080"));
        assert!(!has(&["b.a.test"], "host", "a.test"));
    }

    #[test]
    fn any_other_line_is_compared_as_it_is() {
        assert!(has(&["no", "Yes, no"], "x-canary", "Yes, no"));
        assert!(!has(&["yes"], "x-canary", "Yes"));
        assert!(!has(&["yes, no"], "x-canary", "yes"));
        assert!(has(&["\u{e9}"], "x-canary", "é"));
    }
}
