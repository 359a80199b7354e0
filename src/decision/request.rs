//! From the request that a client sent to the one that an upstream gets.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::request::Parts;
use http::uri::Authority;
use http::uri::PathAndQuery;

use crate::headers::forwarded;
use crate::headers::forwarded::Scheme;
use crate::headers::forwarded::Sender;
use crate::headers::hop_by_hop;
use crate::headers::host;
use crate::headers::transfer_coding;
use crate::headers::transfer_coding::TransferCodingError;
use crate::headers::upgrade;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::headers::upgrade::UpgradeError;
use crate::routing::TargetError;

/// A request that two readers could understand differently, or that is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequestError {
    /// CONNECT asks for another kind of proxy.
    Connect,
    /// Not exactly one `Host`.
    Hosts(usize),
    /// `Host` is not `host[:port]`.
    BadHost,
    /// The target is neither `/path` nor an http(s) URL.
    TargetForm,
    /// The target's authority is not the `Host`.
    OtherAuthority,
    /// The target's path cannot be read.
    Target(TargetError),
    /// Its transfer codings are not `chunked` alone.
    TransferCoding(TransferCodingError),
    /// See [`UpgradeError`].
    Upgrade(UpgradeError),
    /// The body cannot be read to its end: malformed chunks, or the client left.
    Body,
    /// No more of the body came for so long.
    BodyTimeout(Duration),
}

impl RequestError {
    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Hosts(_)
            | Self::BadHost
            | Self::TargetForm
            | Self::OtherAuthority
            | Self::Target(_)
            | Self::TransferCoding(_)
            | Self::Upgrade(_)
            | Self::Body => StatusCode::BAD_REQUEST,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("CONNECT is not served here"),
            Self::Hosts(0) => f.write_str("a request without Host"),
            Self::Hosts(_) => f.write_str("a request with several Host lines"),
            Self::BadHost => f.write_str("a Host that is not `host` or `host:port`"),
            Self::TargetForm => {
                f.write_str("a request target that is neither a path nor an http or https URL")
            }
            Self::OtherAuthority => {
                f.write_str("a request target whose host is not the one in Host")
            }
            Self::Target(error) => write!(f, "{error}"),
            Self::TransferCoding(error) => write!(f, "{error}"),
            Self::Upgrade(error) => write!(f, "{error}"),
            Self::Body => f.write_str("a body that breaks off or has malformed chunks"),
            Self::BodyTimeout(limit) => write!(
                f,
                "a body of which nothing more came within {limit:?} (`body_timeout`)"
            ),
        }
    }
}

impl std::error::Error for RequestError {}

/// A request that can be answered: what it asks for, and its target in origin-form.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the connection is to become.
    pub asked: Asked,
    /// Path and query as the client wrote them.
    pub target: PathAndQuery,
    /// The host of `Host`, without port and in lower case. Empty for a request in HTTP/1.0 that names none.
    pub host: String,
}

/// Refuses what could be understood differently by the next reader (RFC 9112 §3, §6, §11.2).
///
/// # Errors
/// The first thing that is wrong.
pub fn check(request: &Parts, body: Body) -> Result<Checked, RequestError> {
    if request.method == Method::CONNECT {
        return Err(RequestError::Connect);
    }
    let host = host_line(request)?;
    let target = origin_form(&request.uri, host)?;
    transfer_coding::check(&request.headers).map_err(RequestError::TransferCoding)?;
    let asked = upgrade::asked(&request.method, request.version, &request.headers, body)
        .map_err(RequestError::Upgrade)?;
    let host = host.or_else(|| request.uri.authority().map(Authority::as_str));
    Ok(Checked {
        asked,
        target,
        host: host.map_or_else(String::new, host::without_port),
    })
}

