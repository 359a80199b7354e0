//! One PEM file, read and taken apart into its sections (RFC 7468).
//!
//! What a section means is left to other modules. No error quotes a file's content, since that could be the key.

use std::fs::File;
use std::io;
use std::io::Read;

use rustls_pki_types::pem::Error;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::pem::SectionKind;

use crate::tls::certificate_error::CertificateError;
use crate::tls::given_file::GivenFile;
use crate::tls::given_file::NotPemContent;
use crate::tls::given_file::PemFault;

/// A PEM file in memory.
pub(crate) struct PemFile {
    content: Vec<u8>,
    /// The file's permission bits, where files have any.
    pub(crate) mode: Option<u32>,
}

impl PemFile {
    /// Reads a file, which need not be PEM.
    pub(crate) fn read(file: &GivenFile) -> Result<Self, CertificateError> {
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
        file: &GivenFile,
    ) -> Result<Vec<(SectionKind, Vec<u8>)>, CertificateError> {
        if !contains(&self.content, b"-----BEGIN ") {
            let content = match self.content.as_slice() {
                content if content.trim_ascii().is_empty() => NotPemContent::Empty,
                // A SEQUENCE whose length takes two bytes or more: keys and certificates in DER begin so.
                [0x30, 0x81..=0x84, ..] => NotPemContent::Der,
                _ => NotPemContent::Other,
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

    /// Whether it holds a key under a passphrase, in PKCS #8 or in OpenSSL's older form (RFC 1421 §4.6.1.1).
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
