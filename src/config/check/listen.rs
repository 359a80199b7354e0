//! The rules of `listen`: each address stands there once, and certificates can be served.

use std::path::Path;

use crate::config::Listener;
use crate::config::Tls;
use crate::config::address;
use crate::config::check::Checker;
use crate::config::check::LISTEN;
use crate::config::check::fields::Fields;
use crate::config::check::keys::Within;
use crate::config::check::unix;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values;
use crate::tls::Certificate;
use crate::tls::Concerns;

/// The directory beside `routes.yaml` in which `tls: self_signed` keeps its files.
const SELF_SIGNED: &str = "certs";

/// One entry of `listen`, before it is known which listener its `redirect` leads to.
struct ListenEntry<'n> {
    listener: Listener,
    /// The value of `address`.
    address: &'n Node,
    /// The text of `address`.
    written: &'n str,
    /// Whether the entry has the key `tls`, right or wrong.
    has_tls: bool,
    /// The value of `redirect`.
    redirect: Option<&'n Node>,
}

/// Whether an entry has TLS, and whether clients can be sent there: a Unix socket has no port that a URL could name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TlsAt {
    Nothing,
    UnixSocket,
    Port,
}

impl TlsAt {
    fn of(entry: &ListenEntry<'_>) -> Self {
        match (entry.has_tls, entry.listener.address.port()) {
            (false, _) => Self::Nothing,
            (true, None) => Self::UnixSocket,
            (true, Some(_)) => Self::Port,
        }
    }
}

/// The listeners of `listen`, as far as they are right. `trusted` is the value of `trusted_proxies`, without which no
/// PROXY header can be believed.
pub(super) fn listeners(
    node: &Node,
    trusted: Option<&Node>,
    checker: &mut Checker<'_>,
) -> Vec<Listener> {
    let Some(nodes) = checker.entries(node, "listen", LISTEN) else {
        return Vec::new();
    };
    let mut entries: Vec<ListenEntry<'_>> = Vec::new();
    for node in nodes {
        let Some(map) = checker.entry(node, "listen", LISTEN) else {
            continue;
        };
        let fields = Fields::of(node, map, Within::Listen, checker);
        if let Some(entry) = entry(&fields, trusted, checker) {
            note_duplicate_address(&entry, &entries, checker);
            entries.push(entry);
        }
    }
    let tls: Vec<TlsAt> = entries.iter().map(TlsAt::of).collect();
    let entries = entries.into_iter().enumerate();
    entries
        .map(|(at, entry)| Listener {
            redirect: entry
                .redirect
                .and_then(|node| redirect(&tls, at, node, checker)),
            ..entry.listener
        })
        .collect()
}

/// Reads one entry of `listen`; `None` without an address that can be listened on.
fn entry<'n>(
    fields: &Fields<'n>,
    trusted: Option<&Node>,
    checker: &mut Checker<'_>,
) -> Option<ListenEntry<'n>> {
    let tls = fields.get("tls").map(|node| tls(node, checker));
    let reuseport = fields
        .get("reuseport")
        .and_then(|node| checker.switch(node, "reuseport"));
    let proxy_protocol = proxy_protocol(fields, trusted, checker);
    let node = fields.require("address", "address: 8080", checker)?;
    let expected = "a port, an IP address and a port, or a Unix socket";
    let text = checker.text(node, "address", expected)?;
    let address = match address::read(text) {
        Ok(address) => address,
        Err(error) => {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            return None;
        }
    };
    let mode = unix::mode(fields, &address, checker);
    unix::note_untrusted_announcements(fields, &address, trusted, checker);
    Some(ListenEntry {
        has_tls: tls.is_some(),
        redirect: fields.get("redirect"),
        listener: Listener {
            redirect: None,
            address,
            mode,
            reuseport: reuseport.unwrap_or(false),
            proxy_protocol,
            tls: tls.flatten(),
            line: checker.source.line(node.span.start),
        },
        address: node,
        written: text,
    })
}

