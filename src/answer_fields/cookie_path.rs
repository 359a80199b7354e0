//! The paths below which browsers send a cookie back: nginx's `proxy_cookie_path`.

use crate::answer_fields::replacement::Replacement;
use crate::template::Variables;

/// What becomes of a `Set-Cookie`: in each `Path` the first rule that is found in it changes it, and all is written anew, as nginx does
/// it. `None` if there is no such `Path`.
pub(super) fn set_cookie(
    rules: &[Replacement],
    value: &[u8],
    variables: &Variables<'_>,
) -> Option<Vec<u8>> {
    let mut is_changed = false;
    let mut written = Vec::with_capacity(value.len() + 16);
    for (at, attribute) in value.split(|byte| *byte == b';').enumerate() {
        let (name, text) = halves(attribute);
        if at > 0 {
            written.extend_from_slice(b"; ");
        } else if text.is_none() {
            // No cookie.
            return None;
        }
        written.extend_from_slice(name);
        let Some(text) = text else {
            continue;
        };
        written.push(b'=');
        let mut changed = None;
        if at > 0 && name.eq_ignore_ascii_case(b"path") {
            changed = rules.iter().find_map(|rule| rule.apply(text, variables));
        }
        is_changed |= changed.is_some();
        written.extend_from_slice(changed.as_deref().unwrap_or(text));
    }
    is_changed.then_some(written)
}

/// The name of an attribute, and what stands behind its `=` if it has one; neither with spaces around it.
fn halves(attribute: &[u8]) -> (&[u8], Option<&[u8]>) {
    match attribute.iter().position(|byte| *byte == b'=') {
        Some(equals) => (
            attribute[..equals].trim_ascii(),
            Some(attribute[equals + 1..].trim_ascii()),
        ),
        None => (attribute.trim_ascii(), None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::answer_fields::cookie_path::set_cookie;
    use crate::answer_fields::replacement::Replacement;
    use crate::headers::forwarded::Scheme;
    use crate::stream::ClientAddr;
    use crate::template::Variables;

    #[test]
    fn the_path_of_a_cookie_is_changed_and_nothing_else() {
        let rules = [
            Replacement::new("/app/", "/").unwrap(),
            Replacement::new("~^/v[0-9]+(/.*)", "/api$1").unwrap(),
        ];
        let variables = Variables {
            host: "a.test",
            remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
            scheme: Scheme::Https,
            request_uri: "/x?y",
        };
        for (sent, goes_on) in [
            (
                "a=/app/; Path=/app/; HttpOnly",
                Some("a=/app/; Path=/; HttpOnly"),
            ),
            (
                "a=b=c;path = /app/x ;Secure",
                Some("a=b=c; path=/x; Secure"),
            ),
            (
                "a=b; PATH=/v2/x; Max-Age=1",
                Some("a=b; PATH=/api/x; Max-Age=1"),
            ),
            ("a=; Path=/app/; Path=/app/y", Some("a=; Path=/; Path=/y")),
            ("a=b; Path=/", None),
            ("a=b; Path=\"/app/\"", None),
            ("a=b; Path", None),
            ("a=b", None),
            ("Path=/app/", None),
            ("a; Path=/app/", None),
            ("", None),
        ] {
            let written = set_cookie(&rules, sent.as_bytes(), &variables);
            let written = written.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(written.as_deref(), goes_on, "{sent}");
        }
    }
}
