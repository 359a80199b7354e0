//! Finds the bytes of a value where the YAML crate does not tell them. Texts in, bytes out.

use std::ops::Range;

/// The bytes to point at for a list or a map that begins at `start`: its first line, since the YAML crate tells no end.
/// `ends` are where its entries end.
pub(super) fn first_line(
    start: usize,
    ends: impl Iterator<Item = usize>,
    source: &str,
) -> Range<usize> {
    let rest = source.get(start..).unwrap_or_default();
    let line_end = start + rest.find('\n').unwrap_or(rest.len());
    let end = ends
        .filter(|end| (start..=line_end).contains(end))
        .max()
        .unwrap_or(start);
    let closing = source.get(end..line_end).unwrap_or_default();
    let closing = if end == start {
        closing.get(1..).map(|inside| (1, inside))
    } else {
        Some((0, closing))
    };
    match (rest.chars().next(), closing) {
        (Some('[' | '{'), Some((skipped, closing))) => {
            let inside = closing.trim_start_matches([' ', '\t', ',']);
            let bracket = inside.starts_with([']', '}']);
            let length = if bracket {
                skipped + closing.len() - inside.len() + 1
            } else {
                skipped
            };
            start..end + length
        }
        _ => start..end,
    }
}

/// Where `text` begins in the file, if `span` holds it letter by letter, with or without quotes around it.
pub(super) fn verbatim(text: &str, span: &Range<usize>, source: &str) -> Option<usize> {
    let written = source.get(span.clone())?;
    let unquoted = |quote| written.strip_prefix(quote)?.strip_suffix(quote);
    if written == text {
        Some(span.start)
    } else if unquoted('"') == Some(text) || unquoted('\'') == Some(text) {
        Some(span.start + 1)
    } else {
        None
    }
}
