//! The rules of access: networks of clients, origins of pages, and the limits of one client address.

use crate::access::Access;
use crate::access::MissingOrigin;
use crate::access::Network;
use crate::access::NetworkError;
use crate::access::Networks;
use crate::access::Origin;
use crate::access::Origins;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::keys::Within;
use crate::config::check::scalar::texts;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values::MOST_CONNECTIONS;
use crate::config::values::MOST_HANDSHAKES;
use crate::limits::PerAddress;

/// The networks of `key`, as far as they are right.
pub(super) fn networks(node: &Node, key: &str, checker: &mut Checker<'_>) -> Networks {
    let read = |text: &str| text.parse().map(|network| vec![network]);
    let networks = networks_by(read, node, key, checker);
    networks.into_iter().map(|(network, _)| network).collect()
}

/// The networks of `key`, each with its place. `read` turns one text into one network or several.
fn networks_by<'n>(
    read: impl Fn(&str) -> Result<Vec<Network>, NetworkError>,
    node: &'n Node,
    key: &str,
    checker: &mut Checker<'_>,
) -> Vec<(Network, &'n Node)> {
    let mut networks: Vec<(Network, &Node)> = Vec::new();
    let expected = "a network such as `10.0.0.0/8`, or an address";
    for (node, text) in texts(node, key, expected, checker) {
        let known = |network| networks.iter().any(|(known, _)| known == network);
        match read(text) {
            Ok(read) if read.iter().any(known) => {
                checker
                    .error(&node.span, format!("{} stands here twice", quoted(text)))
                    .help("remove one of the two");
            }
            Ok(read) => networks.extend(read.into_iter().map(|network| (network, node))),
            Err(error) => {
                checker
                    .error(&node.span, format!("{} {error}", quoted(text)))
                    .help(error.help());
            }
        }
    }
    networks
}

/// The limits of one client address, from `per_ip`.
pub(super) fn per_ip(node: &Node, checker: &mut Checker<'_>) -> PerAddress {
    let map = match &node.value {
        Value::Map(map) if !map.is_empty() => map,
        _ => {
            checker
                .error(&node.span, "`per_ip` must be a map of limits")
                .help("write `per_ip: { connections: 100, handshakes_per_second: 20 }`, or one of the two");
            return PerAddress::default();
        }
    };
    let fields = Fields::of(node, map, Within::PerIp, checker);
    let mut count = |key, most| {
        let node = fields.get(key)?;
        checker.count(node, key, most, "leave it out for no limit")
    };
    PerAddress {
        connections: count("connections", MOST_CONNECTIONS),
        handshakes_per_second: count("handshakes_per_second", MOST_HANDSHAKES),
    }
}

/// Which clients and pages may use a route.
pub(super) fn access(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Access {
    let (allow, deny) = addresses(fields, checker);
    let list = fields.get("allowed_origins");
    let missing = fields.get("missing_origin");
    if let (Some(node), true) = (list.or(missing), fields.get("return").is_some()) {
        let key = list.map_or("missing_origin", |_| "allowed_origins");
        checker
            .error(&node.span, format!("`{key}` has no WebSocket to guard"))
            .label("a route with `return` opens none")
            .help(format!("remove `{key}`"));
    } else if let (Some(node), None) = (missing, list) {
        checker
            .error(
                &node.span,
                "`missing_origin` stands without `allowed_origins`",
            )
            .label("every origin passes, and so does none")
            .help("say which may: `allowed_origins: https://chat.example.com`");
    }
    let list = list.map(|node| origins(node, checker));
    let missing = missing
        .and_then(|node| missing_origin(node, checker))
        .unwrap_or_default();
    Access {
        allow,
        deny,
        origins: list.map(|list| Origins { list, missing }),
    }
}

/// The networks of `allow` and of `deny`. A network that is in both is an error.
fn addresses(fields: &Fields<'_>, checker: &mut Checker<'_>) -> (Networks, Networks) {
    let read = |text: &str| match text {
        "all" => Ok(Network::ALL.to_vec()),
        text => text.parse().map(|network| vec![network]),
    };
    let mut of = |key| match fields.get(key) {
        Some(node) => networks_by(read, node, key, checker),
        None => Vec::new(),
    };
    let (allow, deny) = (of("allow"), of("deny"));
    let mut marked: Option<&Node> = None;
    for (network, node) in &deny {
        let is_allowed = allow.iter().any(|(allowed, _)| allowed == network);
        if is_allowed && !marked.is_some_and(|marked| std::ptr::eq(marked, *node)) {
            marked = Some(node);
            checker
                .error(&node.span, "this network is both in `allow` and in `deny`")
                .label("the narrowest network decides, and these are as narrow")
                .help("remove one of the two");
        }
    }
    let networks = |pairs: Vec<(Network, &Node)>| -> Networks {
        pairs.into_iter().map(|(network, _)| network).collect()
    };
    (networks(allow), networks(deny))
}

/// The origins of `allowed_origins`, each once.
fn origins(node: &Node, checker: &mut Checker<'_>) -> Vec<Origin> {
    let mut origins = Vec::new();
    let expected = "an origin such as `https://chat.example.com`";
    for (node, text) in texts(node, "allowed_origins", expected, checker) {
        match text.parse::<Origin>() {
            Ok(origin) if origins.contains(&origin) => {
                checker
                    .error(
                        &node.span,
                        format!("origin {} stands here twice", quoted(text)),
                    )
                    .help("remove one of the two");
            }
            Ok(origin) => origins.push(origin),
            Err(error) => {
                checker
                    .error(&node.span, format!("{error}: {}", quoted(text)))
                    .help(error.help());
            }
        }
    }
    origins
}

/// What `missing_origin` says about requests without an `Origin`.
fn missing_origin(node: &Node, checker: &mut Checker<'_>) -> Option<MissingOrigin> {
    match checker.text(node, "missing_origin", "`allow` or `deny`")? {
        "allow" => Some(MissingOrigin::Allow),
        "deny" => Some(MissingOrigin::Deny),
        text => {
            let message = format!(
                "`missing_origin` must be `allow` or `deny`, not {}",
                quoted(text)
            );
            checker
                .error(&node.span, message)
                .help("write `deny` if every client is a browser, which never leaves it out");
            None
        }
    }
}
