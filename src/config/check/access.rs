//! The rules of who may: networks, and origins of pages.

use crate::access::Access;
use crate::access::MissingOrigin;
use crate::access::Network;
use crate::access::Networks;
use crate::access::Origin;
use crate::access::Origins;
use crate::config::check::Checker;
use crate::config::check::keys::Fields;
use crate::config::check::request::texts;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;

/// The networks of `key`, as far as they are right.
pub(super) fn networks(node: &Node, key: &str, checker: &mut Checker<'_>) -> Networks {
    let mut networks: Vec<Network> = Vec::new();
    let expected = "a network such as `10.0.0.0/8`, or an address";
    for (node, text) in texts(node, key, expected, checker) {
        match text.parse::<Network>() {
            Ok(network) if networks.contains(&network) => {
                checker
                    .error(&node.span, format!("{} stands here twice", quoted(text)))
                    .help("remove one of the two");
            }
            Ok(network) => networks.push(network),
            Err(error) => {
                checker
                    .error(&node.span, format!("{} {error}", quoted(text)))
                    .help(error.help());
            }
        }
    }
    networks.into_iter().collect()
}

/// Who may ask a route.
pub(super) fn access(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Access {
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
        origins: list.map(|list| Origins { list, missing }),
    }
}

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
