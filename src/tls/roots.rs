//! The certificate authorities that vouch for upstreams: those that the system knows, or those in the file of a route's
//! `ca`.
//!
//! [`Roots`] are proof that there is at least one authority, and they verify the chain up to it, dates, and the name.
//! What they add to rustls' own verifier: a certificate that stands in `ca` itself is accepted from an upstream, also
//! where it has signed itself as an authority, as `openssl req -x509` makes them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::CertificateError as Refusal;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::server::ParsedCertificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use crate::tls::certificate_error::CertificateError;
use crate::tls::contents;
use crate::tls::contents::KeysInside;
use crate::tls::names::alternative_names;
use crate::tls::passed_over::PassedOver;

/// The certificate authorities that vouch for an upstream, at least one.
#[derive(Clone, Debug)]
pub struct Roots {
    verifier: Arc<Verifier>,
    ca: Option<Arc<Path>>,
    passed_over: Vec<PassedOver>,
}

/// The error that the system knows no certificate authority that could vouch for an upstream.
#[derive(Debug)]
pub struct NoSystemRoots {
    first: Option<rustls_native_certs::Error>,
}

impl Roots {
    /// The authorities that the system knows, as OpenSSL finds them: `SSL_CERT_FILE` and `SSL_CERT_DIR` are obeyed.
    ///
    /// # Errors
    /// The system knows none.
    pub fn system() -> Result<Self, NoSystemRoots> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // An authority that cannot be read vouches for no upstream; the others still do.
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            return Err(NoSystemRoots {
                first: found.errors.into_iter().next(),
            });
        }
        Ok(Self {
            verifier: Arc::new(Verifier::new(store, Vec::new())),
            ca: None,
            passed_over: Vec::new(),
        })
    }

    /// The certificates in the PEM file `ca`, as nginx's `proxy_ssl_trusted_certificate`. Those out of date at `now`
    /// are left out.
    ///
    /// # Errors
    /// The file cannot be read, holds no certificate or a damaged one, or all of them are out of date.
    pub fn load(ca: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        let mut given = Vec::new();
        let mut expired = None;
        let file = contents::certificates(ca, KeysInside::Odd)?;
        for (index, der) in file.chain.into_iter().enumerate() {
            let damaged = || CertificateError::BadCertificate {
                cert: ca.to_owned(),
                number: index + 1,
            };
            let Ok(([], x509)) = X509Certificate::from_der(&der) else {
                return Err(damaged());
            };
            let not_after = x509.validity().not_after.to_datetime();
            if now > not_after {
                expired.get_or_insert(not_after);
                continue;
            }
            if may_issue(&x509) {
                store.add(der.clone()).map_err(|_| damaged())?;
            }
            given.push(der);
        }
        // The file has at least one, and only the expired are left out.
        if let (true, Some(not_after)) = (given.is_empty(), expired) {
            let cert = ca.to_owned();
            return Err(CertificateError::Expired { cert, not_after });
        }
        Ok(Self {
            verifier: Arc::new(Verifier::new(store, given)),
            ca: Some(ca.into()),
            passed_over: file.passed_over,
        })
    }

    /// The blocks of their file that are of no use there.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// The file of the authorities; `None` if they are those of the system.
    pub(crate) fn ca(&self) -> Option<&Arc<Path>> {
        self.ca.as_ref()
    }

    /// Whether both hold the same authorities, and took them from the same place.
    pub(crate) fn is_configured_alike(&self, other: &Self) -> bool {
        let (one, other_one) = (&self.verifier, &other.verifier);
        Arc::ptr_eq(one, other_one)
            || (self.ca == other.ca
                && one.given == other_one.given
                && one.store.roots == other_one.store.roots)
    }

    /// The verifier for rustls.
    pub(crate) fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        Arc::clone(&self.verifier) as _
    }
}

impl NoSystemRoots {
    /// What to do about it.
    pub fn help(&self) -> String {
        "install them (on Debian the package `ca-certificates`), or name a file with the certificate of the upstream's \
         authority: `ca: certs/ca.pem`"
            .to_owned()
    }
}

impl fmt::Display for NoSystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this system has no certificate authorities that could vouch for an upstream")?;
        match &self.first {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoSystemRoots {}

/// rustls' own verifier, and the certificates in `ca`, which are accepted themselves.
#[derive(Debug)]
struct Verifier {
    /// `None` where no certificate may issue another: each vouches for itself alone.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates that may issue others.
    store: Arc<RootCertStore>,
    /// All certificates in `ca`.
    given: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(store: RootCertStore, given: Vec<CertificateDer<'static>>) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let store = Arc::new(store);
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&store), provider);
        Self {
            store,
            // Its one error is that the store has no root.
            webpki: builder.build().ok(),
            given,
            algorithms,
        }
    }

    /// Verifies the certificate of an upstream that stands in `ca`: no authority has to vouch for it, but it must be in
    /// date and for `name`. That the upstream has its key is verified with its signature, as always.
    fn verify_given(
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let bad = |_| Error::InvalidCertificate(Refusal::BadEncoding);
        let (_, x509) = X509Certificate::from_der(certificate).map_err(bad)?;
        let seconds = |moment: x509_parser::time::ASN1Time| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                u64::try_from(moment.timestamp()).unwrap_or(0),
            ))
        };
        let (not_before, not_after) = (
            seconds(x509.validity().not_before),
            seconds(x509.validity().not_after),
        );
        if now < not_before {
            let time = now;
            return Err(Refusal::NotValidYetContext { time, not_before }.into());
        }
        if now > not_after {
            let time = now;
            return Err(Refusal::ExpiredContext { time, not_after }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// Whether the certificate may issue others (RFC 5280 §4.2.1.9). One of version 1 cannot say so, and is believed to,
/// since somebody gave it as `ca`. webpki does not ask this of its roots.
fn may_issue(certificate: &X509Certificate<'_>) -> bool {
    certificate.version() == X509Version::V1 || certificate.is_ca()
}

/// Whether the certificate names itself as its issuer.
fn signed_itself(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, x509)| x509.subject().as_raw() == x509.issuer().as_raw())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let vouched = match &self.webpki {
            Some(webpki) => webpki.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(Refusal::UnknownIssuer.into()),
        };
        let verified = match vouched {
            // No authority there issued it, or it is an authority's own certificate.
            Err(Error::InvalidCertificate(Refusal::UnknownIssuer | Refusal::Other(_)))
                if self.given.contains(end_entity) =>
            {
                Self::verify_given(end_entity, server_name, now)
            }
            // A certificate that has signed itself is not wrong as such: it is one that nobody here knows.
            Err(Error::InvalidCertificate(Refusal::Other(_))) if signed_itself(end_entity) => {
                Err(Refusal::UnknownIssuer.into())
            }
            verified => verified,
        };
        match verified {
            // The names are shown as a person reads them.
            Err(Error::InvalidCertificate(Refusal::NotValidForNameContext {
                expected, ..
            })) => {
                let presented = X509Certificate::from_der(end_entity)
                    .map(|(_, x509)| alternative_names(&x509))
                    .unwrap_or_default();
                Err(Refusal::NotValidForNameContext {
                    expected,
                    presented,
                }
                .into())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
