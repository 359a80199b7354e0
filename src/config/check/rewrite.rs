//! The rules of `rewrite`: a map of regexes, each with the replacement for a path in which it is found.

use crate::config::check::Checker;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::routing::Rewrite;

/// The pairs of `rewrite` in file order, as far as they are right.
pub(super) fn rewrites(node: &Node, checker: &mut Checker<'_>) -> Vec<Rewrite> {
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        value => {
            let help = match value {
                Value::Text(text) => as_map(text),
                Value::Nothing | Value::List(_) | Value::Map(_) => None,
            };
            checker
                .error(
                    &node.span,
                    "`rewrite` must be a map of regexes and replacements",
                )
                .help(help.unwrap_or_else(|| EXAMPLE.to_owned()));
            return Vec::new();
        }
    };
    let mut rewrites: Vec<Rewrite> = Vec::new();
    for (key, value) in map {
        let Some(regex) = checker.text(key, "rewrite", "a regex such as `^/old/(.*)$`") else {
            continue;
        };
        let Some(replacement) = checker.text(value, "rewrite", "a path such as `/new/$1`") else {
            continue;
        };
        if rewrites.iter().any(|other| other.regex() == regex) {
            checker
                .error(
                    &key.span,
                    format!("the regex {} stands here twice", quoted(regex)),
                )
                .label("only the first would ever be applied")
                .help("remove one of the two");
            continue;
        }
        match Rewrite::new(regex, replacement) {
            Ok(rewrite) => rewrites.push(rewrite),
            Err(error) => {
                let node = if error.is_of_regex() { key } else { value };
                let span = node.part(error.span());
                checker.error(&span, error.to_string()).help(error.help());
            }
        }
    }
    rewrites
}

/// What the help of an error shows.
const EXAMPLE: &str = "write `rewrite: { \"^/old/(.*)$\": /new/$1 }`";

/// The words of nginx's directive as a map, if the text has two or three of them.
fn as_map(text: &str) -> Option<String> {
    let text = text.trim_end_matches(';');
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [regex, replacement] | [regex, replacement, "break" | "last"]
            if replacement.starts_with(['/', '$']) =>
        {
            Some(format!("write `rewrite: {{ '{regex}': '{replacement}' }}`"))
        }
        _ => None,
    }
}
