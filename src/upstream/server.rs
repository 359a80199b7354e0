//! One server that answers requests, and how TLS is spoken with it.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::stream::PeerAddr;
use crate::tls;
use crate::upstream::proxy_pass::Address;
use crate::upstream::proxy_pass::Host;
use crate::upstream::proxy_pass::ProxyPass;
use crate::upstream::proxy_pass::Scheme;

/// The server of a `proxy_pass`. It is proof that one of `https://` is verified: there is no other way to make it.
///
/// Two servers are compared in four ways. By `==` they have the same address and path, and share their TLS sessions.
/// [`is_asked_alike`](Self::is_asked_alike) disregards the path, and `is_configured_alike` the sessions, which a reload makes
/// anew. [`Upstream::is_clone_of`](crate::upstream::Upstream::is_clone_of) asks for the very same servers: only then does a
/// connection for the one do for the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    proxy_pass: ProxyPass,
    tls: Option<tls::UpstreamTls>,
    /// The one address of its name that this server is, if the name stands for several servers of a group.
    pinned: Option<IpAddr>,
}

impl Server {
    /// The server of `proxy_pass`. Only for one of `https://` it is asked how TLS is spoken with that host; `None` if
    /// that has no answer.
    pub fn new(
        proxy_pass: ProxyPass,
        tls: impl FnOnce(&Host) -> Option<tls::UpstreamTls>,
    ) -> Option<Self> {
        let tls = match proxy_pass.address() {
            Address::Port {
                scheme: Scheme::Https,
                host,
                ..
            } => Some(tls(host)?),
            Address::Port {
                scheme: Scheme::Http,
                ..
            }
            | Address::Unix(_) => None,
        };
        Some(Self {
            proxy_pass,
            tls,
            pinned: None,
        })
    }

    /// The server at this one address of its name. TLS still verifies the name, and has sessions of this server alone. A server
    /// that is written without a name stays what it is.
    pub(super) fn at(&self, address: IpAddr) -> Self {
        let pinned = match self.proxy_pass.address() {
            Address::Port {
                host: Host::Name(_),
                ..
            } => Some(address),
            Address::Port { .. } | Address::Unix(_) => None,
        };
        Self {
            proxy_pass: self.proxy_pass.clone(),
            tls: self.tls.as_ref().map(tls::UpstreamTls::with_own_sessions),
            pinned,
        }
    }

    /// The address at which it is reached instead of by its name.
    pub(super) fn pinned(&self) -> Option<&IpAddr> {
        self.pinned.as_ref()
    }

    /// As the configuration says it.
    pub fn proxy_pass(&self) -> &ProxyPass {
        &self.proxy_pass
    }

    /// Who answers, for people: see [`ProxyPass::authority`]. The address and the port, if this is one address of a name.
    pub fn authority(&self) -> String {
        match (self.pinned, self.proxy_pass.address()) {
            (Some(ip), Address::Port { port, .. }) => SocketAddr::new(ip, *port).to_string(),
            _ => self.proxy_pass.authority(),
        }
    }

    /// The address at which it is reached, unless its name must be looked up for that.
    pub fn peer_addr(&self) -> Option<PeerAddr> {
        match self.proxy_pass.address() {
            Address::Port {
                host: Host::Ip(ip),
                port,
                ..
            } => Some(PeerAddr::Ip(SocketAddr::new(*ip, *port))),
            Address::Port {
                host: Host::Name(_),
                port,
                ..
            } => {
                let ip = self.pinned?;
                Some(PeerAddr::Ip(SocketAddr::new(ip, *port)))
            }
            Address::Unix(path) => Some(PeerAddr::Unix(Arc::clone(path))),
        }
    }

    /// Whether both are asked in the same way, whatever path they are asked for.
    pub fn is_asked_alike(&self, other: &Self) -> bool {
        self.proxy_pass.address() == other.proxy_pass.address()
            && self.pinned == other.pinned
            && self.tls == other.tls
    }

