//! A request's target, read as nginx reads it before it chooses a location.
//!
//! The raw text stays as it came, since it goes on to the upstream. The path beside it, with which locations are
//! compared, is percent-decoded once, its slashes are merged (nginx's `merge_slashes on`), and its `.` and `..` are
//! resolved.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// A request's target in origin-form (RFC 9112 §3.2.1), read as nginx reads it.
///
/// It borrows from the raw text unless the path has a percent sign, two slashes in a row or a segment that begins with
/// a dot; only then does it allocate.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    raw: &'a str,
    query: Option<&'a str>,
    path: Cow<'a, [u8]>,
    was_quoted: bool,
}

/// Why a target is refused, always with 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TargetError {
    /// The target is not in origin-form.
    NoLeadingSlash,
    /// The target has a space, a control byte or DEL that is not escaped.
    Control,
    /// The path has a percent sign without two hexadecimal digits after it.
    BadPercent,
    /// The path has `%00`.
    Nul,
    /// The path has more `..` than there are segments to leave.
    LeavesRoot,
}

impl<'a> Target<'a> {
    /// Reads `raw`, which begins with a slash. A `#` ends it, as in nginx.
    ///
    /// # Errors
    /// The target does not begin with a slash or has a control byte, or its path has a bad percent sequence or `%00`,
    /// or leaves the root. The query may hold any percent sign, since it is not decoded.
    pub fn parse(raw: &'a str) -> Result<Self, TargetError> {
        if !raw.starts_with('/') {
            return Err(TargetError::NoLeadingSlash);
        }
        if raw.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(TargetError::Control);
        }
        let before_fragment = raw.split_once('#').map_or(raw, |(before, _)| before);
        let (path, query) = match before_fragment.split_once('?') {
            Some((path, query)) => (path.as_bytes(), Some(query)),
            None => (before_fragment.as_bytes(), None),
        };
        let was_quoted = path.contains(&b'%');
        let decoded = if was_quoted {
            Cow::Owned(decode(path)?)
        } else {
            Cow::Borrowed(path)
        };
        let is_normal = !decoded
            .windows(2)
            .any(|pair| pair == b"//" || pair == b"/.");
        let path = if is_normal {
            decoded
        } else {
            Cow::Owned(resolve(&decoded)?)
        };
        Ok(Self {
            raw,
            query,
            path,
            was_quoted,
        })
    }

    /// The target as the client wrote it.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The text behind the first `?`, not decoded; `None` without a `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The path with which locations are compared: decoded, slashes merged, dots resolved. It begins with a slash and
    /// need not be UTF-8.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether the raw path has a percent sign: nginx's `r->quoted_uri`, which decides whether a replaced path is
    /// escaped again.
    pub fn was_quoted(&self) -> bool {
        self.was_quoted
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLeadingSlash => "request target does not begin with a slash",
            Self::Control => "control byte in the request target",
            Self::BadPercent => "percent sign without two hexadecimal digits in the path",
            Self::Nul => "`%00` in the path",
            Self::LeavesRoot => "path leaves the root",
        })
    }
}

impl Error for TargetError {}

