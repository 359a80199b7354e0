//! Where clients come in: plain, under TLS, or past wsgate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::wire::Wire;

/// How a client comes in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Entrance {
    Plain,
    Tls,
    /// Straight to the upstream, to be compared with.
    Direct,
}

/// How much a client's system takes before the client reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    Usual,
    Little,
}

/// The addresses, and what clients trust.
#[derive(Debug)]
pub(crate) struct Doors {
    plain: SocketAddr,
    tls: SocketAddr,
    resuming: Arc<ClientConfig>,
    full: Arc<ClientConfig>,
}

impl Doors {
    pub(crate) fn new(
        plain: SocketAddr,
        tls: SocketAddr,
        authority: &CertificateDer<'static>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let resuming = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut full = resuming.clone();
        full.resumption = Resumption::disabled();
        Self {
            plain,
            tls,
            resuming: resuming.into(),
            full: full.into(),
        }
    }

    /// Connects a client; one that comes past wsgate goes to `upstream`.
    pub(crate) async fn connect(
        &self,
        entrance: Entrance,
        upstream: SocketAddr,
        room: Room,
    ) -> io::Result<Wire> {
        let socket = TcpSocket::new_v4()?;
        if room == Room::Little {
            socket.set_recv_buffer_size(16 * 1024)?;
        }
        let address = match entrance {
            Entrance::Plain => self.plain,
            Entrance::Tls => self.tls,
            Entrance::Direct => upstream,
        };
        let tcp = socket.connect(address).await?;
        tcp.set_nodelay(true)?;
        if entrance != Entrance::Tls {
            return Ok(Wire::Plain(tcp));
        }
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::clone(&self.resuming))
            .connect(name, tcp)
            .await?;
        Ok(Wire::Tls(Box::new(tls.into())))
    }

    /// The certificate that a client is shown that has no session to resume.
    pub(crate) async fn shown(&self) -> io::Result<CertificateDer<'static>> {
        let tcp = TcpSocket::new_v4()?.connect(self.tls).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::clone(&self.full))
            .connect(name, tcp)
            .await?;
        let shown = tls.get_ref().1.peer_certificates();
        let shown = shown.and_then(|shown| shown.first()).cloned();
        shown.ok_or(io::ErrorKind::InvalidData.into())
    }
}
