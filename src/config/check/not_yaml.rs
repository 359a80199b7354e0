//! The error of a file that is no YAML: the reasons of the YAML crate in words that help to repair the file.

use std::ops::Range;

use crate::config::check::lookalikes;
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Severity;
use crate::config::diagnostic::quoted;
use crate::config::schema::NotYaml;
use crate::config::schema::YamlFault;
use crate::config::source::SourceText;

/// The only error of a file that is no YAML.
pub(in crate::config) fn diagnostic(refused: &NotYaml, source: &SourceText) -> Diagnostic {
    if let Some(diagnostic) = lookalikes::of_no_yaml(refused, source) {
        return diagnostic;
    }
    if let Some(at) = tab(refused.at, source) {
        let mut diagnostic = source.about(Severity::Error, &at, "this line is indented with a tab");
        diagnostic
            .label("YAML takes only spaces here")
            .help("put two spaces for each level");
        return diagnostic;
    }
    if let Some(diagnostic) = nginx(source) {
        return diagnostic;
    }
    let mut diagnostic = match &refused.fault {
        YamlFault::Syntax(words) => syntax(words, refused.at, source),
        fault => explained(fault, refused.at, source),
    };
    if !source.text().contains('\n') && source.text().len() > 200 {
        diagnostic.help("the whole file is one line; is it the right file?");
    }
    diagnostic
}

/// The error for a fault that the YAML crate found at the byte `at`.
fn explained(fault: &YamlFault, at: usize, source: &SourceText) -> Diagnostic {
    let here = character(at, source);
    let token = token(at, source);
    let word = at..at + token.len();
    let (span, message, label, help) = match fault {
        YamlFault::SecondDocument => (
            document_start(at, source).unwrap_or(here),
            "a second document begins here",
            "all that follows would be ignored",
            "remove this line; a configuration is one document",
        ),
        YamlFault::TooMuch => (
            word,
            "the aliases of this file multiply to more than can be read",
            "",
            "write the entries out instead of repeating lists of aliases",
        ),
        YamlFault::TooDeep => (
            here,
            "lists and maps are nested too deeply",
            "",
            "a configuration needs no more than five levels; is a bracket missing?",
        ),
        YamlFault::UnknownAlias => {
            let message = format!("there is no anchor for {}", quoted(token));
            let help = format!("if it is meant as it stands, put it in quotes: `\"{token}\"`");
            let mut diagnostic = source.about(Severity::Error, &word, message);
            diagnostic.label("`*` begins an alias in YAML").help(help);
            return diagnostic;
        }
        YamlFault::EndlessAlias => (
            word,
            "an alias stands within what it repeats",
            "",
            "write the value out",
        ),
        YamlFault::Tag => (
            tag_before(at, source),
            "this value has a tag",
            "`!` begins a tag in YAML",
            "take the tag out; if the `!` belongs to the value, put all of it in quotes",
        ),
        YamlFault::Merge => (
            here,
            "`<<` takes a map or an alias of one",
            "",
            "write the keys out",
        ),
        YamlFault::Syntax(words) => return syntax(words, at, source),
    };
    let mut diagnostic = source.about(Severity::Error, &span, message);
    diagnostic.label(label).help(help);
    diagnostic
}

/// The last line up to the byte `at` that begins with `---`.
fn document_start(at: usize, source: &SourceText) -> Option<Range<usize>> {
    let lines = (1..=source.line(at)).rev();
    let mut lines = lines.map(|line| source.line_span(line));
    lines.find(|line| source.text()[line.clone()].starts_with("---"))
}

/// The tag that ends before the byte `at`, where its value begins.
fn tag_before(at: usize, source: &SourceText) -> Range<usize> {
    let before = source.text().get(..at).unwrap_or_default();
    let start = before.rfind('!').unwrap_or(at);
    start..before.trim_end().len().max(start)
}

/// The tab in the indentation of the line at `at` or, since the YAML crate may stop before it, of the next line.
fn tab(at: usize, source: &SourceText) -> Option<Range<usize>> {
    let line = source.line(at);
    [line, line + 1].into_iter().find_map(|line| {
        let span = source.line_span(line);
        let text = source.text().get(span.clone())?;
        let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        let tab = span.start + indent.find('\t').filter(|_| indent.len() < text.len())?;
        Some(tab..tab + 1)
    })
}

/// The error for a file that is an nginx.conf: blocks open with a brace, and lines end with a semicolon.
pub(in crate::config) fn nginx(source: &SourceText) -> Option<Diagnostic> {
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
        Severity::Error,
        &(at..at + line.len()),
        "this is an nginx configuration, not YAML",
    );
    diagnostic.help(format!(
        "the same in `routes.yaml` begins like this:\n{}",
        crate::config::EXAMPLE
    ));
    Some(diagnostic)
}

/// The text from the byte `at` to the next space or bracket on its line.
fn token(at: usize, source: &SourceText) -> &str {
    let line = source.line_span(source.line(at));
    let rest = source.text().get(at..line.end.max(at)).unwrap_or_default();
    rest.split([' ', '\t', ',', '}', ']'])
        .next()
        .unwrap_or_default()
}

/// The bytes of the character that begins at `at`.
fn character(at: usize, source: &SourceText) -> Range<usize> {
    let length = source
        .text()
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    at..at + length
}