/// The value of `Host`. HTTP/1.0 does without, and HTTP/1.1 has exactly one (RFC 9112 §3.2).
fn host_line(request: &Parts) -> Result<Option<&str>, RequestError> {
    let mut hosts = request.headers.get_all(header::HOST).into_iter();
    let host = match (hosts.next(), hosts.count()) {
        (Some(host), 0) => host,
        (None, _) if request.version == Version::HTTP_10 => return Ok(None),
        (host, more) => return Err(RequestError::Hosts(usize::from(host.is_some()) + more)),
    };
    match host.to_str() {
        Ok(text) if host::is_valid(text.as_bytes()) => Ok(Some(text)),
        _ => Err(RequestError::BadHost),
    }
}

/// The target as a path with a query, out of origin-form or absolute-form (RFC 9112 §3.2).
fn origin_form(uri: &Uri, host: Option<&str>) -> Result<PathAndQuery, RequestError> {
    match (uri.scheme_str(), uri.authority()) {
        (None, None) => {}
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            if !host::is_valid(authority.as_str().as_bytes())
                || host.is_some_and(|host| !host::same(authority.as_str(), host, scheme))
            {
                return Err(RequestError::OtherAuthority);
            }
        }
        _ => return Err(RequestError::TargetForm),
    }
    let target = uri.path_and_query().ok_or(RequestError::TargetForm)?;
    match target.as_str().as_bytes().first() {
        // `http://a.test#x` is shown as a slash and would be written as nothing at all.
        Some(b'/') if target.as_str() == "/" => Ok(PathAndQuery::from_static("/")),
        Some(b'/') => Ok(target.clone()),
        // `http://a.test?x`: an empty path is `/` (RFC 9112 §3.2.1).
        Some(b'?') if uri.scheme().is_some() => {
            PathAndQuery::try_from(format!("/{}", target.as_str()))
                .map_err(|_| RequestError::TargetForm)
        }
        _ => Err(RequestError::TargetForm),
    }
}

/// How the body of a request goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There is none.
    None,
    /// By its Content-Length.
    Length,
    /// In chunks.
    Chunked,
}

/// Whether a request may be retried: sent a second time, over another connection,
/// when the first was closed without a word of an answer: GET
/// and HEAD without a body (RFC 9110 §9.2.2), and no other, whose effect might happen twice.
pub fn may_be_repeated(method: &Method, framing: Framing) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && framing == Framing::None
}

/// What the upstream's head says of a request, beside the client's own fields.
pub(super) struct Outgoing<'a> {
    pub(super) asked: &'a Asked,
    pub(super) framing: Framing,
    /// From whom the upstream is told that the request came.
    pub(super) sender: Sender<'a>,
    pub(super) scheme: Scheme,
    /// What the upstream's `Host` is where the client names none: that of its own address.
    pub(super) own_host: &'a str,
}

