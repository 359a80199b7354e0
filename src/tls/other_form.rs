//! Recognises what a file is that holds a certificate or a key in another form than PEM, so that an error can name it.

use std::fmt;

/// Another form than PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OtherForm {
    /// Text in UTF-16, which Notepad calls Unicode; with the name that iconv has for it.
    Utf16(&'static str),
    /// A certificate in DER.
    Certificate,
    /// A private key in DER, PKCS #8 (encrypted or not), PKCS #1 or SEC 1.
    Key,
    /// A certificate request in DER.
    Request,
    /// PKCS #12: certificates and a key under a passphrase, as Windows exports them.
    Pkcs12,
    /// PKCS #7: certificates alone, as Windows exports them.
    Pkcs7,
    /// A keystore of Java.
    Keystore,
    /// DER or BER of another kind.
    Der,
    /// Something else.
    Unknown,
}

/// The tag of an INTEGER (X.690 §8.3).
const INTEGER: u8 = 0x02;
/// The tag of an OCTET STRING.
const OCTET_STRING: u8 = 0x04;
/// The tag of an OBJECT IDENTIFIER.
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The tag of a SEQUENCE.
const SEQUENCE: u8 = 0x30;
/// The tag of the version in a certificate (RFC 5280 §4.1).
const EXPLICIT_0: u8 = 0xa0;

/// The content of the identifier of signed data in PKCS #7: 1.2.840.113549.1.7.2.
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";

impl OtherForm {
    /// The form of a file that is certainly no PEM.
    pub(super) fn of(content: &[u8]) -> Option<Self> {
        match content {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Self::Utf16("UTF-16")),
            [b'-', 0, b'-', 0, ..] => Some(Self::Utf16("UTF-16LE")),
            [0, b'-', 0, b'-', ..] => Some(Self::Utf16("UTF-16BE")),
            [0xfe, 0xed, 0xfe, 0xed, ..] => Some(Self::Keystore),
            [SEQUENCE, ..] => der(content),
            _ => None,
        }
    }
}

/// What a SEQUENCE is; `None` for a text that begins with a `0`.
fn der(content: &[u8]) -> Option<OtherForm> {
    let (_, body, rest) = element(content)?;
    // DER begins with a length of the whole; a file may have lost its end, or got a line end.
    if content.len() < 16 || (rest.len() > 2 && content[1] != 0x80) {
        return None;
    }
    let Some((first, inner, after)) = element(body) else {
        return Some(OtherForm::Der);
    };
    let second = element(after).map(|(tag, _, _)| tag);
    Some(match (first, inner, second) {
        (INTEGER, [3], Some(SEQUENCE)) => OtherForm::Pkcs12,
        (INTEGER, [0 | 1], Some(SEQUENCE | INTEGER | OCTET_STRING)) => OtherForm::Key,
        (OBJECT_IDENTIFIER, SIGNED_DATA, _) => OtherForm::Pkcs7,
        (SEQUENCE, _, Some(OCTET_STRING)) => OtherForm::Key,
        (SEQUENCE, inner, Some(SEQUENCE)) => match element(inner) {
            Some((EXPLICIT_0, _, _)) => OtherForm::Certificate,
            Some((INTEGER, [0], _)) => OtherForm::Request,
            Some((INTEGER, _, _)) => OtherForm::Certificate,
            _ => OtherForm::Der,
        },
        _ => OtherForm::Der,
    })
}

/// The first element of `bytes`: its tag, its content as far as it is there, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        // BER: the content ends with itself.
        0x80 => (rest.len(), rest),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            let length = length
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at(length.min(rest.len()));
    Some((*tag, content, rest))
}

impl fmt::Display for OtherForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16(_) => "UTF-16 (Notepad's \"Unicode\")",
            Self::Certificate => "a certificate in DER",
            Self::Key => "a private key in DER",
            Self::Request => "a certificate request in DER",
            Self::Pkcs12 => "PKCS #12",
            Self::Pkcs7 => "PKCS #7",
            Self::Keystore => "a Java keystore",
            Self::Der => "DER of another kind",
            Self::Unknown => "something else",
        })
    }
}
