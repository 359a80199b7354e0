//! Pairs made on the spot, and a client that trusts everyone, for the tests of `tls`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::KeyPair;
use rcgen::SignatureAlgorithm;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

use crate::stream::Tls;
use crate::tls::certificate::Certificate;
use crate::tls::handshake::HandshakeError;
use crate::tls::handshake::accept;

/// More than any test needs; a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// 2026-03-01, a day on which pairs made here are in date unless they say otherwise.
pub(crate) fn now() -> OffsetDateTime {
    rcgen::date_time_ymd(2026, 3, 1)
}

/// A certificate that signed itself, for `names`, and its key.
pub(crate) fn make(
    names: &[&str],
    algorithm: &'static SignatureAlgorithm,
) -> (rcgen::Certificate, KeyPair) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    make_with(algorithm, |params| {
        params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    })
}

/// A certificate that signed itself, of which `change` may change anything, and its key.
pub(crate) fn make_with(
    algorithm: &'static SignatureAlgorithm,
    change: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Nobody in Particular");
    change(&mut params);
    (params.self_signed(&key).unwrap(), key)
}

/// Writes both to `dir` and loads them.
pub(crate) fn load(dir: &Path, (cert, key): &(rcgen::Certificate, KeyPair)) -> Certificate {
    let (cert_path, key_path) = (dir.join("chat.pem"), dir.join("chat.key"));
    fs::write(&cert_path, cert.pem()).unwrap();
    fs::write(&key_path, key.serialize_pem()).unwrap();
    Certificate::load(&cert_path, &key_path, now()).unwrap()
}

/// A loaded ECDSA pair for `names`.
pub(crate) fn pair(names: &[&str]) -> Certificate {
    load(
        tempfile::tempdir().unwrap().path(),
        &make(names, &rcgen::PKCS_ECDSA_P256_SHA256),
    )
}

/// A client that trusts everyone and offers `alpn`.
pub(crate) fn client(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsEveryone))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Both ends of a new TCP connection, the server's first.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, connected) = tokio::join!(listener.accept(), connecting);
    (accepted.unwrap().0, connected.unwrap())
}

/// The results of a TLS handshake in which the client asks for `name`, the server's first.
pub(crate) async fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (
    Result<Box<Tls<TcpStream>>, HandshakeError>,
    std::io::Result<client::TlsStream<TcpStream>>,
) {
    let (to_client, to_server) = tcp().await;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = TlsConnector::from(Arc::clone(client)).connect(name, to_server);
    tokio::join!(accept(to_client, Arc::clone(server), DEADLINE), connecting)
}

#[derive(Debug)]
struct TrustsEveryone;

impl ServerCertVerifier for TrustsEveryone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
