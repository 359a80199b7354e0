//! The name that an upstream's certificate must be for.

use std::fmt;

use rustls_pki_types::ServerName;

/// The name, or the IP address without brackets, that an upstream's certificate must be for. A name is sent to the
/// upstream (SNI); an address is not (RFC 6066 §3).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UpstreamName {
    name: ServerName<'static>,
    origin: NameOrigin,
}

/// The key of a route that an upstream's name was taken from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum NameOrigin {
    /// The host of `proxy_pass`.
    ProxyPass,
    /// The value of `tls_name`.
    TlsName,
}

impl UpstreamName {
    /// The host of a `proxy_pass`; `None` if no certificate can be for it.
    pub fn of_host(host: &str) -> Option<Self> {
        Self::new(host, NameOrigin::ProxyPass)
    }

    /// The value of a `tls_name`, which stands in for the host, as nginx's `proxy_ssl_name`; `None` if no certificate
    /// can be for it.
    pub fn given(name: &str) -> Option<Self> {
        Self::new(name, NameOrigin::TlsName)
    }

    fn new(name: &str, origin: NameOrigin) -> Option<Self> {
        let name = ServerName::try_from(name.to_ascii_lowercase()).ok()?;
        Some(Self { name, origin })
    }

    /// Whether it is the value of `tls_name`, and not the host of `proxy_pass`.
    pub fn is_given(&self) -> bool {
        self.origin == NameOrigin::TlsName
    }

    /// The name for rustls.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.to_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::tls::upstream_name::UpstreamName;

    #[test]
    fn what_a_certificate_can_be_for_is_a_name() {
        for (written, shown) in [
            ("chat.example.com", "chat.example.com"),
            ("Chat.Example.COM", "chat.example.com"),
            ("chat_1.example", "chat_1.example"),
            ("10.0.0.5", "10.0.0.5"),
            ("fd00::1", "fd00::1"),
        ] {
            let given = UpstreamName::given(written).unwrap();
            assert_eq!(given.to_string(), shown);
            assert!(given.is_given());
            let host = UpstreamName::of_host(written).unwrap();
            assert!(!host.is_given());
            assert_ne!(given, host);
        }
        for written in ["", "*.example.com", "a..b", "a b", "a/b", "a:443", "[::1]"] {
            assert_eq!(UpstreamName::given(written), None, "{written}");
        }
    }
}
