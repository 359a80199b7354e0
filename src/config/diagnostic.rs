//! How an error of a configuration file prints: its place, what is wrong, the line with a caret, and what to write
//! instead.
//!
//! All text that is shown is cleaned here: control characters are made visible, and neither private keys nor the
//! passwords of a URL are shown, wherever in the file they stand.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::config::filled_values::FilledValues;

/// One error or warning about the configuration, ready to print.
///
/// `Display` prints several lines, without colour and without a line end behind the last.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    file: String,
    place: Option<MarkedLine>,
    message: String,
    label: String,
    help: Option<String>,
}

/// A place in the file, kept for an error that is found only later.
#[derive(Clone, Debug)]
pub struct Spot(Diagnostic);

impl Spot {
    /// The place at which a diagnostic points.
    pub(super) fn new(there: Diagnostic) -> Self {
        Self(there)
    }

    /// An error at this place, which shows what is written instead of the values that were `filled` in.
    pub fn error(
        &self,
        message: impl Into<String>,
        help: Option<String>,
        filled: &FilledValues,
    ) -> Diagnostic {
        let mut error = Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            help,
            ..self.0.clone()
        };
        error.show_as_written(filled);
        error
    }
}

/// Whether a diagnostic keeps wsgate from starting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// wsgate does not start with this file.
    Error,
    /// wsgate starts, and somebody should look at it.
    Warning,
}

/// Whether text is printed with colours, which only terminals understand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    /// Text is printed without colours.
    Plain,
    /// Text is printed with the ANSI escapes of colours.
    Coloured,
}

/// One line of the file, and the part of it to mark.
#[derive(Clone, Debug)]
pub(crate) struct MarkedLine {
    /// The first byte of the marked part in the file.
    pub(super) offset: usize,
    /// The line, counted from 1.
    pub(super) line: usize,
    /// The character of the line at which the marked part begins, counted from 1.
    pub(super) column: usize,
    /// The line, without its line end.
    pub(super) text: String,
    /// The bytes of `text` to mark.
    pub(super) marked: Range<usize>,
}

impl Diagnostic {
    /// A diagnostic about the file as a whole or, with a `place`, about a part of it.
    pub(crate) fn new(
        severity: Severity,
        file: &str,
        place: Option<MarkedLine>,
        message: impl Into<String>,
    ) -> Self {
        let (label, help) = (String::new(), None);
        Self {
            severity,
            file: file.to_owned(),
            place,
            message: message.into(),
            label,
            help,
        }
    }

    /// Sets the few words beside the caret.
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    /// Sets what to do, in a sentence; an example may follow on lines of its own.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Replaces what the environment has by what is written.
    pub(super) fn show_as_written(&mut self, filled: &FilledValues) {
        if filled.is_empty() {
            return;
        }
        let offset = self.offset();
        let as_written = |text: &mut String| *text = filled.as_written_at(offset, text);
        as_written(&mut self.message);
        as_written(&mut self.label);
        self.help.as_mut().map(as_written).unwrap_or_default();
    }

    /// The byte of the file by which diagnostics are put in order.
    pub(super) fn offset(&self) -> usize {
        self.place.as_ref().map_or(0, |place| place.offset)
    }

    /// The bytes of the file that are marked; `None` for a diagnostic about all of it.
    pub(super) fn marked(&self) -> Option<Range<usize>> {
        let place = self.place.as_ref()?;
        Some(place.offset..place.offset + place.marked.len())
    }

    /// The line at which it points, counted from 1; `None` for a diagnostic about all of the file.
    pub(super) fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// Whether it keeps wsgate from starting.
    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Whether this is an error or a warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, without place and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place as in `routes.yaml:8:15`, what is wrong, and what to do, each ready to be shown.
    pub fn in_parts(&self) -> (String, String, Option<String>) {
        let mut place = clean(&self.file);
        if let Some(there) = &self.place {
            place += &format!(":{}:{}", there.line, there.column);
        }
        let help = self.help.as_deref().map(|help| {
            let lines: Vec<String> = help.lines().map(clean).collect();
            lines.join("\n")
        });
        (place, clean(&self.message), help)
    }