/// Percent-decodes `path` once: `%2541` becomes `%41` and stays so.
fn decode(path: &[u8]) -> Result<Vec<u8>, TargetError> {
    let digit = |byte: Option<&u8>| {
        let value = byte
            .and_then(|byte| char::from(*byte).to_digit(16))
            .ok_or(TargetError::BadPercent)?;
        Ok(value as u8) // less than 16
    };
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => *byte,
        };
        if byte == 0 {
            return Err(TargetError::Nul);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

/// Merges the slashes of a decoded path and resolves its dots. Slashes and dots that were escaped count as well
/// (nginx's state machine goes on with the decoded byte), and slashes are merged first: `/a//..` is `/`.
fn resolve(decoded: &[u8]) -> Result<Vec<u8>, TargetError> {
    let mut path = Vec::with_capacity(decoded.len() + 1);
    path.push(b'/');
    let mut ends_in_name = false;
    for segment in decoded.split(|byte| *byte == b'/') {
        ends_in_name = false;
        match segment {
            b"" | b"." => {}
            b".." => {
                path.pop();
                let parent = path
                    .iter()
                    .rposition(|byte| *byte == b'/')
                    .ok_or(TargetError::LeavesRoot)?;
                path.truncate(parent + 1);
            }
            name => {
                path.extend_from_slice(name);
                path.push(b'/');
                ends_in_name = true;
            }
        }
    }
    if ends_in_name {
        path.pop();
    }
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use crate::routing::Target;
    use crate::routing::TargetError;

    fn path(raw: &str) -> Result<Vec<u8>, TargetError> {
        Target::parse(raw).map(|target| target.path().to_vec())
    }

    #[test]
    fn paths_are_read_as_nginx_reads_them() {
        for (raw, expected) in [
            ("/", "/"),
            ("/socket.io/?EIO=4", "/socket.io/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a//..", "/"),
            ("/a/...", "/a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/..b", "/a/..b"),
            ("/a.b/c", "/a.b/c"),
            ("/%61%2Fb", "/a/b"),
            ("/a%2f%2e%2E%2fb", "/b"),
            ("/a/%2e./b", "/b"),
            ("/a%3fb%23c%25d", "/a?b#c%d"),
            ("/a%2541", "/a%41"),
            ("/a%0ab", "/a\nb"),
            ("/a/.%25", "/a/.%"),
            ("/a/..%3f", "/a/..?"),
            ("/a#b?c", "/a"),
            ("/a?b#c", "/a"),
            ("/a/..#b", "/"),
            ("/a/.?b/../..", "/a/"),
            ("/a+b", "/a+b"),
            (r"/a\b", r"/a\b"),
            ("/é", "/é"),
            ("/%c3%a9", "/é"),
        ] {
            assert_eq!(path(raw), Ok(expected.as_bytes().to_vec()), "{raw}");
        }
        assert_eq!(path("/%ff"), Ok(b"/\xff".to_vec()));
    }

    #[test]
    fn targets_that_nginx_refuses_are_refused() {
        for (raw, error) in [
            ("", TargetError::NoLeadingSlash),
            ("*", TargetError::NoLeadingSlash),
            ("a", TargetError::NoLeadingSlash),
            ("http://a/", TargetError::NoLeadingSlash),
            ("?", TargetError::NoLeadingSlash),
            ("/ ", TargetError::Control),
            ("/?\x7f", TargetError::Control),
            ("/\0", TargetError::Control),
            ("/\t", TargetError::Control),
            ("/%", TargetError::BadPercent),
            ("/%4", TargetError::BadPercent),
            ("/%4?1", TargetError::BadPercent),
            ("/%g0", TargetError::BadPercent),
            ("/%0g", TargetError::BadPercent),
            ("/%+1", TargetError::BadPercent),
            ("/a%00", TargetError::Nul),
            ("/..", TargetError::LeavesRoot),
            ("/../a", TargetError::LeavesRoot),
            ("//..", TargetError::LeavesRoot),
            ("/a/../..", TargetError::LeavesRoot),
            ("/%2e%2e/a/b", TargetError::LeavesRoot),
            ("/..?", TargetError::LeavesRoot),
        ] {
            assert_eq!(path(raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn the_query_is_what_follows_the_first_question_mark() {
        let query = |raw| Target::parse(raw).unwrap().query();
        assert_eq!(query("/a"), None);
        assert_eq!(query("/a?"), Some(""));
        assert_eq!(query("/a?b?c%zz"), Some("b?c%zz"));
        assert_eq!(query("/a%3fb?c#d"), Some("c"));
        assert_eq!(query("/a#b?c"), None);
    }

    #[test]
    fn only_a_percent_sign_in_the_path_makes_it_quoted() {
        let was_quoted = |raw| Target::parse(raw).unwrap().was_quoted();
        assert!(was_quoted("/%61"));
        assert!(was_quoted("//./%61?b"));
        assert!(!was_quoted("//a/../b?%61"));
        assert!(!was_quoted("/a#%61"));
    }

    #[test]
    fn a_plain_target_is_not_copied() {
        let target = Target::parse("/socket.io/?EIO=4&transport=polling").unwrap();
        assert!(matches!(target.path, Cow::Borrowed(_)));
    }

    /// nginx's rules as rewriting of text, one change at a time until there is nothing to change.
    fn slow(raw: &str) -> Option<Vec<u8>> {
        let mut path = String::new(); // a char stands for a byte
        let mut rest = raw.bytes().map(char::from).collect::<String>();
        rest.truncate(rest.find(['?', '#']).unwrap_or(rest.len()));
        while let Some(first) = rest.chars().next() {
            if first == '%' {
                let hex = rest
                    .get(1..3)
                    .filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()))?;
                path.push(char::from(u8::from_str_radix(hex, 16).unwrap()));
                rest.drain(..3);
            } else {
                path.push(rest.remove(0));
            }
        }
        if path.contains('\0') || !raw.starts_with('/') || raw.contains(|c| c <= ' ' || c == '\x7f')
        {
            return None;
        }
        while path.contains("//") {
            path = path.replacen("//", "/", 1);
        }
        if path.ends_with("/.") || path.ends_with("/..") {
            path.push('/');
        }
        while path.contains("/./") {
            path = path.replacen("/./", "/", 1);
        }
        while let Some(dots) = path.find("/../") {
            let parent = path[..dots].rfind('/')?;
            path.replace_range(parent..dots + 3, "");
        }
        Some(
            path.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap())
                .collect(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_path_is_what_slow_rewriting_makes(raw in "/([/./]|\\.\\.|a|b|%2[eEfF35]|%3f|%61|%[0-9a-g]{0,2}|é|[?# +]){0,12}") {
            prop_assert_eq!(path(&raw).ok(), slow(&raw), "{}", raw);
        }

        #[test]
        fn a_path_read_again_is_the_same(raw in "/([/.]|\\.\\.|a|%2[ef35]|%ff|é){0,12}") {
            if let Ok(first) = path(&raw) {
                let escaped: String = first.iter().map(|byte| match byte {
                    b'/' => "/".to_owned(),
                    byte => format!("%{byte:02x}"),
                }).collect();
                prop_assert_eq!(path(&escaped), Ok(first));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(raw in any::<String>(), slash in any::<bool>()) {
            let raw = if slash { format!("/{raw}") } else { raw };
            prop_assert_eq!(path(&raw).ok(), slow(&raw));
        }
    }
}
