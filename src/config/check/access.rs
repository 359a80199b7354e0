//! The rules of who may: networks.

use crate::access::Network;
use crate::access::Networks;
use crate::config::check::Checker;
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
