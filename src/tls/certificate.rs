//! One certificate with its chain and its key, read from two PEM files and checked.
//!
//! A [`Certificate`] is proof: the files were readable, the key belongs to the first certificate, and that is in date.
//! Clients decide whether they trust its issuer; the chain's other certificates are passed on as they are.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::sign::SigningKey;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::tls::certificate_error::CertificateError;
use crate::tls::contents;
use crate::tls::contents::CertificateFile;
use crate::tls::contents::KeysInside;
use crate::tls::inspection;
use crate::tls::known_roots::KnownRoots;
use crate::tls::names::names;
use crate::tls::passed_over::PassedOver;
use crate::tls::remark::Matter;
use crate::tls::remark::Remark;

/// A certificate with its chain and its key, which were checked: both files could be read, they belong together, and
/// the certificate is in date.
#[derive(Clone)]
pub struct Certificate {
    path: PathBuf,
    key_path: PathBuf,
    names: Vec<String>,
    not_after: OffsetDateTime,
    key_mode: Option<u32>,
    passed_over: Vec<PassedOver>,
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the chain at `cert` (the server's own certificate first) and its key at `key` (PKCS #8, PKCS #1 or
    /// SEC 1), both PEM, as nginx's `ssl_certificate` and `ssl_certificate_key`. Both may be the same file.
    ///
    /// `now` decides whether the server's own certificate is in date. The dates of the others are not looked at: a
    /// client may know another way to a root.
    ///
    /// # Errors
    /// The first reason for which clients could not be served, those of `cert` before those of `key`.
    pub fn load(cert: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let CertificateFile {
            chain,
            mut passed_over,
        } = contents::certificates(cert, KeysInside::Expected)?;
        let key_file = contents::key(key)?;
        let signing_key = key_file.key;
        // One file that is both has been read twice, and each block in it is named once.
        let known = |block: &PassedOver| {
            let lines = passed_over.iter().map(PassedOver::line);
            cert == key && lines.into_iter().any(|line| line == block.line())
        };
        let more: Vec<_> = key_file
            .passed_over
            .into_iter()
            .filter(|block| !known(block))
            .collect();
        passed_over.extend(more);
        let parsed = parse_chain(cert, &chain)?;
        match parsed
            .iter()
            .position(|x509| belongs(signing_key.as_ref(), x509))
        {
            Some(0) => {}
            Some(index) => {
                return Err(CertificateError::WrongOrder {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                    number: index + 1,
                });
            }
            None => {
                return Err(CertificateError::Mismatch {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                });
            }
        }
        let not_after = check_dates(cert, &parsed[0], now)?;
        let names = names(&parsed[0]);
        drop(parsed);
        let certified = Arc::new(CertifiedKey::new(chain, signing_key));
        Ok(Self {
            path: cert.to_owned(),
            key_path: key.to_owned(),
            names,
            not_after,
            key_mode: key_file.mode,
            passed_over,
            certified,
        })
    }

    /// The names that the certificate is for, in lower case: DNS names, then IP addresses as text. A certificate
    /// without either, as was usual long ago, is for its common name if that is a host's name.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the certificate is for `host`, a name or an IP address in lower case. A star stands for one label (RFC
    /// 9525 §6.3).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name.eq_ignore_ascii_case(host),
        })
    }

    /// What a person should know about it: the reasons for which some clients may refuse it at `now`, to whom the
    /// `known` authorities are known.
    pub fn remarks(&self, known: &KnownRoots, now: OffsetDateTime) -> Vec<Remark> {
        self.remarked(|chain| inspection::matters(chain, known, now))
    }

    /// Those remarks that come by themselves as time passes: that its end is near, or is over.
    pub fn terms(&self, now: OffsetDateTime) -> Vec<Remark> {
        self.remarked(|chain| inspection::terms(chain, now))
    }

    fn remarked(&self, matters: impl Fn(&[X509Certificate<'_>]) -> Vec<Matter>) -> Vec<Remark> {
        // It was parsed before, when it was read.
        let parsed = parse_chain(&self.path, &self.certified.cert).unwrap_or_default();
        if parsed.is_empty() {
            return Vec::new();
        }
        let matters = matters(&parsed).into_iter();
        matters
            .map(|matter| Remark {
                path: self.path.clone(),
                matter,
            })
            .collect()
    }

    /// The last moment at which clients accept the certificate.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The permission bits of the key's file when its group or others may read it, for instance `0o644`; `None`
    /// otherwise, and where files have no such bits.
    pub fn key_mode_too_open(&self) -> Option<u32> {
        self.key_mode.filter(|mode| mode & 0o044 != 0)
    }

    /// The blocks of both files that are of no use where they stand.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// The file of the certificate, as it was given to [`Certificate::load`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the key, as it was given to [`Certificate::load`].
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }

    /// Whether clients are shown one and the same chain, whatever files both were read from. The key is then the same
    /// too.
    pub fn shows_the_same_as(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    /// The chain that rustls sends and the key that it signs with.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("path", &self.path)
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Each certificate of the `chain` that was read from the file `cert`.
fn parse_chain<'c>(
    cert: &Path,
    chain: &'c [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'c>>, CertificateError> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        let Ok(([], x509)) = X509Certificate::from_der(der) else {
            return Err(CertificateError::BadCertificate {
                cert: cert.to_owned(),
                number: index + 1,
            });
        };
        parsed.push(x509);
    }
    Ok(parsed)
}

/// The last moment of the certificate `x509` from the file `cert`, which must be in date at `now`.
fn check_dates(
    cert: &Path,
    x509: &X509Certificate<'_>,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, CertificateError> {
    let not_before = x509.validity().not_before.to_datetime();
    let not_after = x509.validity().not_after.to_datetime();
    // The period includes both of its ends (RFC 5280 §4.1.2.5).
    if now > not_after {
        return Err(CertificateError::Expired {
            cert: cert.to_owned(),
            not_after,
        });
    }
    if now < not_before {
        return Err(CertificateError::NotYetValid {
            cert: cert.to_owned(),
            not_before,
        });
    }
    Ok(not_after)
}

/// Whether `key` is the private half of the key in `x509`; true if `key` cannot tell.
fn belongs(key: &dyn SigningKey, x509: &X509Certificate<'_>) -> bool {
    key.public_key()
        .is_none_or(|public| public.as_ref() == x509.public_key().raw)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
