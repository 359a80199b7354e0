//! The keys of a group, other than its servers and `sticky`.

use http::uri::PathAndQuery;

use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::groups::servers::ReadServer;
use crate::config::check::groups::sticky;
use crate::config::check::groups::words::Words;
use crate::config::check::keys::Within;
use crate::config::check::scalar::Zero;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::engineio;
use crate::upstream::Balance;
use crate::upstream::GroupSettings;
use crate::upstream::HashKey;
use crate::upstream::HealthCheck;

/// How servers are chosen.
const BALANCE: Words = Words {
    key: "balance",
    known: &["least_conn", "round_robin", "ip_hash"],
    help: "write `least_conn`, `round_robin`, `ip_hash`, or variables: `{ hash: $arg_room }`",
};

/// How servers are asked whether they are well.
const HEALTH_CHECK: Words = Words {
    key: "health_check",
    known: &["tcp", "engine_io"],
    help: "write `tcp`, `engine_io`, or a path: `{ http: /health }`; without the key requests alone show who is well",
};

/// The settings of the group of this name, whose servers are these if they are all right.
pub(super) fn settings(
    name: &str,
    fields: &Fields<'_>,
    servers: Option<&[ReadServer]>,
    checker: &mut Checker<'_>,
) -> GroupSettings {
    let defaults = GroupSettings::named(name);
    let balance = fields.get("balance");
    let balance = balance.and_then(|node| balance_of(node, checker));
    let check = fields.get("health_check");
    let health_check = check.and_then(|node| health_check(node, checker));
    let close_tunnels = checker.flag(fields, "close_tunnels");
    if let (Some(true), None, Some(node)) = (close_tunnels, check, fields.get("close_tunnels")) {
        checker
            .error(&node.span, "`close_tunnels` without `health_check`")
            .label("only a health check finds that a server is down which has tunnels")
            .help("add `health_check: engine_io`, or take `close_tunnels` out");
    }
    let slow_start = checker.duration(fields, "slow_start", Zero::Allowed);
    let valid = checker.duration(
        fields,
        "valid",
        Zero::Useless("write how often names are looked up, as in `5s`"),
    );
    let resolves = |servers: &[ReadServer]| servers.iter().any(|one| one.settings.resolve);
    if let (Some(node), Some(false)) = (fields.get("valid"), servers.map(resolves)) {
        checker
            .warning(&node.span, "`valid` without `resolve`")
            .label("no name of this group is looked up again and again")
            .help("write `resolve: true` at a server that has a name, or take `valid` out");
    }
    let mut settings = GroupSettings {
        balance: balance.unwrap_or_default(),
        health_check,
        slow_start: slow_start.unwrap_or(defaults.slow_start),
        close_tunnels: close_tunnels.unwrap_or(defaults.close_tunnels),
        valid: valid.unwrap_or(defaults.valid),
        ..defaults
    };
    if let Some(node) = fields.get("sticky") {
        settings.sticky = sticky::sticky(node, checker).unwrap_or_default();
        sticky::note_off(&settings, node, servers.unwrap_or_default(), checker);
    }
    settings
}

/// How a server is chosen.
fn balance_of(node: &Node, checker: &mut Checker<'_>) -> Option<Balance> {
    if let Value::Map(map) = &node.value {
        let fields = Fields::of(node, map, Within::Balance, checker);
        let node = fields.require("hash", "hash: $arg_room", checker)?;
        return hash(node, checker).map(Balance::Hash);
    }
    match checker.text(node, "balance", "a word such as `least_conn`")? {
        "least_conn" => Some(Balance::LeastConn),
        "round_robin" => Some(Balance::RoundRobin),
        "ip_hash" => Some(Balance::IpHash),
        "hash" => {
            checker
                .error(&node.span, "`balance: hash` does not say of what")
                .help("write variables, as in `balance: { hash: $arg_room }`");
            None
        }
        other => {
            BALANCE.refuse(other, node, checker);
            None
        }
    }
}

