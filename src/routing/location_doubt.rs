//! Locations that are right, and that most likely mean something else than their writer thinks: nginx takes them without a word.
//!
//! Each doubt is about a prefix or an exact path, which is compared with the decoded path byte by byte, and which has text
//! that means more elsewhere.

use std::fmt;
use std::ops::Range;

use crate::routing::location::Location;
use crate::routing::location_kind::LocationKind;

/// Why a location is probably not what was meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocationDoubt {
    /// The bytes of the location's pattern that raise it.
    pub span: Range<usize>,
    /// What is there.
    found: DoubtKind,
    /// What was probably meant.
    meant: String,
}

/// What means more elsewhere than in a prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum DoubtKind {
    /// A star that is to stand for any text, as in a shell.
    Star,
    /// A segment that is to stand for any segment: `:id`, `{id}`, `<id>`.
    Placeholder,
    /// Text as it stands in a regex: `.*`, `\.`, `(a|b)`, `[0-9]`, or a dollar at the end.
    Regex,
    /// A question mark, before which a path ends.
    Query,
    /// A percent-encoded byte, which no decoded path has.
    Escape,
    /// Two slashes or a segment of dots, which no normalised path has.
    NotNormal,
}

impl Location {
    /// What is probably meant otherwise in this location, if anything is.
    pub fn doubt(&self) -> Option<LocationDoubt> {
        let pattern = self.pattern();
        if self.kind().is_regex() {
            return None;
        }
        let (found, span) = query(pattern)
            .or_else(|| escape(pattern))
            .or_else(|| regex(pattern))
            .or_else(|| star(pattern))
            .or_else(|| placeholder(pattern))
            .or_else(|| not_normal(pattern, self.kind()))?;
        Some(LocationDoubt {
            meant: meant(found, pattern, self.kind()),
            span,
            found,
        })
    }
}

fn query(pattern: &str) -> Option<(DoubtKind, Range<usize>)> {
    let at = pattern.find('?')?;
    Some((DoubtKind::Query, at..pattern.len()))
}

fn escape(pattern: &str) -> Option<(DoubtKind, Range<usize>)> {
    let at = escapes(pattern).next()?;
    Some((DoubtKind::Escape, at..at + 3))
}

