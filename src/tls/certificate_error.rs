//! Errors of a certificate, its key, or the two together, in words for the person who can repair it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use time::OffsetDateTime;
use time::UtcOffset;

use crate::tls::file_fault::FileFault;
use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;

/// Why a certificate and its key cannot be served.
#[derive(Debug)]
pub enum CertificateError {
    /// Nothing can be served from one of the two files.
    File {
        /// The file.
        file: GivenFile,
        /// Why.
        fault: FileFault,
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
    /// The error for a fault of `file`.
    pub(super) fn of(file: &GivenFile) -> impl Fn(FileFault) -> Self {
        move |fault| Self::File {
            file: file.clone(),
            fault,
        }
    }

    /// The value in `routes.yaml` that the error is about.
    pub fn concerns(&self) -> Concerns {
        match self {
            Self::File { file, .. } => file.concerns,
            Self::UnsupportedKey { .. } | Self::Mismatch { .. } => Concerns::Key,
            Self::BadCertificate { .. }
            | Self::WrongOrder { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => Concerns::Cert,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::File { file, fault } => fault.help(file),
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

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, fault } => fault.write(file, f),
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
            Self::File {
                fault: FileFault::Unreadable(source),
                ..
            } => Some(source),
            _ => None,
        }
    }
}