/// The error for bad syntax: the words of the YAML crate, or better ones where those would not help.
fn syntax(words: &str, at: usize, source: &SourceText) -> Diagnostic {
    let is = |part: &str| words.contains(part);
    let span = character(at, source);
    let found = source
        .text()
        .get(span.clone())
        .and_then(|text| text.chars().next())
        .unwrap_or(' ');
    let line = source
        .text()
        .get(source.line_span(source.line(at)))
        .unwrap_or_default();
    let bracket = !is("<document start>") && (line.contains(": [") || line.contains(": {"));
    let (message, help) = if is("mapping values are not allowed") {
        return colon(at, source);
    } else if matches!(found, '@' | '`' | '%' | ',')
        && (is("unexpected character") || is("parsing a block mapping"))
    {
        (
            format!("a value cannot begin with `{found}`"),
            "put the value in quotes",
        )
    } else if found.is_control() && is("unexpected character") {
        (
            format!(
                "there is a control character here: {}",
                found.escape_default()
            ),
            "remove it",
        )
    } else if is("expected '-' indicator") {
        (
            "this line is indented like neither the list nor its entries".to_owned(),
            "let the keys of one entry begin in the same column, and each `-` of one list too",
        )
    } else if bracket && variable_before(at, source) {
        (
            "a variable of the environment needs quotes within braces and brackets".to_owned(),
            "put the value in quotes, as in `\"${PORT}\"`",
        )
    } else if bracket
        && (is("did not find expected") || is("illegal placement") || is("trailing content"))
    {
        (
            "a value that begins with a bracket goes on after it".to_owned(),
            "put it in quotes, as in `\"[::1]:8080\"`",
        )
    } else if let Some((_, message, help)) = KNOWN.iter().find(|(part, ..)| is(part)) {
        ((*message).to_owned(), *help)
    } else {
        (
            format!("this is not YAML: {words}"),
            "a line is `key: value` or `- key: value`, indented with spaces",
        )
    };
    let mut diagnostic = source.about(Severity::Error, &span, message);
    diagnostic.help(help);
    diagnostic
}

/// Whether the braces of `${NAME}` are the last that open before the byte `at`, as far as its line says.
fn variable_before(at: usize, source: &SourceText) -> bool {
    let line = source.line_span(source.line(at));
    let before = source.text().get(line.start..at + 1).unwrap_or_default();
    before
        .rfind('{')
        .is_some_and(|at| before[..at].ends_with('$'))
}

/// Parts of what the YAML crate says, each with the message and the help that replace it.
const KNOWN: [(&str, &str, &str); 8] = [
    (
        "<document start>",
        "something follows the end of the configuration",
        "remove it, or move it before the last bracket",
    ),
    (
        "simple key expected",
        "this line is neither a key nor a value",
        "a line is `key: value` or `- key: value`, with a space after the colon",
    ),
    (
        "unclosed quote",
        "this quote is never closed",
        "put the same quote at the end of the value",
    ),
    (
        "unclosed bracket",
        "this bracket is never closed",
        "close it, or put the value in quotes",
    ),
    (
        "misplaced bracket",
        "nothing is open that this bracket could close",
        "remove it, or put the value in quotes",
    ),
    (
        "unknown escape",
        "a backslash within double quotes begins an escape, and this is none of YAML's",
        "write a regex without quotes or in single quotes",
    ),
    (
        "trailing content after",
        "the value goes on after its closing quote",
        "put all of the value in the quotes, or none",
    ),
    (
        "block sequence entries are not allowed",
        "a list cannot begin on the line of its key",
        "put the `-` on the next line",
    ),
];

/// The error for a colon where no key can stand: a space is missing behind a colon above, the line is indented too far,
/// or the colon belongs to a value.
fn colon(at: usize, source: &SourceText) -> Diagnostic {
    let line = source.line(at);
    let here = source.line_span(line);
    let above = source.line_span(line.saturating_sub(1).max(1));
    for place in [above, here.clone()] {
        if let Some(key) = glued_key(source.text().get(place.clone()).unwrap_or_default()) {
            let span = place.start + key.start..place.start + key.end;
            let mut diagnostic = source.about(
                Severity::Error,
                &span,
                "a space is missing after this colon",
            );
            diagnostic.help("write `key: value`, with a space");
            return diagnostic;
        }
    }
    let text = source.text().get(here.start..at).unwrap_or_default();
    if text.contains(": ") {
        let mut diagnostic = source.about(
            Severity::Error,
            &(at..at + 1),
            "there is a colon within the value",
        );
        diagnostic
            .label("YAML takes what stands before it for a key")
            .help("remove the space after it, or put the whole value in quotes");
        return diagnostic;
    }
    let start = here.start + text.len() - text.trim_start().len();
    let mut diagnostic = source.about(
        Severity::Error,
        &(start..at),
        "this line is indented too far",
    );
    diagnostic
        .label("it would continue the value above")
        .help("let the keys of one entry begin in the same column");
    diagnostic
}

/// The bytes of a key and its colon in a line such as `- location:/x`, where the space behind the colon is missing.
fn glued_key(line: &str) -> Option<Range<usize>> {
    let key = line.trim_start_matches([' ', '-']);
    let start = line.len() - key.len();
    let colon = key
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|colon| *colon > 0)?;
    let glued = key[colon..]
        .strip_prefix(':')?
        .starts_with(|c: char| !c.is_whitespace());
    glued.then_some(start..start + colon + 1)
}
