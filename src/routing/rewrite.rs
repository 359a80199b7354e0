//! Writes another path for an upstream: nginx's `rewrite … break`.
//!
//! A regex is looked for in the path with which locations are compared. The replacement is split at its first `?`: the
//! path before it is escaped as a whole when it is asked for, the query behind it is taken as it is. Nothing is applied
//! a second time, and nothing chooses another location.

use regex::bytes::Captures;
use regex::bytes::Regex;

use crate::routing::Target;
use crate::routing::location_kind::LocationKind;
use crate::routing::pattern;
use crate::routing::replace;
use crate::routing::rewrite_error::RewriteError;
use crate::template::Template;
use crate::template::Variables;

/// A regex, and what takes the place of a path in which it is found.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Regex and replacement as they are written.
    written: (String, String),
    regex: Regex,
    path: Vec<Piece>,
    /// What stands behind the first `?` of the replacement; `None` without one.
    query: Option<Vec<Piece>>,
    old_query: OldQuery,
}

/// What becomes of the query that the client wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OldQuery {
    /// It stays, behind that of the replacement.
    Kept,
    /// It goes, since the replacement ends in a question mark.
    Dropped,
}

/// A part of a replacement.
#[derive(Clone, Debug)]
enum Piece {
    /// A text, maybe with variables that have nothing to do with the path.
    Text(Template),
    /// What this group of the regex holds; nothing if it took no part in the match.
    Capture(usize),
    /// `$uri`: the path with which locations are compared.
    Path,
    /// `$args`: the query as the client wrote it.
    Query,
    /// `$arg_name`: the first parameter of this name as the client wrote it; the name's case does not matter, as in
    /// nginx.
    Parameter(String),
}

/// A rewrite has left nothing that a request line could ask for: nginx's `the rewritten URI has a zero length`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoPathLeft;

/// What an upstream is asked for in place of `target`, by the first of `rewrites` whose regex is found in the path.
/// `None` if none is, so that nothing changes.
///
/// # Errors
/// The path that was written does not begin with a slash.
pub fn rewritten(
    rewrites: &[Rewrite],
    target: &Target<'_>,
    variables: &Variables<'_>,
) -> Option<Result<String, NoPathLeft>> {
    rewrites.iter().find_map(|rewrite| {
        let captures = rewrite.regex.captures(target.path())?;
        Some(rewrite.apply(&Match {
            captures,
            target,
            variables,
        }))
    })
}

impl PartialEq for Rewrite {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Rewrite {}

/// A path in which a regex was found.
struct Match<'m> {
    captures: Captures<'m>,
    target: &'m Target<'m>,
    variables: &'m Variables<'m>,
}

impl Rewrite {
    /// Reads a regex, which is compiled as that of a `~` location, and its replacement.
    ///
    /// # Errors
    /// The regex does not compile; or the replacement is empty, cannot begin with a slash, is a URL (with which nginx
    /// redirects), ends in a flag of nginx, or has a group or a variable that does not exist.
    pub fn new(regex: &str, replacement: &str) -> Result<Self, RewriteError> {
        let compiled = pattern::compile(regex, LocationKind::Regex).map_err(RewriteError::regex)?;
        let whole = replacement;
        RewriteError::find_in(whole)?;
        let (text, old_query) = match whole.strip_suffix('?') {
            Some(text) => (text, OldQuery::Dropped),
            None => (whole, OldQuery::Kept),
        };
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some((query, path.len() + 1))),
            None => (text, None),
        };
        let query = match query {
            Some((query, start)) => {
                RewriteError::find_in_query(query, start)?;
                Some(pieces(query, start, &compiled)?)
            }
            None => None,
        };
        Ok(Self {
            path: pieces(path, 0, &compiled)?,
            query,
            old_query,
            regex: compiled,
            written: (regex.to_owned(), whole.to_owned()),
        })
    }

    /// Whether it is applied to this decoded path, if none before it is.
    pub fn is_found_in(&self, path: &[u8]) -> bool {
        self.regex.is_match(path)
    }

    /// The regex as it is written.
    pub fn regex(&self) -> &str {
        &self.written.0
    }

    /// The replacement as it is written.
    pub fn replacement(&self) -> &str {
        &self.written.1
    }

    fn apply(&self, found: &Match<'_>) -> Result<String, NoPathLeft> {
        let mut path = Vec::new();
        for piece in &self.path {
            piece.write_path(found, &mut path);
        }
        if path.first() != Some(&b'/') {
            return Err(NoPathLeft);
        }
        let mut asked = String::with_capacity(path.len());
        replace::escape_path(&path, &mut asked);
        let mut query = String::new();
        for piece in self.query.iter().flatten() {
            piece.write_query(found, &mut query);
        }
        let old = found.target.query().unwrap_or_default();
        if self.old_query == OldQuery::Kept && !old.is_empty() {
            if self.query.is_some() {
                query.push('&');
            }
            query.push_str(old);
        }
        replace::append_query(&mut asked, &query);
        Ok(asked)
    }
}

