//! The rules of a route's keys about the fields of answers: `add_headers`, `hide_headers`, `proxy_redirect` and
//! `proxy_cookie_path`.

use crate::answer_fields::AddedField;
use crate::answer_fields::AddedTo;
use crate::answer_fields::AnswerFields;
use crate::answer_fields::DefaultRedirect;
use crate::answer_fields::Half;
use crate::answer_fields::RedirectRule;
use crate::answer_fields::Replacement;
use crate::answer_fields::is_fixed;
use crate::config::Action;
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
use crate::routing::Location;
use crate::template::Template;
use crate::upstream::Address;
use crate::upstream::Servers;

/// What a route with this location, which leads there, changes in the fields of answers, as far as it is right.
pub(super) fn answer_fields(
    fields: &Fields<'_>,
    location: Option<&Location>,
    to: Option<&Action>,
    checker: &mut Checker<'_>,
) -> AnswerFields {
    if fields.get("return").is_some() {
        for key in ["hide_headers", "proxy_redirect", "proxy_cookie_path"] {
            if let Some(node) = fields.get(key) {
                checker
                    .error(
                        &node.span,
                        format!("`{key}` has no upstream's answer to change"),
                    )
                    .label("a route with `return` asks no upstream")
                    .help(format!("remove `{key}`"));
            }
        }
    }
    let default = location.zip(to).and_then(default_redirect);
    let read = fields.get("add_headers");
    let added = read.map_or_else(Vec::new, |node| add_headers(node, checker));
    let read = fields.get("hide_headers");
    let hidden = read.map_or_else(Vec::new, |node| hide_headers(node, checker));
    let read = fields.get("proxy_redirect");
    let redirects = read.map_or_else(Vec::new, |node| {
        replacements(node, &PROXY_REDIRECT, checker)
    });
    let read = fields.get("proxy_cookie_path");
    let cookie_paths = read.map_or_else(Vec::new, |node| {
        replacements(node, &PROXY_COOKIE_PATH, checker)
    });
    AnswerFields {
        added,
        hidden,
        redirects: redirects
            .into_iter()
            .filter_map(|written| match written {
                WrittenRule::Default => Some(RedirectRule::Default(default.clone()?)),
                WrittenRule::Replacement(replacement) => Some(RedirectRule::Written(replacement)),
            })
            .collect(),
        cookie_paths: cookie_paths
            .into_iter()
            .filter_map(|written| match written {
                WrittenRule::Default => None,
                WrittenRule::Replacement(replacement) => Some(replacement),
            })
            .collect(),
    }
}

/// What `proxy_redirect: default` means to a route that leads to an upstream.
fn default_redirect((location, to): (&Location, &Action)) -> Option<DefaultRedirect> {
    let Action::ProxyPass(upstream) = to else {
        return None;
    };
    // What upstreams call themselves where they have no host of one name.
    let is_nameless = match upstream.servers() {
        Servers::One(server) => matches!(server.proxy_pass().address(), Address::Unix(_)),
        Servers::Group(group) => group.is_nameless_list(),
    };
    let origin = (!is_nameless).then(|| upstream.origin());
    Some(DefaultRedirect::new(
        location.pattern(),
        origin,
        upstream.uri(),
    ))
}

/// A key whose value is a map of what is looked for and what takes its place, or a list of such maps.
struct ReplacingKey {
    name: &'static str,
    /// The word beside `off` that may stand for a map.
    word: Option<&'static str>,
    /// What a message shows.
    example: &'static str,
}

const PROXY_REDIRECT: ReplacingKey = ReplacingKey {
    name: "proxy_redirect",
    word: Some("default"),
    example: "write `default`, `off`, or `proxy_redirect: { \"http://127.0.0.1:3000/app/\": / }`",
};

const PROXY_COOKIE_PATH: ReplacingKey = ReplacingKey {
    name: "proxy_cookie_path",
    word: None,
    example: "write `off`, or `proxy_cookie_path: { /app/: / }`",
};

/// One entry of such a key.
enum WrittenRule {
    Default,
    Replacement(Replacement),
}

/// The entries of such a key, in their order.
fn replacements(node: &Node, key: &ReplacingKey, checker: &mut Checker<'_>) -> Vec<WrittenRule> {
    let mut read = Vec::new();
    match &node.value {
        Value::Text(text) if text == "off" => {}
        Value::List(entries) if !entries.is_empty() => {
            for entry in entries {
                replacing_entry(entry, key, &mut read, checker);
            }
        }
        _ => replacing_entry(node, key, &mut read, checker),
    }
    read
}

/// Adds what stands in one entry to what stands in those before it.
fn replacing_entry(
    node: &Node,
    key: &ReplacingKey,
    read: &mut Vec<WrittenRule>,
    checker: &mut Checker<'_>,
) {
    let pairs = match &node.value {
        Value::Text(text) if key.word == Some(text) => {
            read.push(WrittenRule::Default);
            return;
        }
        Value::Map(pairs) if !pairs.is_empty() => pairs,
        _ => {
            let message = format!("`{}` must say what takes the place of what", key.name);
            checker.error(&node.span, message).help(key.example);
            return;
        }
    };
    for (from, to) in pairs {
        let Some(rule) = replacement(from, to, key, checker) else {
            continue;
        };
        let is_there = |other: &WrittenRule| match other {
            WrittenRule::Default => false,
            WrittenRule::Replacement(other) => other.from() == rule.from(),
        };
        if read.iter().any(is_there) {
            let message = format!("{} stands here twice", quoted(rule.from()));
            checker
                .error(&from.span, message)
                .label("only the first would ever be found")
                .help("remove one of the two");
            continue;
        }
        read.push(WrittenRule::Replacement(rule));
    }
}

/// One pair of what is looked for and what takes its place.
fn replacement(
    from: &Node,
    to: &Node,
    key: &ReplacingKey,
    checker: &mut Checker<'_>,
) -> Option<Replacement> {
    let read_from = checker.text(from, key.name, "what the value begins with");
    let read_to = match &to.value {
        Value::Nothing => Some(""),
        _ => checker.text(to, key.name, "a text"),
    };
    match Replacement::new(read_from?, read_to?) {
        Ok(replacement) => Some(replacement),
        Err(error) => {
            let node = match error.half {
                Half::From => from,
                Half::To => to,
            };
            let span = node.part(Some(error.span.clone()));
            checker.error(&span, error.to_string()).help(error.help());
            None
        }
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
