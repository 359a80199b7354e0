//! One PEM file, read and taken apart into its sections (RFC 7468).
//!
//! What a section means is left to others. Nothing here quotes a file's content: that could be the key.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::PathBuf;

use rustls_pki_types::pem::{Error, PemObject, SectionKind};

use crate::tls::certificate_error::CertificateError;

/// A file, and what it was given as.
#[derive(Clone, Debug)]
pub struct Given {
    /// What it was given as.
    pub concerns: Concerns,
    /// The path that was tried.
    pub path: PathBuf,
}

/// Which of the two values in `routes.yaml` an error is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Concerns {
    /// `cert`
    Cert,
    /// `key`
    Key,
}

/// What a file that is not PEM looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Nothing, or only white space.
    Empty,
    /// The binary form of the same things, DER or PKCS #12.
    Der,
    /// Anything else.
    Other,
}

/// How PEM is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PemFault {
    /// A `-----BEGIN …-----` is not a line of its own.
    Begin,
    /// A `-----END …-----` is missing, or not the one that belongs to its `BEGIN`.
    End,
    /// Something between the two is not base64.
    Base64,
}

/// A PEM file in memory.
pub(crate) struct PemFile {
    content: Vec<u8>,
    /// The file's permission bits, where files have any.
    pub(crate) mode: Option<u32>,
}

impl PemFile {
    /// Reads a file, whatever it holds.
    pub(crate) fn read(file: &Given) -> Result<Self, CertificateError> {
        let read = File::open(&file.path).and_then(|mut opened| {
            let mut content = Vec::new();
            opened.read_to_end(&mut content)?;
            Ok(Self {
                content,
                mode: mode(&opened),
            })
        });
        read.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CertificateError::Missing(file.clone()),
            _ => CertificateError::Unreadable {
                file: file.clone(),
                source,
            },
        })
    }

    /// The sections whose kind is known.
    pub(crate) fn sections(
        &self,
        file: &Given,
    ) -> Result<Vec<(SectionKind, Vec<u8>)>, CertificateError> {
        if !contains(&self.content, b"-----BEGIN ") {
            let content = match self.content.as_slice() {
                content if content.trim_ascii().is_empty() => Content::Empty,
                // A SEQUENCE whose length takes two bytes or more: keys and certificates in DER begin so.
                [0x30, 0x81..=0x84, ..] => Content::Der,
                _ => Content::Other,
            };
            return Err(CertificateError::NotPem {
                file: file.clone(),
                content,
            });
        }
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(&self.content);
        sections.collect::<Result<_, _>>().map_err(|error| {
            let fault = match error {
                Error::IllegalSectionStart { .. } => PemFault::Begin,
                // Here the whole file is one line, which both begins and ends with dashes.
                Error::MissingSectionEnd { end_marker } if contains(&end_marker, b"-----") => {
                    PemFault::Begin
                }
                Error::MissingSectionEnd { .. } => PemFault::End,
                _ => PemFault::Base64,
            };
            CertificateError::BadPem {
                file: file.clone(),
                fault,
            }
        })
    }

    /// Whether there is a key under a passphrase: PKCS #8, or OpenSSL's older form (RFC 1421 §4.6.1.1).
    pub(crate) fn has_encrypted_key(&self) -> bool {
        contains(&self.content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || contains(&self.content, b"Proc-Type: 4,ENCRYPTED")
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

#[cfg(unix)]
fn mode(file: &File) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .ok()
        .map(|metadata| metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &File) -> Option<u32> {
    None
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.concerns {
            Concerns::Cert => "certificate",
            Concerns::Key => "key",
        };
        write!(f, "{what} {}", self.path.display())
    }
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "`-----BEGIN …-----` is not a line of its own",
            Self::End => "the line `-----END …-----` is missing",
            Self::Base64 => "what it encloses is not base64",
        })
    }
}
