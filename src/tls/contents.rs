//! What the files of certificates and of keys give, and which of their blocks are passed over.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::pem::SectionKind;

use crate::tls::certificate_error::CertificateError;
use crate::tls::file_fault::FileFault;
use crate::tls::given_file::GivenFile;
use crate::tls::passed_over::PassedOver;
use crate::tls::pem::Block;
use crate::tls::pem::PemFile;

/// What a file of certificates holds.
pub(super) struct CertificateFile {
    /// The certificates in the file's order, at least one.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// What else stands in it, and is of no use there.
    pub(super) passed_over: Vec<PassedOver>,
}

/// What the file of a key holds.
pub(super) struct KeyFile {
    /// The first private key in it.
    pub(super) key: Arc<dyn SigningKey>,
    /// The file's permission bits, where files have any.
    pub(super) mode: Option<u32>,
    /// What else stands in it, and is of no use there.
    pub(super) passed_over: Vec<PassedOver>,
}

/// Whether private keys may stand in a file of certificates: they do where one file is both.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum KeysInside {
    /// Nobody is told of them.
    Expected,
    /// They have no business there.
    Odd,
}

/// The certificates in a file.
pub(super) fn certificates(
    path: &Path,
    keys: KeysInside,
) -> Result<CertificateFile, CertificateError> {
    let file = GivenFile::of_certificates(path);
    let (mut chain, mut passed_over, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let blocks = PemFile::read(&file).and_then(|pem| pem.blocks());
    for block in blocks.map_err(CertificateError::of(&file))? {
        if block.label == "TRUSTED CERTIFICATE" {
            return Err(CertificateError::of(&file)(FileFault::Trusted(block.line)));
        }
        let is_key = is_key(&block) || block.label == "EC PARAMETERS";
        if !is_certificate(&block) && (!is_key || keys == KeysInside::Odd) {
            passed_over.push(PassedOver::new(&file, &block));
        }
        match block.content {
            Some((kind @ SectionKind::Certificate, der)) => {
                chain.extend(CertificateDer::from_pem(kind, der));
            }
            _ => others.push((is_key, block.label)),
        }
    }
    if !chain.is_empty() {
        return Ok(CertificateFile { chain, passed_over });
    }
    let holds_key = others.iter().any(|(is_key, _)| *is_key);
    Err(CertificateError::of(&file)(
        match others.into_iter().next() {
            Some((_, label)) if !holds_key => FileFault::NothingInside(label),
            _ => FileFault::WrongKind,
        },
    ))
}

/// The first private key in a file.
pub(super) fn key(path: &Path) -> Result<KeyFile, CertificateError> {
    let file = GivenFile::of_key(path);
    let pem = PemFile::read(&file).map_err(CertificateError::of(&file))?;
    let blocks = pem.blocks().map_err(CertificateError::of(&file))?;
    let mut passed_over = Vec::new();
    let mut found = None;
    let labels: Vec<String> = blocks.iter().map(|block| block.label.clone()).collect();
    let holds_certificate = blocks.iter().any(is_certificate);
    let holds_encrypted = blocks.iter().any(|block| block.is_encrypted);
    for block in blocks {
        let is_expected = is_certificate(&block) || block.label == "EC PARAMETERS";
        let is_first = found.is_none() && is_key(&block) && !block.is_encrypted;
        if !is_expected && !is_first {
            passed_over.push(PassedOver::new(&file, &block));
        }
        if let (true, Some((kind, der))) = (is_first, block.content) {
            found = PrivateKeyDer::from_pem(kind, der);
        }
    }
    let fault = match found.map(|der| any_supported_type(&der)) {
        Some(Ok(key)) => {
            return Ok(KeyFile {
                key,
                mode: pem.mode,
                passed_over,
            });
        }
        // The error of rustls lists the kinds that it tried, and says nothing about this key.
        Some(Err(_)) => return Err(CertificateError::UnsupportedKey { key: file.path }),
        None if holds_encrypted => FileFault::Encrypted,
        None if holds_certificate => FileFault::WrongKind,
        None => FileFault::NothingInside(labels.into_iter().next().unwrap_or_default()),
    };
    Err(CertificateError::of(&file)(fault))
}

fn is_certificate(block: &Block) -> bool {
    matches!(block.content, Some((SectionKind::Certificate, _)))
}

/// Whether the block is a private key that rustls could read, if only it is not encrypted.
fn is_key(block: &Block) -> bool {
    matches!(
        block.label.as_str(),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY"
    )
}
