//! What is said about a text that is no YAML: the reader's reasons in words that help to repair it.

use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Level;
use crate::config::diagnostic::quoted;
use crate::config::schema::Fault;
use crate::config::schema::NotYaml;
use crate::config::source::Source;

/// The one error of a file that could not be read as YAML.
pub(in crate::config) fn diagnostic(refused: &NotYaml, source: &Source) -> Diagnostic {
    if let Some(at) = tab(refused.at, source) {
        let mut diagnostic = source.about(Level::Error, &at, "this line is indented with a tab");
        diagnostic
            .label("YAML takes only spaces here")
            .help("put two spaces for each level");
        return diagnostic;
    }
    if let Some(diagnostic) = nginx(source) {
        return diagnostic;
    }
    let at = refused.at..refused.at + 1;
    let token = token(refused.at, source);
    let end = refused.at + token.len();
    let error = |span: &Range<usize>, message: &str| source.about(Level::Error, span, message);
    let mut diagnostic = match &refused.fault {
        Fault::SecondDocument => {
            let mut diagnostic = error(&(refused.at..end), "a second document begins here");
            diagnostic
                .label("all that follows would be ignored")
                .help("remove this line; a configuration is one document");
            diagnostic
        }
        Fault::TooMuch => {
            let mut diagnostic = error(
                &(refused.at..end),
                "the aliases of this file multiply to more than can be read",
            );
            diagnostic.help("write the entries out instead of repeating lists of aliases");
            diagnostic
        }
        Fault::TooDeep => {
            let mut diagnostic = error(&at, "lists and maps are nested too deeply");
            diagnostic
                .help("a configuration needs no more than five levels; is a bracket missing?");
            diagnostic
        }
        Fault::UnknownAlias => {
            let mut diagnostic = error(
                &(refused.at..end),
                &format!("there is no anchor for {}", quoted(token)),
            );
            diagnostic
                .label("`*` begins an alias in YAML")
                .help(format!(
                    "if it is meant as it stands, put it in quotes: `\"{token}\"`"
                ));
            diagnostic
        }
        Fault::EndlessAlias => {
            let mut diagnostic =
                error(&(refused.at..end), "an alias stands within what it repeats");
            diagnostic.help("write the value out");
            diagnostic
        }
        Fault::Tag => {
            let mut diagnostic = error(&at, "a value with a tag");
            diagnostic
                .label("`!` before it begins a tag in YAML")
                .help("take the tag out; if the `!` belongs to the value, put all of it in quotes");
            diagnostic
        }
        Fault::Merge => {
            let mut diagnostic = error(&at, "`<<` takes a map or an alias of one");
            diagnostic.help("write the keys out");
            diagnostic
        }
        Fault::Syntax(words) => syntax(words, refused.at, source),
    };
    if !source.text().contains('\n') && source.text().len() > 200 {
        diagnostic.help("the whole file is one line; is it the right file?");
    }
    diagnostic
}

/// The place of a tab in the indentation of the line at `at`, or of the next, which is the one meant.
fn tab(at: usize, source: &Source) -> Option<Range<usize>> {
    let line = source.line(at);
    [line, line + 1].into_iter().find_map(|line| {
        let span = source.line_span(line);
        let text = source.text().get(span.clone())?;
        let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        let tab = span.start + indent.find('\t').filter(|_| indent.len() < text.len())?;
        Some(tab..tab + 1)
    })
}

