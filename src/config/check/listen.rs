//! The rules of `listen`: addresses, each once, and certificates that can be served.

use std::path::Path;

use crate::config::Listener;
use crate::config::Tls;
use crate::config::address;
use crate::config::check::Checker;
use crate::config::check::LISTEN;
use crate::config::check::keys::Fields;
use crate::config::check::keys::Within;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values;
use crate::tls::Certificate;
use crate::tls::Concerns;

/// Where `tls: self_signed` keeps its files, beside `routes.yaml`.
const SELF_SIGNED: &str = "certs";

/// The listeners of `listen`, as far as they are right. Only the `trusted` can send a PROXY header.
pub(super) fn listeners(
    node: &Node,
    trusted: Option<&Node>,
    checker: &mut Checker<'_>,
) -> Vec<Listener> {
    let Some(entries) = checker.entries(node, "listen", LISTEN) else {
        return Vec::new();
    };
    let mut listeners: Vec<Listener> = Vec::new();
    let mut redirects = Vec::new();
    let mut has_tls = Vec::new();
    for entry in entries {
        let Some(map) = checker.entry(entry, "listen", LISTEN) else {
            continue;
        };
        let fields = Fields::of(entry, map, Within::Listen, checker);
        let tls = fields.get("tls").map(|node| tls(node, checker));
        let reuseport = fields
            .get("reuseport")
            .and_then(|node| checker.switch(node, "reuseport"));
        let proxy_protocol = fields
            .get("proxy_protocol")
            .and_then(|node| Some((checker.switch(node, "proxy_protocol")?, node)));
        if let (Some((true, node)), None) = (proxy_protocol, trusted) {
            checker
                .error(&node.span, "`proxy_protocol` needs `trusted_proxies`")
                .label("nobody is trusted, so no connection would be served")
                .help("name the proxies in front at the top of the file: `trusted_proxies: [10.0.0.0/8]`");
        }
        let Some(node) = fields.require("address", "address: 8080", checker) else {
            continue;
        };
        let Some(text) = checker.text(node, "address", "a port, or an IP address and a port")
        else {
            continue;
        };
        let address = match address::read(text) {
            Ok(address) => address,
            Err(error) => {
                checker
                    .error(&node.span, error.to_string())
                    .help(error.help());
                continue;
            }
        };
        let same = |other: &&Listener| other.address == address && address.port() != 0;
        if let Some(first) = listeners.iter().find(same) {
            let message = format!(
                "address {} is already used on line {}",
                quoted(text),
                first.line
            );
            checker
                .error(&node.span, message)
                .label("an address can be opened only once")
                .help("remove one of the two");
        }
        if let Some(redirect) = fields.get("redirect") {
            redirects.push((listeners.len(), redirect));
        }
        has_tls.push(fields.get("tls").is_some());
        let line = checker.source.line(node.span.start);
        listeners.push(Listener {
            redirect: None,
            address,
            reuseport: reuseport.unwrap_or(false),
            proxy_protocol: proxy_protocol.is_some_and(|(on, _)| on),
            tls: tls.flatten(),
            line,
        });
    }
    for (from, node) in redirects {
        listeners[from].redirect = redirect(&has_tls, from, node, checker);
    }
    listeners
}

/// `redirect: https`: to the first listener with TLS.
fn redirect(
    has_tls: &[bool],
    from: usize,
    node: &Node,
    checker: &mut Checker<'_>,
) -> Option<usize> {
    let text = checker.text(node, "redirect", "`https`")?;
    if text != "https" {
        checker
            .error(
                &node.span,
                format!("`redirect` must be `https`, not {}", quoted(text)),
            )
            .help("for one location write `return: 301 https://$host$request_uri` in its route");
        return None;
    }
    if has_tls[from] {
        checker
            .error(&node.span, "a listener with TLS is https already")
            .help("remove `redirect`, or `tls`");
        return None;
    }
    let to = has_tls.iter().position(|has_tls| *has_tls);
    if to.is_none() {
        checker
            .error(&node.span, "no listener has `tls` to redirect to")
            .help("add one: `- { address: 443, tls: { cert: FILE, key: FILE } }`");
    }
    to
}

fn tls(node: &Node, checker: &mut Checker<'_>) -> Option<Tls> {
    const EXPECTED: &str =
        "write `self_signed`, or `{ cert: FILE, key: FILE }`, or a list of such pairs";
    match &node.value {
        Value::Text(text) if text == "self_signed" => Some(Tls::SelfSigned {
            dir: checker.dir.join(SELF_SIGNED),
        }),
        Value::Text(text) => {
            checker.error(&node.span, format!("`tls` cannot be {}", quoted(text))).help(match values::switch(text) {
                Some(true) => "write `tls: self_signed` to try it out, or `tls: { cert: FILE, key: FILE }`",
                Some(false) => "without TLS the key `tls` is left out",
                None if values::distance(text, "self_signed") <= 3 => "did you mean `self_signed`?",
                None => EXPECTED,
            });
            None
        }
        Value::Nothing => {
            checker
                .error(&node.span, "`tls` has no value")
                .help(EXPECTED);
            None
        }
        Value::Map(map) => pair(node, map, checker).map(|pair| Tls::Pairs(vec![pair])),
        Value::List(entries) => {
            if entries.is_empty() {
                checker
                    .error(&node.span, "`tls` is an empty list")
                    .help(EXPECTED);
                return None;
            }
            let mut pairs = Vec::new();
            for entry in entries {
                match &entry.value {
                    Value::Map(map) => pairs.extend(pair(entry, map, checker)),
                    _ => {
                        let message = "an entry of this list must be a pair of `cert` and `key`";
                        checker
                            .error(&entry.span, message)
                            .help("write `- { cert: FILE, key: FILE }`");
                    }
                }
            }
            Some(Tls::Pairs(pairs))
        }
    }
}

fn pair(node: &Node, map: &[(Node, Node)], checker: &mut Checker<'_>) -> Option<Certificate> {
    let fields = Fields::of(node, map, Within::Pair, checker);
    let cert = file(&fields, "cert", "cert: certs/example.com.pem", checker);
    let key = file(&fields, "key", "key: certs/example.com.key", checker);
    let ((cert_node, cert), (key_node, key)) = cert.zip(key)?;
    let cert = checker.dir.join(cert);
    let key = checker.dir.join(key);
    match Certificate::load(&cert, &key, checker.now) {
        Ok(certificate) => {
            if let Some(mode) = certificate.key_mode_too_open() {
                too_open(key_node, &key, mode, checker);
            }
            Some(certificate)
        }
        Err(error) => {
            let node = match error.concerns() {
                Concerns::Cert => cert_node,
                Concerns::Key => key_node,
            };
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            None
        }
    }
}

fn file<'n>(
    fields: &Fields<'n>,
    name: &str,
    example: &str,
    checker: &mut Checker<'_>,
) -> Option<(&'n Node, &'n str)> {
    let node = fields.require(name, example, checker)?;
    Some((node, checker.pem_file(node, name, example)?))
}

fn too_open(node: &Node, path: &Path, mode: u32, checker: &mut Checker<'_>) {
    let path = path.display();
    let readers = if mode & 0o004 == 0 {
        "its group"
    } else {
        "every user of this machine"
    };
    let message = format!(
        "key {path} can be read by {readers} (mode {:04o})",
        mode & 0o7777
    );
    checker
        .warning(&node.span, message)
        .help(format!("`chmod 600 {path}` leaves it to its owner"));
}
