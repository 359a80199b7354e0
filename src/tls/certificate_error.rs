//! Errors of a certificate, its key, or the two together, in words for the person who can repair it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use time::OffsetDateTime;
use time::UtcOffset;

use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;
use crate::tls::given_file::NotPemContent;
use crate::tls::given_file::PemFault;
use crate::tls::reason;

/// Why a certificate and its key cannot be served.
#[derive(Debug)]
pub enum CertificateError {
    /// There is no such file.
    Missing(GivenFile),
    /// The file is there but cannot be read.
    Unreadable {
        /// The file.
        file: GivenFile,
        /// The system's error.
        source: io::Error,
    },
    /// Nothing in the file begins like PEM.
    NotPem {
        /// The file.
        file: GivenFile,
        /// What it looks like instead.
        content: NotPemContent,
    },
    /// The file begins like PEM and is damaged.
    BadPem {
        /// The file.
        file: GivenFile,
        /// What is damaged.
        fault: PemFault,
    },
    /// The file of the certificate holds a key, or that of the key a certificate.
    WrongKind(GivenFile),
    /// The file is PEM, but holds neither a certificate nor a key.
    NothingInside(GivenFile),
    /// The key is under a passphrase.
    EncryptedKey {
        /// The key's file.
        key: PathBuf,
    },
    /// The key is damaged, or of a kind or size that is not served.
    UnsupportedKey {
        /// The key's file.
        key: PathBuf,
    },
    /// A section of the chain that says `CERTIFICATE` cannot be read as one.
    BadCertificate {
        /// The certificate's file.
        cert: PathBuf,
        /// Which of the certificates in it, from 1.
        number: usize,
    },
    /// The key belongs to none of the certificates in the file.
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key belongs to a certificate in the file that is not the first.
    WrongOrder {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The certificate that the key belongs to, from 1.
        number: usize,
    },
    /// The certificate is past its last moment.
    Expired {
        /// The certificate's file.
        cert: PathBuf,
        /// Its last moment.
        not_after: OffsetDateTime,
    },
    /// The certificate's first moment is yet to come.
    NotYetValid {
        /// The certificate's file.
        cert: PathBuf,
        /// Its first moment.
        not_before: OffsetDateTime,
    },
}

impl CertificateError {
    /// The value in `routes.yaml` that the error is about.
    pub fn concerns(&self) -> Concerns {
        match self {
            Self::Missing(file) | Self::WrongKind(file) | Self::NothingInside(file) => {
                file.concerns
            }
            Self::Unreadable { file, .. }
            | Self::NotPem { file, .. }
            | Self::BadPem { file, .. } => file.concerns,
            Self::EncryptedKey { .. } | Self::UnsupportedKey { .. } | Self::Mismatch { .. } => {
                Concerns::Key
            }
            Self::BadCertificate { .. }
            | Self::WrongOrder { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => Concerns::Cert,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Missing(_) => "a relative path is relative to the file that names it".to_owned(),
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that runs wsgate read this file".to_owned()
            }
            Self::NotPem {
                file,
                content: NotPemContent::Der,
            } => der_help(file),
            Self::Unreadable { file, .. }
            | Self::NotPem { file, .. }
            | Self::BadPem { file, .. }
            | Self::NothingInside(file) => match file.concerns {
                Concerns::Cert => {
                    "give a PEM file with `-----BEGIN CERTIFICATE-----` in it".to_owned()
                }
                Concerns::Key => {
                    "give a PEM file with `-----BEGIN PRIVATE KEY-----` in it".to_owned()
                }
            },
            Self::WrongKind(_) => "are `cert` and `key` swapped?".to_owned(),
            Self::EncryptedKey { key } => format!(
                "wsgate cannot ask for the passphrase: make a key without one with \
                 `openssl pkey -in {0} -out {0}.plain` and name that",
                key.display()
            ),
            Self::UnsupportedKey { .. } => {
                "a key can be RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
                    .to_owned()
            }
            Self::BadCertificate { .. } => "get the file again from where it was issued".to_owned(),
            Self::Mismatch { .. } => "give the key that the certificate was made with".to_owned(),
            Self::WrongOrder { .. } => {
                "put the server's own certificate first, then the one that issued it, and so on"
                    .to_owned()
            }
            Self::Expired { .. } => "renew it: clients refuse it".to_owned(),
            Self::NotYetValid { .. } => {
                "clients refuse it until then; is this machine's clock right?".to_owned()
            }
        }
    }
}

/// How to make PEM of a file that looks like DER, which a file of PKCS #12 does too.
fn der_help(file: &GivenFile) -> String {
    let (command, only) = match file.concerns {
        Concerns::Cert => ("x509", "-nokeys"),
        Concerns::Key => ("pkey", "-nocerts -nodes"),
    };
    format!(
        "make PEM of it: `openssl {command} -inform der -in {0} -out {0}.pem`, \
         or if it is PKCS #12 `openssl pkcs12 {only} -in {0} -out {0}.pem`",
        file.path.display()
    )
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "{file} does not exist"),
            Self::Unreadable { file, source } => {
                write!(f, "cannot read {file}: {}", reason(source))
            }
            Self::NotPem {
                file,
                content: NotPemContent::Empty,
            } => write!(f, "{file} is empty"),
            Self::NotPem { file, .. } => write!(f, "{file} is not PEM"),
            Self::BadPem { file, fault } => write!(f, "{file} is damaged: {fault}"),
            Self::WrongKind(file) => match file.concerns {
                Concerns::Cert => write!(f, "{file} holds a private key, no certificate"),
                Concerns::Key => write!(f, "{file} holds a certificate, no private key"),
            },
            Self::NothingInside(file) => match file.concerns {
                Concerns::Cert => write!(f, "{file} holds no certificate"),
                Concerns::Key => write!(f, "{file} holds no private key"),
            },
            Self::EncryptedKey { key } => write!(f, "key {} is encrypted", key.display()),
            Self::UnsupportedKey { key } => {
                let key = key.display();
                write!(f, "key {key} is damaged or of a kind that is not served")
            }
            Self::BadCertificate { cert, number } => {
                let cert = cert.display();
                write!(f, "certificate {cert} is damaged: number {number} in it")
            }
            Self::Mismatch { cert, key } => {
                let (cert, key) = (cert.display(), key.display());
                write!(f, "key {key} does not belong to certificate {cert}")
            }
            Self::WrongOrder { cert, key, number } => write!(
                f,
                "certificate {} is in the wrong order: key {} belongs to number {number} in it",
                cert.display(),
                key.display()
            ),
            Self::Expired { cert, not_after } => {
                let (cert, day) = (cert.display(), day(*not_after));
                write!(f, "certificate {cert} expired on {day}")
            }
            Self::NotYetValid { cert, not_before } => {
                let (cert, day) = (cert.display(), day(*not_before));
                write!(f, "certificate {cert} is not valid before {day}")
            }
        }
    }
}

/// The day of a moment, in UTC.
pub(super) fn day(moment: OffsetDateTime) -> impl fmt::Display {
    moment.to_offset(UtcOffset::UTC).date()
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