impl Piece {
    /// Appends what it stands for to a path, which is escaped later.
    fn write_path(&self, found: &Match<'_>, path: &mut Vec<u8>) {
        match self {
            Self::Text(text) => path.extend(text.fill(found.variables).bytes()),
            Self::Capture(group) => path.extend(found.group(*group)),
            Self::Path => path.extend(found.target.path()),
            Self::Query => path.extend(found.target.query().unwrap_or_default().bytes()),
            Self::Parameter(name) => path.extend(found.parameter(name).bytes()),
        }
    }

    /// Appends what it stands for to a query. A part of the path is escaped if the client had escaped something in it, as
    /// nginx does it for `$1`; nginx writes `$uri` and named groups as they are, so that a client could end the request
    /// line with them.
    fn write_query(&self, found: &Match<'_>, query: &mut String) {
        let was_escaped = found.target.was_quoted() || found.target.path().contains(&b'+');
        let mut write = |decoded: &[u8]| match str::from_utf8(decoded) {
            _ if was_escaped => replace::escape_in_query(decoded, query),
            Ok(text) if !text.contains('"') => query.push_str(text),
            Ok(_) | Err(_) => replace::escape_what_no_target_has(decoded, query),
        };
        match self {
            Self::Text(text) => query.push_str(&text.fill(found.variables)),
            Self::Capture(group) => write(found.group(*group)),
            Self::Path => write(found.target.path()),
            Self::Query => query.push_str(found.target.query().unwrap_or_default()),
            Self::Parameter(name) => query.push_str(found.parameter(name)),
        }
    }
}

impl Match<'_> {
    fn group(&self, number: usize) -> &[u8] {
        let group = self.captures.get(number);
        group.map_or(b"", |group| group.as_bytes())
    }

    fn parameter(&self, name: &str) -> &str {
        let pairs = self.target.query().unwrap_or_default().split('&');
        let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
        let pair = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name));
        pair.map_or("", |(_, value)| value)
    }
}

/// Divides a part of a replacement, which begins at byte `start` of the whole, at its captures.
fn pieces(text: &str, start: usize, regex: &Regex) -> Result<Vec<Piece>, RewriteError> {
    let mut pieces = Vec::new();
    let mut plain = 0; // where the text begins that is no piece yet
    let mut next = 0;
    while let Some(dollar) = text[next..].find('$').map(|at| next + at) {
        let (name, end) = name(text, dollar);
        next = end;
        let Some(piece) = piece(name, start + dollar..start + end, regex)? else {
            continue; // the template knows it, or says that it does not
        };
        pieces.extend(template(text, plain..dollar, start)?);
        pieces.push(piece);
        plain = end;
    }
    pieces.extend(template(text, plain..text.len(), start)?);
    Ok(pieces)
}

