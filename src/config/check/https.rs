//! The rules of `https://` upstreams: their certificates must be verifiable, by the system's authorities or the file of
//! `ca`, and for the host of `proxy_pass` or the name in `tls_name`.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::tls::CertificateError;
use crate::tls::FileFault;
use crate::tls::Roots;
use crate::tls::UpstreamName;
use crate::tls::UpstreamTls;
use crate::upstream::Host;
use crate::upstream::ProxyPass;
use crate::upstream::Server;

/// The keys of a route that say how its `https://` upstream is verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpsKeys<'n> {
    ca: Option<&'n Node>,
    tls_name: Option<&'n Node>,
}

impl<'n> HttpsKeys<'n> {
    /// Those of a route.
    pub(super) fn of(fields: &Fields<'n>) -> Self {
        Self {
            ca: fields.get("ca"),
            tls_name: fields.get("tls_name"),
        }
    }

    /// Notes each of them beside an upstream without TLS, where it would have no effect.
    pub(super) fn note_needless(self, help: &str, checker: &mut Checker<'_>) {
        for (key, node) in [("ca", self.ca), ("tls_name", self.tls_name)] {
            if let Some(node) = node {
                let message =
                    format!("`{key}` is for `https://`, and this upstream is asked without TLS");
                checker.error(&node.span, message).help(help);
            }
        }
    }

    /// Notes each of them in a route with `return`.
    pub(super) fn note_without_upstream(self, checker: &mut Checker<'_>) {
        for (key, node, what) in [
            ("ca", self.ca, "vouch for"),
            ("tls_name", self.tls_name, "verify"),
        ] {
            if let Some(node) = node {
                checker
                    .error(&node.span, format!("`{key}` has no upstream to {what}"))
                    .label("a route with `return` asks none")
                    .help(format!("remove `{key}`"));
            }
        }
    }
}

/// The authorities and TLS clients that were made for routes so far. Routes of one server, one name and one `ca` share
/// a client, and with it their TLS sessions.
#[derive(Debug, Default)]
pub(super) struct Https {
    system: System,
    /// The authorities of each file of `ca`.
    files: HashMap<PathBuf, Roots>,
    /// The client of each server, by the file of `ca`, the authority of the URL, and the name that is verified.
    clients: HashMap<(Option<PathBuf>, String, UpstreamName), UpstreamTls>,
}

/// The system's authorities, which are read when the first route needs them.
#[derive(Debug, Default)]
enum System {
    #[default]
    Unread,
    Read(Roots),
    /// There are none, for which there is one error already.
    None,
}

/// How the servers of a route are verified.
#[derive(Clone, Debug)]
pub(super) struct VerifiedBy {
    /// The file of `ca`; `None` for the system's authorities.
    pub(super) file: Option<PathBuf>,
    roots: Roots,
    /// The name in `tls_name`; `None` for each server's own host.
    pub(super) given: Option<UpstreamName>,
}

