//! Errors of a `location`, in words for the person who wrote it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use crate::routing::location_kind::LocationKind;
use crate::routing::pattern::RegexError;
use crate::routing::pattern::RegexProblem;

/// Why a text is no location. Spans are bytes of the text as it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocationError {
    /// The text is empty, or only white space.
    Empty,
    /// No path can match this prefix or exact path, since every path begins with a slash.
    NoLeadingSlash {
        /// The pattern's bytes.
        span: Range<usize>,
        /// The pattern.
        pattern: String,
    },
    /// The text before the pattern is none of nginx's four modifiers.
    UnknownModifier {
        /// The modifier's bytes.
        span: Range<usize>,
        /// The text in its place.
        modifier: String,
    },
    /// A modifier stands alone.
    NothingAfterModifier {
        /// The modifier's bytes.
        span: Range<usize>,
        /// The kind that the modifier is for.
        kind: LocationKind,
    },
    /// The text is `@name`, to which only nginx's `error_page` and `try_files` could lead.
    Named {
        /// The whole text's bytes.
        span: Range<usize>,
    },
    /// The pattern is in quotes. An nginx.conf needs them around `{` and spaces; here they would be compared with the
    /// path.
    Quoted {
        /// The pattern's bytes, quotes included.
        span: Range<usize>,
        /// The quote.
        quote: char,
    },
    /// The regex does not compile.
    Regex {
        /// The bytes of the regex that are wrong.
        span: Range<usize>,
        /// What is wrong with them.
        problem: RegexProblem,
    },
}

impl LocationError {
    /// The error for a regex that begins at byte `start` of the written text.
    pub(super) fn regex(start: usize, error: RegexError) -> Self {
        Self::Regex {
            span: start + error.span.start..start + error.span.end,
            problem: error.problem,
        }
    }

    /// The bytes of the written text to point at; `None` if there is no text.
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Empty => None,
            Self::NoLeadingSlash { span, .. }
            | Self::UnknownModifier { span, .. }
            | Self::NothingAfterModifier { span, .. }
            | Self::Named { span }
            | Self::Quoted { span, .. }
            | Self::Regex { span, .. } => Some(span.clone()),
        }
    }

    /// What to write instead, in a sentence.
    pub fn help(&self) -> String {
        match self {
            Self::Empty => "write a path prefix such as `/socket.io`, or `/` for every path".to_owned(),
            Self::NoLeadingSlash { pattern, .. } if pattern.contains(['^', '$', '\\', '*', '(', '~']) => {
                format!("write `~ {}` if it is a regex", pattern.trim_start_matches(['~', ' ']))
            }
            Self::NoLeadingSlash { pattern, .. } => format!("write `/{pattern}`"),
            Self::UnknownModifier { .. } => {
                "the modifiers are `=` (this path only), `^~` (prefix, no regex after it), `~` (regex) and `~*` \
                 (regex, case ignored), with a space after them; a prefix has none"
                    .to_owned()
            }
            Self::NothingAfterModifier { kind, .. } => {
                let example = if kind.is_regex() { r"\.png$" } else { "/socket.io" };
                format!("write what it is for, as in `{} {example}`", kind.modifier())
            }
            Self::Named { .. } => {
                "wsgate has no named locations, since nothing could lead to one; write a path".to_owned()
            }
            Self::Quoted { .. } => {
                "leave these quotes out: here a brace or a space needs none, and they would be compared with the path"
                    .to_owned()
            }
            Self::Regex { problem, .. } => problem.help(),
        }
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("location is empty"),
            Self::NoLeadingSlash { pattern, .. } => {
                write!(
                    f,
                    "location does not start with a slash and can never match: `{pattern}`"
                )
            }
            Self::UnknownModifier { modifier, .. } => {
                write!(f, "unknown location modifier: `{modifier}`")
            }
            Self::NothingAfterModifier { kind, .. } => {
                write!(f, "nothing after the modifier `{}`", kind.modifier())
            }
            Self::Named { .. } => f.write_str("there are no named locations"),
            Self::Quoted { quote, .. } => write!(f, "location is in quotes: `{quote}`"),
            Self::Regex { problem, .. } => problem.fmt(f),
        }
    }
}

impl Error for LocationError {}

impl RegexProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::LookAround | Self::Backreference => {
                "wsgate's regexes have neither look-around nor backreferences, so that none takes longer than in \
                 proportion to the path, whatever a client asks for; use a second location in its place: a longer \
                 prefix, or a regex further up in the file"
                    .to_owned()
            }
            Self::NotAscii(beyond) => {
                format!("paths are compared byte by byte; in place of brackets write `(?:{beyond}|...)`")
            }
            Self::TooBig(_) => "repeat less often: `{1000}` compiles to a thousand copies".to_owned(),
            Self::Syntax(_) => {
                r"to match a character that means something in a regex, put a backslash before it: `\.`, `\{`".to_owned()
            }
        }
    }
}

