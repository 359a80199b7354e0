//! `Transfer-Encoding`: `chunked` and nothing beside it (RFC 9112 §6.1).

use std::fmt;

use http::HeaderMap;
use http::header;

use crate::headers::lists::members;

/// Transfer codings that are not `chunked` alone, so that a second reader could find another body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransferCodingError {
    /// The field is there and names none.
    Empty,
    /// `chunked` stands there twice, on one line or on two. Frameworks do that which add the field to an answer that has it.
    ChunkedTwice,
    /// Another coding stands behind `chunked`, which has to be the last one.
    BehindChunked,
    /// Another coding stands before `chunked`.
    BeforeChunked,
    /// `chunked` has a parameter, and there are none (RFC 9112 §7.1).
    Parameter,
    /// `chunked` is not there.
    Other,
}

impl fmt::Display for TransferCodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a Transfer-Encoding that names no coding",
            Self::ChunkedTwice => "the transfer coding `chunked` twice",
            Self::BehindChunked => "a transfer coding behind `chunked`",
            Self::BeforeChunked => "a transfer coding before `chunked`",
            Self::Parameter => "the transfer coding `chunked` with a parameter",
            Self::Other => "a transfer coding other than `chunked`",
        })
    }
}

impl std::error::Error for TransferCodingError {}

/// Checks that the field names `chunked` alone and once, if it is there.
///
/// # Errors
/// What it names instead.
pub fn check(headers: &HeaderMap) -> Result<(), TransferCodingError> {
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let (mut codings, mut chunked, mut last_is_chunked, mut parameters) = (0, 0, false, 0);
    for coding in members(headers, header::TRANSFER_ENCODING) {
        codings += 1;
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        chunked += usize::from(last_is_chunked);
        let name = coding.split(|byte| *byte == b';').next();
        let is_named = name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        parameters += usize::from(is_named && !last_is_chunked);
    }
    match (codings, chunked) {
        (1, 1) => Ok(()),
        (0, _) => Err(TransferCodingError::Empty),
        (_, 2..) => Err(TransferCodingError::ChunkedTwice),
        (_, 1) if last_is_chunked => Err(TransferCodingError::BeforeChunked),
        (_, 1) => Err(TransferCodingError::BehindChunked),
        (..) if parameters > 0 => Err(TransferCodingError::Parameter),
        (..) => Err(TransferCodingError::Other),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header;

    use crate::headers::transfer_coding::TransferCodingError;
    use crate::headers::transfer_coding::check;

    #[test]
    fn chunked_stands_alone_and_once() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = HeaderValue::from_static(line);
                headers.append(header::TRANSFER_ENCODING, line);
            }
            check(&headers)
        };
        for lines in [&[][..], &["chunked"], &["CHUNKED"], &[" , chunked,"]] {
            assert_eq!(of(lines), Ok(()), "{lines:?}");
        }
        for (lines, error) in [
            (&[""][..], TransferCodingError::Empty),
            (&[",", " ,"], TransferCodingError::Empty),
            (&["chunked", "chunked"], TransferCodingError::ChunkedTwice),
            (&["chunked, Chunked"], TransferCodingError::ChunkedTwice),
            (
                &["chunked, gzip, chunked"],
                TransferCodingError::ChunkedTwice,
            ),
            (&["chunked", "gzip"], TransferCodingError::BehindChunked),
            (&["gzip, chunked"], TransferCodingError::BeforeChunked),
            (&["chunked;x"], TransferCodingError::Parameter),
            (&["gzip, chunked ; x=1"], TransferCodingError::Parameter),
            (&["gzip"], TransferCodingError::Other),
            (&["xchunked"], TransferCodingError::Other),
            (&["identity"], TransferCodingError::Other),
        ] {
            assert_eq!(of(lines), Err(error), "{lines:?}");
        }
    }
}
