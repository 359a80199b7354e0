//! Prints the findings for a program: one JSON object, whose shape `docs/configuration.md` describes.

use serde_json::Value;
use serde_json::json;

use crate::cli::explain::Findings;
use crate::cli::explain::answers;
use crate::cli::explain::upstream_answer::ServerAnswer;
use crate::cli::explain::words;
use crate::clients::Chosen;
use crate::config::Config;
use crate::config::FilledValues;
use crate::explain::Outcome;
use crate::explain::Trace;
use crate::upstream::Group;

/// All findings as one JSON object, with a line end. What was `filled` in is shown as it is written.
pub(super) fn of(findings: &Findings<'_>, filled: &FilledValues) -> String {
    let (config, explanation) = (findings.config, &findings.explanation);
    let asks = &explanation.asks;
    let (listener, no_listener) = match &explanation.listener {
        Ok(at) => {
            let listener = &config.listeners[*at];
            let listener = json!({
                "address": listener.address.to_string(),
                "tls": listener.tls.is_some(),
                "place": words::listener_place(config, *at),
            });
            (listener, Value::Null)
        }
        Err(none) => {
            let text = none.in_words(config, &explanation.url);
            (Value::Null, json!({ "kind": none.code(), "text": text }))
        }
    };
    let requests = asks.requests.iter().enumerate().map(|(at, request)| {
        let trace = explanation.traces.get(at);
        let answers = findings.answers.get(at).map_or(&[][..], Vec::as_slice);
        let mut says = answers.iter().map(|ServerAnswer { server, answer }| {
            let mut says = json!({
                "kind": answer.code(),
                "status": answer.status().map(|status| status.as_u16()),
                "text": answer.to_string(),
                "help": answer.help(asks.kind, request),
            });
            if let Some(server) = server {
                says["server"] = json!(server);
            }
            says
        });
        let is_group = answers.iter().any(|answer| answer.server.is_some());
        let (says, servers_say) = if is_group {
            (None, Some(says.collect::<Vec<_>>()))
        } else {
            (says.next(), None)
        };
        json!({
            "target": request.target,
            "upgrade": request.is_upgrade(),
            "when": request.when,
            "routes": trace.map_or(Value::Null, |trace| routes(config, trace)),
            "outcome": trace.map_or(Value::Null, |trace| outcome(config, &trace.outcome)),
            "says": says,
            "servers_say": servers_say,
        })
    });
    let warnings = explanation
        .warnings
        .iter()
        .map(|warning| json!({ "kind": warning.code(), "text": words::warning(config, warning) }));
    let mut all = json!({
        "url": explanation.url.to_string(),
        "host": explanation.url.authority(),
        "client": asks.kind.name(),
        "guessed": asks.chosen == Chosen::Guessed,
        "namespace": asks.namespace,
        "listener": listener,
        "no_listener": no_listener,
        "requests": requests.collect::<Vec<_>>(),
        "warnings": warnings.collect::<Vec<_>>(),
    });
    show_as_written(&mut all, filled);
    format!("{all:#}\n")
}

/// Replaces what the environment has by what is written, in every text below `value`.
fn show_as_written(value: &mut Value, filled: &FilledValues) {
    match value {
        Value::String(text) => *text = filled.as_written(text),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| show_as_written(value, filled)),
        Value::Object(values) => values
            .values_mut()
            .for_each(|value| show_as_written(value, filled)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The routes with their verdicts.
fn routes(config: &Config, trace: &Trace) -> Value {
    let routes = trace.verdicts.iter().enumerate().map(|(at, verdict)| {
        let route = &config.routes[at];
        let hosts = route.hosts.iter().map(ToString::to_string);
        json!({
            "place": words::place(config, at),
            "location": route.location.to_string(),
            "hosts": hosts.collect::<Vec<_>>(),
            "verdict": verdict.code(),
            "text": words::verdict(config, at, verdict),
        })
    });
    routes.collect()
}

/// What becomes of a request.
fn outcome(config: &Config, outcome: &Outcome) -> Value {
    let place = outcome.route().map(|route| words::place(config, route));
    match outcome {
        Outcome::Upstream {
            route,
            target,
            rewrite,
            ..
        } => json!({
            "kind": "upstream",
            "route": place,
            "upstream": words::leads_to(config, *route),
            "tls_name": words::tls_name(config, *route),
            "group": words::group(config, *route).map(|group| of_group(group)),
            "target": target,
            "rewrite": rewrite,
            "answers": answers::object(config, outcome),
        }),
        Outcome::Answer {
            status,
            location,
            text,
            ..
        } => json!({
            "kind": "answer",
            "route": place,
            "status": status.as_u16(),
            "location": location,
            "text": text,
            "answers": answers::object(config, outcome),
        }),
        Outcome::Refused { status, told } => json!({
            "kind": "refused",
            "status": status.as_u16(),
            "text": told,
        }),
    }
}

/// A group, with its servers as they are written.
fn of_group(group: &Group) -> Value {
    let settings = group.settings();
    let servers = group.written().iter().map(|one| {
        json!({
            "server": one.server.authority(),
            "weight": one.settings.weight,
            "max_conns": one.settings.max_conns,
            "backup": one.settings.backup,
            "down": one.settings.down,
            "drain": one.settings.drain,
            "resolve": one.settings.resolve,
        })
    });
    json!({
        "name": settings.name,
        "balance": settings.balance.to_string(),
        "sticky": {
            "sid": settings.sticky.sid,
            "cookie": settings.sticky.cookie.as_ref().map(|cookie| &cookie.name),
        },
        "health_check": settings.health_check.as_ref().map(ToString::to_string),
        "servers": servers.collect::<Vec<_>>(),
    })
}
