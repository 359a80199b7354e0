//! Writes the target for an upstream when the path cannot go on as the client wrote it.
//!
//! In all other cases the raw target goes on untouched; these and [`rewritten`](crate::routing::rewritten) are those in
//! which nginx writes a path of its own.

use crate::routing::Location;
use crate::routing::LocationKind;
use crate::routing::Target;

/// The target for an upstream when `proxy_pass` has a URI part, by nginx's rule of replacement.
///
/// The part of the path that `location` matched is replaced by `uri`; what follows it, decoded and normalised, is
/// appended and, if the raw path had a percent sign, escaped again; then comes the query, if there is one. A regex
/// matches no such part (nginx refuses a URI there): the whole path is appended.
pub fn replace(target: &Target<'_>, location: &Location, uri: &str) -> String {
    let matched = match location.kind() {
        LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixNoRegex => {
            location.pattern().as_bytes()
        }
        LocationKind::Regex | LocationKind::RegexIgnoreCase => b"",
    };
    let rest = target.path().strip_prefix(matched).unwrap_or_default();
    let query = target.query().unwrap_or_default();
    let mut asked = String::with_capacity(uri.len() + rest.len() + query.len() + 1);
    asked.push_str(uri);
    match str::from_utf8(rest) {
        // What the client did not escape is not escaped here, as in nginx: a `{` or an `é` goes on as it came.
        Ok(rest) if !target.was_quoted() => asked.push_str(rest),
        // Bytes that are not UTF-8 cannot stand in a `String` and are escaped in any case. A raw target is UTF-8, so
        // that only escapes bring such bytes, and then `was_quoted` is true anyway.
        Ok(_) | Err(_) => escape_path(rest, &mut asked),
    }
    append_query(&mut asked, query);
    asked
}

/// The target with the slash that it lacks, where the search finds
/// [`Found::AddsSlash`](crate::routing::Found::AddsSlash): the location's name, escaped, and the query.
///
/// For an ordinary request it is the `Location` field of nginx's 301, as a path; for an upgrade the target to go on
/// with.
pub fn add_slash(target: &Target<'_>, location: &Location) -> String {
    let mut asked = String::new();
    escape_path(location.pattern().as_bytes(), &mut asked);
    append_query(&mut asked, target.query().unwrap_or_default());
    asked
}

/// Puts a query behind a path, if there is one.
pub(super) fn append_query(asked: &mut String, query: &str) {
    if !query.is_empty() {
        asked.push('?');
        asked.push_str(query);
    }
}

/// Percent-encodes a path as `ngx_escape_uri` does with `NGX_ESCAPE_URI` since nginx 1.21.1.
pub(super) fn escape_path(bytes: &[u8], escaped: &mut String) {
    bytes.iter().for_each(|byte| match byte {
        byte if is_kept(*byte) => escaped.push(char::from(*byte)),
        byte => escape(*byte, escaped),
    });
}

/// Percent-encodes a part of a query as `ngx_escape_uri` does with `NGX_ESCAPE_ARGS`: also what divides parameters.
pub(super) fn escape_in_query(bytes: &[u8], escaped: &mut String) {
    bytes.iter().for_each(|byte| match byte {
        byte if is_kept(*byte) && !b"&+;".contains(byte) => escaped.push(char::from(*byte)),
        byte => escape(*byte, escaped),
    });
}

/// Percent-encodes what cannot stand in a target: a quote, and bytes that need not be UTF-8.
pub(super) fn escape_what_no_target_has(bytes: &[u8], escaped: &mut String) {
    bytes.iter().for_each(|byte| match byte {
        b'"' | 0x80.. => escape(*byte, escaped),
        byte => escaped.push(char::from(*byte)),
    });
}

fn is_kept(byte: u8) -> bool {
    !matches!(
        byte,
        0..=b' '
            | b'"'
            | b'#'
            | b'%'
            | b'<'
            | b'>'
            | b'?'
            | b'\\'
            | b'^'
            | b'`'
            | b'{'
            | b'|'
            | b'}'
            | 0x7f..=0xff
    )
}

