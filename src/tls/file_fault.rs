//! How the file of a certificate or of a key can be wrong, in words for the person who can make a right one of it.

use std::fmt;
use std::io;

use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;
use crate::tls::other_form::OtherForm;
use crate::tls::reason;

/// Why nothing can be served from a file.
#[derive(Debug)]
pub enum FileFault {
    /// There is no such file.
    Missing,
    /// The file is there but cannot be read.
    Unreadable(io::Error),
    /// The file is larger than any of certificates.
    TooLarge,
    /// The file is empty, or holds only white space.
    Empty,
    /// Nothing in the file is PEM.
    NotPem(OtherForm),
    /// The file is PEM, and damaged.
    Damaged {
        /// What is damaged.
        fault: PemFault,
        /// The line, counted from 1.
        line: usize,
    },
    /// The file of the certificate holds a key, or that of the key a certificate.
    WrongKind,
    /// The file is PEM, but holds neither a certificate nor a key; with the label of its first block.
    NothingInside(String),
    /// The file has a certificate in OpenSSL's own form, `TRUSTED CERTIFICATE`, on this line.
    Trusted(usize),
    /// The key is under a passphrase.
    Encrypted,
}

/// How a file of PEM is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PemFault {
    /// A `-----BEGIN …-----` or a `-----END …-----` is not a line of its own.
    NotOneLine,
    /// Line ends are written as a backslash and an `n`, as in JSON and in variables of the environment.
    EscapedLines,
    /// The dashes of such a line are not five `-` on each side; with another dash that stands there.
    Dashes(Option<char>),
    /// A block has no `-----END …-----`, or not the one that belongs to its `BEGIN`.
    NoEnd,
    /// A `-----END …-----` has no `BEGIN`.
    NoBegin,
    /// Something between the two is not base64.
    Base64,
}

impl FileFault {
    /// Writes what is wrong with `file`.
    pub(super) fn write(&self, file: &GivenFile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "{file} does not exist"),
            Self::Unreadable(source) => write!(f, "cannot read {file}: {}", reason(source)),
            Self::TooLarge => write!(f, "{file} is larger than 4 MiB"),
            Self::Empty => write!(f, "{file} is empty"),
            Self::NotPem(OtherForm::Unknown) => write!(f, "{file} is not PEM"),
            Self::NotPem(form) => write!(f, "{file} is {form}, not PEM"),
            Self::Damaged { fault, line } => {
                write!(f, "{file} is damaged: ")?;
                fault.write(*line, f)
            }
            Self::WrongKind => match file.concerns {
                Concerns::Cert => write!(f, "{file} holds a private key, no certificate"),
                Concerns::Key => write!(f, "{file} holds a certificate, no private key"),
            },
            Self::NothingInside(label) => {
                let what = match file.concerns {
                    Concerns::Cert => "no certificate",
                    Concerns::Key => "no private key",
                };
                write!(f, "{file} holds {what}, but `{}`", label.escape_debug())
            }
            Self::Trusted(line) => write!(
                f,
                "{file} has a `TRUSTED CERTIFICATE` on line {line}, which OpenSSL alone reads"
            ),
            Self::Encrypted => write!(f, "{file} is encrypted"),
        }
    }

    /// What to do about `file`.
    pub(super) fn help(&self, file: &GivenFile) -> String {
        match self {
            Self::Missing => "a relative path is relative to the file that names it".to_owned(),
            Self::Unreadable(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that runs wsgate read this file".to_owned()
            }
            Self::TooLarge => {
                "is it the right file? one with a certificate has a few KiB".to_owned()
            }
            Self::NotPem(form) => other_form(*form, file),
            Self::Damaged { fault, .. } => fault.help(file),
            Self::WrongKind => "are `cert` and `key` swapped?".to_owned(),
            Self::NothingInside(label) => other_block(label, file),
            Self::Trusted(_) => make_pem("openssl x509", file),
            Self::Encrypted => format!(
                "wsgate cannot ask for the passphrase: make a key without one with {} and name that",
                file.converted("openssl pkey", ".plain")
            ),
            Self::Unreadable(_) | Self::Empty => wanted(file).to_owned(),
        }
    }
}

/// What a file should hold.
fn wanted(file: &GivenFile) -> &'static str {
    match file.concerns {
        Concerns::Cert => "give a PEM file with `-----BEGIN CERTIFICATE-----` in it",
        Concerns::Key => "give a PEM file with `-----BEGIN PRIVATE KEY-----` in it",
    }
}

/// The command that makes PEM of a file.
fn make_pem(command: &str, file: &GivenFile) -> String {
    format!("make PEM of it: {}", file.converted(command, ".pem"))
}