/// Where percent-encoded bytes begin.
fn escapes(pattern: &str) -> impl Iterator<Item = usize> {
    let is_escape = |at: &usize| {
        let digits = pattern.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let percents = pattern.match_indices('%').map(|(at, _)| at);
    percents.filter(is_escape)
}

fn regex(pattern: &str) -> Option<(DoubtKind, Range<usize>)> {
    let between = |open: char, close: char, inside: char| {
        let start = pattern.find(open)?;
        let end = start + pattern[start..].find(close)? + close.len_utf8();
        pattern[start..end].contains(inside).then_some(start..end)
    };
    let repeated = [".*", ".+"].into_iter();
    let span = repeated
        .filter_map(|text| pattern.find(text).map(|at| at..at + text.len()))
        .min_by_key(|span| span.start)
        .or_else(|| pattern.find('\\').map(|at| at..at + 1))
        .or_else(|| between('(', ')', '|'))
        .or_else(|| between('[', ']', '-'))
        .or_else(|| {
            let at = pattern.len() - 1;
            pattern.ends_with('$').then_some(at..at + 1)
        })?;
    Some((DoubtKind::Regex, span))
}

fn star(pattern: &str) -> Option<(DoubtKind, Range<usize>)> {
    let start = pattern.find('*')?;
    let stars = pattern[start..].bytes().take_while(|byte| *byte == b'*');
    Some((DoubtKind::Star, start..start + stars.count()))
}

fn placeholder(pattern: &str) -> Option<(DoubtKind, Range<usize>)> {
    let mut start = 0;
    for segment in pattern.split('/') {
        let end = start + segment.len();
        if is_placeholder(segment) {
            return Some((DoubtKind::Placeholder, start..end));
        }
        start = end + 1;
    }
    None
}

fn is_placeholder(segment: &str) -> bool {
    let begins_a_name = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    let inside = |open: char, close: char| {
        segment
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(begins_a_name)
    };
    segment.strip_prefix(':').is_some_and(begins_a_name)
        || inside('{', '}')
        || inside('<', '>')
        || inside('[', ']')
}

fn not_normal(pattern: &str, kind: LocationKind) -> Option<(DoubtKind, Range<usize>)> {
    let everywhere = ["//", "/./", "/../"].into_iter();
    let at_the_end = ["/.", "/.."]
        .into_iter()
        .filter(|end| kind == LocationKind::Exact && pattern.ends_with(end))
        .map(|end| pattern.len() - end.len()..pattern.len());
    let span = everywhere
        .filter_map(|text| pattern.find(text).map(|at| at..at + text.len()))
        .chain(at_the_end)
        .min_by_key(|span| span.start)?;
    Some((DoubtKind::NotNormal, span))
}

/// What to write in place of the pattern; empty if nobody can tell.
fn meant(found: DoubtKind, pattern: &str, kind: LocationKind) -> String {
    let with_modifier = |pattern: &str| match kind.modifier() {
        "" => pattern.to_owned(),
        modifier => format!("{modifier} {pattern}"),
    };
    match found {
        DoubtKind::Query => {
            let path = pattern.split('?').next().unwrap_or_default();
            with_modifier(path)
        }
        DoubtKind::Escape => decoded(pattern).map_or_else(String::new, |path| with_modifier(&path)),
        DoubtKind::NotNormal => {
            let path = normal(pattern);
            with_modifier(&path)
        }
        DoubtKind::Star | DoubtKind::Regex => {
            // A star at the very end asks for what a prefix is.
            let rest = pattern.trim_end_matches('*');
            let rest = rest
                .strip_suffix('.')
                .filter(|_| found == DoubtKind::Regex && rest.len() < pattern.len())
                .unwrap_or(rest);
            let is_plain = |rest: &str| regex(rest).is_none() && star(rest).is_none();
            if rest.len() < pattern.len() && rest.starts_with('/') && is_plain(rest) {
                return rest.to_owned();
            }
            if found == DoubtKind::Regex {
                return format!("~ ^{pattern}");
            }
            as_regex(pattern)
        }
        DoubtKind::Placeholder => as_regex(pattern),
    }
}

/// A regex for a pattern with stars and placeholders.
fn as_regex(pattern: &str) -> String {
    let segments: Vec<String> = pattern
        .split('/')
        .map(|segment| match segment {
            "*" => "[^/]+".to_owned(),
            "**" => ".*".to_owned(),
            segment if is_placeholder(segment) => "[^/]+".to_owned(),
            segment => {
                let texts: Vec<String> = segment.split('*').map(regex::escape).collect();
                texts.join("[^/]*")
            }
        })
        .collect();
    format!("~ ^{}$", segments.join("/"))
}

/// The pattern with its percent-encoded bytes decoded, if that is text.
fn decoded(pattern: &str) -> Option<String> {
    let starts: Vec<usize> = escapes(pattern).collect();
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        if starts.contains(&at) {
            bytes.push(u8::from_str_radix(&pattern[at + 1..at + 3], 16).ok()?);
            at += 3;
        } else {
            bytes.push(pattern.as_bytes()[at]);
            at += 1;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// The pattern as a path is normalised: slashes merged, dots resolved.
fn normal(pattern: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let last = pattern.rsplit('/').next().unwrap_or_default();
    for segment in pattern.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let path = format!("/{}", kept.join("/"));
    if matches!(last, "" | "." | "..") && path != "/" {
        return path + "/";
    }
    path
}

impl LocationDoubt {
    /// What to write, in a sentence.
    pub fn help(&self) -> String {
        let meant = &self.meant;
        match self.found {
            DoubtKind::Query => {
                format!("write `{meant}`; `when: {{ query: {{ … }} }}` looks at the query")
            }
            DoubtKind::Escape if meant.is_empty() => {
                "write the bytes themselves, or a regex: `~ ^/\\xff`".to_owned()
            }
            DoubtKind::Star | DoubtKind::Regex if meant.starts_with('/') => {
                format!("write `{meant}`: it answers every path that begins so")
            }
            DoubtKind::Star | DoubtKind::Placeholder => {
                format!("write `{meant}`, or a prefix that ends before it")
            }
            DoubtKind::Regex => format!("write `{meant}` if it is a regex"),
            DoubtKind::Escape | DoubtKind::NotNormal => format!("write `{meant}`"),
        }
    }

    /// What the text in question does to the location.
    pub fn label(&self) -> &'static str {
        match self.found {
            DoubtKind::Star => "only a path with a star in it matches",
            DoubtKind::Placeholder | DoubtKind::Regex => {
                "only a path with this very text in it matches"
            }
            DoubtKind::Query => "the path of a request ends before its `?`",
            DoubtKind::Escape => "paths are decoded before they are compared",
            DoubtKind::NotNormal => "no path has this when it is compared, so none matches",
        }
    }
}

impl fmt::Display for LocationDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.found {
            DoubtKind::Star => "a star stands for itself in a location that is no regex",
            DoubtKind::Placeholder => "a location has no placeholders",
            DoubtKind::Regex => "this location is a prefix or a path, and looks like a regex",
            DoubtKind::Query => "a location does not see the query",
            DoubtKind::Escape => "a location is compared with the decoded path",
            DoubtKind::NotNormal => {
                "slashes are merged and dots resolved before a location is chosen"
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::routing::Location;

    /// What is marked, and what is to be written.
    fn doubt(text: &str) -> Option<(String, String)> {
        let location: Location = text.parse().unwrap();
        let doubt = location.doubt()?;
        let help = doubt.help();
        let meant = help.split('`').nth(1).unwrap_or_default();
        let marked = location.pattern()[doubt.span.clone()].to_owned();
        Some((marked, meant.to_owned()))
    }

    #[test]
    fn what_means_more_elsewhere_is_doubted_with_what_to_write() {
        for (text, marked, meant) in [
            ("/socket.io/*", "*", "/socket.io/"),
            ("/socket.io/**", "**", "/socket.io/"),
            ("/socket.io*", "*", "/socket.io"),
            ("= /socket.io/*", "*", "/socket.io/"),
            ("/*", "*", "/"),
            ("/api/*/users", "*", "~ ^/api/[^/]+/users$"),
            ("/a/**/b", "**", "~ ^/a/.*/b$"),
            ("/*.js", "*", r"~ ^/[^/]*\.js$"),
            ("/api/:id", ":id", "~ ^/api/[^/]+$"),
            ("/api/{id}/x.y", "{id}", r"~ ^/api/[^/]+/x\.y$"),
            ("= /api/<int:id>", "<int:id>", "~ ^/api/[^/]+$"),
            ("/api/[id]/", "[id]", "~ ^/api/[^/]+/$"),
            ("/api/.*", ".*", "/api/"),
            ("/api/.+/x", ".+", "~ ^/api/.+/x"),
            (r"/api/\d+", r"\", r"~ ^/api/\d+"),
            ("/(a|b)/", "(a|b)", "~ ^/(a|b)/"),
            ("/room/[0-9]", "[0-9]", "~ ^/room/[0-9]"),
            ("/api$", "$", "~ ^/api$"),
            ("/socket.io/?EIO=4", "?EIO=4", "/socket.io/"),
            ("= /a?b", "?b", "= /a"),
            ("/a%20b", "%20", "/a b"),
            ("^~ /caf%C3%A9", "%C3", "^~ /café"),
            ("/a//b/../c/", "//", "/a/c/"),
            ("= /a/..", "/..", "= /"),
        ] {
            let wanted = Some((marked.to_owned(), meant.to_owned()));
            assert_eq!(doubt(text), wanted, "{text}");
            let location: Location = meant.parse().unwrap();
            assert_eq!(location.doubt(), None, "{meant}");
        }
        assert_eq!(doubt("/%ff").unwrap().0, "%ff");
    }

    #[test]
    fn what_paths_really_have_is_not_doubted() {
        for text in [
            "/",
            "/socket.io/",
            "/.well-known/",
            "/..",
            "/a b",
            "/~user/(x)",
            "/a[0]",
            "/$metadata",
            "/a$b",
            "/100%",
            "/:443",
            "/a:b",
            "/{}",
            "/api/v1.0/",
            r"~ \.php$",
            "~ /api/*",
            "~* ^/(a|b)",
        ] {
            assert_eq!(doubt(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_location_is_doubted_in_place_and_what_to_write_is_a_location(text in "(= |\\^~ )?/([a*.:{}<>()|?%0-9$\\[\\]é/\\\\]|%C3|\\.\\.){0,9}") {
            if let Ok(location) = text.parse::<Location>() && let Some(doubt) = location.doubt() {
                let marked = location.pattern().get(doubt.span.clone());
                prop_assert!(marked.is_some_and(|marked| !marked.is_empty()), "{doubt:?}");
                prop_assert!(!doubt.help().is_empty() && !doubt.label().is_empty() && !doubt.to_string().is_empty());
                let is_text = !doubt.meant.is_empty() && !doubt.meant.starts_with('~');
                prop_assert!(!is_text || doubt.meant.parse::<Location>().is_ok(), "{doubt:?}");
            }
        }
    }
}
