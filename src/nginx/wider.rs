//! Finds a regex location that matches at least what a location matches which has no place in `routes.yaml`.

use crate::routing::Location;

/// A regex location that matches every path that `written` does, the words of a `location`. `outer` is the path of the
/// location around it, if that is a prefix.
///
/// The first of these that can be written: the regex itself, the regex without look-around, and one for every path.
pub(super) fn of(written: &str, outer: Option<&str>) -> Option<Location> {
    let modifiers = ["~*", "~", "^~", "="];
    let modifier = modifiers
        .into_iter()
        .find(|modifier| written.starts_with(modifier));
    let modifier = modifier.unwrap_or_default();
    let pattern = written[modifier.len()..]
        .strip_prefix(' ')
        .unwrap_or(&written[modifier.len()..]);
    let regexes = match modifier {
        "~" | "~*" => {
            let plain = without_look_around(pattern);
            [within(pattern, outer), within(&plain, outer)]
        }
        "=" => [format!("^(?:{})$", regex::escape(pattern)), String::new()],
        _ => [format!("^(?:{})", regex::escape(pattern)), String::new()],
    };
    let kind = if modifier == "~*" { "~*" } else { "~" };
    let every = format!("{kind} ^/");
    let written = regexes
        .iter()
        .filter(|regex| !regex.is_empty())
        .map(|regex| format!("{kind} {regex}"));
    written.chain([every]).find_map(|text| text.parse().ok())
}

/// The regex, for paths below `outer` only where that is easy to say.
///
/// A match cannot begin within `outer` if its first letter does not stand there.
fn within(regex: &str, outer: Option<&str>) -> String {
    let first = match regex.strip_prefix('\\') {
        Some(escaped) => escaped.chars().next().filter(char::is_ascii_punctuation),
        None => regex.chars().next().filter(char::is_ascii_alphanumeric),
    };
    let escape = usize::from(regex.starts_with('\\'));
    let behind = regex.chars().nth(escape + 1);
    let is_letter = !matches!(behind, Some('?' | '*' | '{'));
    match (first, outer) {
        (Some(first), Some(outer)) if is_letter && !regex.contains('|') => {
            let is_first = |letter: char| letter.eq_ignore_ascii_case(&first);
            match outer.contains(is_first) {
                true => regex.to_owned(),
                false => format!("^{}.*{regex}", regex::escape(outer)),
            }
        }
        _ => regex.to_owned(),
    }
}

/// The regex without its look-around: `(?!…)`, `(?=…)`, `(?<!…)` and `(?<=…)`.
fn without_look_around(regex: &str) -> String {
    let mut rest = regex;
    let mut plain = String::new();
    while let Some(at) = ["(?!", "(?=", "(?<!", "(?<="]
        .iter()
        .filter_map(|begin| rest.find(begin))
        .min()
    {
        plain += &rest[..at];
        let mut open = 0_usize;
        let mut escaped = false;
        let end = rest[at..].char_indices().find(|(_, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            open == 0
        });
        rest = end.map_or("", |(end, _)| &rest[at + end + 1..]);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use crate::nginx::wider::of;

    #[test]
    fn a_regex_that_matches_at_least_as_much_takes_the_place_of_a_location() {
        for (written, outer, wider) in [
            (r"~ \.php$", Some("/app/"), r"~ ^/app/.*\.php$"),
            (r"~ \.php$", Some("/app.1/"), r"~ \.php$"),
            (r"~ \.git|x", Some("/app/"), r"~ \.git|x"),
            (
                "~* ^/(admin|internal)/",
                Some("/"),
                "~* ^/(admin|internal)/",
            ),
            ("~ /x", Some("/app/"), "~ /x"),
            ("~ x?y", Some("/app/"), "~ x?y"),
            ("~ (?!a)b", None, "~ b"),
            (r"~* (.)\1", None, "~* ^/"),
            ("/a b", None, "~ ^(?:/a b)"),
            ("= /x.y ", None, r"~ ^(?:/x\.y )$"),
        ] {
            let found = of(written, outer).map(|location| location.to_string());
            assert_eq!(found.as_deref(), Some(wider), "{written}");
        }
    }
}
