//! From the answer that an upstream gave to the one that a client gets.

use std::fmt;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;
use http::response::Parts;

use crate::headers::hop_by_hop;
use crate::headers::lists::members;
use crate::headers::transfer_coding;
use crate::headers::transfer_coding::TransferCodingError;
use crate::headers::upgrade;

/// An answer that could be understood differently by the next reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerError {
    /// Both Content-Length and Transfer-Encoding.
    DoublyFramed,
    /// Its transfer codings are not `chunked` alone.
    TransferCoding(TransferCodingError),
    /// A Content-Length that is no number, or several that differ.
    Length,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoublyFramed => {
                f.write_str("its answer has both Content-Length and Transfer-Encoding")
            }
            Self::TransferCoding(error) => write!(f, "its answer has {error}"),
            Self::Length => f.write_str(
                "its answer has a Content-Length that is no number, or several that differ",
            ),
        }
    }
}

impl std::error::Error for AnswerError {}

/// Checks the framing of an answer (RFC 9112 §6.3); its syntax hyper has checked.
///
/// # Errors
/// What is wrong.
pub fn check(headers: &HeaderMap) -> Result<(), AnswerError> {
    // Hyper looks at the length only where it expects a body; an answer to HEAD is passed on as well.
    let mut lengths = members(headers, header::CONTENT_LENGTH);
    let first = lengths.next();
    if first.is_some_and(|length| !length.iter().all(u8::is_ascii_digit))
        || lengths.any(|length| Some(length) != first)
        || (first.is_none() && headers.contains_key(header::CONTENT_LENGTH))
    {
        return Err(AnswerError::Length);
    }
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(AnswerError::DoublyFramed);
    }
    transfer_coding::check(headers).map_err(AnswerError::TransferCoding)
}

/// Removes what concerned the upstream's connection only.
pub fn rewrite(answer: &mut Parts) {
    // Ours, whatever the upstream speaks (RFC 9110 §2.5).
    answer.version = Version::HTTP_11;
    // A 426 has to say to what (RFC 9110 §15.5.22).
    let to = (answer.status == StatusCode::UPGRADE_REQUIRED)
        .then(|| answer.headers.get(header::UPGRADE).cloned());
    hop_by_hop::remove(&mut answer.headers);
    if let Some(Some(to)) = to {
        answer.headers.insert(header::UPGRADE, to);
        answer
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    // `5, 5` or two equal lines are one length, and go on as one (RFC 9112 §6.3).
    let lengths = answer.headers.get_all(header::CONTENT_LENGTH);
    if lengths.iter().nth(1).is_some() || lengths.iter().any(|line| line.as_bytes().contains(&b','))
    {
        let one = members(&answer.headers, header::CONTENT_LENGTH)
            .next()
            .and_then(|length| HeaderValue::from_bytes(length).ok());
        if let Some(one) = one {
            answer.headers.insert(header::CONTENT_LENGTH, one);
        }
    }
}

/// Turns an upstream's 101 into the client's: exactly the two fields that it needs, and all that was agreed.
pub fn rewrite_switch(answer: &mut Parts) {
    // Ours, whatever the upstream speaks (RFC 9110 §2.5): no client takes a 101 in HTTP/1.0 for one.
    answer.version = Version::HTTP_11;
    hop_by_hop::remove(&mut answer.headers);
    // A 101 has no body (RFC 9110 §15.2).
    answer.headers.remove(header::CONTENT_LENGTH);
    upgrade::write(&mut answer.headers);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Response;
    use http::StatusCode;
    use http::Version;
    use http::response::Parts;

    use crate::decision::response::AnswerError;
    use crate::decision::response::check;
    use crate::decision::response::rewrite;
    use crate::decision::response::rewrite_switch;
    use crate::headers::transfer_coding::TransferCodingError;

    fn parts(status: StatusCode, lines: &[(&str, &str)]) -> Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in lines {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn answers_framed_twice_or_oddly_are_refused() {
        let of = |lines| check(&parts(StatusCode::OK, lines).headers);
        assert_eq!(
            of(&[("content-length", "3"), ("transfer-encoding", "chunked")]),
            Err(AnswerError::DoublyFramed)
        );
        assert_eq!(
            of(&[("transfer-encoding", "gzip")]),
            Err(AnswerError::TransferCoding(TransferCodingError::Other))
        );
        assert_eq!(
            of(&[("transfer-encoding", "")]),
            Err(AnswerError::TransferCoding(TransferCodingError::Empty))
        );
        assert_eq!(of(&[("transfer-encoding", "Chunked")]), Ok(()));
        assert_eq!(of(&[("content-length", "3")]), Ok(()));
    }

    #[test]
    fn a_426_keeps_what_it_asks_for() {
        let mut answer = parts(
            StatusCode::UPGRADE_REQUIRED,
            &[("upgrade", "websocket"), ("connection", "close, upgrade")],
        );
        rewrite(&mut answer);
        assert_eq!(answer.headers["upgrade"], "websocket");
        assert_eq!(answer.headers["connection"], "Upgrade");
        let mut answer = parts(
            StatusCode::OK,
            &[
                ("upgrade", "h2c"),
                ("connection", "upgrade"),
                ("keep-alive", "timeout=5"),
            ],
        );
        rewrite(&mut answer);
        assert!(answer.headers.is_empty());
    }

    #[test]
    fn a_repeated_length_goes_on_once() {
        let mut answer = parts(
            StatusCode::OK,
            &[("content-length", "5, 5"), ("content-length", "5")],
        );
        rewrite(&mut answer);
        let lengths: Vec<_> = answer.headers.get_all("content-length").iter().collect();
        assert_eq!(lengths, ["5"]);
    }

    #[test]
    fn a_101_has_exactly_the_two_fields_and_what_was_agreed() {
        let mut answer = parts(
            StatusCode::SWITCHING_PROTOCOLS,
            &[
                ("connection", "keep-alive, Upgrade, Sec-WebSocket-Protocol"),
                ("upgrade", "WebSocket"),
                ("content-length", "0"),
                ("transfer-encoding", "chunked"),
                ("sec-websocket-protocol", "chat"),
            ],
        );
        answer.version = Version::HTTP_10;
        rewrite_switch(&mut answer);
        assert_eq!(answer.version, Version::HTTP_11);
        let mut names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["connection", "sec-websocket-protocol", "upgrade"]);
        assert_eq!(answer.headers["upgrade"], "websocket");
    }
}
