//! wsgate's own answers that are no errors: redirects, and what `return` says.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::decision::client::Redirect;
use crate::headers::upgrade::Asked;
use crate::returns::Return;
use crate::returns::ReturnContent;
use crate::template::Variables;

/// A redirect to the path with a slash behind it: a relative reference, so that it is right behind any port mapping;
/// nginx writes its own idea of the authority.
pub(super) fn moved(to: &str) -> Response<Bytes> {
    redirect(StatusCode::MOVED_PERMANENTLY, to)
}

/// What `return` says.
pub(super) fn returned(written: &Return, variables: &Variables<'_>) -> Response<Bytes> {
    match written.content() {
        ReturnContent::Address(to) if to.has_host() && variables.host.is_empty() => {
            nowhere(written.status())
        }
        ReturnContent::Address(to) => redirect(written.status(), &to.fill(variables)),
        ReturnContent::Text(words) => text(written.status(), words.fill(variables)),
        ReturnContent::Nothing => {
            let reason = written
                .status()
                .canonical_reason()
                .unwrap_or("no more to say");
            text(
                written.status(),
                format!("wsgate: {}\n", reason.to_ascii_lowercase()),
            )
        }
    }
}

/// `redirect: https`: 308, which keeps method and body; an upgrade is told in words, since no WebSocket client follows.
pub(super) fn to_https(to: Redirect, asked: &Asked, variables: &Variables<'_>) -> Response<Bytes> {
    let port = match to.port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let (host, uri) = (variables.host, variables.request_uri);
    match asked {
        Asked::Nothing if host.is_empty() => nowhere(StatusCode::PERMANENT_REDIRECT),
        Asked::Nothing => redirect(
            StatusCode::PERMANENT_REDIRECT,
            &format!("https://{host}{port}{uri}"),
        ),
        Asked::WebSocket(_) => {
            let words = format!(
                "wsgate: this address is for wss only: open wss://{host}{port} instead of ws://\n"
            );
            let mut response = text(StatusCode::UPGRADE_REQUIRED, words);
            let headers = response.headers_mut();
            // RFC 9110 §15.5.22 wants to be told what to upgrade to; for TLS the word is RFC 2817's.
            headers.insert(header::UPGRADE, HeaderValue::from_static("TLS/1.2"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            response
        }
    }
}

/// A redirect to the host of a request that names none: without `Location`, since whatever stood there would be made up. Who asks
/// so, which is nearly always a health check, looks at the status alone.
fn nowhere(status: StatusCode) -> Response<Bytes> {
    let words = "wsgate: moved to another address of this host, which a request without Host does not name\n";
    text(status, words.to_owned())
}

fn redirect(status: StatusCode, to: &str) -> Response<Bytes> {
    let mut response = text(status, format!("wsgate: moved to {to}\n"));
    // A target has no control bytes, and neither has a template, so this is one.
    if let Ok(to) = HeaderValue::from_bytes(to.as_bytes()) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn text(status: StatusCode, words: String) -> Response<Bytes> {
    let has_body = !matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    let mut response = Response::new(if has_body {
        Bytes::from(words)
    } else {
        Bytes::new()
    });
    *response.status_mut() = status;
    if has_body {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
    }
    response
}