/// An error of its own for an nginx.conf: blocks that open with a brace, and lines that end with a semicolon.
pub(in crate::config) fn nginx(source: &Source) -> Option<Diagnostic> {
    const BLOCKS: [&str; 7] = [
        "server", "http", "location", "upstream", "events", "map", "stream",
    ];
    let text = source.text();
    let opens = |line: &str| {
        line.ends_with('{') && BLOCKS.contains(&line.split_whitespace().next().unwrap_or_default())
    };
    let at = text.split_inclusive('\n').scan(0, |start, line| {
        let here = *start;
        *start += line.len();
        Some((here + line.len() - line.trim_start().len(), line.trim()))
    });
    let (at, line) = at.filter(|(_, line)| opens(line)).min()?;
    text.lines().find(|line| line.trim_end().ends_with(';'))?;
    let mut diagnostic = source.about(
        Level::Error,
        &(at..at + line.len()),
        "this is an nginx configuration, not YAML",
    );
    diagnostic.help(format!(
        "the same in `routes.yaml` begins like this:\n{}",
        crate::config::EXAMPLE
    ));
    Some(diagnostic)
}

/// What stands at `at`, up to the next space or bracket, on its line.
fn token(at: usize, source: &Source) -> &str {
    let line = source.line_span(source.line(at));
    let rest = source.text().get(at..line.end.max(at)).unwrap_or_default();
    rest.split([' ', '\t', ',', '}', ']'])
        .next()
        .unwrap_or_default()
}

/// An error in the words of the reader, translated where they would not help.
fn syntax(words: &str, at: usize, source: &Source) -> Diagnostic {
    let character = source.text().get(at..).and_then(|rest| rest.chars().next());
    let is = |part: &str| words.contains(part);
    let begins_with_bracket = source
        .text()
        .get(source.line_span(source.line(at)))
        .is_some_and(|line| line.contains(": [") || line.contains(": {"));
    let (message, help) = match character {
        Some(c @ ('@' | '`' | '%' | ','))
            if is("unexpected character") || is("parsing a block mapping") =>
        {
            (
                format!("a value cannot begin with `{c}`"),
                "put the value in quotes",
            )
        }
        Some(c) if is("unexpected character") && c.is_control() => (
            format!("there is a control character here: {}", c.escape_default()),
            "remove it",
        ),
        _ if is("mapping values are not allowed") => (
            "a colon too many, or a line that is indented too far".to_owned(),
            "put a value that has `: ` in it in quotes, end each key with `: `, and let the keys of one entry begin in \
             the same column",
        ),
        _ if is("expected '-' indicator") => (
            "this line is indented like neither the list nor its entries".to_owned(),
            "let the keys of one entry begin in the same column, and each `-` of one list too",
        ),
        _ if begins_with_bracket
            && (is("did not find expected")
                || is("illegal placement")
                || is("trailing content")) =>
        {
            (
                "a value that begins with a bracket goes on after it".to_owned(),
                "put it in quotes, as in `\"[::1]:8080\"`",
            )
        }
        _ if is("simple key expected") => (
            "this line is neither a key nor a value".to_owned(),
            "a line is `key: value` or `- key: value`, with a space after the colon",
        ),
        _ if is("unclosed quote") => (
            "this quote is never closed".to_owned(),
            "put the same quote at the end of the value",
        ),
        _ if is("unclosed bracket") => (
            "this bracket is never closed".to_owned(),
            "close it, or put the value in quotes",
        ),
        _ if is("misplaced bracket") => (
            "nothing is open that this bracket could close".to_owned(),
            "remove it, or put the value in quotes",
        ),
        _ if is("unknown escape") => (
            "a backslash within double quotes begins an escape, and this is none of YAML's"
                .to_owned(),
            "write a regex without quotes or in single quotes",
        ),
        _ if is("trailing content after") => (
            "the value goes on after its closing quote".to_owned(),
            "put all of the value in the quotes, or none",
        ),
        _ if is("block sequence entries are not allowed") => (
            "a list cannot begin on the line of its key".to_owned(),
            "put the `-` on the next line",
        ),
        _ => (
            format!("this is not YAML: {words}"),
            "a line is `key: value` or `- key: value`, indented with spaces",
        ),
    };
    let length = character.map_or(0, char::len_utf8);
    let mut diagnostic = source.about(Level::Error, &(at..at + length), message);
    diagnostic.help(help);
    diagnostic
}
