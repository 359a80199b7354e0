//! wsgate's own answer to a request that it cannot pass on.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::http1::Persistence;
use crate::proxy::error::ProxyError;

/// What a client is told to wait that has as many connections as it may. Nobody knows when one of them ends; this keeps a client
/// that obeys from asking more than a few times a minute.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(10);

/// The answer to a request that ended with this error.
pub(super) fn refusal(error: &ProxyError) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("wsgate: {}\n", error.told())));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let ProxyError::Request(_) | ProxyError::Exceeded(_, Persistence::Close) = error {
        // What follows on this connection may not be what its sender thinks it is; or there is one too many.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let ProxyError::Exceeded(exceeded, _) = error {
        let wait = exceeded.wait().unwrap_or(UNTIL_ONE_ENDS);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(in_seconds(wait)));
    }
    if let ProxyError::NoServer = error {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if error.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(
            header::ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    response
}

/// As `Retry-After` has it (RFC 9110 §10.2.3): whole seconds, after which the wait is over.
fn in_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::proxy::refusal::in_seconds;

    #[test]
    fn a_wait_is_over_when_its_seconds_are() {
        for (nanoseconds, seconds) in [(1, 1), (999_999_999, 1), (1_000_000_000, 1)] {
            assert_eq!(in_seconds(Duration::from_nanos(nanoseconds)), seconds);
        }
        assert_eq!(in_seconds(Duration::from_nanos(1_000_000_001)), 2);
    }
}
