//! The value of `location`, read from one text as nginx reads its tokens.
//!
//! A [`Location`] is proof: a prefix or an exact path starts with a slash, a regex compiles. Where a text is wrong,
//! [`LocationError`] says which of its bytes and what to write instead.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;

use crate::routing::location_error::LocationError;
use crate::routing::location_kind::LocationKind;
use crate::routing::pattern;

/// The value of `location`: `/prefix`, `= /exact`, `^~ /prefix`, `~ regex` or `~* regex`, as in nginx's directive.
///
/// Prefixes and exact paths are compared with the decoded path, byte by byte: `/a b` matches a request for `/a%20b`.
#[derive(Clone, Debug)]
pub struct Location {
    kind: LocationKind,
    pattern: String,
    regex: Option<Regex>,
}

impl Location {
    /// The kind of the location.
    pub fn kind(&self) -> LocationKind {
        self.kind
    }

    /// The text without its modifier, which is compared with the path.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it matches `path`, which is decoded and normalised. Another location may go before it all the same.
    pub fn matches(&self, path: &[u8]) -> bool {
        match (self.kind, &self.regex) {
            (_, Some(regex)) => regex.is_match(path),
            (LocationKind::Exact, None) => path == self.pattern.as_bytes(),
            (_, None) => path.starts_with(self.pattern.as_bytes()),
        }
    }

    /// What two locations that are one have in common: see [`same_as`](Self::same_as).
    pub(super) fn name(&self) -> (&'static str, &str) {
        (self.kind.plain().modifier(), &self.pattern)
    }

    /// Whether only one of the two can stand in a table: nginx's `duplicate location`.
    ///
    /// `/a` and `^~ /a` clash, `/a` and `= /a` do not. Equal regexes clash too if both or neither ignore case (nginx
    /// takes both, though only the first can answer).
    pub fn same_as(&self, other: &Self) -> bool {
        self.name() == other.name()
    }

    /// The compiled regex, which the two regex kinds have.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }
}

/// The kinds with a modifier. Of two modifiers that begin alike the longer stands first.
const MODIFIERS: [LocationKind; 4] = [
    LocationKind::Exact,
    LocationKind::PrefixNoRegex,
    LocationKind::RegexIgnoreCase,
    LocationKind::Regex,
];

impl FromStr for Location {
    type Err = LocationError;

