//! Writes pieces of YAML: scalars, with quotes where they need them, and comments. Texts in, texts out.

use std::fmt::Write as _;

/// The columns of a comment, beyond which it goes on in the next line.
const WIDTH: usize = 118;

/// The text as a value that stands alone in its line.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The text as a value between braces or brackets.
pub(super) fn flow(text: &str) -> String {
    if is_plain(text) && !text.contains(['[', ']', '{', '}', ',']) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Whether every reader of YAML reads the text without quotes as this very text.
fn is_plain(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphanumeric() || "/$.=^_+(".contains(c);
    let regex = text.starts_with("~ ") || text.starts_with("~* ");
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    (text.starts_with(begins) || regex)
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([' ', ':'])
        && !words.contains(&text.to_ascii_lowercase().as_str())
        && text != "="
}

/// The text in quotes.
pub(super) fn quoted(text: &str) -> String {
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}');
    if text.contains(['\\', '"']) && text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if printable(c) => quoted.push(c),
            // Writing to a String cannot fail.
            c => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// The text as lines of a comment, each behind `indent` spaces.
pub(super) fn comment(text: &str, indent: usize) -> String {
    let shown: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    let mut lines = String::new();
    let mut line = format!("{:indent$}#", "");
    let mut length = line.chars().count();
    for word in shown.split(' ').filter(|word| !word.is_empty()) {
        let letters = word.chars().count() + 1;
        if length + letters > WIDTH && !line.ends_with('#') {
            lines += &line;
            lines.push('\n');
            line = format!("{:indent$}#  ", "");
            length = line.chars().count();
        }
        line.push(' ');
        line += word;
        length += letters;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use crate::nginx::yaml::comment;
    use crate::nginx::yaml::flow;
    use crate::nginx::yaml::scalar;

    #[test]
    fn values_have_quotes_where_they_need_them() {
        for (text, written) in [
            ("/socket.io", "/socket.io"),
            ("= /x", "= /x"),
            ("~* \\.(png|svg)$", "~* \\.(png|svg)$"),
            ("*.example.org", "\"*.example.org\""),
            ("[::]:80", "\"[::]:80\""),
            ("", "\"\""),
            ("true", "\"true\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("~", "\"~\""),
            ("é", "\"é\""),
            ("a\nb\u{1}", "\"a\\nb\\U00000001\""),
            ("{\"a\":'b'}", "'{\"a\":''b''}'"),
        ] {
            assert_eq!(scalar(text), written);
        }
        assert_eq!(flow("a,b"), "\"a,b\"");
    }

    #[test]
    fn a_long_comment_goes_on_in_the_next_line() {
        let text = format!("{} b\nc", "a".repeat(120));
        assert_eq!(
            comment(&text, 2),
            format!("  # {}\n  #   b c\n", "a".repeat(120))
        );
    }
}