/// The name behind the dollar at `dollar`, and where it ends. As in nginx a number has one digit, but in braces.
fn name(text: &str, dollar: usize) -> (&str, usize) {
    let behind = &text[dollar + 1..];
    if let Some((name, _)) = behind
        .strip_prefix('{')
        .and_then(|braced| braced.split_once('}'))
    {
        return (name, dollar + 1 + name.len() + 2);
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = match behind.bytes().next() {
        Some(b'0'..=b'9') => 1,
        _ => behind.find(|c| !is_of_name(c)).unwrap_or(behind.len()),
    };
    (&behind[..length], dollar + 1 + length)
}

/// The piece of this name; `None` if it has nothing to do with the path.
fn piece(
    name: &str,
    span: std::ops::Range<usize>,
    regex: &Regex,
) -> Result<Option<Piece>, RewriteError> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        let groups = regex.captures_len() - 1; // the whole match is not one of them
        return match name.parse() {
            Ok(group) if (1..=groups).contains(&group) => Ok(Some(Piece::Capture(group))),
            Ok(_) | Err(_) => Err(RewriteError::Group { span, groups }),
        };
    }
    let named = regex.capture_names().position(|known| known == Some(name));
    Ok(match (named, name) {
        (Some(group), _) => Some(Piece::Capture(group)),
        (None, "uri" | "document_uri") => Some(Piece::Path),
        (None, "args" | "query_string") => Some(Piece::Query),
        (None, name) => name
            .strip_prefix("arg_")
            .filter(|name| !name.is_empty())
            .map(|name| Piece::Parameter(name.to_owned())),
    })
}

