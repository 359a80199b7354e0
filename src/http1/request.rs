//! Heads of requests as bytes.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Uri;
use http::Version;
use http::header;
use http::request::Parts;
use httparse::Status;

use crate::headers::lists::has_member;
use crate::headers::spelling::Spelling;
use crate::headers::upgrade::names_websocket;
use crate::http1::FieldNames;
use crate::http1::Head;
use crate::http1::MAX_LINES;
use crate::http1::Names;
use crate::http1::fields;
use crate::http1::one_length;
use crate::http1::write_fields;

/// What a request asks for, of those that are read here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestPurpose {
    /// A WebSocket and nothing beside it. It has no body.
    Upgrade,
    /// An answer, after which the connection goes on. The number is its Content-Length, `None` if it has no such field.
    Ordinary(Option<usize>),
}

/// The head of a request that clients of WebSockets send: GET or POST in HTTP/1.1 with a path for a target, a body only
/// with one Content-Length, and nobody who expects a 100 or the end of the connection. `None` for any other, or if it is
/// not whole or no head at all.
pub fn read_request(bytes: &Bytes) -> Option<(Head<Parts>, RequestPurpose)> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(Status::Complete(length)) = parsed.parse_with_uninit_headers(bytes, &mut lines) else {
        return None;
    };
    let target = parsed.path.filter(|target| target.starts_with('/'))?;
    let method = match parsed.method {
        Some("GET") => Method::GET,
        Some("POST") => Method::POST,
        _ => return None,
    };
    if parsed.version != Some(1) {
        return None;
    }
    let (headers, names) = fields(bytes, parsed.headers)?;
    let asks = asks(&method, &headers)?;
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes())).ok()?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = Version::HTTP_11;
    parts.headers = headers;
    let head = Head {
        parts,
        names,
        length,
    };
    Some((head, asks))
}

fn asks(method: &Method, headers: &HeaderMap) -> Option<RequestPurpose> {
    if headers.contains_key(header::TRANSFER_ENCODING) || headers.contains_key(header::EXPECT) {
        return None;
    }
    let length = one_length(headers)?;
    if headers.contains_key(header::UPGRADE) {
        let tunnel = *method == Method::GET && length.is_none() && names_websocket(headers);
        return tunnel.then_some(RequestPurpose::Upgrade);
    }
    let answer = match *method {
        Method::GET => length.is_none(),
        _ => length.is_some(),
    };
    let goes_on = !has_member(headers, header::CONNECTION, "close");
    (answer && goes_on).then_some(RequestPurpose::Ordinary(length))
}

