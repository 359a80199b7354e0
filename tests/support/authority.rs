//! An authority that vouches for upstreams, and what it issues.

use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::Certificate;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivatePkcs8KeyDer;

/// Its certificate and key, made on the spot.
#[derive(Debug)]
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as an upstream shows it.
#[derive(Debug)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "An Authority");
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// What `ca` takes.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    /// The same, with anything else about it changed.
    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::of(&certificate, key)
    }
}

impl Identity {
    /// One that has signed itself, as an authority, as `openssl req -x509` does it.
    pub(crate) fn of_its_own(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::of(&params.self_signed(&key).unwrap(), key)
    }

    fn of(certificate: &Certificate, key: KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// What it signs though nobody said that it may.
    pub(crate) fn issue(&self, names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        // The name of the issuer is what rcgen calls everyone.
        let issuer = Issuer::new(params(names), &self.key);
        Self::of(&params(names).signed_by(&key, &issuer).unwrap(), key)
    }

    /// How a server speaks TLS 1.3 with it to those who show a certificate of `authority`.
    pub(crate) fn server_for_clients_of(&self, authority: &Authority) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build();
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(vec![self.certificate.clone()], key.into())
            .unwrap();
        Arc::new(config)
    }

    /// How a server speaks TLS with it. Sessions are resumed by tickets.
    pub(crate) fn server(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key.into())
            .unwrap();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}