    /// Whether both are asked for the same in the same way, though each may have TLS sessions of its own.
    pub(super) fn is_configured_alike(&self, other: &Self) -> bool {
        self.proxy_pass == other.proxy_pass
            && self.pinned == other.pinned
            && self.speaks_alike(other)
    }

    /// Whether what is known of one holds for the other: both are reached at the same address, and verified alike.
    pub(super) fn is_reached_alike(&self, other: &Self) -> bool {
        self.authority() == other.authority() && self.speaks_alike(other)
    }

    /// Whether TLS is spoken with neither, or with both in the same way.
    fn speaks_alike(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(tls), Some(other)) => tls.is_configured_alike(other),
            (tls, other) => tls.is_none() && other.is_none(),
        }
    }

    /// Whether the same authorities vouch for both, or TLS is spoken with neither.
    pub(super) fn has_same_roots(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(tls), Some(other)) => tls.has_same_roots(other),
            (tls, other) => tls.is_none() && other.is_none(),
        }
    }

    /// The name that its certificate must be for, if that is not the host of `proxy_pass`.
    pub(super) fn tls_name(&self) -> Option<&tls::UpstreamName> {
        self.tls
            .as_ref()
            .map(tls::UpstreamTls::name)
            .filter(|name| name.is_given())
    }

    /// How TLS is spoken with it, if it is.
    pub(super) fn tls(&self) -> Option<&tls::UpstreamTls> {
        self.tls.as_ref()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::upstream::server::Server;

    #[test]
    fn without_an_answer_on_tls_there_is_no_server_of_https() {
        for (text, is_one) in [
            ("http://127.0.0.1:1", true),
            ("http://unix:/run/app.sock", true),
            ("https://127.0.0.1:1", false),
        ] {
            let server = Server::new(text.parse().unwrap(), |_| None);
            assert_eq!(server.is_some(), is_one, "{text}");
        }
    }

    #[test]
    fn a_server_is_asked_alike_whatever_path_it_is_asked_for() {
        let server = |text: &str| Server::new(text.parse().unwrap(), |_| None).unwrap();
        let one = server("http://a.test:80/x");
        assert!(one.is_asked_alike(&server("http://A.test:80")));
        assert!(!one.is_asked_alike(&server("http://a.test:81/x")));
        assert!(!one.is_asked_alike(&server("http://unix:/a.test:/x")));
    }

    #[test]
    fn one_address_of_a_name_is_a_server_of_its_own() {
        let name = Server::new("http://a.test:80/x".parse().unwrap(), |_| None).unwrap();
        assert_eq!(
            (name.authority(), name.peer_addr()),
            ("a.test:80".to_owned(), None)
        );
        for (ip, authority) in [
            ("10.0.0.1", "10.0.0.1:80"),
            ("2001:db8::1", "[2001:db8::1]:80"),
        ] {
            let one = name.at(ip.parse().unwrap());
            assert_eq!(one.authority(), authority);
            assert_eq!(one.peer_addr().unwrap().to_string(), authority);
            assert_eq!(one.proxy_pass().proxy_host(), "a.test");
            assert!(!one.is_asked_alike(&name) && !one.is_configured_alike(&name));
            let written = format!("http://{authority}/y").parse().unwrap();
            let written = Server::new(written, |_| None).unwrap();
            assert!(one.is_reached_alike(&written) && !one.is_configured_alike(&written));
            assert!(written.at("10.0.0.9".parse().unwrap()).pinned().is_none());
        }
    }

    #[test]
    fn a_server_is_configured_alike_when_it_is_read_again() {
        let server = |text: &str| Server::new(text.parse().unwrap(), |_| None).unwrap();
        let one = server("http://a.test:80/x");
        assert!(one.is_configured_alike(&server("http://a.test:80/x")));
        assert!(!one.is_configured_alike(&server("http://a.test:80/y")));
        assert!(!one.is_configured_alike(&server("http://a.test:81/x")));
    }
}
