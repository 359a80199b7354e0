//! The authorities that clients are taken to know, by which it is judged whether a chain leads anywhere.

use std::collections::HashMap;

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::tls::signature::has_issued;

/// The authorities that clients are taken to know: those of this system, since the lists of systems, browsers and phones
/// differ little. There may be none, as in a small container.
#[derive(Debug, Default)]
pub struct KnownRoots {
    /// The authorities by their names, in DER; several may have one name.
    by_name: HashMap<Vec<u8>, Vec<CertificateDer<'static>>>,
}

impl KnownRoots {
    /// Reads those of the system, as OpenSSL finds them: `SSL_CERT_FILE` and `SSL_CERT_DIR` are obeyed.
    pub fn system() -> Self {
        Self::of(rustls_native_certs::load_native_certs().certs)
    }

    /// Takes these for known.
    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for der in certificates {
            if let Ok((_, x509)) = X509Certificate::from_der(&der) {
                let name = x509.subject().as_raw().to_vec();
                by_name.entry(name).or_default().push(der);
            }
        }
        Self { by_name }
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether one that is in date at `now` has issued `certificate`.
    pub(super) fn have_issued(
        &self,
        certificate: &X509Certificate<'_>,
        now: OffsetDateTime,
    ) -> bool {
        self.any(certificate.issuer().as_raw(), |root| {
            let until = root.validity().not_after.to_datetime();
            now <= until && has_issued(root, certificate)
        })
    }

    /// Whether one has the name and the key of `certificate`, whoever has signed that.
    pub(super) fn have_key_of(&self, certificate: &X509Certificate<'_>) -> bool {
        self.any(certificate.subject().as_raw(), |root| {
            root.public_key().raw == certificate.public_key().raw
        })
    }

    fn any(&self, name: &[u8], wanted: impl Fn(&X509Certificate<'_>) -> bool) -> bool {
        let named = self.by_name.get(name).into_iter().flatten();
        let mut parsed = named.filter_map(|der| X509Certificate::from_der(der).ok());
        parsed.any(|(_, root)| wanted(&root))
    }
}