/// Turns a client's head into an upstream's: the target, HTTP/1.1, no hop-by-hop field, and our own fields.
///
/// # Errors
/// `own_host` has bytes that no field may have.
pub(super) fn rewrite(
    request: &mut Parts,
    target: PathAndQuery,
    outgoing: &Outgoing<'_>,
) -> Result<(), RequestError> {
    let Outgoing {
        asked,
        framing,
        sender,
        scheme,
        own_host,
    } = *outgoing;
    if let Some(authority) = request.uri.authority() {
        // Where there is a Host too it says the same.
        add_host(&mut request.headers, authority.as_str())?;
    }
    request.uri = Uri::from(target);
    request.version = Version::HTTP_11;
    let headers = &mut request.headers;
    hop_by_hop::remove(headers);
    // wsgate answers `Expect` itself, so the upstream is not asked to.
    headers.remove(header::EXPECT);
    remove_underscored(headers);
    forwarded::write(headers, sender, scheme);
    add_host(headers, own_host)?;
    if framing == Framing::Chunked {
        // Hyper would otherwise send a GET without its body, which then reads as the next request.
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
    if let Asked::WebSocket(_) = asked {
        // It has no body, and needs no field to say so.
        headers.remove(header::CONTENT_LENGTH);
        upgrade::write(headers);
    }
    Ok(())
}

/// Writes `Host` where a request in HTTP/1.0 has none, in front of all other fields (RFC 9110 §7.2).
fn add_host(headers: &mut HeaderMap, host: &str) -> Result<(), RequestError> {
    if !headers.contains_key(header::HOST) {
        let host = HeaderValue::from_str(host).map_err(|_| RequestError::TargetForm)?;
        let others = std::mem::take(headers);
        headers.insert(header::HOST, host);
        headers.extend(others);
    }
    Ok(())
}

/// Writes a field of `set_headers`; an empty one is taken out, as in nginx.
///
/// # Errors
/// The target that a variable stood for has bytes that no field may have.
pub(super) fn set(
    headers: &mut HeaderMap,
    name: &HeaderName,
    value: &str,
) -> Result<(), RequestError> {
    if value.is_empty() {
        headers.remove(name);
        return Ok(());
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| RequestError::TargetForm)?;
    headers.insert(name, value);
    Ok(())
}

/// `X_Forwarded_For` reads as `X-Forwarded-For` behind CGI, WSGI and PHP; nginx drops such names too
/// (`underscores_in_headers off`).
fn remove_underscored(headers: &mut HeaderMap) {
    if headers.keys().any(|name| name.as_str().contains('_')) {
        let underscored: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().contains('_'))
            .cloned()
            .collect();
        for name in underscored {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;
    use http::Method;
    use http::Request;
    use http::StatusCode;
    use http::Uri;
    use http::Version;
    use http::header;
    use http::request::Parts;

    use crate::decision::request::Framing;
    use crate::decision::request::Outgoing;
    use crate::decision::request::RequestError;
    use crate::decision::request::check;
    use crate::decision::request::rewrite;
    use crate::headers::forwarded::Scheme;
    use crate::headers::forwarded::Sender;
    use crate::headers::upgrade::Asked;
    use crate::headers::upgrade::Body;

    fn parts(target: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn checked(target: &str, lines: &[(&str, &str)]) -> Result<String, RequestError> {
        let checked = check(&parts(target, lines), Body::None)?;
        Ok(Uri::from(checked.target).to_string()) // as an upstream gets it
    }

    #[test]
    fn exactly_one_valid_host_is_needed() {
        assert_eq!(checked("/x", &[]), Err(RequestError::Hosts(0)));
        assert_eq!(
            checked("/x", &[("host", "a"), ("host", "a")]),
            Err(RequestError::Hosts(2))
        );
        assert_eq!(
            checked("/x", &[("host", "a, b")]),
            Err(RequestError::BadHost)
        );
        assert_eq!(checked("/x?y", &[("host", "a")]), Ok("/x?y".into()));
    }

    #[test]
    fn http_1_0_needs_no_host_and_its_upstream_gets_one() {
        for (target, host, sent, told) in [
            ("/x", "", "own.test", None),
            (
                "http://A.test:80/x",
                "a.test",
                "A.test:80",
                Some("A.test:80"),
            ),
        ] {
            let mut request = parts(target, &[("x-first", "1")]);
            request.version = Version::HTTP_10;
            let checked = check(&request, Body::None).unwrap();
            assert_eq!(checked.host, host, "{target}");
            let outgoing = Outgoing {
                asked: &Asked::Nothing,
                framing: Framing::None,
                sender: Sender::Client(&HeaderValue::from_static("127.0.0.1")),
                scheme: Scheme::Http,
                own_host: "own.test",
            };
            rewrite(&mut request, checked.target, &outgoing).unwrap();
            let (name, value) = request.headers.iter().next().unwrap();
            assert_eq!((name.as_str(), value.as_bytes()), ("host", sent.as_bytes()));
            let forwarded = request.headers.get("x-forwarded-host");
            assert_eq!(forwarded.map(|value| value.to_str().unwrap()), told);
        }
        let mut request = parts("/x", &[("host", "a"), ("host", "a")]);
        request.version = Version::HTTP_10;
        assert_eq!(
            check(&request, Body::None).unwrap_err(),
            RequestError::Hosts(2)
        );
    }

    #[test]
    fn an_absolute_target_must_name_the_host() {
        assert_eq!(
            checked("http://A.test:80/x?y", &[("host", "a.test")]),
            Ok("/x?y".into())
        );
        assert_eq!(
            checked("http://a.test", &[("host", "a.test")]),
            Ok("/".into())
        );
        assert_eq!(
            checked("http://a.test#x", &[("host", "a.test")]),
            Ok("/".into())
        );
        assert_eq!(
            checked("http://a.test?y", &[("host", "a.test")]),
            Ok("/?y".into())
        );
        assert_eq!(
            checked("http://b.test/", &[("host", "a.test")]),
            Err(RequestError::OtherAuthority)
        );
        assert_eq!(
            checked("http://u@a.test/", &[("host", "a.test")]),
            Err(RequestError::OtherAuthority)
        );
        assert_eq!(
            checked("ftp://a.test/", &[("host", "a.test")]),
            Err(RequestError::TargetForm)
        );
        assert_eq!(
            checked("a.test:80", &[("host", "a.test")]),
            Err(RequestError::TargetForm)
        );
        assert_eq!(
            checked("*", &[("host", "a.test")]),
            Err(RequestError::TargetForm)
        );
    }

    #[test]
    fn connect_is_405_and_odd_transfer_codings_are_400() {
        let mut request = parts("/x", &[("host", "a")]);
        request.method = Method::CONNECT;
        assert_eq!(
            check(&request, Body::None).unwrap_err().status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
        for odd in ["gzip", "gzip, chunked", "chunked, chunked", "", "identity"] {
            let request = parts("/x", &[("host", "a"), ("transfer-encoding", odd)]);
            let error = check(&request, Body::Some).unwrap_err();
            assert!(matches!(error, RequestError::TransferCoding(_)), "{odd}");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{odd}");
        }
    }

    #[test]
    fn an_upgrade_request_has_no_length_though_it_came_with_one_of_nought() {
        let mut request = parts(
            "/",
            &[
                ("host", "a.test"),
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("content-length", "0"),
            ],
        );
        let asked = check(&request, Body::None).unwrap().asked;
        assert_ne!(asked, Asked::Nothing);
        rewrite(
            &mut request,
            "/".parse().unwrap(),
            &Outgoing {
                asked: &asked,
                framing: Framing::None,
                sender: Sender::Client(&HeaderValue::from_static("127.0.0.1")),
                scheme: Scheme::Http,
                own_host: "own.test",
            },
        )
        .unwrap();
        assert_eq!(request.headers.get(header::CONTENT_LENGTH), None);
        assert_eq!(request.headers[header::CONNECTION], "Upgrade");
    }

    #[test]
    fn a_polling_request_never_carries_connection_upgrade() {
        let mut request = parts(
            "/socket.io/?EIO=4&transport=polling",
            &[
                ("host", "a.test:8080"),
                ("connection", "Upgrade, x-one"),
                ("x-one", "1"),
                ("x_two", "2"),
                ("te", "trailers"),
            ],
        );
        request.version = Version::HTTP_10;
        let target = request.uri.path_and_query().unwrap().clone();
        rewrite(
            &mut request,
            target,
            &Outgoing {
                asked: &Asked::Nothing,
                framing: Framing::None,
                sender: Sender::Client(&HeaderValue::from_static("127.0.0.1")),
                scheme: Scheme::Http,
                own_host: "own.test",
            },
        )
        .unwrap();
        let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "host",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-real-ip"
            ]
        );
        assert_eq!(
            request.headers[header::HOST],
            HeaderValue::from_static("a.test:8080")
        );
        assert_eq!(request.version, Version::HTTP_11);
    }
}
