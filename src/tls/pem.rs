//! One PEM file, read and taken apart into its blocks (RFC 7468). No block is passed over in silence.
//!
//! More is read than the RFC asks for: a byte order mark in front of a line, as Notepad writes it and OpenSSL 3 skips it,
//! lines that end in CR alone, and white space around a line. Whatever else looks like the beginning or the end of a
//! block and is none is a fault. What a block means is left to other modules. No error quotes a file's content, since
//! that could be the key.

use std::fs::File;
use std::io;
use std::io::Read;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::pem::SectionKind;

use crate::tls::file_fault::FileFault;
use crate::tls::file_fault::PemFault;
use crate::tls::given_file::GivenFile;
use crate::tls::other_form::OtherForm;

/// Largest file that is read, in bytes: fifteen times the certificates of all public authorities.
const LARGEST: u64 = 4 << 20;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A PEM file in memory.
pub(crate) struct PemFile {
    content: Vec<u8>,
    /// The file's permission bits, where files have any.
    pub(crate) mode: Option<u32>,
}

/// What stands between a `-----BEGIN …-----` and its `-----END …-----`.
pub(crate) struct Block {
    /// What follows `BEGIN`, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// The line of the `BEGIN`, counted from 1.
    pub(crate) line: usize,
    /// The content, if rustls knows what the label means and the content is no text under a passphrase.
    pub(crate) content: Option<(SectionKind, Vec<u8>)>,
    /// Whether it is under a passphrase, in PKCS #8 or in OpenSSL's older form (RFC 1421 §4.6.1.1).
    pub(crate) is_encrypted: bool,
}

impl PemFile {
    /// Reads a file, which need not be PEM.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or it is too large to be one of certificates.
    pub(crate) fn read(file: &GivenFile) -> Result<Self, FileFault> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => FileFault::Missing,
            _ => FileFault::Unreadable(error),
        };
        let opened = File::open(&file.path).map_err(unreadable)?;
        let mode = mode(&opened);
        let mut content = Vec::new();
        opened
            .take(LARGEST + 1)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        if content.len() as u64 > LARGEST {
            return Err(FileFault::TooLarge);
        }
        Ok(Self { content, mode })
    }

    /// All blocks, in the order of the file, at least one.
    ///
    /// # Errors
    /// The file is no PEM, or something in it is damaged.
    pub(crate) fn blocks(&self) -> Result<Vec<Block>, FileFault> {
        if let Some(form) = OtherForm::of(&self.content) {
            return Err(FileFault::NotPem(form));
        }
        let blocks = enclosed(&self.content)?;
        if !blocks.is_empty() {
            return blocks.into_iter().map(Enclosed::decode).collect();
        }
        Err(if self.content.trim_ascii().is_empty() {
            FileFault::Empty
        } else {
            FileFault::NotPem(OtherForm::Unknown)
        })
    }
}

/// A block as it stands in the file.
struct Enclosed<'c> {
    label: &'c str,
    line: usize,
    /// What it encloses, with the number of each line.
    lines: Vec<(usize, &'c [u8])>,
}

/// The blocks of a file, none of them decoded.
fn enclosed(content: &[u8]) -> Result<Vec<Enclosed<'_>>, FileFault> {
    let mut found = Vec::new();
    let mut open: Option<Enclosed<'_>> = None;
    for (number, line) in lines(content) {
        let damaged = |fault| FileFault::Damaged {
            fault,
            line: number,
        };
        match (edge(line).map_err(damaged)?, open.take()) {
            (Some(Edge::Begin(label)), None) => {
                open = Some(Enclosed {
                    label,
                    line: number,
                    lines: Vec::new(),
                });
            }
            (Some(Edge::End(label)), Some(block)) if label == block.label => found.push(block),
            (Some(_), Some(block)) => return Err(block.without_end()),
            (Some(Edge::End(_)), None) => return Err(damaged(PemFault::NoBegin)),
            (None, Some(mut block)) => {
                block.lines.push((number, line));
                open = Some(block);
            }
            // RFC 7468 §2: text around a block explains it. `openssl pkcs12` writes `Bag Attributes` there.
            (None, None) => {}
        }
    }
    match open {
        Some(block) => Err(block.without_end()),
        None => Ok(found),
    }
}

