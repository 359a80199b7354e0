//! The text of a configuration file, and its places as a person names them: by line and column, counted from 1.

use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::MarkedLine;
use crate::config::diagnostic::Severity;
use crate::config::diagnostic::Spot;

/// The name of a configuration file and its text.
#[derive(Debug)]
pub(crate) struct SourceText {
    file: String,
    text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl SourceText {
    /// A file of this name with this text, which is not read from the disk here.
    pub(crate) fn new(file: String, text: String) -> Self {
        // A byte order mark belongs to no line.
        let first = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let lines = std::iter::once(first)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { file, text, lines }
    }

    /// The same file with another text.
    pub(super) fn with_text(&self, text: String) -> Self {
        Self::new(self.file.clone(), text)
    }

    /// All of the file's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line in which the byte `offset` stands, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// The bytes of a line, without its line end. Lines are counted from 1.
    pub(crate) fn line_span(&self, line: usize) -> Range<usize> {
        let start = self
            .lines
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len());
        let text = self.text[start..].split('\n').next().unwrap_or_default();
        start..start + text.trim_end_matches('\r').len()
    }

    /// An error or a warning about the file as a whole.
    pub(crate) fn whole(&self, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, &self.file, None, message)
    }

    /// Keeps the place of the bytes `span`, for an error that is found only later.
    pub(super) fn spot(&self, span: &Range<usize>) -> Spot {
        Spot::new(self.about(Severity::Error, span, ""))
    }

    /// An error or a warning about the bytes `span`, of which those on the first line are marked.
    pub(crate) fn about(
        &self,
        severity: Severity,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        let line = self.line(span.start);
        let bounds = self.line_span(line);
        let text = self.text.get(bounds.clone()).unwrap_or_default();
        let boundary = |offset: usize| {
            let offset = offset.clamp(bounds.start, bounds.end) - bounds.start;
            (0..=offset)
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0)
        };
        let marked = boundary(span.start)..boundary(span.end);
        let column = text[..marked.start].chars().count() + 1;
        let place = MarkedLine {
            offset: span.start,
            line,
            column,
            text: text.to_owned(),
            marked,
        };
        Diagnostic::new(severity, &self.file, Some(place), message)
    }
}
