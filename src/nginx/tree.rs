//! Directives, as they stand in the files: names, arguments, blocks, and where.

use std::ops::Range;

use crate::config::SourceText;

/// A place in one of the files.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SourceLine {
    /// Which of the [`Files`].
    pub(super) file: usize,
    /// The line, from 1.
    pub(super) line: usize,
}

/// One directive.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Its name.
    pub(super) name: String,
    /// The words behind it.
    pub(super) args: Vec<String>,
    /// What stands in its block, if it has one, with included files in their places.
    pub(super) block: Option<Vec<Directive>>,
    /// Where its name stands.
    pub(super) place: SourceLine,
    /// Why an `include` has brought nothing.
    pub(super) problem: Option<String>,
}

impl Directive {
    /// The argument number `index`, from 0; empty if there is none.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// What stands in its block.
    pub(super) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// What a message calls it: its name, and which field it is about if it is about one.
    pub(super) fn what(&self) -> String {
        match self.name.as_str() {
            "proxy_set_header" | "add_header" | "proxy_hide_header" | "proxy_ignore_headers" => {
                format!("{} {}", self.name, self.arg(0))
            }
            "upstream" | "map" | "location" => format!("{} {}", self.name, self.args.join(" ")),
            _ => self.name.clone(),
        }
    }
}

/// All directives of this name, in order.
pub(super) fn all<'d>(
    directives: &'d [Directive],
    name: &'static str,
) -> impl Iterator<Item = &'d Directive> {
    directives
        .iter()
        .filter(move |directive| directive.name == name)
}

/// The last directive of this name, which nginx would obey if it took two.
pub(super) fn last<'d>(directives: &'d [Directive], name: &'static str) -> Option<&'d Directive> {
    all(directives, name).last()
}

/// The files that were read, the main one first.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(String, SourceText)>);

impl Files {
    /// Adds a file and returns its number, which is the same for one that is included again.
    pub(super) fn add(&mut self, name: String, text: String) -> usize {
        if let Some(known) = self.0.iter().position(|(known, _)| *known == name) {
            return known;
        }
        self.0.push((name.clone(), SourceText::new(name, text)));
        self.0.len() - 1
    }

    /// A place in the file `file`.
    pub(super) fn place(&self, file: usize, span: &Range<usize>) -> SourceLine {
        let line = self.source(file).line(span.start);
        SourceLine { file, line }
    }

    /// One of the files, by the number that [`add`](Self::add) gave it.
    pub(super) fn source(&self, file: usize) -> &SourceText {
        &self.0[file].1
    }

    /// A place as messages name it: `nginx.conf:12`.
    pub(super) fn show(&self, place: SourceLine) -> String {
        format!("{}:{}", self.name(place), place.line)
    }

    /// The file of a place.
    pub(super) fn name(&self, place: SourceLine) -> &str {
        &self.0[place.file].0
    }
}
