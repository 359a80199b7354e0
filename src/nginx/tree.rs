//! The directives of an nginx.conf: names, arguments and blocks, and where they stand.

use std::ops::Range;

use crate::config::SourceText;

/// A line of one of the files that were read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SourceLine {
    /// The file, by the number that [`Files::add`] gave it.
    pub(super) file: usize,
    /// The line, counted from 1.
    pub(super) line: usize,
}

/// One directive, with or without a block.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// The first word.
    pub(super) name: String,
    /// The words behind the name.
    pub(super) args: Vec<String>,
    /// The directives in its block, if it has one. Those of included files stand in the place of their `include`.
    pub(super) block: Option<Vec<Directive>>,
    /// The line of its name.
    pub(super) place: SourceLine,
    /// The reason why the file of an `include` was not read.
    pub(super) problem: Option<String>,
}

impl Directive {
    /// The argument number `index`, counted from 0; an empty text if there is none.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// The directives in its block; none if it has no block.
    pub(super) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The directive as a message names it: its name and, where that says too little, its arguments.
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

/// All directives of this name, in their order.
pub(super) fn all<'d>(
    directives: &'d [Directive],
    name: &str,
) -> impl Iterator<Item = &'d Directive> {
    directives
        .iter()
        .filter(move |directive| directive.name == name)
}

/// The last directive of this name, which nginx would obey if it took two.
pub(super) fn last<'d>(directives: &'d [Directive], name: &str) -> Option<&'d Directive> {
    all(directives, name).last()
}

/// Blocks in which no directive of a server stands, though one may be called like it: `keepalive_timeout` of an `upstream`
/// is about another connection than that of a `server`.
const NO_SERVERS: [&str; 6] = ["upstream", "map", "geo", "split_clients", "types", "match"];

/// All directives of this name that are about requests, in blocks within blocks too, in their order.
pub(super) fn everywhere<'d>(directives: &'d [Directive], name: &str) -> Vec<&'d Directive> {
    let mut found = Vec::new();
    for directive in directives {
        if directive.name == name {
            found.push(directive);
        }
        if !NO_SERVERS.contains(&directive.name.as_str()) {
            found.extend(everywhere(directive.inside(), name));
        }
    }
    found
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

    /// The line of the file number `file` in which `span` begins.
    pub(super) fn place(&self, file: usize, span: &Range<usize>) -> SourceLine {
        let line = self.source(file).line(span.start);
        SourceLine { file, line }
    }

    /// The text of a file, by the number that [`add`](Self::add) gave it.
    pub(super) fn source(&self, file: usize) -> &SourceText {
        &self.0[file].1
    }

    /// A line as messages name it: `nginx.conf:12`.
    pub(super) fn show(&self, place: SourceLine) -> String {
        format!("{}:{}", self.name(place), place.line)
    }

    /// The name of the file in which a line stands.
    pub(super) fn name(&self, place: SourceLine) -> &str {
        &self.0[place.file].0
    }
}