impl Https {
    /// How the servers of a `proxy_pass` that stands at `node` are verified, by the keys beside it.
    pub(super) fn verification(
        &mut self,
        node: &Node,
        keys: HttpsKeys<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<VerifiedBy> {
        let given = keys.tls_name.map(|node| given_name(node, checker));
        let (file, roots) = match keys.ca {
            None => (None, self.system(node, checker)?),
            Some(ca) => {
                let (file, roots) = self.file(ca, checker)?;
                (Some(file), roots)
            }
        };
        let given = match given {
            Some(given) => Some(given?),
            None => None,
        };
        Some(VerifiedBy { file, roots, given })
    }

    /// The server of a `proxy_pass`, which is verified if it is one of `https://`. That no certificate can be for its host is told
    /// at `node`.
    pub(super) fn server(
        &mut self,
        proxy_pass: ProxyPass,
        node: &Node,
        verification: Option<&VerifiedBy>,
        checker: &mut Checker<'_>,
    ) -> Option<Server> {
        let authority = proxy_pass.authority();
        Server::new(proxy_pass, |host| {
            let VerifiedBy { file, roots, given } = verification?;
            let name = match given {
                Some(given) => given.clone(),
                None => host_name(host, node, checker)?,
            };
            let key = (file.clone(), authority, name.clone());
            if let Some(client) = self.clients.get(&key) {
                return Some(client.clone());
            }
            let client = UpstreamTls::new(name, roots)?;
            self.clients.insert(key, client.clone());
            Some(client)
        })
    }

    /// Checks the keys of a route whose `proxy_pass` is missing or wrong.
    pub(super) fn check_keys(&mut self, keys: HttpsKeys<'_>, checker: &mut Checker<'_>) {
        if let Some(ca) = keys.ca {
            self.file(ca, checker);
        }
        if let Some(node) = keys.tls_name {
            given_name(node, checker);
        }
    }

    /// The system's authorities.
    fn system(&mut self, node: &Node, checker: &mut Checker<'_>) -> Option<Roots> {
        if matches!(self.system, System::Unread) {
            self.system = match Roots::system() {
                Ok(roots) => System::Read(roots),
                Err(error) => {
                    checker
                        .error(&node.span, error.to_string())
                        .help(error.help());
                    System::None
                }
            };
        }
        match &self.system {
            System::Read(roots) => Some(roots.clone()),
            System::Unread | System::None => None,
        }
    }

    /// The file of a `ca`, and the authorities in it.
    fn file(&mut self, node: &Node, checker: &mut Checker<'_>) -> Option<(PathBuf, Roots)> {
        let path = checker.pem_file(node, "ca", "ca: certs/ca.pem")?;
        let path = checker.path(path);
        if let Some(roots) = self.files.get(&path) {
            return Some((path, roots.clone()));
        }
        match Roots::load(&path, checker.now) {
            Ok(roots) => {
                for block in roots.passed_over() {
                    checker
                        .warning(&node.span, block.to_string())
                        .help(block.help());
                }
                self.files.insert(path.clone(), roots.clone());
                Some((path, roots))
            }
            Err(error) => {
                let help = match &error {
                    CertificateError::File {
                        fault: FileFault::WrongKind,
                        ..
                    } => {
                        "`ca` takes the certificate of the upstream's authority, which is no secret; keys stay where \
                         they are"
                            .to_owned()
                    }
                    CertificateError::Expired { .. } => {
                        "what it vouches for has expired with it: get the authority's present one"
                            .to_owned()
                    }
                    error => error.help(),
                };
                checker.error(&node.span, error.to_string()).help(help);
                None
            }
        }
    }
}

/// The host of a `proxy_pass` as a name that a certificate can have.
fn host_name(host: &Host, node: &Node, checker: &mut Checker<'_>) -> Option<UpstreamName> {
    let host = match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let name = UpstreamName::of_host(&host);
    if name.is_none() {
        let message = format!("no certificate can be for the host {}", quoted(&host));
        checker.error(&node.span, message).help(
            "use a name whose labels end in letters or digits, or the IP address; or set `tls_name` to the name in the \
             upstream's certificate",
        );
    }
    name
}

/// The value of `tls_name`.
fn given_name(node: &Node, checker: &mut Checker<'_>) -> Option<UpstreamName> {
    let text = checker.text(node, "tls_name", "the name in the upstream's certificate")?;
    let name = UpstreamName::given(text);
    if name.is_none() {
        let message = format!(
            "`tls_name` is not a name that a certificate can be for: {}",
            quoted(text)
        );
        checker.error(&node.span, message).help(instead_of(text));
    }
    name
}

/// What to write instead of a `tls_name` that is no name.
fn instead_of(text: &str) -> String {
    let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = without_scheme
        .split_once('/')
        .map_or(without_scheme, |(host, _)| host);
    let host = match host.strip_prefix('[').and_then(|ip| ip.split_once(']')) {
        Some((ip, _)) => ip,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    if let Some(parent) = host.strip_prefix("*.") {
        format!("write one of the names that it stands for, such as `chat.{parent}`")
    } else if host != text && UpstreamName::given(host).is_some() {
        format!("write `{host}`")
    } else {
        "write a name such as `chat.example.com`, or an IP address".to_owned()
    }
}