    /// Prints the diagnostic as `Display` does, in colours if `paint` says so.
    pub fn shown(&self, paint: Paint) -> impl fmt::Display {
        fmt::from_fn(move |f| self.write(f, paint))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        let (bold, reset) = (paint.escape("\x1b[1m"), paint.escape("\x1b[0m"));
        let (word, colour) = match self.severity {
            Severity::Error => ("error", paint.escape("\x1b[1m\x1b[91m")),
            Severity::Warning => ("warning", paint.escape("\x1b[1m\x1b[33m")),
        };
        write!(f, "{bold}{}", clean(&self.file))?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(
            f,
            ": {reset}{colour}{word}{reset}{bold}: {}{reset}",
            clean(&self.message)
        )?;
        let mut indent = 1;
        if let Some(place) = &self.place {
            indent = place.line.to_string().len();
            if !place.text.contains("PRIVATE KEY") {
                write!(f, "\n{}", self.snippet(place, paint))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:indent$} {bold}= help{reset}: ", "")?;
            for (number, line) in help.lines().enumerate() {
                if number > 0 {
                    write!(f, "\n{:indent$}         ", "")?;
                }
                f.write_str(&clean(line))?;
            }
        }
        Ok(())
    }

    /// The line of the file with a caret below its marked part.
    fn snippet(&self, place: &MarkedLine, paint: Paint) -> String {
        let level = match self.severity {
            Severity::Error => annotate_snippets::Level::ERROR,
            Severity::Warning => annotate_snippets::Level::WARNING,
        };
        let renderer = match paint {
            Paint::Plain => Renderer::plain(),
            Paint::Coloured => Renderer::styled(),
        };
        let (text, marked) = visible(&without_passwords(&place.text), &place.marked);
        let mark = AnnotationKind::Primary
            .span(marked)
            .label(clean(&self.label));
        let snippet = Snippet::source(text)
            .line_start(place.line)
            .annotation(mark);
        renderer
            .term_width(WIDTH)
            .render(&[Group::with_level(level).element(snippet)])
    }
}

/// Columns of a snippet, beyond which a long line is cut around its caret; a usual terminal is 80 or wider.
const WIDTH: usize = 100;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Paint::Plain)
    }
}

impl Paint {
    /// The escape sequence if colours are printed, and an empty text if not.
    pub fn escape(self, escape: &'static str) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Coloured => escape,
        }
    }
}

/// All errors and warnings of a configuration, in file order.
///
/// `Display` prints all of them without colour, an empty line between two.
#[derive(Clone, Debug)]
pub struct Errors(Vec<Diagnostic>);

impl Errors {
    /// Puts the diagnostics into the order of the file.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(Diagnostic::offset);
        Self(diagnostics)
    }

    /// The diagnostics in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Prints all of them as `Display` does, in colours if `paint` says so.
    pub fn shown(&self, paint: Paint) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            for (number, diagnostic) in self.0.iter().enumerate() {
                f.write_str(if number > 0 { "\n\n" } else { "" })?;
                diagnostic.write(f, paint)?;
            }
            Ok(())
        })
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown(Paint::Plain).fmt(f)
    }
}

impl Error for Errors {}

/// A value as messages quote it: in backticks, and cut where a reader has recognised it.
pub(super) fn quoted(value: &str) -> String {
    const LONGEST: usize = 60;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &value[..end]),
        None => format!("`{value}`"),
    }
}

/// The text without what a terminal would obey: control characters, and those that turn the direction of writing, are
/// shown as escapes. Passwords are hidden.
fn clean(text: &str) -> String {
    let shows = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in without_passwords(text).chars() {
        if shows(c) {
            clean.push(c)
        } else {
            clean.extend(c.escape_default())
        }
    }
    clean
}

