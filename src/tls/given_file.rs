//! A file that `routes.yaml` names as a certificate or as a key.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// A file that was given as a certificate or as a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GivenFile {
    /// The value in `routes.yaml` that names it.
    pub concerns: Concerns,
    /// The path that was tried.
    pub path: PathBuf,
}

/// The value in `routes.yaml` that names a file, and that an error is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Concerns {
    /// The value of `cert`, or that of `ca`.
    Cert,
    /// The value of `key`.
    Key,
}

impl GivenFile {
    /// A file of certificates.
    pub(crate) fn of_certificates(path: &Path) -> Self {
        Self {
            concerns: Concerns::Cert,
            path: path.to_owned(),
        }
    }

    /// A file of a key.
    pub(crate) fn of_key(path: &Path) -> Self {
        Self {
            concerns: Concerns::Key,
            path: path.to_owned(),
        }
    }

    /// A command that reads the file and writes another one beside it, with `ending` behind its name.
    pub(crate) fn converted(&self, command: &str, ending: &str) -> String {
        let path = self.path.display().to_string();
        let quote = if path.contains(|c: char| !is_plain(c)) {
            "'"
        } else {
            ""
        };
        let path = path.replace('\'', r"'\''");
        format!("`{command} -in {quote}{path}{quote} -out {quote}{path}{ending}{quote}`")
    }
}

/// Whether a shell takes the character as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+=@%,:".contains(c)
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