impl fmt::Display for RegexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookAround => f.write_str("look-around in a regex"),
            Self::Backreference => f.write_str("backreference in a regex"),
            Self::NotAscii(beyond) => write!(f, "character beyond ASCII in brackets: `{beyond}`"),
            Self::TooBig(limit) => write!(
                f,
                "regex is too big: compiled it has more than {limit} bytes"
            ),
            Self::Syntax(reason) => write!(f, "regex does not compile: {reason}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::routing::Location;
    use crate::routing::LocationError;

    fn refused(text: &str) -> LocationError {
        text.parse::<Location>().unwrap_err()
    }

    #[test]
    fn every_refusal_says_what_and_where() {
        for (text, marked, message) in [
            (
                "x",
                "x",
                "location does not start with a slash and can never match: `x`",
            ),
            (
                "= x",
                "x",
                "location does not start with a slash and can never match: `x`",
            ),
            (
                " ^~  x ",
                "x",
                "location does not start with a slash and can never match: `x`",
            ),
            ("== /x", "==", "unknown location modifier: `==`"),
            ("=~ ^/x", "=~", "unknown location modifier: `=~`"),
            ("~~ /x", "~~", "unknown location modifier: `~~`"),
            ("exact /x", "exact", "unknown location modifier: `exact`"),
            ("=", "=", "nothing after the modifier `=`"),
            (" ~* ", "~*", "nothing after the modifier `~*`"),
            ("^~", "^~", "nothing after the modifier `^~`"),
            ("@fallback", "@fallback", "there are no named locations"),
            (
                r#"~ "^/a{2}$""#,
                r#""^/a{2}$""#,
                "location is in quotes: `\"`",
            ),
            ("= '/a'", "'/a'", "location is in quotes: `'`"),
            ("~ ^/(?!api)", "(?!", "look-around in a regex"),
            ("~ (?<=a)b", "(?<=", "look-around in a regex"),
            (r"~* (a)\1", r"\1", "backreference in a regex"),
            ("~ ^/(a", "(", "regex does not compile: unclosed group"),
            ("~ a)", ")", "regex does not compile: unopened group"),
            (
                "~ é[z-a]",
                "z-a",
                "regex does not compile: invalid character class range, the start must be <= the end",
            ),
            ("~ /caf[é]", "é", "character beyond ASCII in brackets: `é`"),
            (
                "~* /caf[ä-é]",
                "ä",
                "character beyond ASCII in brackets: `ä`",
            ),
            ("~ a\n(b", "a\n(b", "regex does not compile: unclosed group"),
            (
                "~ *",
                "*",
                "regex does not compile: repetition operator missing expression",
            ),
            (
                r"~ a\",
                r"\",
                r"regex does not compile: incomplete escape sequence, reached end of pattern prematurely",
            ),
        ] {
            let error = refused(text);
            assert_eq!(error.to_string(), message, "{text:?}");
            assert_eq!(&text[error.span().unwrap()], marked, "{text:?}");
        }
        assert_eq!(refused(" ").to_string(), "location is empty");
        assert_eq!(refused("").span(), None);
        let big = refused(r"~ (\w{1000}){1000}");
        assert_eq!(
            big.to_string(),
            "regex is too big: compiled it has more than 10485760 bytes"
        );
    }

    #[test]
    fn help_is_something_to_write() {
        assert_eq!(refused("socket.io").help(), "write `/socket.io`");
        assert_eq!(
            refused(r"\.php$").help(),
            r"write `~ \.php$` if it is a regex"
        );
        assert_eq!(refused("=~^/x").help(), "write `~ ^/x` if it is a regex");
        assert_eq!(
            refused("~").help(),
            r"write what it is for, as in `~ \.png$`"
        );
        let brackets = refused("~ /caf[é]").help();
        assert_eq!(
            brackets,
            "paths are compared byte by byte; in place of brackets write `(?:é|...)`"
        );
        assert!(
            refused("~ (?=a)")
                .help()
                .contains("whatever a client asks for")
        );
    }

    #[test]
    fn a_character_beyond_ascii_outside_of_brackets_is_its_bytes() {
        for text in ["~ ^/caf(?:é|e)$", r"~ ^/caf\xc3\xa9$", "~* ^/CAFé$"] {
            let location: Location = text.parse().unwrap();
            assert!(
                location.regex().unwrap().is_match("/café".as_bytes()),
                "{text}"
            );
        }
    }
}