    /// Reads a modifier and a pattern. The space between them may be missing, as in nginx: `=/x` is `= /x`.
    ///
    /// # Errors
    /// The text is empty, has another modifier or nothing after it, names an `@location`, or is in quotes; a prefix or
    /// an exact path does not start with a slash (nginx accepts it, though no path can match it); or a regex does not
    /// compile.
    fn from_str(text: &str) -> Result<Self, LocationError> {
        let written = text.trim();
        let start = text.len() - text.trim_start().len();
        let whole = start..start + written.len();
        if written.is_empty() {
            return Err(LocationError::Empty);
        }
        if written.starts_with('@') {
            return Err(LocationError::Named { span: whole });
        }
        let (kind, pattern) = split(written).ok_or_else(|| {
            let modifier = first_token(written).to_owned();
            LocationError::UnknownModifier {
                span: start..start + modifier.len(),
                modifier,
            }
        })?;
        let span = whole.end - pattern.len()..whole.end;
        if pattern.is_empty() {
            return Err(LocationError::NothingAfterModifier { span: whole, kind });
        }
        if let Some(quote @ ('"' | '\'')) = pattern.chars().next()
            && pattern.len() > 1
            && pattern.ends_with(quote)
        {
            return Err(LocationError::Quoted { span, quote });
        }
        let regex = if kind.is_regex() {
            let compiled = pattern::compile(pattern, kind);
            Some(compiled.map_err(|error| LocationError::regex(span.start, error))?)
        } else if pattern.starts_with('/') {
            None
        } else {
            let pattern = pattern.to_owned();
            return Err(LocationError::NoLeadingSlash { span, pattern });
        };
        Ok(Self {
            kind,
            pattern: pattern.to_owned(),
            regex,
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.modifier() {
            "" => f.write_str(&self.pattern),
            modifier => write!(f, "{modifier} {}", self.pattern),
        }
    }
}

/// The kind and the pattern; `None` if what stands before the pattern is no modifier.
fn split(written: &str) -> Option<(LocationKind, &str)> {
    let first = first_token(written);
    let rest = written[first.len()..].trim_start();
    if let Some(kind) = MODIFIERS.into_iter().find(|kind| kind.modifier() == first) {
        return Some((kind, rest));
    }
    if written.starts_with('/') {
        return Some((LocationKind::Prefix, written)); // spaces and all: nginx would want quotes around these
    }
    if !rest.is_empty() {
        return None;
    }
    let glued = MODIFIERS
        .into_iter()
        .find_map(|kind| Some((kind, written.strip_prefix(kind.modifier())?)));
    Some(glued.unwrap_or((LocationKind::Prefix, written)))
}

/// What stands before the first white space.
fn first_token(written: &str) -> &str {
    written.split(char::is_whitespace).next().unwrap_or(written)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::routing::Location;
    use crate::routing::LocationKind;

    fn read(text: &str) -> (LocationKind, String) {
        let location: Location = text.parse().unwrap();
        (location.kind(), location.pattern().to_owned())
    }

    #[test]
    fn every_form_that_nginx_takes_is_read() {
        for (text, kind, pattern) in [
            ("/x", LocationKind::Prefix, "/x"),
            ("= /x", LocationKind::Exact, "/x"),
            ("=/x", LocationKind::Exact, "/x"),
            ("^~ /x", LocationKind::PrefixNoRegex, "/x"),
            ("^~/x", LocationKind::PrefixNoRegex, "/x"),
            ("~ ^/x$", LocationKind::Regex, "^/x$"),
            ("~^/x$", LocationKind::Regex, "^/x$"),
            ("~* x", LocationKind::RegexIgnoreCase, "x"),
            ("~*x", LocationKind::RegexIgnoreCase, "x"),
            ("  =\t/x ", LocationKind::Exact, "/x"),
            ("/a b", LocationKind::Prefix, "/a b"),
            ("~ a b", LocationKind::Regex, "a b"),
            (r"~ \.php$", LocationKind::Regex, r"\.php$"),
            (
                r"~ ^/[a-z]{2,3}/\xff",
                LocationKind::Regex,
                r"^/[a-z]{2,3}/\xff",
            ),
            ("~ (?<name>x)", LocationKind::Regex, "(?<name>x)"),
        ] {
            assert_eq!(read(text), (kind, pattern.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_location_is_shown_as_nginx_writes_it() {
        for text in ["/x", "= /x", "^~ /x", "~ x", "~* x"] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
        }
        assert_eq!("~*x".parse::<Location>().unwrap().to_string(), "~* x");
    }

    #[test]
    fn duplicates_are_what_nginx_calls_duplicates() {
        let same = |a: &str, b: &str| {
            let (a, b): (Location, Location) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.same_as(&b), b.same_as(&a));
            a.same_as(&b)
        };
        assert!(same("/a", "/a"));
        assert!(same("/a", "^~ /a"));
        assert!(same("= /a", "=/a"));
        assert!(same("~ a", "~a"));
        assert!(!same("/a", "= /a"));
        assert!(!same("^~ /a", "= /a"));
        assert!(!same("~ a", "~* a"));
        assert!(!same("/a", "/a/"));
        assert!(!same("/a", "~ /a"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_span_inside_it(text in "[ /~=^*@ab\"'()\\[\\]?\\\\{}|é\n-]{0,12}") {
            match text.parse::<Location>() {
                Ok(location) => {
                    let again: Location = location.to_string().parse().unwrap();
                    prop_assert_eq!(again.kind(), location.kind());
                    prop_assert_eq!(again.pattern(), location.pattern());
                }
                Err(error) => {
                    if let Some(span) = error.span() {
                        prop_assert!(text.get(span).is_some_and(|text| !text.is_empty()), "{:?}", error);
                    }
                    prop_assert!(!error.to_string().is_empty() && !error.help().is_empty());
                }
            }
        }
    }
}