/// The variables whose value decides.
fn hash(node: &Node, checker: &mut Checker<'_>) -> Option<HashKey> {
    let text = checker.text(node, "hash", "variables such as `$arg_room`")?;
    if let Some(key) = text.trim_end_matches(';').strip_suffix(" consistent") {
        checker
            .error(
                &node.span,
                "`hash` has nginx's word `consistent` behind its variables",
            )
            .label("it would be a part of the key")
            .help(format!(
                "write `hash: {}`: it is always consistent",
                key.trim_end()
            ));
        return None;
    }
    match HashKey::read(text, &node.literal) {
        Ok(key) => Some(key),
        Err(error) => {
            let span = error.variable().and_then(|name| {
                let dollar = text.find(&format!("${name}"))?;
                Some(dollar..dollar + name.len() + 1)
            });
            checker
                .error(&node.part(span), error.to_string())
                .help(error.help());
            None
        }
    }
}

/// How servers are asked whether they are well.
fn health_check(node: &Node, checker: &mut Checker<'_>) -> Option<HealthCheck> {
    if let Value::Map(map) = &node.value {
        return health_check_with_path(node, map, checker);
    }
    match checker.text(node, "health_check", "a word such as `engine_io`")? {
        "tcp" => Some(HealthCheck::Tcp),
        "engine_io" => Some(HealthCheck::EngineIo(
            engineio::Path::default().as_str().to_owned(),
        )),
        "http" | "https" => {
            checker
                .error(
                    &node.span,
                    "`health_check: http` does not say which path to ask for",
                )
                .help("write the path, as in `health_check: { http: /health }`");
            None
        }
        other => {
            HEALTH_CHECK.refuse(other, node, checker);
            None
        }
    }
}

/// A `health_check` that has a path.
fn health_check_with_path(
    node: &Node,
    map: &[(Node, Node)],
    checker: &mut Checker<'_>,
) -> Option<HealthCheck> {
    let fields = Fields::of(node, map, Within::HealthCheck, checker);
    match (fields.get("http"), fields.get("engine_io")) {
        (Some(path), None) => http_path(path, checker).map(HealthCheck::Http),
        (None, Some(path)) => engine_io_path(path, checker).map(HealthCheck::EngineIo),
        (Some(_), Some(_)) => {
            checker
                .error(&node.span, "a server is asked in one way")
                .help("write `http` or `engine_io`, not both");
            None
        }
        (None, None) => {
            if map.is_empty() {
                HEALTH_CHECK.refuse("{}", node, checker);
            }
            None
        }
    }
}

/// The path that is asked for, and maybe a query.
fn http_path(node: &Node, checker: &mut Checker<'_>) -> Option<String> {
    let text = checker.text(node, "http", "a path such as `/health`")?;
    if !text.starts_with('/') {
        let path = text.split_once("://").map_or(text, |(_, rest)| {
            rest.find('/').map_or("/", |at| &rest[at..])
        });
        let help = if path.starts_with('/') {
            format!("write `{path}`: each server is asked at its own address")
        } else {
            format!("write `/{path}`")
        };
        checker
            .error(
                &node.span,
                "the path of `health_check` does not begin with a slash",
            )
            .help(help);
        return None;
    }
    if text.contains('#') || !text.is_ascii() || text.parse::<PathAndQuery>().is_err() {
        checker
            .error(
                &node.span,
                "the path of `health_check` has a character that no path may have",
            )
            .help("write it percent-encoded");
        return None;
    }
    Some(text.to_owned())
}

/// The path of an Engine.IO server, which has a slash at both ends.
fn engine_io_path(node: &Node, checker: &mut Checker<'_>) -> Option<String> {
    let text = checker.text(node, "engine_io", "a path such as `/socket.io/`")?;
    match text.parse::<engineio::Path>() {
        Ok(path) => Some(path.as_str().to_owned()),
        Err(error) => {
            // The error speaks of the option of a client.
            let message = error.to_string();
            let message = message.replace("a client's `path`", "the path of `health_check`");
            checker.error(&node.span, message).help(error.help());
            None
        }
    }
}
