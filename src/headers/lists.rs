//! Fields whose value is a comma-separated list, possibly over several lines (RFC 9110 §5.6.1).

use http::HeaderMap;
use http::header::AsHeaderName;

/// The members of a list-based field, over all its lines, trimmed, empty ones left out.
///
/// Two lines mean the same as one line with a comma (RFC 9110 §5.3). Members are bytes: one odd byte must not hide the
/// members beside it.
pub fn members(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether the list has this member, compared without case.
pub fn has_member(headers: &HeaderMap, name: impl AsHeaderName, member: &str) -> bool {
    members(headers, name).any(|found| found.eq_ignore_ascii_case(member.as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header::CONNECTION;

    use crate::headers::lists::has_member;
    use crate::headers::lists::members;

    #[test]
    fn members_are_found_over_all_lines_and_beside_odd_bytes() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive,, \t"));
        headers.append(
            CONNECTION,
            HeaderValue::from_bytes(b"\xff, UpGrade ,x").unwrap(),
        );
        let found: Vec<&[u8]> = members(&headers, CONNECTION).collect();
        assert_eq!(found, [&b"keep-alive"[..], b"\xff", b"UpGrade", b"x"]);
        assert!(has_member(&headers, CONNECTION, "upgrade"));
        assert!(!has_member(&headers, CONNECTION, "keep"));
    }
}