/// The text between two captures; `None` if there is none.
fn template(
    text: &str,
    range: std::ops::Range<usize>,
    start: usize,
) -> Result<Option<Piece>, RewriteError> {
    let part = &text[range.clone()];
    if part.is_empty() {
        return Ok(None);
    }
    match part.parse::<Template>() {
        Ok(template) => Ok(Some(Piece::Text(template))),
        Err(error) => Err(RewriteError::variable(part, start + range.start, error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::headers::forwarded::Scheme;
    use crate::routing::NoPathLeft;
    use crate::routing::Rewrite;
    use crate::routing::Target;
    use crate::routing::rewritten;
    use crate::stream::ClientAddr;
    use crate::template::Variables;

    /// What becomes of `raw`; `None` if no regex is found.
    fn apply(pairs: &[(&str, &str)], raw: &str) -> Option<Result<String, NoPathLeft>> {
        let rewrites: Vec<Rewrite> = pairs
            .iter()
            .map(|(regex, replacement)| Rewrite::new(regex, replacement).unwrap())
            .collect();
        let variables = Variables {
            host: "a.test",
            remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
            scheme: Scheme::Https,
            request_uri: raw,
        };
        rewritten(&rewrites, &Target::parse(raw).unwrap(), &variables)
    }

    fn one(regex: &str, replacement: &str, raw: &str) -> String {
        apply(&[(regex, replacement)], raw).unwrap().unwrap()
    }

    #[test]
    fn captures_stand_where_their_numbers_and_names_do() {
        assert_eq!(one("^/api/(.*)$", "/$1", "/api/v1/x"), "/v1/x");
        assert_eq!(one("^/(.)/(.)", "/$2$1/$2", "/a/b/c"), "/ba/b");
        assert_eq!(one("^/(.)", "/$10", "/a"), "/a0");
        assert_eq!(one("^/(.)", "/${1}0", "/a"), "/a0");
        assert_eq!(
            one("^/(?<room>[^/]+)", "/r-$room-${room}s", "/a/b"),
            "/r-a-as"
        );
        assert_eq!(one("^/a(x)?(y)?", "/[$1$2]", "/ay"), "/[y]");
        assert_eq!(one("^/a(/.*)$", "$1", "/a/b"), "/b");
        assert_eq!(one("b", "/whole", "/abc/d"), "/whole");
    }

    #[test]
    fn the_first_pair_whose_regex_is_found_is_applied_once() {
        let pairs = [("^/a", "/b"), ("^/b", "/c"), ("^/b/x", "/d")];
        assert_eq!(apply(&pairs, "/a"), Some(Ok("/b".to_owned())));
        assert_eq!(apply(&pairs, "/b/x"), Some(Ok("/c".to_owned())));
        assert_eq!(apply(&pairs, "/x?/a"), None);
        assert_eq!(apply(&[], "/a"), None);
    }

    #[test]
    fn the_query_is_kept_behind_the_new_one_or_dropped() {
        for (replacement, query, asked) in [
            ("/n", "?a=1", "/n?a=1"),
            ("/n", "?", "/n"),
            ("/n", "", "/n"),
            ("/n?", "?a=1", "/n"),
            ("/n?b=2", "?a=1", "/n?b=2&a=1"),
            ("/n?b=2", "", "/n?b=2"),
            ("/n?b=2?", "?a=1", "/n?b=2"),
            ("/n??", "?a=1", "/n"),
            ("/n?b?c", "?a=1", "/n?b?c&a=1"),
            ("/n?$2", "?a=1", "/n?&a=1"),
            ("/n?x=$1", "", "/n?x=p"),
        ] {
            let raw = format!("/p{query}");
            assert_eq!(one("^/(p)(q)?", replacement, &raw), asked, "{replacement}");
        }
    }

    #[test]
    fn a_path_is_always_escaped_and_a_query_if_the_client_escaped_something() {
        assert_eq!(one("^/(.*)", "/n/$1", "/{a}|é"), "/n/%7Ba%7D%7C%C3%A9");
        assert_eq!(one("^/(.*)", "/n/$1", "/a%3Fb%2Fc"), "/n/a%3Fb/c");
        assert_eq!(one("^/x", "/a b%20", "/x"), "/a%20b%2520");
        assert_eq!(one("^/(.*)", "/n?x=$1", "/a&b;{c}é"), "/n?x=a&b;{c}é");
        assert_eq!(one("^/(.*)", "/n?x=$1", "/a&b;c+d"), "/n?x=a%26b%3Bc%2Bd");
        assert_eq!(one("(?s)^/(.*)", "/n?x=$1", "/%61%0ab=c"), "/n?x=a%0Ab=c");
        // Half a character and a raw quote are escaped in any case, since no request line can have them.
        assert_eq!(one("^/(.)", "/n?x=$1", "/é"), "/n?x=%C3");
        assert_eq!(one("^/(.)", "/n?x=$1", "/\""), "/n?x=%22");
        assert_eq!(
            one("^/(?<n>.*)", "/n?x=$n&y=$uri", "/%0d"),
            "/n?x=%0D&y=/%0D"
        );
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(
            one("^/x", "/$host/$scheme$uri", "/x%20y"),
            "/a.test/https/x%20y"
        );
        assert_eq!(one("^/x", "/n?$args&z?", "/x?a=%20"), "/n?a=%20&z");
        assert_eq!(
            one("^/x", "/n?t=$arg_TOKEN?", "/x?s=1&token=%41&token=2"),
            "/n?t=%41"
        );
        assert_eq!(one("^/x", "/$arg_t", "/x?t&t=a/%41"), "/a/%2541?t&t=a/%41");
        assert_eq!(one("^/x", "/$request_uri", "/x?y"), "//x%3Fy?y");
    }

    #[test]
    fn a_path_without_a_slash_is_no_path() {
        let cut = [("^/app(.*)", "$1")];
        assert_eq!(apply(&cut, "/app/x"), Some(Ok("/x".to_owned())));
        assert_eq!(apply(&cut, "/app"), Some(Err(NoPathLeft)));
        assert_eq!(apply(&cut, "/apple"), Some(Err(NoPathLeft)));
    }

    proptest! {
        #[test]
        fn what_is_asked_is_a_target_that_names_the_path_which_was_written(
            raw in "/([/.]|\\.\\.|a|[{|}\"é+]|%2[ef350]|%ff|%0a|\\?b){0,12}",
            replacement in "/([$]1|a|é|%|[$][{]uri[}]){0,3}([?]([$]1|a=|&|[$][{]args[}]){0,3})?[?]?",
        ) {
            if let Ok(target) = Target::parse(&raw) {
                let asked = one("^/(.*)", &replacement, &raw);
                prop_assert!(asked.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{asked}");
                let again = Target::parse(&asked);
                // The path can have dots that are resolved when it is read again, and leave the root then.
                let is_read = again.is_ok() || asked.contains("..");
                prop_assert!(is_read, "{asked}");
                let kept = !replacement.ends_with('?');
                let query = target.query().unwrap_or_default();
                prop_assert!(!kept || asked.ends_with(query), "{asked}");
            }
        }

        #[test]
        fn any_pair_is_read_or_refused(regex in "\\PC{0,9}", replacement in "[/$?{}a1 \"é:]{0,9}") {
            if let Err(error) = Rewrite::new(&regex, &replacement) {
                prop_assert!(!error.to_string().is_empty() && !error.help().is_empty());
                let text = if error.is_of_regex() { &regex } else { &replacement };
                if let Some(span) = error.span() {
                    prop_assert!(text.get(span).is_some_and(|marked| !marked.is_empty()), "{error:?}");
                }
            }
        }
    }
}
