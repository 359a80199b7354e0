//! The rules of a route's keys about requests, other than their path: `host`, `when`, `return` and `set_headers`.

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;

use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::keys::Within;
use crate::config::check::scalar::texts;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::set_headers::is_never_set;
use crate::config::values;
use crate::headers::host;
use crate::headers::spelling::WrittenName;
use crate::returns::Return;
use crate::routing::HostPattern;
use crate::routing::When;
use crate::template::Template;

/// The hosts of a route; `None` if one of them is wrong, so that the route is not taken for one of fewer hosts.
pub(super) fn hosts(node: &Node, checker: &mut Checker<'_>) -> Option<Vec<HostPattern>> {
    let before = checker.found.len();
    let mut hosts: Vec<HostPattern> = Vec::new();
    for (node, text) in texts(node, "host", "a name such as `chat.example.com`", checker) {
        match text.parse::<HostPattern>() {
            Ok(host) if hosts.contains(&host) => {
                checker
                    .error(
                        &node.span,
                        format!("host {} stands here twice", quoted(text)),
                    )
                    .help("remove one of the two");
            }
            Ok(host) => hosts.push(host),
            Err(error) => {
                checker
                    .error(&node.span, error.to_string())
                    .help(error.help());
            }
        }
    }
    (checker.found.len() == before).then_some(hosts)
}

/// The conditions of `when`, as far as they are right.
pub(super) fn when(node: &Node, checker: &mut Checker<'_>) -> When {
    const EXAMPLE: &str = "write `when: { query: { EIO: \"3\" } }`; the keys are `query`, `header`, `method`, `port` \
                           and `websocket`";
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        _ => {
            checker
                .error(&node.span, "`when` must be a map of conditions")
                .help(EXAMPLE);
            return When::default();
        }
    };
    let fields = Fields::of(node, map, Within::When, checker);
    let mut when = When::default();
    if let Some(node) = fields.get("query") {
        when.query = named(node, "query", "EIO: \"3\"", checker)
            .into_iter()
            .map(|(name, _, values)| (name.to_owned(), values))
            .collect();
    }
    if let Some(node) = fields.get("header") {
        for (name, node, values) in named(node, "header", "X-Canary: yes", checker) {
            if let Some(name) = condition_name(name, node, checker) {
                when.header.push((name, values));
            }
        }
    }
    if let Some(node) = fields.get("method") {
        when.method = methods(node, checker);
    }
    if let Some(node) = fields.get("port") {
        when.port = ports(node, checker);
    }
    when.websocket = fields
        .get("websocket")
        .and_then(|node| websocket(node, checker));
    when
}

/// The methods that `when` wants one of, as far as they are right.
fn methods(node: &Node, checker: &mut Checker<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for (node, text) in texts(node, "method", "a method such as `GET`", checker) {
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if text.bytes().all(|byte| !byte.is_ascii_lowercase()) => {
                methods.push(method);
            }
            _ => {
                let upper = text.to_ascii_uppercase();
                checker
                    .error(&node.span, format!("no method is called {}", quoted(text)))
                    .help(match Method::from_bytes(upper.as_bytes()) {
                        Ok(_) => format!("methods are compared with case: write `{upper}`"),
                        Err(_) => "write a method such as `GET`".to_owned(),
                    });
            }
        }
    }
    methods
}

/// The ports that `when` wants one of, as far as they are right.
fn ports(node: &Node, checker: &mut Checker<'_>) -> Vec<u16> {
    let mut ports = Vec::new();
    for (node, text) in texts(node, "port", "a port such as `8443`", checker) {
        match text.parse::<u16>() {
            Ok(port) if port > 0 => ports.push(port),
            _ => {
                checker
                    .error(&node.span, format!("{} is no port", quoted(text)))
                    .help("write the port of a listener, from 1 to 65535");
            }
        }
    }
    ports
}

/// Whether `when` wants a request for a WebSocket or any other.
fn websocket(node: &Node, checker: &mut Checker<'_>) -> Option<bool> {
    let text = checker.text(node, "websocket", "`true` or `false`")?;
    let read = values::switch(text);
    if read.is_none() {
        checker
            .error(
                &node.span,
                format!(
                    "`websocket` must be `true` or `false`, not {}",
                    quoted(text)
                ),
            )
            .help("`true` is for upgrades to WebSocket, `false` for all other requests");
    }
    read
}

/// The answer of a `return`.
pub(super) fn returns(node: &Node, checker: &mut Checker<'_>) -> Option<Return> {
    let text = checker.text(node, "return", "a status, a text or an address")?;
    match Return::read(text, &node.literal) {
        Ok(read) => Some(read),
        Err(error) => {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            None
        }
    }
}

