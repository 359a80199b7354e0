//! The names that a certificate is for.

use std::net::IpAddr;

use rustls_pki_types::ServerName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The DNS names, then the IP addresses, that the certificate says it is for (RFC 5280 §4.2.1.6).
pub(super) fn alternative_names(x509: &X509Certificate<'_>) -> Vec<String> {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(extension)) = x509.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    names.extend(addresses);
    names
}

/// The names that the certificate is for: the alternative ones, or without any the common name if that is a host's.
pub(super) fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let mut names = alternative_names(x509);
    if names.is_empty() {
        let common_names = x509
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok());
        names.extend(
            common_names
                .filter(|name| is_host(name))
                .map(str::to_ascii_lowercase),
        );
    }
    names
}

/// An IP address of 4 or 16 bytes, as text.
fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

/// Whether `name` is a host's name, or `*.` and one.
pub(super) fn is_host(name: &str) -> bool {
    ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}
