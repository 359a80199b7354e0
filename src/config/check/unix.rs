//! The rules of listeners at a Unix socket: who may connect, and who is believed there. Nobody who comes through one has an address,
//! so that what judges addresses needs the word of the proxy in front.

use crate::access::Network;
use crate::config::Config;
use crate::config::address;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::stream::ListenAddr;

/// Who may connect to a Unix socket that says nothing else: its owner and its group. nginx lets everybody.
const USUAL_MODE: u32 = 0o660;

/// The bits of a mode that let somebody connect, which takes the permission to write.
const MAY_CONNECT: u32 = 0o222;

/// The bit of a mode that lets every user of the machine connect.
const ALL_MAY_CONNECT: u32 = 0o002;

/// What to write where the proxy in front is to be believed.
const TRUST: &str = "`trusted_proxies: \"unix:\"` believes its X-Forwarded-For";

/// The permissions of a Unix socket's file.
pub(super) fn mode(fields: &Fields<'_>, address: &ListenAddr, checker: &mut Checker<'_>) -> u32 {
    let Some(node) = fields.get("mode") else {
        return USUAL_MODE;
    };
    if address.path().is_none() {
        checker
            .error(&node.span, "`mode` is for a Unix socket")
            .label("a port has no file")
            .help("take it out, or write `address: unix:/run/wsgate/wsgate.sock`");
        return USUAL_MODE;
    }
    let text = match &node.value {
        Value::Text(text) => text,
        _ => {
            return checker
                .text(node, "mode", "permissions such as `\"0660\"`")
                .map_or(USUAL_MODE, |_| USUAL_MODE);
        }
    };
    match address::mode(text) {
        Some(mode) if mode & MAY_CONNECT == 0 => {
            checker
                .error(&node.span, "with this `mode` nobody may connect")
                .help("connecting takes the permission to write: write `\"0660\"`, or `\"0600\"` for one user");
            USUAL_MODE
        }
        Some(mode) => mode,
        None => {
            let message = format!("`mode` is no permissions of a file: {}", quoted(text));
            checker
                .error(&node.span, message)
                .help("write them as `chmod` does, in quotes: `\"0660\"` for a user and a group, `\"0666\"` for everybody");
            USUAL_MODE
        }
    }
}

/// Notes a PROXY header that would be believed of nobody.
pub(super) fn note_untrusted_announcements(
    fields: &Fields<'_>,
    address: &ListenAddr,
    trusted: Option<&Node>,
    checker: &mut Checker<'_>,
) {
    let Some(node) = fields
        .get("proxy_protocol")
        .filter(|_| address.path().is_some())
    else {
        return;
    };
    // Without any trusted proxies that is said already, and whether it is on is said where it is read.
    if trusted.is_some_and(|trusted| !names_unix(trusted)) {
        checker
            .error(
                &node.span,
                "`proxy_protocol` on a Unix socket needs `trusted_proxies: \"unix:\"`",
            )
            .label("nobody is trusted there, so no connection would be served")
            .help("add `\"unix:\"` to `trusted_proxies`");
    }
}

/// Whether a text, or one of a list, is `unix:`.
fn names_unix(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.parse() == Ok(Network::UNIX),
        Value::List(entries) => entries.iter().any(names_unix),
        Value::Nothing | Value::Map(_) => false,
    }
}

/// Notes what judges clients by their addresses though some come through a Unix socket without one.
pub(super) fn note_clients_without_address(
    config: &Config,
    root: &Fields<'_>,
    checker: &mut Checker<'_>,
) {
    let sockets = || {
        let listeners = config.listeners.iter();
        listeners.filter(|listener| listener.address.path().is_some())
    };
    let Some(first) = sockets().next() else {
        return;
    };
    let is_trusted = config.trusted_proxies.contain(None);
    let open = sockets().find(|listener| listener.mode & ALL_MAY_CONNECT != 0);
    if let (Some(open), Some(trusted), true) = (open, root.get("trusted_proxies"), is_trusted) {
        let message = format!(
            "every user of this machine may connect to {}, and is believed who its client is",
            open.address
        );
        checker.warning(&trusted.span, message).help(
            "let only the proxy in front connect: `mode: \"0660\"`, with a group that it is in",
        );
    }
    if is_trusted {
        return;
    }
    if let Some(node) = root.get("per_ip") {
        note_without_address(node, "per_ip", first.line, checker);
    }
    let routes = match root.get("routes").map(|node| &node.value) {
        Some(Value::List(routes)) => routes.as_slice(),
        _ => &[],
    };
    for route in routes {
        if let Value::Map(entries) = &route.value {
            note_lists(entries, first.line, checker);
        }
    }
}

/// Notes the lists of a route that judge only clients with an address.
fn note_lists(entries: &[(Node, Node)], line: usize, checker: &mut Checker<'_>) {
    let of = |name: &str| {
        let is_it =
            |(key, _): &&(Node, Node)| matches!(&key.value, Value::Text(key) if key == name);
        entries.iter().find(is_it).map(|(_, value)| value)
    };
    let lists = [("allow", of("allow")), ("deny", of("deny"))];
    // Whoever names those without an address has thought of them, and `all` is everybody.
    let names_them = lists.iter().any(|(_, node)| node.is_some_and(names_unix));
    for (key, node) in lists {
        if let Some(node) = node
            && !names_them
            && !is_all(node)
        {
            note_without_address(node, key, line, checker);
        }
    }
}

/// Notes that what `key` says is about addresses, which nobody has who comes through the Unix socket of this line.
fn note_without_address(node: &Node, key: &str, line: usize, checker: &mut Checker<'_>) {
    let message =
        format!("`{key}` cannot tell apart who comes through the Unix socket of line {line}");
    checker
        .error(&node.span, message)
        .label("they have no address")
        .help(format!(
            "say that the proxy in front is believed who its client is: {TRUST}"
        ));
}

/// Whether a text, or each of a list, is `all`.
fn is_all(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text == "all",
        Value::List(entries) => entries.iter().all(is_all),
        Value::Nothing | Value::Map(_) => false,
    }
}