fn escape(byte: u8, escaped: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |digit: u8| char::from(HEX[usize::from(digit)]);
    escaped.extend(['%', hex(byte >> 4), hex(byte & 0xf)]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::routing::Location;
    use crate::routing::Target;
    use crate::routing::add_slash;
    use crate::routing::replace;

    fn replaced(raw: &str, location: &str, uri: &str) -> String {
        let location: Location = location.parse().unwrap();
        replace(&Target::parse(raw).unwrap(), &location, uri)
    }

    #[test]
    fn the_matched_prefix_is_replaced() {
        assert_eq!(replaced("/api/v1?x=1", "/api/", "/"), "/v1?x=1");
        assert_eq!(replaced("/api/v1", "/api", "/"), "//v1");
        assert_eq!(replaced("/api", "/api", "/new"), "/new");
        assert_eq!(replaced("/apis", "^~ /api", "/new"), "/news");
        assert_eq!(replaced("/api", "= /api", "/new/"), "/new/");
        assert_eq!(replaced("/a/b", "~ b", "/new"), "/new/a/b");
    }

    #[test]
    fn the_rest_is_the_normalised_path() {
        assert_eq!(replaced("/api//v1/./a/../b?c", "/api/", "/x/"), "/x/v1/b?c");
        assert_eq!(replaced("/a/../api/v1", "/api/", "/x/"), "/x/v1");
    }

    #[test]
    fn the_rest_is_escaped_again_only_if_it_was() {
        assert_eq!(replaced("/api/a%20b%2Fc", "/api/", "/"), "/a%20b/c");
        assert_eq!(replaced("/api/{a}|é", "/api/", "/"), "/{a}|é");
        assert_eq!(
            replaced("/api/{a}|é%61", "/api/", "/"),
            "/%7Ba%7D%7C%C3%A9a"
        );
        assert_eq!(replaced("/ap%69/{a}", "/api/", "/"), "/%7Ba%7D");
        assert_eq!(replaced("/%ff%fe", "/", "/"), "/%FF%FE");
    }

    #[test]
    fn only_these_ascii_bytes_are_escaped() {
        let kept: String = (1..128_u8)
            .filter(|byte| {
                let hex = format!("%{byte:02x}");
                replaced(&format!("/x{hex}"), "/x", "/") != format!("/{}", hex.to_uppercase())
            })
            .map(char::from)
            .collect();
        let alphanumeric = |c: &char| c.is_ascii_alphanumeric();
        assert_eq!(kept.chars().filter(alphanumeric).count(), 62);
        let others: String = kept.chars().filter(|c| !alphanumeric(c)).collect();
        assert_eq!(others, "!$&'()*+,-./:;=@[]_~");
    }

    #[test]
    fn an_empty_query_leaves_no_question_mark() {
        assert_eq!(replaced("/api/?", "/api/", "/x/"), "/x/");
        assert_eq!(replaced("/api/?a", "/api/", "/x/?b=1"), "/x/?b=1?a"); // as in nginx
    }

    #[test]
    fn the_missing_slash_keeps_the_query() {
        let with_slash = |raw: &str, location: &str| {
            add_slash(&Target::parse(raw).unwrap(), &location.parse().unwrap())
        };
        assert_eq!(with_slash("/ws", "/ws/"), "/ws/");
        assert_eq!(with_slash("/ws?EIO=4", "/ws/"), "/ws/?EIO=4");
        assert_eq!(with_slash("/a%20b?", "/a b/"), "/a%20b/");
    }

    proptest! {
        #[test]
        fn what_is_asked_names_the_same_path(raw in "/([/.]|\\.\\.|a|[{|}\"é]|%2[ef350]|%ff|%0a|\\?b){0,12}") {
            let location: Location = "/".parse().unwrap();
            if let Ok(target) = Target::parse(&raw) {
                let asked = replace(&target, &location, "/");
                let again = Target::parse(&asked).unwrap();
                prop_assert_eq!(again.path(), target.path());
                prop_assert_eq!(again.query().unwrap_or_default(), target.query().unwrap_or_default());
                prop_assert_eq!(replace(&again, &location, "/"), asked);
            }
        }

        #[test]
        fn no_target_and_no_location_panics(raw in "/\\PC{0,9}", pattern in "/\\PC{0,3}", uri in "/\\PC{0,3}") {
            if let Ok(target) = Target::parse(&raw) {
                let location: Location = pattern.parse().unwrap();
                prop_assert!(replace(&target, &location, &uri).starts_with(&uri));
                prop_assert!(add_slash(&target, &location).is_ascii() || target.query().is_some());
            }
        }
    }
}
