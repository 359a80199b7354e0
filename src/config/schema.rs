//! Reads the YAML of `routes.yaml` into a tree whose every value knows where it was written.
//!
//! One visitor reads whatever is there, in one pass and without judging it, so that the rules in `check` see all of the
//! file. Only a text that is no YAML at all is refused. This is the only file that names the YAML crate, whose budget
//! ends aliases that multiply without end.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_yaml::DuplicateKeyPolicy;
use serde_yaml::Location;
use serde_yaml::Options;
use serde_yaml::Spanned;
use serde_yaml::options::NonFiniteFloatPolicy;

use crate::config::extent::first_line;
use crate::config::extent::verbatim;

/// One value of the file, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The value itself.
    pub(super) value: Value,
    /// The bytes of the file to point at: the value, the alias in its place, or the key if the value is missing.
    pub(super) span: Range<usize>,
    /// The byte of the file at which the text of a scalar begins, if it stands there letter by letter.
    pub(super) verbatim: Option<usize>,
    /// The bytes of a scalar's text that stand for themselves, since the environment has them: no variable of nginx begins
    /// there.
    pub(super) literal: Vec<Range<usize>>,
}

impl Node {
    /// The bytes of the file that hold a `part` of this value's text; all of the value if that place is not known.
    pub(super) fn part(&self, part: Option<Range<usize>>) -> Range<usize> {
        match (self.verbatim, part) {
            (Some(start), Some(part)) if !part.is_empty() => start + part.start..start + part.end,
            _ => self.span.clone(),
        }
    }
}

/// A value as it was written, whatever type YAML sees in it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// There is no value, or `~`, or `null`.
    Nothing,
    /// A scalar as it was written: `8080`, `on` and `"on"` are texts alike.
    Text(String),
    /// A list with its entries.
    List(Vec<Node>),
    /// A map's keys and values in file order; a key may come twice.
    Map(Vec<(Node, Node)>),
}

/// Why a text is no YAML, and where that shows.
#[derive(Debug)]
pub(super) struct NotYaml {
    /// What is wrong with the text.
    pub(super) fault: YamlFault,
    /// The byte at which the YAML crate gave up.
    pub(super) at: usize,
}

/// What is wrong with a text that is no YAML.
#[derive(Debug)]
pub(super) enum YamlFault {
    /// A second YAML document begins.
    SecondDocument,
    /// The budget of the YAML crate is used up, mostly by aliases of aliases.
    TooMuch,
    /// Lists and maps are nested too deeply.
    TooDeep,
    /// An alias has no anchor; more often the `*` was meant as a star.
    UnknownAlias,
    /// An alias stands within what it repeats.
    EndlessAlias,
    /// A tag means nothing here; more often the `!` was meant as a letter.
    Tag,
    /// `<<` has a value that is no map.
    Merge,
    /// Anything else, in the words of the YAML crate.
    Syntax(String),
}

/// Reads the whole of `text` into a tree.
pub(super) fn read(text: &str) -> Result<Node, NotYaml> {
    let mut options = Options::default();
    options.with_snippet = false;
    options.reject_unsupported_tags = true;
    // Both are for `check` to say, together with everything else.
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
    match serde_yaml::from_str_with_options::<Spanned<Shape>>(text, options) {
        Ok(root) => Ok(node(root, text)),
        Err(error) => {
            let at = error
                .locations()
                .map_or(0, |at| offset(at.reference_location, text));
            Err(NotYaml {
                fault: fault(error.without_snippet()),
                at,
            })
        }
    }
}

/// A value as the visitor meets it.
enum Shape {
    Nothing,
    Text(String),
    /// A number or a truth value, whose text is still in the file.
    Typed,
    List(Vec<Spanned<Shape>>),
    Map(Vec<(Spanned<Shape>, Spanned<Shape>)>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

/// Accepts every value that serde hands over, and turns none down.
struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Shape, E> {
        Ok(Shape::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Shape::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Shape::Map(entries))
    }
}

/// A value with its place in `source`.
fn node(spanned: Spanned<Shape>, source: &str) -> Node {
    let used = bytes(spanned.referenced, source);
    let defined = bytes(spanned.defined, source);
    let here = spanned.referenced == spanned.defined;
    let mut node = Node {
        value: Value::Nothing,
        span: used,
        verbatim: None,
        literal: Vec::new(),
    };
    match spanned.value {
        Shape::Nothing => {}
        Shape::Typed => {
            node.verbatim = here.then_some(defined.start);
            node.value = Value::Text(source.get(defined).unwrap_or_default().trim().to_owned());
        }
        Shape::Text(text) => {
            node.verbatim = verbatim(&text, &defined, source).filter(|_| here);
            node.value = Value::Text(text);
        }
        Shape::List(entries) => {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|entry| self::node(entry, source))
                .collect();
            if here {
                node.span = first_line(
                    node.span.start,
                    entries.iter().map(|entry| entry.span.end),
                    source,
                );
            }
            node.value = Value::List(entries);
        }
        Shape::Map(entries) => {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| entry(key, value, source))
                .collect();
            if here {
                let ends = entries
                    .iter()
                    .flat_map(|(key, value)| [key.span.end, value.span.end]);
                node.span = first_line(node.span.start, ends, source);
            }
            node.value = Value::Map(entries);
        }
    }
    node
}

