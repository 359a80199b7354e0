//! The environment's variables in the values of `routes.yaml`: `${PORT}`, `${PORT:-8080}`.
//!
//! They are filled in after the YAML is read, each within its own scalar, so that no value can add a key or an entry. A
//! name has capital letters: `${host}` stays nginx's. The environment is handed in as a value; nobody asks the process
//! for it here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;

/// The variables that the values of a file may name.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl FromIterator<(OsString, OsString)> for Environment {
    /// The variables of a process, as `std::env::vars_os` gives them.
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let named = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(named.collect())
    }
}

/// The text of a scalar whose variables are filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FilledText {
    /// The text with the values.
    pub(super) text: String,
    /// The bytes of it that stand for themselves, whatever they have: values, and what was escaped.
    pub(super) literal: Vec<Range<usize>>,
    /// The variables with their values: what is written, such as `${PORT}`, and what stands for it.
    pub(super) values: Vec<(String, String)>,
}

/// Why a variable cannot be filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FillError {
    /// What is wrong.
    pub(super) problem: FillProblem,
    /// Where it is written in the text.
    pub(super) span: Range<usize>,
}

/// What is wrong with a variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FillProblem {
    /// The environment has no such variable, and no default is written.
    Unset(String),
    /// The value is no UTF-8.
    NotUtf8(String),
    /// Behind the name stands something else than `}` or `:-`.
    Form(String),
    /// No `}` ends it.
    Unclosed(String),
    /// The default has a variable of its own.
    Nested(String),
}

impl FillProblem {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!(
                "set it, or write a default, as in `${{{name}:-VALUE}}`; `$${{{name}}}` is the text `${{{name}}}` itself"
            ),
            Self::NotUtf8(name) => format!("set `{name}` to a text in UTF-8"),
            Self::Form(name) => {
                format!("write `${{{name}}}`, or with a default `${{{name}:-VALUE}}`")
            }
            Self::Unclosed(name) => format!("write `${{{name}}}`"),
            Self::Nested(name) => format!("write a plain text as the default of `{name}`"),
        }
    }
}

impl fmt::Display for FillProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "the environment variable `{name}` is not set"),
            Self::NotUtf8(name) => {
                write!(f, "the environment variable `{name}` is no UTF-8")
            }
            Self::Form(name) => write!(
                f,
                "`{name}` in the environment can be asked for with a default, and nothing else"
            ),
            Self::Unclosed(name) => {
                write!(f, "the environment variable `{name}` has no closing `}}`")
            }
            Self::Nested(name) => write!(
                f,
                "the default of `{name}` cannot have a variable of its own"
            ),
        }
    }
}

/// What begins a variable in a text.
const BEGIN: &str = "${";

impl Environment {
    /// The text with its variables filled in; `None` if it has none. A variable that is set and empty counts as unset
    /// where a default is written, as in a shell.
    ///
    /// # Errors
    /// Everything that is wrong with its variables.
    pub(super) fn fill(&self, written: &str) -> Result<Option<FilledText>, Vec<FillError>> {
        let mut filled = FilledText {
            text: String::new(),
            literal: Vec::new(),
            values: Vec::new(),
        };
        let mut errors = Vec::new();
        let mut done = 0;
        let mut from = 0;
        while let Some(at) = written[from..].find(BEGIN).map(|at| from + at) {
            from = at + BEGIN.len();
            let Some(name) = name(&written[from..]) else {
                continue;
            };
            if written[done..at].ends_with('$') {
                filled.text.push_str(&written[done..at - 1]);
                filled.push_literal(BEGIN);
                done = from;
                continue;
            }
            filled.text.push_str(&written[done..at]);
            match self.variable(&written[at..], name) {
                Ok((value, length, is_default)) => {
                    filled.push_literal(&value);
                    if !is_default {
                        let variable = written[at..at + length].to_owned();
                        filled.values.push((variable, value));
                    }
                    done = at + length;
                }
                Err((problem, length)) => {
                    let span = at..at + length;
                    errors.push(FillError { problem, span });
                    done = at + length;
                }
            }
            from = done;
        }
        filled.text.push_str(&written[done..]);
        match errors.is_empty() {
            false => Err(errors),
            true if done == 0 => Ok(None),
            true => Ok(Some(filled)),
        }
    }

    /// The value of the variable with which `text` begins, the length of what is written for it, and whether the value is
    /// the default that is written; or what is wrong, and how much of the text that concerns.
    fn variable(
        &self,
        text: &str,
        name: &str,
    ) -> Result<(String, usize, bool), (FillProblem, usize)> {
        let begun = BEGIN.len() + name.len();
        let behind = &text[begun..];
        let owned = || name.to_owned();
        if behind.is_empty() {
            return Err((FillProblem::Unclosed(owned()), begun));
        }
        let (default, length) = if behind.starts_with('}') {
            (None, begun + 1)
        } else if let Some(rest) = behind.strip_prefix(":-") {
            let Some(end) = rest.find('}') else {
                return Err((FillProblem::Unclosed(owned()), text.len()));
            };
            let length = begun + 2 + end + 1;
            if rest[..end].contains(BEGIN) {
                return Err((FillProblem::Nested(owned()), length));
            }
            (Some(&rest[..end]), length)
        } else {
            let end = behind.find('}').map_or(behind.len(), |end| end + 1);
            return Err((FillProblem::Form(owned()), begun + end));
        };
        match (self.0.get(name), default) {
            (Some(value), Some(default)) if value.is_empty() => {
                Ok((default.to_owned(), length, true))
            }
            (Some(value), _) => match value.to_str() {
                Some(value) => Ok((value.to_owned(), length, false)),
                None => Err((FillProblem::NotUtf8(owned()), length)),
            },
            (None, Some(default)) => Ok((default.to_owned(), length, true)),
            (None, None) => Err((FillProblem::Unset(owned()), length)),
        }
    }
}