impl Enclosed<'_> {
    fn without_end(&self) -> FileFault {
        FileFault::Damaged {
            fault: PemFault::NoEnd,
            line: self.line,
        }
    }

    fn decode(self) -> Result<Block, FileFault> {
        // Those of RFC 1421 stand in front of the content with an empty line behind them. OpenSSL encrypted keys so.
        let headers = self.lines.iter().map(|(_, line)| *line);
        let headers: Vec<_> = headers.take_while(|line| line.contains(&b':')).collect();
        let is_encrypted = self.label == "ENCRYPTED PRIVATE KEY"
            || headers
                .iter()
                .any(|line| line.starts_with(b"Proc-Type: 4,ENCRYPTED"));
        let content = match self.lines.get(headers.len()) {
            _ if is_encrypted => None,
            Some((_, [])) => self.base64(&self.lines[headers.len()..])?,
            _ => self.base64(&self.lines)?,
        };
        Ok(Block {
            label: self.label.to_owned(),
            line: self.line,
            content,
            is_encrypted,
        })
    }

    /// The content of these lines, if rustls knows what the label means. Its decoder takes the same time for every key.
    fn base64(
        &self,
        lines: &[(usize, &[u8])],
    ) -> Result<Option<(SectionKind, Vec<u8>)>, FileFault> {
        let label = match self.label {
            // OpenSSL's older name for it.
            "X509 CERTIFICATE" => "CERTIFICATE",
            label => label,
        };
        let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
        for (_, line) in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let wrong = lines.iter().find(|(_, line)| !line.iter().all(is_base64));
        let damaged = |line| FileFault::Damaged {
            fault: PemFault::Base64,
            line,
        };
        match (
            wrong,
            <(SectionKind, Vec<u8>)>::pem_slice_iter(&text).next(),
        ) {
            (Some((line, _)), _) => Err(damaged(*line)),
            (None, Some(Err(_))) => Err(damaged(self.line)),
            (None, content) => Ok(content.and_then(Result::ok)),
        }
    }
}

/// The lines of a file, each with its number from 1, without what ends it and without white space around it.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = content;
    let lines = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .unwrap_or(rest.len());
        let line = &rest[..end];
        let ending = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = rest.get(end + ending..).unwrap_or_default();
        // One in front of a line other than the first comes from files that were put one behind the other.
        Some(
            line.strip_prefix(BYTE_ORDER_MARK)
                .unwrap_or(line)
                .trim_ascii(),
        )
    });
    (1..).zip(lines)
}

/// The first or the last line of a block, with its label.
enum Edge<'c> {
    Begin(&'c str),
    End(&'c str),
}

/// The edge of a block that this line is; `None` for any other line.
fn edge(line: &[u8]) -> Result<Option<Edge<'_>>, PemFault> {
    const DASHES: &str = "-----";
    let text = str::from_utf8(line).unwrap_or_default();
    let words = text.trim_matches(is_dash).trim();
    let label = |word| words.strip_prefix(word).map(str::trim_start);
    let found = match (label("BEGIN "), label("END ")) {
        (Some(label), _) => Some((Edge::Begin(label), label)),
        (_, Some(label)) => Some((Edge::End(label), label)),
        (None, None) => None,
    };
    let is_meant = contains(line, b"-----BEGIN ") || contains(line, b"-----END ");
    match found {
        Some((edge, label)) if !label.contains(DASHES) => {
            let between = text.strip_prefix(DASHES);
            let between = between.and_then(|rest| rest.strip_suffix(DASHES));
            let has_dashes = text.starts_with(is_dash) || text.ends_with(is_dash);
            if between == Some(words) {
                Ok(Some(edge))
            } else if is_meant || (has_dashes && is_known(label)) {
                let other = text.chars().find(|c| is_dash(*c) && *c != '-');
                Err(PemFault::Dashes(other))
            } else {
                Ok(None)
            }
        }
        _ if is_meant && contains(line, br"-----\n") => Err(PemFault::EscapedLines),
        _ if is_meant => Err(PemFault::NotOneLine),
        _ => Ok(None),
    }
}

/// Whether a label is one that keys and certificates have, however the dashes around it look.
fn is_known(label: &str) -> bool {
    ["CERTIFICATE", "KEY", "REQUEST", "PARAMETERS"]
        .iter()
        .any(|end| label.ends_with(end))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// Whether the character is a dash, or what word processors make of several.
fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2212}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
    )
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
