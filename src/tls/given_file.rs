//! A file that `routes.yaml` names as a certificate or as a key, and how its form can be wrong.

use std::fmt;
use std::path::PathBuf;

/// A file, and what it was given as.
#[derive(Clone, Debug)]
pub struct GivenFile {
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
pub enum NotPemContent {
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

impl fmt::Display for GivenFile {
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