/// The line with U+FFFD for each control character beyond ASCII, and the place of its mark after that.
///
/// The renderer would print such characters as they are, and some terminals take U+009B for an escape.
fn visible(text: &str, marked: &Range<usize>) -> (String, Range<usize>) {
    let is_beyond = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    // U+FFFD is a byte longer than each of them.
    let moved = |at: usize| at + text[..at].chars().filter(|c| is_beyond(*c)).count();
    let marked = moved(marked.start)..moved(marked.end);
    (text.replace(is_beyond, "\u{fffd}"), marked)
}

/// The text with a star for each byte between `://` and `@`, so that its length stays what it was.
fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let hidden = after[..end].rfind('@').unwrap_or(0);
        shown.extend(std::iter::repeat_n('*', hidden));
        rest = &after[hidden..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use crate::config::diagnostic::Diagnostic;
    use crate::config::diagnostic::MarkedLine;
    use crate::config::diagnostic::Paint;
    use crate::config::diagnostic::Severity;
    use crate::config::diagnostic::clean;
    use crate::config::diagnostic::quoted;
    use crate::config::diagnostic::without_passwords;

    fn about(text: &str, part: &str) -> Diagnostic {
        let start = text.find(part).unwrap_or(text.len());
        let place = MarkedLine {
            offset: 0,
            line: 8,
            column: start + 1,
            text: text.to_owned(),
            marked: start..start + part.len(),
        };
        let mut diagnostic =
            Diagnostic::new(Severity::Error, "routes.yaml", Some(place), "message");
        diagnostic.label("label").help("help\nexample");
        diagnostic
    }

    #[test]
    fn a_diagnostic_looks_as_the_style_guide_shows() {
        let mut diagnostic = about("  - location: /socket.io", "/socket.io");
        diagnostic.message = "location `/socket.io` is already used on line 6".to_owned();
        diagnostic
            .label("only the first would ever answer")
            .help("remove this route or give it a longer prefix");
        assert_eq!(
            diagnostic.to_string(),
            "routes.yaml:8:15: error: location `/socket.io` is already used on line 6
  |
8 |   - location: /socket.io
  |               ^^^^^^^^^^ only the first would ever answer
  = help: remove this route or give it a longer prefix"
        );
    }

    #[test]
    fn the_caret_stands_below_its_text_after_tabs_and_wide_characters() {
        let text = about("-\t漢字: é x", "x").to_string();
        assert_eq!(
            text,
            "routes.yaml:8:14: error: message\n  |\n8 | -    漢字: é x\n  |              ^ label\n  = help: help\n          example"
        );
    }

    #[test]
    fn colours_are_there_only_when_asked_for() {
        let diagnostic = about("a: b", "b");
        let coloured = diagnostic.shown(Paint::Coloured).to_string();
        assert!(coloured.starts_with(
            "\x1b[1mroutes.yaml:8:4: \x1b[0m\x1b[1m\x1b[91merror\x1b[0m\x1b[1m: message\x1b[0m\n"
        ));
        assert!(!diagnostic.to_string().contains('\x1b'));
    }

    #[test]
    fn secrets_and_escapes_of_the_file_are_not_shown() {
        assert_eq!(
            without_passwords("a http://u:p@h/x@y ws://é@h"),
            "a http://***@h/x@y ws://**@h"
        );
        assert_eq!(clean("\x1b[31m\u{202e}é"), "\\u{1b}[31m\\u{202e}é");
        let text = about("key: -----BEGIN PRIVATE KEY----- MII", "-----BEGIN").to_string();
        assert_eq!(
            text,
            "routes.yaml:8:6: error: message\n  = help: help\n          example"
        );
        assert_eq!(quoted(&"é".repeat(61)), format!("`{}…`", "é".repeat(60)));
        let text = about("a: \u{9b}31m \u{80}b", "\u{80}b").to_string();
        assert_eq!(
            text,
            "routes.yaml:8:10: error: message\n  |\n8 | a: �31m �b\n  |         ^^ label\n  = help: help\n          example"
        );
    }
}
