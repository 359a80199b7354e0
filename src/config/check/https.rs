//! The rules of `https://` upstreams: their certificates must be verifiable, by the system's authorities or the file of
//! `ca`.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::config::check::Checker;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::tls::CertificateError;
use crate::tls::Roots;
use crate::tls::UpstreamTls;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::Server;

/// The authorities and TLS clients that were made for routes so far. Routes of one server and one `ca` share a client,
/// and with it their TLS sessions.
#[derive(Debug, Default)]
pub(super) struct Https {
    system: System,
    /// The authorities of each file of `ca`.
    files: HashMap<PathBuf, Roots>,
    /// The client of each server, by the file of `ca` and the authority of the URL.
    clients: HashMap<(Option<PathBuf>, String), UpstreamTls>,
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

impl Https {
    /// The server for a `proxy_pass` that stands at `node`, with the `ca` beside it.
    pub(super) fn server(
        &mut self,
        proxy_pass: ProxyPass,
        node: &Node,
        ca: Option<&Node>,
        checker: &mut Checker<'_>,
    ) -> Option<Server> {
        let key = proxy_pass.authority();
        if let Some(ca) = ca {
            note_needless_ca(&proxy_pass, ca, checker);
        }
        Server::new(proxy_pass, |host| {
            let (file, roots) = match ca {
                None => (None, self.system(node, checker)?),
                Some(ca) => {
                    let (file, roots) = self.file(ca, checker)?;
                    (Some(file), roots)
                }
            };
            let key = (file, key);
            if let Some(client) = self.clients.get(&key) {
                return Some(client.clone());
            }
            let client = client(host, &roots, node, checker)?;
            self.clients.insert(key, client.clone());
            Some(client)
        })
    }

    /// Checks the file of a `ca` whose `proxy_pass` is missing or wrong.
    pub(super) fn check_file(&mut self, ca: Option<&Node>, checker: &mut Checker<'_>) {
        if let Some(ca) = ca {
            self.file(ca, checker);
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
                self.files.insert(path.clone(), roots.clone());
                Some((path, roots))
            }
            Err(error) => {
                let help = match &error {
                    CertificateError::WrongKind(_) => {
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

/// Notes a `ca` beside an upstream without TLS, where it would have no effect.
fn note_needless_ca(proxy_pass: &ProxyPass, ca: &Node, checker: &mut Checker<'_>) {
    let help = match proxy_pass.address() {
        Address::Port {
            scheme: Scheme::Https,
            ..
        } => return,
        Address::Port { .. } => format!(
            "take it out, or write `proxy_pass: {}{}{}`",
            Scheme::Https,
            proxy_pass.authority(),
            proxy_pass.uri().unwrap_or_default()
        ),
        Address::Unix(_) => "take it out".to_owned(),
    };
    checker
        .error(
            &ca.span,
            "`ca` is for `https://`, and this upstream is asked without TLS",
        )
        .help(help);
}

/// A TLS client for `host`, whose name must be one that a certificate can have.
fn client(
    host: &Host,
    roots: &Roots,
    node: &Node,
    checker: &mut Checker<'_>,
) -> Option<UpstreamTls> {
    let name = match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let client = UpstreamTls::new(&name, roots);
    if client.is_none() {
        let message = format!("no certificate can be for the host {}", quoted(&name));
        checker
            .error(&node.span, message)
            .help("use a name whose labels end in letters or digits, or the IP address");
    }
    client
}