/// A key with its value. A value that is not there has the place of its key.
fn entry(key: Spanned<Shape>, value: Spanned<Shape>, source: &str) -> (Node, Node) {
    let key = node(key, source);
    let mut value = node(value, source);
    if value.span.is_empty() && matches!(value.value, Value::Nothing | Value::Text(_)) {
        value.span = key.span.clone();
    }
    (key, value)
}

/// The bytes of `source` that a location of the YAML crate means.
fn bytes(location: Location, source: &str) -> Range<usize> {
    let start = offset(location, source);
    let length = location
        .span()
        .byte_len()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    let end = start.saturating_add(length).min(source.len());
    start..end
}

/// The byte at which a location of the YAML crate begins; that of a syntax error has only line and column.
fn offset(location: Location, source: &str) -> usize {
    let known = location
        .span()
        .byte_offset()
        .and_then(|offset| usize::try_from(offset).ok());
    if let Some(known) = known {
        return known.min(source.len());
    }
    let number = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut start = 0;
    for line in source.split_inclusive('\n').take(number(location.line())) {
        start += line.len();
    }
    let line = source[start..].lines().next().unwrap_or_default();
    start
        + line
            .char_indices()
            .nth(number(location.column()))
            .map_or(line.len(), |(at, _)| at)
}

/// What is wrong, by an error of the YAML crate.
fn fault(error: &serde_yaml::Error) -> YamlFault {
    use serde_yaml::Error;
    use serde_yaml::budget::BudgetBreach;
    match error {
        Error::AliasError { error, .. } => fault(error),
        Error::MultipleDocuments { .. } => YamlFault::SecondDocument,
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => YamlFault::TooDeep,
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => YamlFault::TooMuch,
        Error::UnknownAnchor { .. } => YamlFault::UnknownAlias,
        Error::RecursiveReferencesRequireWeakTypes { .. } => YamlFault::EndlessAlias,
        Error::UnsupportedTag { .. } => YamlFault::Tag,
        Error::MergeValueNotMapOrSeqOfMaps { .. } => YamlFault::Merge,
        other => {
            let text = other.to_string();
            let words = text.split(" at line ").next().unwrap_or_default();
            YamlFault::Syntax(words.to_owned())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::config::schema::Node;
    use crate::config::schema::Value;
    use crate::config::schema::YamlFault;
    use crate::config::schema::read;

    /// Each scalar with what its span and its verbatim text show in the file, in file order.
    fn scalars(node: &Node, source: &str, found: &mut Vec<(String, String, bool)>) {
        match &node.value {
            Value::Nothing => found.push((
                "(nothing)".to_owned(),
                source[node.span.clone()].to_owned(),
                false,
            )),
            Value::Text(text) => {
                let verbatim = node
                    .verbatim
                    .is_some_and(|at| source[at..].starts_with(text));
                found.push((text.clone(), source[node.span.clone()].to_owned(), verbatim));
            }
            Value::List(entries) => entries
                .iter()
                .for_each(|entry| scalars(entry, source, found)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    scalars(key, source, found);
                    scalars(value, source, found);
                }
            }
        }
    }

    #[test]
    fn every_scalar_is_the_text_that_was_written_and_knows_where() {
        let source =
            "é: [8080, 0x1F, on, ~, 1e3]\nb: \"x\"\nc: 'it''s'\nd: &d two words # é\ne: *d\nf:\n";
        let mut found = Vec::new();
        scalars(&read(source).unwrap(), source, &mut found);
        let found: Vec<_> = found
            .iter()
            .map(|(text, span, verbatim)| (text.as_str(), span.as_str(), *verbatim))
            .collect();
        assert_eq!(
            found,
            [
                ("é", "é", true),
                ("8080", "8080", true),
                ("0x1F", "0x1F", true),
                ("on", "on", true),
                ("(nothing)", "~", false),
                ("1e3", "1e3", true),
                ("b", "b", true),
                ("x", "\"x\"", true),
                ("c", "c", true),
                ("it's", "'it''s'", false),
                ("d", "d", true),
                ("two words", "two words", true),
                ("e", "e", true),
                ("two words", "*d", false),
                ("f", "f", true),
                ("(nothing)", "f", false),
            ]
        );
    }

    #[test]
    fn lists_and_maps_are_marked_on_their_first_line() {
        for (source, marked) in [
            ("a: { b: 1, c: 2 }", "{ b: 1, c: 2 }"),
            ("a: []", "[]"),
            ("a: [ ] # x", "[ ]"),
            ("a:\n  - b: 1\n    c: 2", "b: 1"),
            ("a:\n  b: \"x\"", "b: \"x\""),
            ("a: [1,\n  2]", "[1,"),
            ("a: [b, c,]", "[b, c,]"),
        ] {
            let Value::Map(entries) = read(source).unwrap().value else {
                panic!("{source} is a map");
            };
            assert!(
                source[entries[0].1.span.clone()].contains(marked.trim_end_matches(',')),
                "{source}"
            );
        }
    }

    #[test]
    fn what_is_no_yaml_is_refused_where_that_shows() {
        for (source, at) in [
            ("a: 1\n---\nb: 2", 9),
            ("a: *x", 3),
            ("é: \"x", 4),
            ("a: [", 3),
        ] {
            assert_eq!(read(source).unwrap_err().at, at, "{source}");
        }
        assert!(matches!(
            read("a: *x").unwrap_err().fault,
            YamlFault::UnknownAlias
        ));
        assert!(matches!(
            read(&"[".repeat(100_000)).unwrap_err().fault,
            YamlFault::TooDeep | YamlFault::Syntax(_)
        ));
    }
}
