//! The rules of a group's `servers`: addresses without scheme and path, each with what is said of it.

use crate::config::Listener;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::keys::Within;
use crate::config::check::kind;
use crate::config::check::loops::WrittenAddress;
use crate::config::check::loops::note_loop;
use crate::config::check::scalar::Zero;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values::MOST_CONNECTIONS;
use crate::config::values::MOST_FAILS;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::MOST_TURNS;
use crate::upstream::MemberSettings;
use crate::upstream::ProxyPass;

/// The smallest server, for examples.
const SERVER: &str = "10.0.0.1:3000";

/// One entry of `servers`.
pub(super) struct ReadServer {
    /// Where it is, as it is asked without TLS.
    pub(super) address: ProxyPass,
    /// What is said of it.
    pub(super) settings: MemberSettings,
}

/// The entries of `servers`, of which none may be one of `listeners`; `None` if one of them is wrong, or none of them could be asked.
pub(super) fn servers(
    node: &Node,
    listeners: &[Listener],
    checker: &mut Checker<'_>,
) -> Option<Vec<ReadServer>> {
    let entries = match &node.value {
        // One server may stand without a list, as one `server` of nginx.
        Value::Text(_) => std::slice::from_ref(node),
        _ => checker.entries(node, "servers", SERVER)?,
    };
    let mut servers: Vec<ReadServer> = Vec::new();
    let mut lines = Vec::new();
    let mut are_right = true;
    for entry in entries {
        let Some(server) = server(entry, listeners, checker) else {
            are_right = false;
            continue;
        };
        let alike = servers
            .iter()
            .position(|other| other.address == server.address);
        if let Some(first) = alike {
            let message = format!(
                "server {} is already in this group, on line {}",
                quoted(&server.address.authority()),
                lines[first]
            );
            checker
                .error(&entry.span, message)
                .label("it would have two shares")
                .help(format!(
                    "give it a weight: `{{ server: \"{}\", weight: 2 }}`",
                    server.address.authority()
                ));
            are_right = false;
        }
        lines.push(checker.source.line(entry.span.start));
        servers.push(server);
    }
    (are_right && can_answer(&servers, node, checker)).then_some(servers)
}

/// Whether requests could go to these servers; it is noted if not, and if their shares are too fine.
fn can_answer(servers: &[ReadServer], node: &Node, checker: &mut Checker<'_>) -> bool {
    let all = |is: fn(&MemberSettings) -> bool| servers.iter().all(|one| is(&one.settings));
    if all(|settings| settings.down) {
        checker
            .error(&node.span, "all servers of this group are `down`")
            .label("none of them would ever be asked")
            .help("take `down` out of one of them; to answer requests without a server, write `return: 503` in the route");
        return false;
    }
    if all(|settings| settings.backup) {
        checker
            .error(&node.span, "all servers of this group are `backup`")
            .label("there is none whose place they take")
            .help("take `backup` out of those that are asked first");
        return false;
    }
    if all(|settings| settings.drain || settings.down) {
        checker
            .warning(&node.span, "no server of this group takes a new session")
            .label("each of them has `drain` or `down`")
            .help("that is right only while the group is taken out of use");
    }
    let weights = servers.iter().map(|one| u32::from(one.settings.weight));
    let divisor = weights.clone().fold(0, greatest_common_divisor).max(1);
    let turns: u32 = weights.map(|weight| weight / divisor).sum();
    if turns > MOST_TURNS {
        checker
            .error(
                &node.span,
                format!("the weights of this group make {turns} turns, and at most {MOST_TURNS} are kept"),
            )
            .help("write smaller weights of nearly the same proportion: `3` and `2` for `60001` and `40000`");
        return false;
    }
    true
}

/// The greatest number that divides both; the other one if one is 0.
fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        other => greatest_common_divisor(other, one % other),
    }
}

