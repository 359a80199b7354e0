//! Blocks of a PEM file that are of no use where they stand, which a person is told.

use std::fmt;

use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;
use crate::tls::pem::Block;

/// A block of a PEM file that is of no use there and is passed over. All else in the file is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PassedOver {
    file: GivenFile,
    label: String,
    line: usize,
}

impl PassedOver {
    /// A block of `file`.
    pub(super) fn new(file: &GivenFile, block: &Block) -> Self {
        Self {
            file: file.clone(),
            label: block.label.clone(),
            line: block.line,
        }
    }

    /// The value in `routes.yaml` that names the file.
    pub fn concerns(&self) -> Concerns {
        self.file.concerns
    }

    /// The line of its `BEGIN`, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match (self.label.as_str(), self.file.concerns) {
            ("DH PARAMETERS", _) => {
                "take it out: all key exchanges here are elliptic, and need none"
            }
            ("X509 CRL", _) => "take it out: no revocation list is asked",
            (label, Concerns::Key) if label.ends_with("PRIVATE KEY") => {
                "take it out, or give it a file of its own: one key belongs to one certificate"
            }
            (label, Concerns::Cert) if label.ends_with("PRIVATE KEY") => {
                "take it out: `ca` is for certificates, which are no secret"
            }
            _ => "take it out, or is it the wrong file?",
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} has a block that is passed over: `{}` on line {}",
            self.file,
            self.label.escape_debug(),
            self.line
        )
    }
}