/// Whether connections begin with a PROXY header, which is an error without `trusted_proxies`.
fn proxy_protocol(fields: &Fields<'_>, trusted: Option<&Node>, checker: &mut Checker<'_>) -> bool {
    let Some(node) = fields.get("proxy_protocol") else {
        return false;
    };
    let is_on = checker.switch(node, "proxy_protocol").unwrap_or(false);
    if is_on && trusted.is_none() {
        checker
            .error(&node.span, "`proxy_protocol` needs `trusted_proxies`")
            .label("nobody is trusted, so no connection would be served")
            .help(
                "name the proxies in front at the top of the file: `trusted_proxies: [10.0.0.0/8]`",
            );
    }
    is_on
}

/// Notes an address that an entry before this one has. Several entries may have port 0, since the system chooses.
fn note_duplicate_address(
    entry: &ListenEntry<'_>,
    before: &[ListenEntry<'_>],
    checker: &mut Checker<'_>,
) {
    let address = &entry.listener.address;
    let same =
        |other: &&ListenEntry<'_>| other.listener.address == *address && !address.is_any_port();
    let Some(first) = before.iter().find(same) else {
        return;
    };
    let message = format!(
        "address {} is already used on line {}",
        quoted(entry.written),
        first.listener.line
    );
    checker
        .error(&entry.address.span, message)
        .label("an address can be opened only once")
        .help("remove one of the two");
}

/// The listener to which `redirect: https` leads: the first with TLS. `from` is the index of the entry itself.
fn redirect(tls: &[TlsAt], from: usize, node: &Node, checker: &mut Checker<'_>) -> Option<usize> {
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
    if tls[from] != TlsAt::Nothing {
        checker
            .error(&node.span, "a listener with TLS is https already")
            .help("remove `redirect`, or `tls`");
        return None;
    }
    let to = tls.iter().position(|tls| *tls == TlsAt::Port);
    if to.is_none() {
        checker
            .error(
                &node.span,
                match tls.contains(&TlsAt::UnixSocket) {
                    false => "no listener has `tls` to redirect to",
                    true => "no listener with a port has `tls` to redirect to",
                },
            )
            .help("add one: `- { address: 443, tls: { cert: FILE, key: FILE } }`");
    }
    to
}

/// The certificates of `tls`.
fn tls(node: &Node, checker: &mut Checker<'_>) -> Option<Tls> {
    const EXPECTED: &str =
        "write `self_signed`, or `{ cert: FILE, key: FILE }`, or a list of such pairs";
    match &node.value {
        Value::Text(text) if text == "self_signed" => Some(Tls::SelfSigned {
            dir: checker.path(SELF_SIGNED),
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

/// One certificate with its key.
fn pair(node: &Node, map: &[(Node, Node)], checker: &mut Checker<'_>) -> Option<Certificate> {
    let fields = Fields::of(node, map, Within::Pair, checker);
    let cert = file(&fields, "cert", "cert: certs/example.com.pem", checker);
    let key = file(&fields, "key", "key: certs/example.com.key", checker);
    let ((cert_node, cert), (key_node, key)) = cert.zip(key)?;
    let cert = checker.path(cert);
    let key = checker.path(key);
    match Certificate::load(&cert, &key, checker.now) {
        Ok(certificate) => {
            if let Some(mode) = certificate.key_mode_too_open() {
                too_open(key_node, &key, mode, checker);
            }
            for block in certificate.passed_over() {
                let node = match block.concerns() {
                    Concerns::Cert => cert_node,
                    Concerns::Key => key_node,
                };
                checker
                    .warning(&node.span, block.to_string())
                    .help(block.help());
            }
            let place = cert_node.span.clone();
            checker.certificates.push((place, certificate.clone()));
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

/// The path of one of the two files of a pair, with its place.
fn file<'n>(
    fields: &Fields<'n>,
    name: &str,
    example: &str,
    checker: &mut Checker<'_>,
) -> Option<(&'n Node, &'n str)> {
    let node = fields.require(name, example, checker)?;
    Some((node, checker.pem_file(node, name, example)?))
}

/// Warns of a key that others than its owner may read.
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
