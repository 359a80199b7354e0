//! Chooses the certificate for a client from the server name (SNI, RFC 6066 §3) that it asks for.
//!
//! An exact name goes before `*.` and one label (RFC 9525 §6.3), and within each the order of the list counts. A client
//! that names nothing, or nothing known, is given the first certificate, as nginx does with its default server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::tls::certificate::Certificate;

/// All certificates of a listener, found by name.
#[derive(Debug)]
pub(crate) struct Resolver {
    all: Vec<Arc<CertifiedKey>>,
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// `*.example.org` stands here as `example.org`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Resolver {
    /// A resolver that finds `pairs` by their names.
    pub(crate) fn new(pairs: Vec<Certificate>) -> Self {
        let mut resolver = Self {
            all: Vec::new(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        for pair in &pairs {
            for name in pair.names() {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut resolver.wildcard, parent),
                    None => (&mut resolver.exact, name.as_str()),
                };
                map.entry(name.to_owned())
                    .or_default()
                    .push(Arc::clone(pair.certified()));
            }
            resolver.all.push(Arc::clone(pair.certified()));
        }
        resolver
    }

    /// The certificate for `server_name`, preferably one whose key can sign with one of `schemes`.
    ///
    /// When none can, it is the first that has the name: the TLS handshake will fail, and say why.
    fn choose(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let name = server_name.map(lower_case).unwrap_or_default();
        let exact = self.exact.get(name.as_ref());
        let wildcard = name
            .split_once('.')
            .and_then(|(_, parent)| self.wildcard.get(parent));
        let named = || exact.into_iter().chain(wildcard).flatten();
        if named().next().is_some() {
            best(named(), schemes)
        } else {
            best(self.all.iter(), schemes)
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
            .cloned()
    }
}

/// The first of `candidates` that can sign with one of `schemes`, else the first.
fn best<'a>(
    mut candidates: impl Iterator<Item = &'a Arc<CertifiedKey>> + Clone,
    schemes: &[SignatureScheme],
) -> Option<&'a Arc<CertifiedKey>> {
    let mut all = candidates.clone();
    let first = all.next();
    // Asking a key makes a signer, which is not needed where there is only one certificate.
    if all.next().is_none() {
        return first;
    }
    candidates
        .find(|candidate| candidate.key.choose_scheme(schemes).is_some())
        .or(first)
}

/// `name` in lower case and without a dot at its end. A name that is in lower case already is not copied.
fn lower_case(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use rcgen::PKCS_ECDSA_P256_SHA256;
    use rcgen::PKCS_RSA_SHA256;
    use rustls::SignatureScheme;

    use crate::tls::certificate::Certificate;
    use crate::tls::resolver::Resolver;
    use crate::tls::resolver::lower_case;
    use crate::tls::test_support::load;
    use crate::tls::test_support::make;
    use crate::tls::test_support::pair;

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;
    const ED25519: SignatureScheme = SignatureScheme::ED25519;

    /// Which of the list is chosen.
    fn chosen(
        pairs: &[Certificate],
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<usize> {
        let resolver = Resolver::new(pairs.to_vec());
        let chosen = resolver.choose(name, schemes)?;
        pairs
            .iter()
            .position(|pair| Arc::ptr_eq(pair.certified(), chosen))
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_wherever_it_stands() {
        let pairs = [
            pair(&["*.chat.example"]),
            pair(&["a.chat.example"]),
            pair(&["*.chat.example", "other.example"]),
        ];
        for (name, expected) in [
            ("a.chat.example", 1),
            ("b.chat.example", 0),
            ("A.CHAT.example", 1),
            ("a.chat.example.", 1),
            ("other.example", 2),
            ("chat.example", 0),
            ("b.a.chat.example", 0),
        ] {
            assert_eq!(
                chosen(&pairs, Some(name), &[ECDSA]),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(
            chosen(&pairs[1..], Some("b.chat.example"), &[ECDSA]),
            Some(1)
        );
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let pairs = [pair(&["first.example"]), pair(&["*.chat.example"])];
        assert_eq!(chosen(&pairs, Some("a.chat.example"), &[ECDSA]), Some(1));
        for name in ["chat.example", "a.b.chat.example", "chat", ""] {
            assert_eq!(chosen(&pairs, Some(name), &[ECDSA]), Some(0), "{name}");
        }
    }

    #[test]
    fn of_several_the_first_that_can_sign_for_the_client_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let ecdsa = load(
            dir.path(),
            &make(&["chat.example"], &PKCS_ECDSA_P256_SHA256),
        );
        let rsa = load(
            dir.path(),
            &make(&["chat.example", "*.chat.example"], &PKCS_RSA_SHA256),
        );
        let pairs = [ecdsa, rsa];
        for name in [Some("chat.example"), Some("unknown.example"), None] {
            assert_eq!(chosen(&pairs, name, &[RSA, ECDSA]), Some(0), "{name:?}");
            assert_eq!(chosen(&pairs, name, &[RSA]), Some(1), "{name:?}");
            // The TLS handshake ends, with the certificate that was asked for.
            assert_eq!(chosen(&pairs, name, &[ED25519]), Some(0), "{name:?}");
        }
        assert_eq!(chosen(&pairs, Some("a.chat.example"), &[ECDSA]), Some(1));
    }

    #[test]
    fn without_certificates_there_is_none_to_choose() {
        assert_eq!(chosen(&[], Some("chat.example"), &[ECDSA]), None);
    }

    #[test]
    fn a_name_in_lower_case_is_not_copied() {
        assert!(matches!(
            lower_case("chat.example"),
            Cow::Borrowed("chat.example")
        ));
        assert!(matches!(
            lower_case("chat.example."),
            Cow::Borrowed("chat.example")
        ));
        assert_eq!(lower_case("Chat.EXAMPLE."), "chat.example");
    }
}
