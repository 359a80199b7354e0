//! A certificate for `localhost` that all tests of one run share, and clients that trust it and nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;

use rcgen::CertifiedKey;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::peer::Peer;
use crate::support::within;

static PAIR: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap());

static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add(PAIR.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
});

/// Writes `cert.pem` and `key.pem`.
pub(crate) fn write_pair(dir: &Path) {
    let key = dir.join("key.pem");
    fs::write(dir.join("cert.pem"), PAIR.cert.pem()).unwrap();
    fs::write(&key, PAIR.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The certificate, as `ca` takes it.
pub(crate) fn certificate_pem() -> String {
    PAIR.cert.pem()
}

/// A TLS handshake.
pub(crate) async fn begin(tcp: TcpStream) -> Peer {
    try_begin(tcp).await.unwrap()
}

/// For when the other side may be gone already.
pub(crate) async fn try_begin(tcp: TcpStream) -> io::Result<Peer> {
    begin_over(tcp).await.map(Peer::tls)
}

/// A TLS handshake over a socket of any kind.
pub(crate) async fn begin_over<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::clone(&CLIENT));
    within("a TLS handshake", connector.connect(name, socket)).await
}

/// The first bytes of a TLS handshake: a whole ClientHello.
pub(crate) fn client_hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&CLIENT), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
