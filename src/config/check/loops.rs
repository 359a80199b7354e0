//! Addresses that lead back to a listener of the same file.

use crate::config::Listener;
use crate::config::check::Checker;
use crate::config::own_listener::leads_to;
use crate::config::schema::Node;
use crate::stream::ListenAddr;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::ProxyPass;

/// The address of a server, and where it is written.
pub(super) struct WrittenAddress<'a> {
    /// The key whose value it is, or a part of it.
    pub(super) key: &'static str,
    /// The address.
    pub(super) to: &'a ProxyPass,
    /// Its place.
    pub(super) node: &'a Node,
}

/// Notes an address that leads back to a listener of this file.
pub(super) fn note_loop(
    written: &WrittenAddress<'_>,
    listeners: &[Listener],
    checker: &mut Checker<'_>,
) {
    let WrittenAddress { key, to, node } = written;
    let is_own = |listener: &&Listener| match (to.address(), &listener.address) {
        (Address::Port { host, port, .. }, ListenAddr::Ip(address)) => {
            leads_to(host, *port, *address)
        }
        (Address::Unix(to), ListenAddr::Unix(path)) => to == path,
        (Address::Port { .. }, ListenAddr::Unix(_)) | (Address::Unix(_), ListenAddr::Ip(_)) => {
            false
        }
    };
    let Some(listener) = listeners.iter().find(is_own) else {
        return;
    };
    let message = format!(
        "`{key}` leads back to wsgate: it listens there, see line {}",
        listener.line
    );
    let help = match to.address() {
        Address::Port {
            scheme,
            host: Host::Name(_),
            port,
        } => {
            let scheme = match *key {
                "proxy_pass" => scheme.to_string(),
                _ => String::new(),
            };
            format!(
                "give the port of the server behind it; if that listens on [::1] alone, write `{scheme}[::1]:{port}`"
            )
        }
        Address::Port { .. } => "give the port of the server behind it".to_owned(),
        Address::Unix(_) => "give the socket of the server behind it".to_owned(),
    };
    checker
        .error(&node.span, message)
        .label("each request would go round for ever")
        .help(help);
}
