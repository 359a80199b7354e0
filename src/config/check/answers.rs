//! The rules of a route's keys about the fields of answers: `add_headers` and `hide_headers`.

use crate::answer_fields::AddedField;
use crate::answer_fields::AddedTo;
use crate::answer_fields::AnswerFields;
use crate::answer_fields::is_fixed;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::keys::Within;
use crate::config::check::request::field_name;
use crate::config::check::request::field_value;
use crate::config::check::scalar::texts;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::headers::spelling::WrittenName;
use crate::template::Template;

/// What a route changes in the fields of answers, as far as it is right.
pub(super) fn answer_fields(fields: &Fields<'_>, checker: &mut Checker<'_>) -> AnswerFields {
    let added = fields.get("add_headers");
    let hidden = fields.get("hide_headers");
    if let (Some(node), Some(_)) = (hidden, fields.get("return")) {
        checker
            .error(
                &node.span,
                "`hide_headers` has no upstream's answer to change",
            )
            .label("a route with `return` asks none")
            .help("remove `hide_headers`");
    }
    AnswerFields {
        added: added.map_or_else(Vec::new, |node| add_headers(node, checker)),
        hidden: hidden.map_or_else(Vec::new, |node| hide_headers(node, checker)),
    }
}

/// The fields of `add_headers`.
fn add_headers(node: &Node, checker: &mut Checker<'_>) -> Vec<AddedField> {
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        _ => {
            checker
                .error(
                    &node.span,
                    "`add_headers` must be a map of fields and their values",
                )
                .help("write `add_headers: { Strict-Transport-Security: max-age=31536000 }`");
            return Vec::new();
        }
    };
    let mut added: Vec<AddedField> = Vec::new();
    for (key, value) in map {
        let Some(name) = changed_name(key, "add_headers", "added", checker) else {
            continue;
        };
        if added.iter().any(|other| other.name.name() == name.name()) {
            checker
                .error(
                    &key.span,
                    format!("{} stands here twice", quoted(name.as_str())),
                )
                .help(format!("write a list of values: `{name}: [a, b]`"));
            continue;
        }
        let values = match &value.value {
            Value::List(values) if !values.is_empty() => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let of_name = values.iter().filter_map(|value| {
            let (value, to) = added_value(value, checker)?;
            Some(AddedField {
                name: name.clone(),
                value,
                to,
            })
        });
        added.extend(of_name);
    }
    added
}

/// A value of a field that is added, alone or with its `always`.
fn added_value(node: &Node, checker: &mut Checker<'_>) -> Option<(Template, AddedTo)> {
    let Value::Map(map) = &node.value else {
        let text = checker.text(node, "add_headers", "a text")?;
        return Some((field_value(text, node, checker)?, AddedTo::Successes));
    };
    let fields = Fields::of(node, map, Within::AddedField, checker);
    let always = fields
        .get("always")
        .and_then(|node| checker.switch(node, "always"));
    let to = match always {
        Some(true) => AddedTo::Every,
        Some(false) | None => AddedTo::Successes,
    };
    let node = fields.require("value", "value: max-age=31536000", checker)?;
    let text = checker.text(node, "add_headers", "a text")?;
    Some((field_value(text, node, checker)?, to))
}

/// The fields of `hide_headers`.
fn hide_headers(node: &Node, checker: &mut Checker<'_>) -> Vec<WrittenName> {
    let mut hidden: Vec<WrittenName> = Vec::new();
    let names = texts(node, "hide_headers", "the name of a field", checker);
    for (node, _) in names {
        let Some(name) = changed_name(node, "hide_headers", "hidden", checker) else {
            continue;
        };
        if hidden.iter().any(|other| other.name() == name.name()) {
            checker
                .error(
                    &node.span,
                    format!("{} stands here twice", quoted(name.as_str())),
                )
                .help("remove one of the two");
            continue;
        }
        hidden.push(name);
    }
    hidden
}

/// The name of a field that may be changed in answers.
fn changed_name(
    node: &Node,
    key: &str,
    what: &str,
    checker: &mut Checker<'_>,
) -> Option<WrittenName> {
    let text = checker.text(node, key, "the name of a field")?;
    let name = field_name(text, node, checker)?;
    if is_fixed(name.name()) {
        checker
            .error(&node.span, format!("{} cannot be {what}", quoted(text)))
            .label("it belongs to a connection, to a body's framing or to a WebSocket's handshake")
            .help("take it out: wsgate sends these as they must be");
        return None;
    }
    Some(name)
}
