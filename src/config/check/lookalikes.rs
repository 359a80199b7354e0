//! Finds the errors that are due to a [`Lookalike`]: a character that looks like the one that was meant.
//!
//! Nothing is said of such a character by itself, since a text, a comment or a regex may well have it. It is to blame where
//! there is an error, and the error is gone once the character is replaced by what it looks like.

use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Severity;
use crate::config::lookalike::Lookalike;
use crate::config::lookalike::plain;
use crate::config::schema;
use crate::config::schema::NotYaml;
use crate::config::source::SourceText;

/// How often a file is read once more to find out what is to blame.
const TRIALS: usize = 32;

/// How many lines before the one at which a file stops being YAML the cause is looked for.
const LINES: usize = 3;

/// The error of a file that is no YAML, if a lookalike is to blame.
pub(in crate::config) fn of_no_yaml(refused: &NotYaml, source: &SourceText) -> Option<Diagnostic> {
    let line = source.line(refused.at);
    let first = source.line_span(line.saturating_sub(LINES).max(1)).start;
    let last = source.line_span(line + 1).end;
    let runs = runs(source.text(), &(first..last));
    if runs.is_empty() {
        return None;
    }
    let helps = |replaced: &[Range<usize>]| {
        let changed = replacements(source.text(), replaced);
        changed.into_iter().any(|text| match schema::read(&text) {
            Ok(_) => true,
            // What is behind both has moved by what was replaced.
            Err(still) => still.at + source.text().len() > refused.at + text.len(),
        })
    };
    // The nearest before the place at which the reader gave up is the likeliest.
    let nearest = runs.iter().rev().take(TRIALS);
    let mut nearest = nearest.filter(|run| helps(std::slice::from_ref(*run)));
    let blamed = match nearest.next() {
        Some(run) => run,
        None if helps(&runs) => runs.first()?,
        None => return None,
    };
    let lookalike = in_run(source.text(), blamed)?;
    let mut diagnostic = source.about(Severity::Error, blamed, lookalike.message());
    diagnostic
        .label("YAML takes it for a part of a text")
        .help(lookalike.help());
    Some(diagnostic)
}

/// Names the lookalikes to which some of the errors in `found` are due, and leaves out those that follow from them. `judge`
/// finds what is wrong with another text in the place of the file's.
pub(in crate::config) fn of_rules(
    found: &mut Vec<Diagnostic>,
    source: &SourceText,
    judge: impl Fn(SourceText) -> Vec<Diagnostic>,
) {
    let (mut named, mut trials) = (Vec::new(), 0);
    let mut blamed: Vec<Range<usize>> = Vec::new();
    for (at, error) in found.iter().enumerate().filter(|(_, one)| one.is_error()) {
        let runs = error
            .marked()
            .map(|marked| runs(source.text(), &marked))
            .unwrap_or_default();
        let lookalike = runs.first().and_then(|run| in_run(source.text(), run));
        let Some(lookalike) = lookalike.filter(|_| trials < TRIALS) else {
            continue;
        };
        trials += 1;
        let message = lookalike.message();
        // What is no YAML at all is named already.
        if error.message() == message || !helps(error, &runs, source, &judge) {
            continue;
        }
        let more = match runs.len() {
            1 => "",
            _ => "; it is not the only one in this value",
        };
        let mut diagnostic = source.about(Severity::Error, &runs[0], message);
        diagnostic
            .label(error.message())
            .help(format!("{}{more}", lookalike.help()));
        named.push((at, diagnostic));
        blamed.extend(runs);
    }
    if named.is_empty() {
        return;
    }
    blamed.sort_by_key(|run| run.start);
    blamed.dedup();
    let changed = replacements(source.text(), &blamed).into_iter();
    let left = changed.map(|text| judge(source.with_text(text)));
    let left = left.min_by_key(Vec::len).unwrap_or_default();
    let mut at = 0;
    found.retain(|one| {
        let is_named = named.iter().any(|(named, _)| *named == at);
        at += 1;
        !is_named && (!one.is_error() || left.iter().any(|left| is_same(one, left)))
    });
    let mut places = Vec::new();
    for (_, diagnostic) in named {
        if !places.contains(&diagnostic.offset()) {
            places.push(diagnostic.offset());
            found.push(diagnostic);
        }
    }
}

/// Whether an error is gone once these runs are replaced by what they look like.
fn helps(
    error: &Diagnostic,
    runs: &[Range<usize>],
    source: &SourceText,
    judge: &impl Fn(SourceText) -> Vec<Diagnostic>,
) -> bool {
    replacements(source.text(), runs).into_iter().any(|text| {
        let left = judge(source.with_text(text));
        !left.iter().any(|left| is_same(error, left))
    })
}

/// Whether two errors, before and after a replacement, are one: they say the same on the same line.
fn is_same(before: &Diagnostic, after: &Diagnostic) -> bool {
    before.line() == after.line() && plain(before.message()) == plain(after.message())
}

/// The places in `within` at which lookalikes follow one another.
fn runs(text: &str, within: &Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let part = text.get(within.clone()).unwrap_or_default();
    for (at, c) in part.char_indices() {
        // A byte order mark at the begin of the file is one.
        if Lookalike::of(c).is_none() || within.start + at == 0 {
            continue;
        }
        let (start, end) = (within.start + at, within.start + at + c.len_utf8());
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// The first lookalike of a run.
fn in_run(text: &str, run: &Range<usize>) -> Option<Lookalike> {
    Lookalike::of(text.get(run.clone())?.chars().next()?)
}

/// The text with these runs replaced by what they look like; and once more with a space behind each colon, which is not
/// typed where a wide one seems to have it, and with two spaces for a wide one.
fn replacements(text: &str, runs: &[Range<usize>]) -> Vec<String> {
    let with = |change: &dyn Fn(String) -> String| {
        let mut changed = String::with_capacity(text.len());
        let mut done = 0;
        for run in runs {
            changed.push_str(&text[done..run.start]);
            changed.push_str(&change(plain(&text[run.clone()])));
            done = run.end;
        }
        changed.push_str(&text[done..]);
        changed
    };
    let as_it_is = with(&|plain| plain);
    let spaced = with(&|plain| plain.replace(':', ": ").replace(' ', "  "));
    match as_it_is == spaced {
        true => vec![as_it_is],
        false => vec![as_it_is, spaced],
    }
}
