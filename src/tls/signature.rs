//! Whether one certificate was issued by another: by the names in both, and by the signature where that can be verified.
//!
//! That a name alone says little is seen where somebody makes a new authority under the name of the old one, which
//! happens to everybody who makes them by a script.

use rustls::crypto::aws_lc_rs;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The tag of an OBJECT IDENTIFIER (X.690 §8.19).
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Whether `issuer` has issued `certificate`. A signature of a kind that rustls does not verify, such as one with SHA-1
/// or with a short key, is believed where the names fit.
pub(super) fn has_issued(issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
    issuer.subject().as_raw() == certificate.issuer().as_raw()
        && has_signed(issuer.public_key(), certificate) != Some(false)
}

/// Whether the certificate was signed with its own key.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    has_issued(certificate, certificate)
}

/// The size of an RSA key in bits; `None` for a key of another kind.
pub(super) fn rsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    use x509_parser::public_key::PublicKey;
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let modulus = rsa.modulus;
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            Some((modulus.len() - zeros) * 8)
        }
        _ => None,
    }
}

/// Whether the signature of `certificate` was made with `key`; `None` if that cannot be verified.
fn has_signed(key: &SubjectPublicKeyInfo<'_>, certificate: &X509Certificate<'_>) -> Option<bool> {
    let kind = identifier(certificate.signature_algorithm.algorithm.as_bytes());
    let key_kind = identifier(key.algorithm.algorithm.as_bytes());
    let all = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    let fitting: Vec<_> = all
        .iter()
        .filter(|one| one.signature_alg_id().starts_with(&kind))
        .filter(|one| one.public_key_alg_id().starts_with(&key_kind))
        .collect();
    // The keys that rustls verifies with have 2048 bits or more.
    if fitting.is_empty() || rsa_bits(key).is_some_and(|bits| bits < 2048) {
        return None;
    }
    let key = key.subject_public_key.data.as_ref();
    let signature = certificate.signature_value.data.as_ref();
    let message = certificate.tbs_certificate.as_ref();
    // Several differ in the curve of the key or in parameters of the signature, and only one of them can succeed.
    Some(
        fitting
            .iter()
            .any(|one| one.verify_signature(key, message, signature).is_ok()),
    )
}

/// An object identifier in DER. All that signatures and keys have are short.
fn identifier(content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[OBJECT_IDENTIFIER, length], content].concat()
}
