//! What is found at the beginning of a value, or by a regex in it, and what takes its place: `from` and `to` of nginx's
//! `proxy_redirect` and `proxy_cookie_path`.

use std::fmt;
use std::ops::Range;

use regex::bytes::Captures;
use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::template::Template;
use crate::template::TemplateError;
use crate::template::Variables;

/// What is looked for in a value, and what takes its place.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// What is looked for and what takes its place, as they are written.
    written: (String, String),
    from: From,
    to: Vec<ReplacementPiece>,
}

#[derive(Clone, Debug)]
enum From {
    /// The value begins so, and its rest stays.
    Prefix(Template),
    /// The regex is found anywhere in the value, all of which is replaced.
    Regex(Regex),
}

/// A part of what takes the place.
#[derive(Clone, Debug)]
enum ReplacementPiece {
    Text(Template),
    /// What this group of the regex holds; nothing if it took no part in the match.
    Group(usize),
}

/// Which half of a replacement is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    /// What is looked for.
    From,
    /// What takes its place.
    To,
}

/// What is wrong with a replacement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplacementProblem {
    /// Nothing is looked for.
    Nothing,
    /// The regex does not compile, in the words of the `regex` crate.
    Regex(String),
    /// There is no group of this number.
    Group(usize),
    /// A group stands where no regex does.
    NoRegex(usize),
    /// There is no such variable.
    Variable(TemplateError),
}

/// Why two texts are no replacement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplacementError {
    /// Which of the two is wrong.
    pub half: Half,
    /// Which of its bytes are to blame.
    pub span: Range<usize>,
    /// What is wrong.
    pub problem: ReplacementProblem,
}

impl ReplacementError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match &self.problem {
            ReplacementProblem::Nothing => "write what the value begins with".to_owned(),
            ReplacementProblem::Regex(_) => {
                "it is matched by the `regex` crate, which has no look-around and no backreferences"
                    .to_owned()
            }
            ReplacementProblem::Group(_) => {
                "groups are counted by their opening brackets, from `$1`".to_owned()
            }
            ReplacementProblem::NoRegex(_) => {
                "put `~` before what is looked for, and it is a regex, as in nginx".to_owned()
            }
            ReplacementProblem::Variable(error) => error.help().to_owned(),
        }
    }
}