/// The head of a request, in origin-form. Its names are spelled as in `written`, all others as their sender spelled them.
pub fn write_request(parts: &Parts, names: &FieldNames, written: &Spelling) -> Vec<u8> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    // As hyper writes it in a request.
    let names = Names {
        sent: names,
        written,
    };
    write_fields(&mut head, &parts.headers, &names, b":");
    head
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use proptest::prelude::*;

    use crate::headers::spelling::Spelling;
    use crate::http1::RequestPurpose;
    use crate::http1::read_request;
    use crate::http1::write_request;

    const UPGRADE: &str = "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nupGrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        X-oDD:  1 \r\nx-Odd: 2\r\n\r\n";
    const POLL: &str = "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";

    fn asks(text: &str) -> Option<RequestPurpose> {
        read_request(&Bytes::from(text.to_owned())).map(|(_, asks)| asks)
    }

    #[test]
    fn a_head_is_written_as_it_was_spelled() {
        let bytes = Bytes::from(format!("{UPGRADE}early"));
        let (mut head, asks) = read_request(&bytes).unwrap();
        assert_eq!(asks, RequestPurpose::Upgrade);
        assert_eq!(&bytes[head.length..], b"early");
        head.parts
            .headers
            .insert("x-real-ip", HeaderValue::from_static("127.0.0.1"));
        head.parts
            .headers
            .insert("x-forwarded-for", HeaderValue::from_static("::1"));
        assert_eq!(
            String::from_utf8(write_request(
                &head.parts,
                &head.names,
                &Spelling::default()
            ))
            .unwrap(),
            "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nupGrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             X-oDD: 1\r\nx-Odd: 2\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-For: ::1\r\n\r\n"
        );
    }

    #[test]
    fn what_the_route_writes_is_spelled_as_the_route_spells_it() {
        let bytes =
            Bytes::from_static(b"GET / HTTP/1.1\r\nHost: a\r\nx-api-key: 1\r\nx-b: 2\r\n\r\n");
        let (mut head, _) = read_request(&bytes).unwrap();
        head.parts
            .headers
            .insert("client_ip", HeaderValue::from_static("::1"));
        let names = ["X-API-KEY", "CLIENT_IP", "X-Gone"];
        let written: Spelling = names.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(
            String::from_utf8(write_request(&head.parts, &head.names, &written)).unwrap(),
            "GET / HTTP/1.1\r\nHost: a\r\nX-API-KEY: 1\r\nx-b: 2\r\nCLIENT_IP: ::1\r\n\r\n"
        );
    }

    #[test]
    fn what_asks_for_more_than_a_tunnel_is_left_to_hyper() {
        for (from, to) in [
            ("GET", "POST"),
            ("GET /a", "GET http://a/a"),
            ("GET /a", "GET *"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Host: a\r\n", "Host: a\r\nContent-Length: 0\r\n"),
            ("Host: a\r\n", "Host: a\r\nTransfer-Encoding: chunked\r\n"),
            ("Host: a\r\n", "Host: a\r\nExpect: 100-continue\r\n"),
            ("websocket", "h2c"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("X-oDD", "X-oDD "),
            ("X-oDD:  1", "X-oDD:  1\0"),
            ("X-oDD:  1", "X-oDD:  1\r\n folded"),
            ("\r\n\r\n", "\r\n"),
        ] {
            assert_eq!(asks(&UPGRADE.replace(from, to)), None, "{from} {to}");
        }
        let many = "X: 1\r\n".repeat(96);
        let with = |lines: &str| UPGRADE.replace("Host: a\r\n", &format!("Host: a\r\n{lines}"));
        assert_eq!(asks(&with(&many[6..])), Some(RequestPurpose::Upgrade));
        assert_eq!(asks(&with(&many)), None);
    }

    #[test]
    fn what_asks_for_more_than_an_answer_is_left_to_hyper() {
        assert_eq!(asks(POLL), Some(RequestPurpose::Ordinary(None)));
        let post = |lines: &str| {
            POLL.replace("GET", "POST")
                .replace("Host: a\r\n", &format!("Host: a\r\n{lines}"))
        };
        let answer = |length| Some(RequestPurpose::Ordinary(Some(length)));
        assert_eq!(asks(&post("Content-Length: 0\r\n")), answer(0));
        assert_eq!(asks(&post("content-length: 12\r\n")), answer(12));
        for lines in [
            "",
            "Content-Length: +1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nExpect: 100-continue\r\n",
            "Content-Length: 1\r\nUpgrade: h2c\r\n",
        ] {
            assert_eq!(asks(&post(lines)), None, "{lines}");
        }
        for (from, to) in [
            ("GET", "HEAD"),
            ("GET", "DELETE"),
            ("GET /a", "GET http://a/a"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("keep-alive", "Close"),
            ("keep-alive", "x\r\nConnection: y, close"),
            ("Host: a\r\n", "Host: a\r\nContent-Length: 0\r\n"),
            ("Host: a\r\n", "Host: a\r\nUpgrade: websocket\r\n"),
        ] {
            assert_eq!(asks(&POLL.replace(from, to)), None, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_request(&Bytes::from(bytes));
        }

        #[test]
        fn what_was_written_is_read_again(
            lines in prop::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,8}", "[!-~]([ -~]{0,8}[!-~])?"), 0..12),
        ) {
            let mut text = UPGRADE.strip_suffix("\r\n").unwrap().to_owned();
            for (name, value) in &lines {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let Some((head, _)) = read_request(&Bytes::from(text)) else {
                // One of the names was that of a body.
                prop_assert!(lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect")));
                return Ok(());
            };
            let again = Bytes::from(write_request(&head.parts, &head.names, &Spelling::default()));
            let (again, _) = read_request(&again).unwrap();
            prop_assert_eq!(&again.parts.headers, &head.parts.headers);
            prop_assert_eq!(again.parts.uri, head.parts.uri);
        }
    }
}