impl FilledText {
    fn push_literal(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.literal.push(start..self.text.len());
    }
}

/// The name of an environment variable with which a text begins, as far as `${` stands before it. `None` for nginx's
/// variables, whose names have small letters, and for whatever else may stand behind a dollar and a brace.
fn name(text: &str) -> Option<&str> {
    let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    let is_name = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && !text[end..].starts_with(|c: char| c.is_ascii_lowercase());
    is_name.then_some(&text[..end])
}

/// Whether a text has a variable of the environment in it, or what is meant as one.
pub(super) fn names_variable(text: &str) -> bool {
    let begins = text.match_indices(BEGIN);
    let mut behind = begins.map(|(at, begin)| &text[at + begin.len()..]);
    behind.any(|behind| name(behind).is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use crate::config::environment::BEGIN;
    use crate::config::environment::Environment;
    use crate::config::environment::FillProblem;
    use crate::config::environment::names_variable;

    fn environment() -> Environment {
        let set = [
            ("PORT", "8080"),
            ("EMPTY", ""),
            ("_X1", "$host"),
            ("B", "b"),
        ];
        let set = set.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let odd = (OsString::from("ODD"), OsString::from_vec(vec![0xff]));
        set.into_iter().chain([odd]).collect()
    }

    #[test]
    fn what_is_set_is_filled_in_and_a_default_where_it_is_not() {
        for (written, text) in [
            ("${PORT}", "8080"),
            ("127.0.0.1:${PORT}", "127.0.0.1:8080"),
            ("${B}${B}c${B}", "bbcb"),
            ("${PORT:-1}", "8080"),
            ("${UNSET:-1}", "1"),
            ("${UNSET:-}", ""),
            ("${EMPTY}", ""),
            ("a${EMPTY:-x y}b", "ax yb"),
            ("${_X1}", "$host"),
            ("$${PORT}", "${PORT}"),
            ("$$${PORT}", "$${PORT}"),
            ("a$${PORT:-1}b", "a${PORT:-1}b"),
            ("$${PORT}${PORT}", "${PORT}8080"),
        ] {
            let filled = environment().fill(written).unwrap().unwrap();
            assert_eq!(filled.text, text, "{written}");
        }
    }

    #[test]
    fn what_is_nginx_or_a_regex_stays() {
        for written in [
            "",
            "$PORT",
            "${host}",
            "https://${host}$request_uri",
            "${Port}",
            "${PORTs}",
            "${1}",
            "{PORT}",
            "a{2}${",
            "~ ^/x${2,3}$",
            "$$",
            "${}",
            "${ PORT }",
        ] {
            assert_eq!(environment().fill(written), Ok(None), "{written}");
        }
    }

    #[test]
    fn values_and_escapes_stand_for_themselves() {
        let filled = environment().fill("a${_X1}$host$${B}").unwrap().unwrap();
        assert_eq!(filled.text, "a$host$host${B}");
        let literal = filled.literal.iter().map(|of| &filled.text[of.clone()]);
        assert_eq!(literal.collect::<Vec<_>>(), ["$host", "${"]);
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_its_place() {
        let name = |name: &str| name.to_owned();
        for (written, problem, at) in [
            ("a${UNSET}", FillProblem::Unset(name("UNSET")), "${UNSET}"),
            ("${ODD:-x}", FillProblem::NotUtf8(name("ODD")), "${ODD:-x}"),
            ("${B:?x}y", FillProblem::Form(name("B")), "${B:?x}"),
            ("${B-x}", FillProblem::Form(name("B")), "${B-x}"),
            ("${B }", FillProblem::Form(name("B")), "${B }"),
            ("${B", FillProblem::Unclosed(name("B")), "${B"),
            ("${B:-x", FillProblem::Unclosed(name("B")), "${B:-x"),
            ("${B:-${B}}", FillProblem::Nested(name("B")), "${B:-${B}"),
        ] {
            let errors = environment().fill(written).unwrap_err();
            assert_eq!(errors.len(), 1, "{written}");
            assert_eq!(errors[0].problem, problem);
            assert_eq!(&written[errors[0].span.clone()], at, "{written}");
            assert!(names_variable(written) && !problem.help().is_empty());
        }
        let errors = environment().fill("${A}${B}${C}").unwrap_err();
        assert_eq!(errors.len(), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_filled_in_or_refused(text in "[A-B_:$\\{\\}\\-a ]{0,24}") {
            match environment().fill(&text) {
                Ok(None) => prop_assert!(!names_variable(&text)),
                Ok(Some(filled)) => {
                    for part in filled.literal {
                        prop_assert!(filled.text.get(part).is_some());
                    }
                }
                Err(errors) => {
                    for error in errors {
                        let is_there = text[error.span].starts_with(BEGIN);
                        prop_assert!(is_there);
                    }
                }
            }
        }
    }
}