impl fmt::Display for ReplacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            ReplacementProblem::Nothing => f.write_str("nothing is looked for here"),
            ReplacementProblem::Regex(reason) => write!(f, "this regex does not compile: {reason}"),
            ReplacementProblem::Group(number) => write!(f, "the regex has no group `${number}`"),
            ReplacementProblem::NoRegex(number) => {
                write!(f, "`${number}` is a group of a regex, and there is none")
            }
            ReplacementProblem::Variable(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReplacementError {}

impl PartialEq for Replacement {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Replacement {}

impl Replacement {
    /// Reads both texts. What is looked for is a regex behind `~`, one that ignores case behind `~*`, and else a text with
    /// variables. What takes its place has variables too and, behind a regex, its groups as `$1` to `$9`.
    ///
    /// # Errors
    /// The regex does not compile, or a variable or a group does not exist.
    pub fn new(from: &str, to: &str) -> Result<Self, ReplacementError> {
        let written = (from.to_owned(), to.to_owned());
        let (from, groups) = match from.strip_prefix('~') {
            None => (From::Prefix(prefix(from)?), None),
            Some(rest) => {
                let regex = regex(from, rest)?;
                let groups = regex.captures_len();
                (From::Regex(regex), Some(groups))
            }
        };
        let to = pieces(to, groups)?;
        Ok(Self { written, from, to })
    }

    /// What is looked for, as it is written.
    pub fn from(&self) -> &str {
        &self.written.0
    }

    /// What takes its place, as it is written.
    pub fn to(&self) -> &str {
        &self.written.1
    }

    /// The value with what was found in it replaced; `None` if nothing was found.
    pub(super) fn apply(&self, value: &[u8], variables: &Variables<'_>) -> Option<Vec<u8>> {
        match &self.from {
            From::Prefix(from) => {
                let rest = value.strip_prefix(from.fill(variables).as_bytes())?;
                let mut replaced = self.fill(None, variables);
                replaced.extend_from_slice(rest);
                Some(replaced)
            }
            From::Regex(regex) => Some(self.fill(Some(regex.captures(value)?), variables)),
        }
    }

    fn fill(&self, captures: Option<Captures<'_>>, variables: &Variables<'_>) -> Vec<u8> {
        let mut filled = Vec::new();
        for piece in &self.to {
            match piece {
                ReplacementPiece::Text(text) => filled.extend(text.fill(variables).bytes()),
                ReplacementPiece::Group(number) => {
                    let group = captures.as_ref().and_then(|found| found.get(*number));
                    filled.extend_from_slice(group.map_or(b"", |group| group.as_bytes()));
                }
            }
        }
        filled
    }
}

/// A text that a value begins with.
fn prefix(text: &str) -> Result<Template, ReplacementError> {
    let error = |span, problem| ReplacementError {
        half: Half::From,
        span,
        problem,
    };
    if text.is_empty() {
        return Err(error(0..0, ReplacementProblem::Nothing));
    }
    text.parse()
        .map_err(|unknown| error(0..text.len(), ReplacementProblem::Variable(unknown)))
}

/// The regex of `whole`, which is `rest` behind a tilde.
fn regex(whole: &str, rest: &str) -> Result<Regex, ReplacementError> {
    let (rest, ignores_case) = match rest.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let pattern = rest.trim_start();
    let error = |problem| ReplacementError {
        half: Half::From,
        span: whole.len() - pattern.len()..whole.len(),
        problem,
    };
    if pattern.is_empty() {
        return Err(error(ReplacementProblem::Nothing));
    }
    // Bytes, not characters, as in nginx.
    let regex = RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(ignores_case)
        .build();
    regex.map_err(|failed| {
        let text = failed.to_string();
        let mut lines = text.lines().rev();
        let reason = lines.find_map(|line| line.strip_prefix("error: "));
        error(ReplacementProblem::Regex(
            reason.unwrap_or(&text).to_owned(),
        ))
    })
}

/// Divides a text at the groups in it. `groups` is how many a regex has, the whole match counted; `None` without one.
fn pieces(text: &str, groups: Option<usize>) -> Result<Vec<ReplacementPiece>, ReplacementError> {
    let error = |span, problem| ReplacementError {
        half: Half::To,
        span,
        problem,
    };
    let template = |range: Range<usize>| match text[range.clone()].parse() {
        Ok(template) => Ok(ReplacementPiece::Text(template)),
        Err(unknown) => Err(error(range, ReplacementProblem::Variable(unknown))),
    };
    let mut pieces = Vec::new();
    let mut plain = 0;
    for (at, _) in text.match_indices('$') {
        // As in nginx a group has one digit.
        let digit = text
            .as_bytes()
            .get(at + 1)
            .filter(|byte| (b'1'..=b'9').contains(*byte));
        let Some(digit) = digit else {
            continue;
        };
        let number = usize::from(*digit - b'0');
        let problem = match groups {
            None => Some(ReplacementProblem::NoRegex(number)),
            Some(groups) if number >= groups => Some(ReplacementProblem::Group(number)),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            return Err(error(at..at + 2, problem));
        }
        if plain < at {
            pieces.push(template(plain..at)?);
        }
        pieces.push(ReplacementPiece::Group(number));
        plain = at + 2;
    }
    if plain < text.len() {
        pieces.push(template(plain..text.len())?);
    }
    Ok(pieces)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::answer_fields::replacement::Half;
    use crate::answer_fields::replacement::Replacement;
    use crate::headers::forwarded::Scheme;
    use crate::stream::ClientAddr;
    use crate::template::Variables;

    fn replaced(from: &str, to: &str, value: &str) -> Option<String> {
        let variables = Variables {
            host: "a.test",
            remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
            scheme: Scheme::Https,
            request_uri: "/x?y",
        };
        let replaced = Replacement::new(from, to)
            .unwrap()
            .apply(value.as_bytes(), &variables);
        replaced.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_prefix_is_replaced_and_a_regex_replaces_all() {
        for (from, to, value, wanted) in [
            ("/a/", "/", "/a/b", Some("/b")),
            ("/a/", "/", "/A/b", None),
            ("/a/", "", "/a/b", Some("b")),
            ("/a/", "/", "x/a/b", None),
            (
                "http://$host/",
                "$scheme://${host}:8443/",
                "http://a.test/b",
                Some("https://a.test:8443/b"),
            ),
            ("~ /a/(.)", "$1!", "x/a/bc", Some("b!")),
            ("~^/a/(.)", "/$1", "x/a/bc", None),
            ("~*^/A/(.*)$", "$scheme/$1$$", "/a/b", Some("https/b$$")),
            ("~(x)?y", "<$1>", "y", Some("<>")),
            ("~(.)(.)", "$21", "ab", Some("b1")),
        ] {
            assert_eq!(
                replaced(from, to, value).as_deref(),
                wanted,
                "{from} {to} {value}"
            );
        }
    }

    #[test]
    fn what_is_no_replacement_is_an_error_with_its_place() {
        for (from, to, half, span, words) in [
            ("", "/", Half::From, 0..0, "nothing is looked for here"),
            ("~* ", "/", Half::From, 3..3, "nothing is looked for here"),
            (
                "~ a(",
                "/",
                Half::From,
                2..4,
                "this regex does not compile: unclosed group",
            ),
            ("/$x", "/", Half::From, 0..3, "unknown variable `$x`"),
            (
                "/",
                "/$1",
                Half::To,
                1..3,
                "`$1` is a group of a regex, and there is none",
            ),
            (
                "~(a)",
                "/$1$2",
                Half::To,
                3..5,
                "the regex has no group `$2`",
            ),
            ("~(a)", "$1/$uri", Half::To, 2..7, "unknown variable `$uri`"),
        ] {
            let error = Replacement::new(from, to).unwrap_err();
            assert_eq!(
                (error.half, error.span.clone()),
                (half, span),
                "{from} {to}"
            );
            assert_eq!(error.to_string(), words);
        }
    }
}