/// One entry of `servers`: an address, or a map.
fn server(entry: &Node, listeners: &[Listener], checker: &mut Checker<'_>) -> Option<ReadServer> {
    let Value::Map(map) = &entry.value else {
        if let Value::List(_) | Value::Nothing = entry.value {
            let message = format!(
                "an entry of `servers` must be a server, not {}",
                kind(entry)
            );
            checker.error(&entry.span, message).help(format!(
                "write `{SERVER}`, or `{{ server: \"{SERVER}\", weight: 2 }}`"
            ));
            return None;
        }
        return Some(ReadServer {
            address: address(entry, listeners, checker)?,
            settings: MemberSettings::default(),
        });
    };
    if let Some(cut) = cut_in_two(map) {
        checker
            .error(
                &entry.span,
                "a server is cut in two by the space behind its colon",
            )
            .help(format!("write `{cut}`"));
        return None;
    }
    let fields = Fields::of(entry, map, Within::Server, checker);
    let node = fields.require("server", "server: 10.0.0.1:3000", checker);
    let address = node.and_then(|node| address(node, listeners, checker));
    let settings = settings(&fields, checker);
    let address = address?;
    if let (true, Some(node)) = (settings.resolve, fields.get("resolve"))
        && !resolves(&address, node, checker)
    {
        return None;
    }
    Some(ReadServer { address, settings })
}

/// A host and a port that YAML has read as a key and its value.
fn cut_in_two(map: &[(Node, Node)]) -> Option<String> {
    let [(key, value)] = map else {
        return None;
    };
    let (Value::Text(host), Value::Text(port)) = (&key.value, &value.value) else {
        return None;
    };
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (Within::Server.key(host).is_none() && is_port).then(|| format!("{host}:{port}"))
}

/// What an entry says of its server beside the address.
fn settings(fields: &Fields<'_>, checker: &mut Checker<'_>) -> MemberSettings {
    let defaults = MemberSettings::default();
    let weight = fields.get("weight").and_then(|node| {
        let without = "leave it out for 1; a server that gets nothing new has `drain: true`";
        let weight = checker.count(node, "weight", u32::from(u16::MAX), without)?;
        u16::try_from(weight.get()).ok()
    });
    let max_conns = fields.get("max_conns").and_then(|node| {
        checker.count(
            node,
            "max_conns",
            MOST_CONNECTIONS,
            "leave it out for no limit",
        )
    });
    let max_fails = fields
        .get("max_fails")
        .and_then(|node| max_fails(node, checker));
    let fail_timeout = checker.duration(fields, "fail_timeout", Zero::Refused);
    let mut flag = |key| checker.flag(fields, key).unwrap_or(false);
    let settings = MemberSettings {
        weight: weight.unwrap_or(defaults.weight),
        max_fails: max_fails.unwrap_or(defaults.max_fails),
        fail_timeout: fail_timeout.unwrap_or(defaults.fail_timeout),
        max_conns: max_conns.map(u32::from),
        backup: flag("backup"),
        down: flag("down"),
        drain: flag("drain"),
        resolve: flag("resolve"),
    };
    if let (true, true, Some(node)) = (settings.down, settings.drain, fields.get("drain")) {
        checker
            .warning(&node.span, "`drain` has no effect beside `down`")
            .label("a server that is `down` gets nothing, not even requests of its own sessions")
            .help("take `down` out to let sessions end at this server, or take `drain` out");
    }
    settings
}

/// After how many failures a server is down, which may be 0 for never.
fn max_fails(node: &Node, checker: &mut Checker<'_>) -> Option<u32> {
    let text = checker.text(node, "max_fails", "a number")?;
    let number = text.parse().ok().filter(|number| *number <= MOST_FAILS);
    if number.is_none() {
        checker
            .error(
                &node.span,
                format!(
                    "`max_fails` must be a number from 0 to {MOST_FAILS}: {}",
                    quoted(text)
                ),
            )
            .help("leave it out for 1; `0` is for a server that is never marked down");
    }
    number
}

