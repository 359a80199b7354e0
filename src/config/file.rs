//! Reads the bytes of `routes.yaml`, and says what can be wrong with them before they are read as YAML.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::config::EXAMPLE;
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Severity;
use crate::config::source::SourceText;

/// Largest file that is read, in bytes: ten times what 10,000 routes take.
const LARGEST: u64 = 16 << 20;

/// Reads all of the file's text.
pub(super) fn read(path: &Path) -> Result<String, FileError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        io::ErrorKind::IsADirectory => FileError::directory(path),
        kind => FileError::Unreadable(kind),
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(FileError::directory(path));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(FileError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return FileError::Utf16;
        }
        FileError::NotUtf8 {
            byte: bytes[at],
            before: String::from_utf8_lossy(&bytes[..at]).into_owned(),
        }
    })
}

/// Why a file has no text to read.
#[derive(Debug)]
pub(super) enum FileError {
    /// There is no such file.
    Missing,
    /// The path is a directory; with the configuration in it, if it holds one.
    Directory { inside: Option<PathBuf> },
    /// The system refuses to read the file.
    Unreadable(io::ErrorKind),
    /// The file is larger than any configuration.
    TooLarge,
    /// The file begins as UTF-16 does.
    Utf16,
    /// A byte is no UTF-8; with the text before it.
    NotUtf8 { byte: u8, before: String },
}

impl FileError {
    /// The error of a directory, with the configuration in it if it holds one.
    fn directory(path: &Path) -> Self {
        let inside = path.join("routes.yaml");
        Self::Directory {
            inside: inside.is_file().then_some(inside),
        }
    }

    /// The error as it is printed for the file `name`.
    pub(super) fn diagnostic(self, name: &str) -> Diagnostic {
        let whole = |message: &str| Diagnostic::new(Severity::Error, name, None, message);
        let mut diagnostic = match &self {
            Self::Missing => whole("there is no such file"),
            Self::Directory { .. } => whole("this is a directory"),
            Self::Unreadable(kind) => whole(&format!("the file cannot be read: {kind}")),
            Self::TooLarge => whole("the file is larger than 16 MiB"),
            Self::Utf16 => whole("the file is UTF-16, not UTF-8"),
            Self::NotUtf8 { byte, before } => {
                let source = SourceText::new(name.to_owned(), before.clone());
                source.about(
                    Severity::Error,
                    &(before.len()..before.len()),
                    format!("byte 0x{byte:02X} is no UTF-8"),
                )
            }
        };
        diagnostic.help(match self {
            Self::Missing => {
                format!("name another one with `--config FILE`, or begin with\n{EXAMPLE}")
            }
            Self::Directory {
                inside: Some(inside),
            } => format!("write `--config {}`", inside.display()),
            Self::Directory { inside: None } => "`--config` takes a file".to_owned(),
            Self::Unreadable(io::ErrorKind::PermissionDenied) => {
                "let the user that runs wsgate read this file".to_owned()
            }
            Self::Unreadable(_) => "is the path right?".to_owned(),
            Self::TooLarge => "is it the right file?".to_owned(),
            Self::Utf16 | Self::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
        });
        diagnostic
    }
}
