//! wsgate's answer to a request whose head hyper could not read.

use http::StatusCode;

use crate::proxy::error::Innermost;

/// Why a head cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    status: StatusCode,
    reason: String,
}

impl Unreadable {
    /// By what hyper says.
    pub(super) fn new(error: &hyper::Error) -> Self {
        let reason = Innermost(error).to_string();
        let (status, reason) = if reason == "URI too long" {
            (StatusCode::URI_TOO_LONG, reason)
        } else if error.is_parse_too_large() {
            let words = "a head of more than 100 lines or 64 KiB";
            (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                words.to_owned(),
            )
        } else if error.is_parse_version_h2() {
            let words = "HTTP/2 is not spoken here, HTTP/1.1 is";
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, words.to_owned())
        } else {
            (StatusCode::BAD_REQUEST, reason)
        };
        Self { status, reason }
    }

    /// What the client is told.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// The answer, as bytes.
    pub(super) fn message(&self) -> String {
        let words = format!("wsgate: {}\n", self.reason);
        let status = self.status.as_u16();
        let phrase = self.status.canonical_reason().unwrap_or_default();
        format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{words}",
            words.len()
        )
    }
}