/// Whether `resolve`, which stands at `node`, has a name to look up.
fn resolves(address: &ProxyPass, node: &Node, checker: &mut Checker<'_>) -> bool {
    match address.address() {
        Address::Port {
            host: Host::Name(_),
            ..
        } => true,
        Address::Port {
            host: host @ Host::Ip(_),
            ..
        } => {
            let message = format!(
                "`resolve` has nothing to look up: {} is an address",
                quoted(&host.to_string())
            );
            checker
                .warning(&node.span, message)
                .help("take it out, or write the name whose addresses are meant");
            true
        }
        Address::Unix(_) => {
            checker
                .error(
                    &node.span,
                    "`resolve` has nothing to look up: a Unix socket has no name",
                )
                .help("take it out");
            false
        }
    }
}

/// The address of a server: a host and a port, or a Unix socket.
fn address(node: &Node, listeners: &[Listener], checker: &mut Checker<'_>) -> Option<ProxyPass> {
    let text = checker.text(node, "server", "a host with a port such as `10.0.0.1:3000`")?;
    let parameters = with_parameters(text).map(|map| {
        let message = "`server` has parameters behind its address, as in nginx";
        (message, format!("write `{map}`"))
    });
    if let Some((message, help)) = parameters.or_else(|| no_address(text)) {
        checker.error(&node.span, message).help(help);
        return None;
    }
    let scheme = "http://";
    let to = match format!("{scheme}{text}").parse::<ProxyPass>() {
        Ok(to) => to,
        Err(error) => {
            let span = error.span();
            let behind = |at: usize| at.saturating_sub(scheme.len());
            let span = node.part(Some(behind(span.start)..behind(span.end)));
            // The error speaks of a `proxy_pass`, which has a scheme.
            let here = |words: String| {
                words
                    .replace("`proxy_pass`", "`server`")
                    .replace(scheme, "")
            };
            checker
                .error(&span, here(error.to_string()))
                .help(here(error.help()));
            return None;
        }
    };
    let written = WrittenAddress {
        key: "server",
        to: &to,
        node,
    };
    note_loop(&written, listeners, checker);
    Some(to)
}

/// A server that is written as a line of nginx, `app01:3000 weight=2`, as the map that says the same.
fn with_parameters(text: &str) -> Option<String> {
    let mut words = text.trim_end_matches(';').split_ascii_whitespace();
    let address = words.next()?;
    let mut keys = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, "true"));
        let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let known = Within::Server.key(key).filter(|_| is_plain);
        known.filter(|_| key != "server")?;
        keys.push(format!(", {key}: {value}"));
    }
    (!keys.is_empty()).then(|| format!("{{ server: \"{address}\"{} }}", keys.concat()))
}

/// Why a text is no server though it may be a `proxy_pass`, and what to write instead.
fn no_address(text: &str) -> Option<(&'static str, String)> {
    if text.is_empty() {
        return Some((
            "`server` is empty",
            format!("write a host and its port, as in `{SERVER}`"),
        ));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = if rest.starts_with("unix:") {
            rest
        } else {
            host
        };
        return Some((
            "`server` has a scheme",
            format!(
                "write `{host}`; whether TLS is spoken says the `proxy_pass` that names the group"
            ),
        ));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let (socket, _) = path.split_once(':')?;
        return Some((
            "`server` has a path behind the socket",
            format!(
                "write `unix:{socket}`; a path that replaces the location belongs to `proxy_pass`: `http://GROUP/path`"
            ),
        ));
    }
    if let Some(at) = text.find(['/', '?', '#']) {
        return Some((
            "`server` has a path",
            format!(
                "write `{}`; a path that replaces the location belongs to `proxy_pass`: `http://GROUP/path`",
                &text[..at]
            ),
        ));
    }
    let behind = text.rsplit(']').next().unwrap_or(text);
    if behind.contains(':') || text.contains(['$', '@']) {
        return None;
    }
    Some(if text.bytes().all(|byte| byte.is_ascii_digit()) {
        ("`server` has no host", format!("write `127.0.0.1:{text}`"))
    } else {
        let help = format!("write its port behind it, as in `{text}:3000`");
        ("`server` has no port", help)
    })
}
