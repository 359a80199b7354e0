//! The page server: the chat page at `/`, 404 for everything else.

use std::convert::Infallible;
use std::net::TcpListener;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;

use crate::serve;

/// The page, whole: its style and its script stand in it, and it asks for nothing else.
const PAGE: &str = include_str!("page.html");

/// Lets the page do what it needs, and makes a browser refuse the rest: nothing from elsewhere, no markup that acts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers `listener` from a task of the present runtime.
pub(crate) fn start(listener: TcpListener) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path()))
    });
    tokio::spawn(serve::accept(listener, service));
}

fn answer(method: &Method, path: &str) -> Response<Full<Bytes>> {
    match (method, path) {
        (_, path) if path != "/" => text(StatusCode::NOT_FOUND, "demo: only / is served here\n"),
        (&Method::GET | &Method::HEAD, _) => {
            let mut page = with_type(StatusCode::OK, "text/html; charset=utf-8", PAGE);
            page.headers_mut()
                .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            page
        }
        _ => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "demo: GET or HEAD\n");
            refusal
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
    }
}

fn text(status: StatusCode, line: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", line)
}

fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: &'static str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store")); // the next build may have another page
    response
}
