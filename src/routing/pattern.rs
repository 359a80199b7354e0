//! Compiles the regex of a `~` location or of a rewrite, and says where and why one does not compile.
//!
//! Bytes are matched, not characters, since a decoded path need not be UTF-8: `.` is one byte and `\w` is ASCII, as in
//! nginx, whose PCRE runs without UTF. `$` is the end of the path only; PCRE's stands before a last newline too, so
//! that `/a%0a` matches `a$` in nginx and not here. The `regex` crate's own size limit (10 MiB compiled) stays.

use std::ops::Range;

use regex::Error;
use regex::bytes::Regex;
use regex::bytes::RegexBuilder;
use regex::bytes::RegexSet;
use regex::bytes::RegexSetBuilder;

use crate::routing::location_kind::LocationKind;

/// Why a regex cannot be compiled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegexProblem {
    /// It has a look-around: `(?=`, `(?!`, `(?<=` or `(?<!`.
    LookAround,
    /// It has a backreference such as `\1`.
    Backreference,
    /// It has this character beyond ASCII in brackets. Elsewhere such a character stands for its UTF-8 bytes.
    NotAscii(char),
    /// It compiles to more bytes than this.
    TooBig(usize),
    /// It has another mistake, in the words of the `regex` crate.
    Syntax(String),
}

/// Why a regex does not compile, and which of its bytes are to blame.
#[derive(Debug)]
pub(super) struct RegexError {
    pub(super) problem: RegexProblem,
    pub(super) span: Range<usize>,
}

/// Compiles `pattern` as it is, without anchors.
pub(super) fn compile(pattern: &str, kind: LocationKind) -> Result<Regex, RegexError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(kind == LocationKind::RegexIgnoreCase)
        .build()
        .map_err(|error| regex_error(pattern, &error))
}

/// Compiles all `patterns` into one set, each as [`compile`] does; `None` if together they are too big.
pub(super) fn compile_set(patterns: &[&str], kind: LocationKind) -> Option<RegexSet> {
    RegexSetBuilder::new(patterns)
        .unicode(false)
        .case_insensitive(kind == LocationKind::RegexIgnoreCase)
        .build()
        .ok()
}

fn regex_error(pattern: &str, error: &Error) -> RegexError {
    let whole = 0..pattern.len();
    let text = match error {
        Error::CompiledTooBig(bytes) => {
            return RegexError {
                problem: RegexProblem::TooBig(*bytes),
                span: whole,
            };
        }
        Error::Syntax(text) => text.as_str(),
        other => {
            return RegexError {
                problem: RegexProblem::Syntax(other.to_string()),
                span: whole,
            };
        }
    };
    let span = carets(pattern, text).unwrap_or(whole);
    let reason = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "))
        .unwrap_or(text);
    let beyond_ascii = pattern[span.clone()].chars().find(|c| !c.is_ascii());
    let problem = match beyond_ascii {
        _ if reason.starts_with("look-around") => RegexProblem::LookAround,
        _ if reason.starts_with("backreference") => RegexProblem::Backreference,
        Some(beyond) if reason.starts_with("Unicode not allowed") => RegexProblem::NotAscii(beyond),
        _ => RegexProblem::Syntax(reason.to_owned()),
    };
    RegexError { problem, span }
}

/// The bytes of `pattern` that are marked in `text`, the error of the `regex` crate.
///
/// The crate gives its errors as text only: the pattern indented, below it carets. A pattern of several lines is shown
/// in another way and gets `None`.
fn carets(pattern: &str, text: &str) -> Option<Range<usize>> {
    let mut lines = text
        .lines()
        .skip_while(|line| line.trim_start() != pattern.trim_start());
    let indent = lines.next()?.strip_suffix(pattern)?.len();
    let marks = lines.next()?.get(indent..)?;
    let before = marks.find('^')?;
    let marked = marks[before..]
        .chars()
        .take_while(|mark| *mark == '^')
        .count();
    let offset = |chars: usize| {
        pattern
            .char_indices()
            .nth(chars)
            .map_or(pattern.len(), |(at, _)| at)
    };
    // A caret past the end says that something is missing there: the last character is marked instead.
    let start = offset(before).min(pattern.char_indices().next_back()?.0);
    Some(start..offset(before + marked).max(offset(pattern[..start].chars().count() + 1)))
}