/// The fields and values of `set_headers`, as far as they are right.
pub(super) fn set_headers(node: &Node, checker: &mut Checker<'_>) -> Vec<(WrittenName, Template)> {
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        _ => {
            checker
                .error(
                    &node.span,
                    "`set_headers` must be a map of fields and their values",
                )
                .help("write `set_headers: { X-Client: $remote_addr }`");
            return Vec::new();
        }
    };
    let mut set: Vec<(WrittenName, Template)> = Vec::new();
    for (key, value) in map {
        let Some(text) = checker.text(key, "set_headers", "the name of a field") else {
            continue;
        };
        let Some(name) = field_name(text, key, checker) else {
            continue;
        };
        if is_never_set(name.name()) {
            checker
                .error(&key.span, format!("{} cannot be set", quoted(text)))
                .label("wsgate writes it for each connection and message")
                .help("take it out: upgrades and bodies go on without it");
            continue;
        }
        if set.iter().any(|(other, _)| other.name() == name.name()) {
            checker
                .error(&key.span, format!("{} is set twice", quoted(text)))
                .help("a field can be set only once, in whatever case it is written");
            continue;
        }
        let text = match &value.value {
            // No value takes the field out.
            Value::Nothing => "",
            _ => match checker.text(value, "set_headers", "a text") {
                Some(text) => text,
                None => continue,
            },
        };
        let Some(template) = field_value(text, value, checker) else {
            continue;
        };
        if *name.name() == header::HOST && !is_host(&template) {
            checker
                .error(&value.span, format!("Host cannot be {}", quoted(text)))
                .help("write a name or an address, with or without a port");
            continue;
        }
        set.push((name, template));
    }
    set
}

/// Whether a value of `Host` is one, as far as that is known before there is a request.
fn is_host(template: &Template) -> bool {
    template
        .constant()
        .is_none_or(|value| host::is_valid(value.as_bytes()))
}

/// The value of a field, which may have variables.
pub(super) fn field_value(text: &str, node: &Node, checker: &mut Checker<'_>) -> Option<Template> {
    let template = match Template::read(text, &node.literal) {
        Ok(template) => template,
        Err(error) => {
            let dollar = text.find(&format!("${}", error.name));
            let span = dollar.map(|at| at..at + error.name.len() + 1);
            checker
                .error(&node.part(span), error.to_string())
                .help(error.help());
            return None;
        }
    };
    if HeaderValue::from_str(text).is_err() {
        checker
            .error(
                &node.span,
                "this value has characters that no field may have",
            )
            .help("write printable ASCII on one line");
        return None;
    }
    Some(template)
}

/// The name of a field of the client's request, as a condition asks about it.
fn condition_name(text: &str, node: &Node, checker: &mut Checker<'_>) -> Option<HeaderName> {
    let name = field_name(text, node, checker)?;
    if text.contains('_') {
        checker
            .error(&node.span, format!("{} has an underscore", quoted(text)))
            .help("a client's fields with an underscore are dropped, as in nginx; write a dash");
        return None;
    }
    Some(name.name().clone())
}

/// The name of a header field.
pub(super) fn field_name(
    text: &str,
    node: &Node,
    checker: &mut Checker<'_>,
) -> Option<WrittenName> {
    match text.parse() {
        Ok(name) => Some(name),
        Err(_) => {
            checker
                .error(&node.span, format!("no field is called {}", quoted(text)))
                .help("write a name such as `X-Canary`");
            None
        }
    }
}

/// Reads a map of names, each with one text or a list of texts. Returns name, place of the name, and texts.
fn named<'n>(
    node: &'n Node,
    key: &str,
    example: &str,
    checker: &mut Checker<'_>,
) -> Vec<(&'n str, &'n Node, Vec<String>)> {
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        _ => {
            checker
                .error(
                    &node.span,
                    format!("`{key}` must be a map of names and values"),
                )
                .help(format!("write `{key}: {{ {example} }}`"));
            return Vec::new();
        }
    };
    let mut read: Vec<(&str, &Node, Vec<String>)> = Vec::new();
    for (name, value) in map {
        let Some(text) = checker.text(name, key, "a name") else {
            continue;
        };
        if read.iter().any(|(other, ..)| *other == text) {
            checker
                .error(&name.span, format!("{} stands here twice", quoted(text)))
                .help(format!("write a list of values: `{text}: [a, b]`"));
            continue;
        }
        let values = texts(value, text, "a value", checker);
        let values = values
            .into_iter()
            .map(|(_, value)| value.to_owned())
            .collect();
        read.push((text, name, values));
    }
    read
}
