//! What a route changes in the fields of answers, for a person and for a program.

use serde_json::Value;
use serde_json::json;

use crate::answer_fields::AddedField;
use crate::answer_fields::AddedTo;
use crate::answer_fields::AnswerFields;
use crate::answer_fields::RedirectRule;
use crate::answer_fields::SUCCESSES;
use crate::config::Config;
use crate::explain::Outcome;

/// A line about answers.
pub(super) struct AnswerLine {
    /// Its label.
    pub(super) label: &'static str,
    /// What is changed.
    pub(super) words: String,
    /// In which answers.
    pub(super) aside: String,
}

/// What the route of this outcome changes in the answer that its client gets: in wsgate's own as far as that is known, in the
/// upstream's whatever its status is.
pub(super) fn lines(config: &Config, outcome: &Outcome) -> Vec<AnswerLine> {
    let Some(fields) = of_route(config, outcome) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (at, field) in added(fields, outcome).enumerate() {
        lines.push(AnswerLine {
            label: if at == 0 { "adds" } else { "" },
            words: format!("{}: {}", field.name, field.value),
            aside: match outcome {
                Outcome::Upstream { .. } => of_status(field.to),
                Outcome::Answer { .. } | Outcome::Refused { .. } => String::new(),
            },
        });
    }
    let Outcome::Upstream { .. } = outcome else {
        return lines;
    };
    let mut line = |label, words, aside: &str| {
        lines.push(AnswerLine {
            label,
            words,
            aside: aside.to_owned(),
        });
    };
    if !fields.hidden.is_empty() {
        let hidden: Vec<&str> = fields.hidden.iter().map(|name| name.as_str()).collect();
        line("hides", hidden.join(", "), "");
    }
    for (at, rule) in fields.redirects.iter().enumerate() {
        let label = if at == 0 { "redirects" } else { "" };
        match rule {
            RedirectRule::Default(default) => {
                let (from, to) = default.paths();
                line(label, format!("{from} -> {to}"), "`default`");
            }
            RedirectRule::Written(rule) => {
                line(label, format!("{} -> {}", rule.from(), rule.to()), "");
            }
        }
    }
    for (at, rule) in fields.cookie_paths.iter().enumerate() {
        let label = if at == 0 { "cookies" } else { "" };
        line(label, format!("Path={} -> {}", rule.from(), rule.to()), "");
    }
    lines
}

/// The same as [`lines`] says, as an object; null if nothing is changed.
pub(super) fn object(config: &Config, outcome: &Outcome) -> Value {
    let Some(fields) = of_route(config, outcome) else {
        return Value::Null;
    };
    let added = added(fields, outcome).map(|field| {
        json!({
            "name": field.name.as_str(),
            "value": field.value.to_string(),
            "always": field.to == AddedTo::Every,
        })
    });
    let hidden = fields.hidden.iter().map(|name| name.as_str());
    let redirects = fields.redirects.iter().map(|rule| {
        let (from, to) = match rule {
            RedirectRule::Default(default) => default.paths(),
            RedirectRule::Written(rule) => (rule.from(), rule.to()),
        };
        json!({ "from": from, "to": to, "default": rule.written().is_none() })
    });
    let cookies = fields.cookie_paths.iter();
    let cookies = cookies.map(|rule| json!({ "from": rule.from(), "to": rule.to() }));
    json!({
        "adds": added.collect::<Vec<_>>(),
        "hides": hidden.collect::<Vec<_>>(),
        "redirects": redirects.collect::<Vec<_>>(),
        "cookie_paths": cookies.collect::<Vec<_>>(),
    })
}

/// What the route of this outcome changes; `None` if there is no route, or it changes nothing.
fn of_route<'c>(config: &'c Config, outcome: &Outcome) -> Option<&'c AnswerFields> {
    let fields = &config.routes[outcome.route()?].answer_fields;
    (!fields.is_empty()).then_some(fields)
}

/// The fields that the answer gets, or may get.
fn added<'f>(fields: &'f AnswerFields, outcome: &Outcome) -> impl Iterator<Item = &'f AddedField> {
    let status = outcome.status();
    let added = fields.added.iter();
    added.filter(move |field| status.is_none_or(|status| field.is_for(status)))
}

/// Which of an upstream's answers get a field.
fn of_status(to: AddedTo) -> String {
    match to {
        AddedTo::Successes => {
            let statuses: Vec<&str> = SUCCESSES.iter().map(|status| status.as_str()).collect();
            format!("to {}", statuses.join(", "))
        }
        AddedTo::Every => "to every answer but a 101".to_owned(),
    }
}
