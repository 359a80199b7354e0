//! The TLS handshake with an upstream, in which wsgate is the client.
//!
//! It promises TLS 1.2 and 1.3 and nothing older, and `http/1.1` in ALPN. The upstream's certificate is always
//! verified, by [`Roots`] and for its [`UpstreamName`]; there is no switch that turns this off. Other modules
//! limit the time that the handshake may take.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::ALPN;
use crate::tls::roots::Roots;
use crate::tls::upstream_name::UpstreamName;
use crate::tls::upstream_tls_error::UpstreamTlsError;
use crate::tls::upstream_tls_error::UpstreamTlsFailure;

/// How many TLS 1.3 tickets of an upstream are kept; rustls' own number for one server.
const TICKETS: usize = 8;

/// How wsgate speaks TLS with one upstream. Clones share its sessions, so that a connection resumes what another began,
/// on any thread.
#[derive(Clone)]
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
    name: UpstreamName,
    roots: Roots,
}

impl UpstreamTls {
    /// TLS with an upstream whose certificate must be for `name`. `None` if there is no cipher suite, which cannot be.
    pub fn new(name: UpstreamName, roots: &Roots) -> Option<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            // The provider has suites for both.
            .ok()?
            .dangerous() // rustls' own verifier is behind this one: `tls::roots` says what that adds
            .with_custom_certificate_verifier(roots.verifier())
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        Some(Self {
            config: Arc::new(config),
            name,
            roots: roots.clone(),
        })
    }

    /// The same, with sessions of its own: for another server that is verified alike.
    pub fn with_own_sessions(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    /// Does the client's part of the TLS handshake on a new connection.
    ///
    /// # Errors
    /// The two could not agree, the certificate is refused, or the connection broke. An alert has told the upstream.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it closes the connection.
    pub async fn connect(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, UpstreamTlsError> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connected = connector.connect(self.name.server_name(), tcp).await;
        connected.map_err(|error| self.error(error))
    }

    /// The name that the upstream's certificate must be for.
    pub fn name(&self) -> &UpstreamName {
        &self.name
    }

    /// Whether both verify the same name by the same authorities, though each may have sessions of its own.
    pub fn is_configured_alike(&self, other: &Self) -> bool {
        self.name == other.name && self.has_same_roots(other)
    }

    /// Whether the same authorities vouch for both, and were taken from the same place.
    pub fn has_same_roots(&self, other: &Self) -> bool {
        self.roots.is_configured_alike(&other.roots)
    }

    fn error(&self, error: io::Error) -> UpstreamTlsError {
        UpstreamTlsError {
            name: self.name.clone(),
            ca: self.roots.ca().cloned(),
            failure: UpstreamTlsFailure::from(error),
        }
    }
}

/// Equal if both speak with one upstream, verify it in one way, and share their sessions.
impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for UpstreamTls {}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("name", &self.name)
            .field("ca", &self.roots.ca())
            .finish_non_exhaustive()
    }
}
