//! The cookies that a client sends (RFC 6265 §4.2).

use http::HeaderMap;
use http::HeaderValue;
use http::header;

/// The value of the first cookie of this name, over all lines of `Cookie`, as nginx's `$cookie_NAME`: case does not matter in the
/// name.
pub fn named(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    all_named(headers, name).next()
}

/// The values of all cookies of this name.
pub fn all_named(headers: &HeaderMap, name: &str) -> impl Iterator<Item = HeaderValue> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let is_named = found.eq_ignore_ascii_case(name.as_bytes());
        is_named.then(|| HeaderValue::from_bytes(value).ok())?
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header;

    use crate::headers::cookies::named;

    #[test]
    fn a_cookie_is_found_by_its_name_among_others() {
        for (lines, value) in [
            (&["srv=a"][..], Some("a")),
            (&["x=1; srv=a; y=2"], Some("a")),
            (&["x=1;srv=a;y=2"], Some("a")),
            (&["x=srv=b", "srv=a"], Some("a")),
            (&["srv=a; srv=b"], Some("a")),
            (&["srv=a=b "], Some("a=b")),
            (&["srv="], Some("")),
            (&["xsrv=a; srvx=b; srv"], None),
            (&["SRV=c"], Some("c")),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            let found = named(&headers, "srv");
            assert_eq!(found, value.map(HeaderValue::from_static), "{lines:?}");
        }
    }
}
