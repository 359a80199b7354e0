//! A file that `routes.yaml` names as a certificate or as a key, and how its form can be wrong.

use std::fmt;
use std::path::PathBuf;

/// A file that was given as a certificate or as a key.
#[derive(Clone, Debug)]
pub struct GivenFile {
    /// The value in `routes.yaml` that names it.
    pub concerns: Concerns,
    /// The path that was tried.
    pub path: PathBuf,
}

/// The value in `routes.yaml` that names a file, and that an error is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Concerns {
    /// The value of `cert`.
    Cert,
    /// The value of `key`.
    Key,
}

/// What a file looks like that is not PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotPemContent {
    /// The file is empty, or holds only white space.
    Empty,
    /// The file looks like DER or PKCS #12, the binary forms of certificates and keys.
    Der,
    /// The file looks like something else.
    Other,
}

/// How a file of PEM is damaged.
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
