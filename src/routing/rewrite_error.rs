//! Errors of a `rewrite`, in words for the person who wrote it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use crate::routing::pattern::RegexError;
use crate::routing::pattern::RegexProblem;
use crate::template::TemplateError;

/// Why a regex and a replacement are no rewrite. Spans are bytes of the replacement, but for [`RewriteError::Regex`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RewriteError {
    /// The regex does not compile.
    Regex {
        /// The bytes of the regex that are wrong.
        span: Range<usize>,
        /// What is wrong with them.
        problem: RegexProblem,
    },
    /// The replacement is empty.
    Empty,
    /// The replacement is a URL, with which nginx redirects.
    Redirect,
    /// A flag of nginx stands behind the replacement.
    Flag {
        /// The flag's bytes.
        span: Range<usize>,
        /// The flag.
        flag: String,
    },
    /// The replacement begins with text that is no slash, so that no path comes of it.
    NoLeadingSlash,
    /// The query of the replacement has a character that no request line has.
    Character {
        /// The character's bytes.
        span: Range<usize>,
        /// The character.
        character: char,
    },
    /// The regex has no group of this number.
    Group {
        /// The bytes of the number with its dollar.
        span: Range<usize>,
        /// How many groups the regex has.
        groups: usize,
    },
    /// The replacement has a variable that does not exist.
    Variable {
        /// The bytes of the variable with its dollar.
        span: Range<usize>,
        /// Which variable it is.
        error: TemplateError,
    },
}

/// The flags of nginx's directive.
const FLAGS: [&str; 4] = ["break", "last", "redirect", "permanent"];

impl RewriteError {
    pub(super) fn regex(error: RegexError) -> Self {
        Self::Regex {
            span: error.span,
            problem: error.problem,
        }
    }

    /// The error for a variable in `part`, which begins at byte `start` of the replacement.
    pub(super) fn variable(part: &str, start: usize, error: TemplateError) -> Self {
        let written = [format!("${{{}}}", error.name), format!("${}", error.name)];
        let found = written
            .iter()
            .find_map(|written| Some((part.find(written.as_str())?, written.len())));
        let (at, length) = found.unwrap_or((0, part.len()));
        Self::Variable {
            span: start + at..start + at + length,
            error,
        }
    }

    /// What is wrong with a replacement as a whole.
    pub(super) fn find_in(replacement: &str) -> Result<(), Self> {
        if replacement.trim().is_empty() {
            return Err(Self::Empty);
        }
        if ["http://", "https://", "$scheme", "${scheme}"]
            .iter()
            .any(|begin| replacement.starts_with(begin))
        {
            return Err(Self::Redirect);
        }
        if let Some((_, flag)) = replacement.rsplit_once(char::is_whitespace)
            && FLAGS.contains(&flag)
        {
            return Err(Self::Flag {
                span: replacement.len() - flag.len()..replacement.len(),
                flag: flag.to_owned(),
            });
        }
        if replacement.starts_with(['/', '$']) {
            Ok(())
        } else {
            Err(Self::NoLeadingSlash)
        }
    }

    /// What is wrong with the query of a replacement, which begins at byte `start`. It goes on as it is written.
    pub(super) fn find_in_query(query: &str, start: usize) -> Result<(), Self> {
        let is_odd = |c: char| c <= ' ' || c == '\x7f' || matches!(c, '"' | '<' | '>' | '#');
        match query.char_indices().find(|(_, c)| is_odd(*c)) {
            Some((at, character)) => Err(Self::Character {
                span: start + at..start + at + character.len_utf8(),
                character,
            }),
            None => Ok(()),
        }
    }

    /// Whether the error is in the regex, not in the replacement.
    pub fn is_of_regex(&self) -> bool {
        matches!(self, Self::Regex { .. })
    }

    /// The bytes of the regex or of the replacement to point at; `None` for all of them.
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Empty | Self::Redirect | Self::NoLeadingSlash => None,
            Self::Regex { span, .. }
            | Self::Flag { span, .. }
            | Self::Character { span, .. }
            | Self::Group { span, .. }
            | Self::Variable { span, .. } => Some(span.clone()),
        }
    }

    /// What to write instead, in a sentence.
    pub fn help(&self) -> String {
        match self {
            Self::Regex { problem, .. } => match problem {
                RegexProblem::LookAround | RegexProblem::Backreference => {
                    "wsgate's regexes have neither look-around nor backreferences, so that none takes longer than in \
                     proportion to the path, whatever a client asks for; write several pairs: the first whose regex \
                     is found is applied"
                        .to_owned()
                }
                RegexProblem::NotAscii(_) | RegexProblem::TooBig(_) | RegexProblem::Syntax(_) => {
                    problem.help()
                }
            },
            Self::Empty => "write the path to ask for, as in `/new/$1`".to_owned(),
            Self::Redirect => {
                "a redirect asks no upstream: give it a route of its own, with `return: 302 https://…`".to_owned()
            }
            Self::Flag { flag, .. } => match flag.as_str() {
                "redirect" => "a redirect asks no upstream: give it a route of its own, with `return: 302 /…`".to_owned(),
                "permanent" => "a redirect asks no upstream: give it a route of its own, with `return: 301 /…`".to_owned(),
                _ => format!("leave `{flag}` out: every rewrite is as with `break`, and chooses no other location"),
            },
            Self::NoLeadingSlash => "begin it with a slash, or with a group that does".to_owned(),
            Self::Character { character, .. } => {
                let mut bytes = [0; 4];
                let escaped: String = character
                    .encode_utf8(&mut bytes)
                    .bytes()
                    .map(|byte| format!("%{byte:02X}"))
                    .collect();
                format!("write `{escaped}`: a query goes on as it stands here")
            }
            Self::Group { groups, .. } => match groups {
                0 => "put what it is to stand for into round brackets in the regex".to_owned(),
                1 => "the regex has one group, `$1`; text that is only grouped can stand in `(?:…)`".to_owned(),
                groups => format!("the regex has {groups} groups, `$1` to `${groups}`"),
            },
            Self::Variable { error, .. } => match error.name.as_str() {
                "is_args" => "not needed: the query stays by itself; a `?` at the end drops it".to_owned(),
                _ => "the variables are the regex's groups, `$host`, `$remote_addr`, `$scheme`, `$request_uri`, `$uri`, \
                      `$args` and `$arg_name`"
                    .to_owned(),
            },
        }
    }
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex { problem, .. } => problem.fmt(f),
            Self::Empty => f.write_str("the replacement of a rewrite is empty"),
            Self::Redirect => f.write_str("a rewrite writes a path, not a URL"),
            Self::Flag { flag, .. } => write!(f, "a rewrite has no flag: `{flag}`"),
            Self::NoLeadingSlash => {
                f.write_str("the replacement of a rewrite does not begin with a slash")
            }
            Self::Character { character, .. } => write!(
                f,
                "a query cannot have this character: `{}`",
                character.escape_debug()
            ),
            Self::Group { .. } => f.write_str("the regex has no group of this number"),
            Self::Variable { error, .. } => write!(f, "{error}"),
        }
    }
}

impl Error for RewriteError {}