/// What to do about a file of another form.
fn other_form(form: OtherForm, file: &GivenFile) -> String {
    match (form, file.concerns) {
        (OtherForm::Utf16(name), _) => format!(
            "save it as ANSI or UTF-8, or make PEM of it: `iconv -f {name} -t UTF-8 {0} -o {0}.pem`",
            file.path.display()
        ),
        (OtherForm::Certificate, Concerns::Cert) => make_pem("openssl x509 -inform der", file),
        (OtherForm::Key, Concerns::Key) => make_pem("openssl pkey -inform der", file),
        (OtherForm::Certificate, Concerns::Key) | (OtherForm::Key, Concerns::Cert) => {
            "are `cert` and `key` swapped? Both must be PEM".to_owned()
        }
        (OtherForm::Pkcs12, Concerns::Cert) => make_pem("openssl pkcs12 -nokeys", file),
        (OtherForm::Pkcs12, Concerns::Key) => make_pem("openssl pkcs12 -nocerts -nodes", file),
        (OtherForm::Pkcs7, Concerns::Cert) => {
            make_pem("openssl pkcs7 -inform der -print_certs", file)
        }
        (OtherForm::Request, Concerns::Cert) => REQUEST.to_owned(),
        (OtherForm::Keystore, _) => format!(
            "make PKCS #12 of it with `keytool -importkeystore -srckeystore {0} -destkeystore {0}.p12 -deststoretype \
             pkcs12`, and PEM of that with `openssl pkcs12`",
            file.path.display()
        ),
        (OtherForm::Pkcs7 | OtherForm::Request, Concerns::Key)
        | (OtherForm::Der | OtherForm::Unknown, _) => wanted(file).to_owned(),
    }
}

/// What to do about a certificate request.
const REQUEST: &str =
    "a request is what an authority is asked with: give the certificate that it answered with";

/// What to do about a file whose first block is of another kind.
fn other_block(label: &str, file: &GivenFile) -> String {
    match (label, file.concerns) {
        ("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST", Concerns::Cert) => REQUEST.to_owned(),
        ("PKCS7" | "CMS", Concerns::Cert) => make_pem("openssl pkcs7 -print_certs", file),
        ("OPENSSH PRIVATE KEY", Concerns::Key) => format!(
            "make PEM of it, in its place: `ssh-keygen -p -N '' -m pem -f {}`",
            file.path.display()
        ),
        ("EC PARAMETERS", Concerns::Key) => {
            "this is the curve alone, the key itself is missing".to_owned()
        }
        ("DSA PRIVATE KEY", Concerns::Key) => {
            "no TLS of today has DSA: make a new key, and have a certificate issued for it"
                .to_owned()
        }
        (public, Concerns::Key) if public.ends_with("PUBLIC KEY") => {
            "this is the public half: give the private key that it was made from".to_owned()
        }
        _ => wanted(file).to_owned(),
    }
}

impl PemFault {
    /// Writes what is damaged on `line`.
    fn write(self, line: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOneLine => write!(
                f,
                "a `-----BEGIN …-----` or `-----END …-----` on line {line} is not a line of its own"
            ),
            Self::EscapedLines => {
                write!(f, "line {line} has `\\n` where lines should end")
            }
            Self::Dashes(Some(dash)) => write!(
                f,
                "line {line} has `{dash}` where `-` should be, as word processors write it"
            ),
            Self::Dashes(None) => write!(
                f,
                "line {line} has not five `-` at its beginning and five at its end"
            ),
            Self::NoEnd => write!(
                f,
                "the line `-----END …-----` is missing for the block on line {line}"
            ),
            Self::NoBegin => write!(
                f,
                "the line `-----BEGIN …-----` is missing for the end on line {line}"
            ),
            Self::Base64 => write!(f, "what it encloses is not base64 on line {line}"),
        }
    }

    /// What to do about it.
    fn help(self, file: &GivenFile) -> String {
        let path = file.path.display();
        match self {
            Self::NotOneLine => {
                "begin a new line before each `-----BEGIN` and `-----END`, and one behind it"
                    .to_owned()
            }
            Self::EscapedLines => {
                format!("make lines of them: `sed 's/\\\\n/\\n/g' {path} > {path}.pem`")
            }
            Self::Dashes(Some(_)) => {
                format!("put them right: `sed 's/[–—-]\\{{1,\\}}/-----/g' {path} > {path}.pem`")
            }
            Self::Dashes(None) => {
                "write `-----BEGIN …-----` and `-----END …-----` with five each".to_owned()
            }
            Self::NoEnd | Self::NoBegin | Self::Base64 => wanted(file).to_owned(),
        }
    }
}
