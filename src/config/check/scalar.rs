//! Reads values that are one text, or a list of texts, and notes those that are something else.

use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::kind;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values;
use crate::config::values::MOST_CONNECTIONS;
use crate::config::values::MOST_THREADS;

/// Whether a key takes a duration of zero.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Zero {
    /// Zero is a duration like any other.
    Allowed,
    /// Zero is an error.
    Refused,
    /// Zero is an error of a duration that is no limit; what to write instead.
    Useless(&'static str),
}

/// The keys whose values may end with a semicolon; behind any other it is a habit from nginx.
const WORDS: [&str; 7] = [
    "return",
    "set_headers",
    "add_headers",
    "header",
    "query",
    "url",
    "path",
];

/// Whether a text has digits only.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Checker<'_> {
    /// The text of a value that must be one; `expected` is what a message says it must be.
    pub(super) fn text<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        expected: &str,
    ) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => {
                let semicolon = text.strip_suffix(';');
                match semicolon.filter(|begin| !WORDS.contains(&key) || is_number(begin)) {
                    None => return Some(text),
                    Some(begin) => {
                        let begin = begin.trim_end();
                        self.error(&node.span, format!("`{key}` ends with a semicolon"))
                            .help(format!("write `{begin}`: in YAML a line just ends"));
                    }
                }
            }
            Value::Nothing => {
                self.error(&node.span, format!("`{key}` has no value"))
                    .help(format!("give it {expected}"));
            }
            _ => {
                let message = format!("`{key}` must be {expected}, not {}", kind(node));
                self.error(&node.span, message)
                    .help("write it as one value, without brackets or dashes");
            }
        }
        None
    }

    /// The path of a PEM file, which is noted as one that the configuration depends on. The file is not read here.
    pub(super) fn pem_file<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        example: &str,
    ) -> Option<&'n str> {
        let path = self.text(node, key, "the path of a PEM file")?;
        if path.contains("-----BEGIN") {
            self.error(&node.span, format!("`{key}` holds PEM itself"))
                .help("write it to a file and give its path");
            None
        } else if path.is_empty() || path.contains('\0') {
            self.error(&node.span, format!("`{key}` is no path"))
                .help(format!("write a path, as in `{example}`"));
            None
        } else {
            self.files.insert(self.path(path));
            Some(path)
        }
    }

    /// The value of a key that must be `on` or `off`; `true` for on.
    pub(super) fn switch(&mut self, node: &Node, key: &str) -> Option<bool> {
        let text = self.text(node, key, "`on` or `off`")?;
        let read = values::switch(text);
        if read.is_none() {
            let message = format!("`{key}` must be `on` or `off`, not {}", quoted(text));
            let help = match key {
                "access_log" => {
                    "it goes to stderr; a service manager or the shell can write it to a file"
                }
                _ => "write `on` or `off`",
            };
            self.error(&node.span, message).help(help);
        }
        read
    }

    /// The value of a key that must be `true` or `false`, if it is set and right.
    pub(super) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        let text = self.text(node, key, "`true` or `false`")?;
        let read = values::switch(text);
        if read.is_none() {
            let message = format!("`{key}` must be `true` or `false`, not {}", quoted(text));
            self.error(&node.span, message)
                .help("write `true` or `false`");
        }
        read
    }

    /// The duration of `key`, if it is set and right.
    pub(super) fn duration(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        zero: Zero,
    ) -> Option<Duration> {
        let node = fields.get(key)?;
        let text = self.text(node, key, "a duration such as `30s`")?;
        match values::duration(text) {
            Ok(duration) if duration.is_zero() && zero != Zero::Allowed => {
                let error = self.error(&node.span, format!("`{key}` cannot be zero"));
                if let Zero::Useless(help) = zero {
                    error.help(help);
                } else {
                    error.label("nothing would ever be in time").help(
                        "a limit that is never reached does not exist here; the longest is `365d`",
                    );
                }
                None
            }
            Ok(duration) => Some(duration),
            Err(error) => {
                self.error(&node.span, format!("`{key}` {error}: {}", quoted(text)))
                    .help(error.help(text));
                None
            }
        }
    }

    /// The number of threads.
    pub(super) fn threads(&mut self, node: &Node) -> Option<NonZeroUsize> {
        let without = "leave it out for one thread on each core that wsgate may use";
        let count = self.count(node, "threads", MOST_THREADS, without);
        count.and_then(|count| count.try_into().ok())
    }

    /// The most connections of clients at a time.
    pub(super) fn max_connections(&mut self, node: &Node) -> Option<NonZeroUsize> {
        let without = "leave it out for as many as the limit of descriptors allows";
        let count = self.count(node, "max_connections", MOST_CONNECTIONS, without);
        count.and_then(|count| count.try_into().ok())
    }

    /// A number from 1 to `most`. The help of an error says what leaving the key out means: `without`.
    pub(super) fn count(
        &mut self,
        node: &Node,
        key: &str,
        most: u32,
        without: &str,
    ) -> Option<NonZeroU32> {
        let text = self.text(node, key, "a number")?;
        let number = text
            .parse()
            .ok()
            .filter(|number: &NonZeroU32| number.get() <= most);
        if number.is_none() {
            let message = format!(
                "`{key}` must be a number from 1 to {most}: {}",
                quoted(text)
            );
            self.error(&node.span, message).help(without);
        }
        number
    }
}

/// The texts of a value that must be a text or a list of texts, each with its place.
pub(super) fn texts<'n>(
    node: &'n Node,
    key: &str,
    expected: &str,
    checker: &mut Checker<'_>,
) -> Vec<(&'n Node, &'n str)> {
    match &node.value {
        Value::List(entries) if entries.is_empty() => {
            checker
                .error(&node.span, format!("`{key}` is an empty list"))
                .help(format!("give it {expected}, or leave `{key}` out"));
            Vec::new()
        }
        Value::List(entries) => entries
            .iter()
            .filter_map(|entry| Some((entry, checker.text(entry, key, expected)?)))
            .collect(),
        _ => checker
            .text(node, key, expected)
            .map(|text| (node, text))
            .into_iter()
            .collect(),
    }
}
