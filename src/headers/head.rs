//! Heads of messages as bytes: the two of an opening handshake, read where they came whole, and written with every name
//! as its sender spelled it.
//!
//! Hyper reads and writes all other heads, and these two too where they come in pieces or ask for more than a tunnel:
//! what is `None` here is no error, but a matter for it. The syntax is judged by the same parser as hyper's, so that both
//! ways take the same heads.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::request;
use http::response;
use httparse::Status;

use crate::headers::lists::has_member;

/// Lines of a head; hyper is told the same number, and answers one more with a 431.
pub const MAX_LINES: usize = 100;

/// A head, how its names were spelled, and how many bytes it had.
#[derive(Debug)]
pub struct Head<P> {
    /// What it says.
    pub parts: P,
    /// How it says it.
    pub names: Names,
    /// What follows it begins here.
    pub length: usize,
}

/// The names of a head's fields as they were written, in the order of its lines.
#[derive(Debug)]
pub struct Names(Vec<Bytes>);

impl Names {
    /// How this name was spelled on the line that had it for the `nth` time, if there was one.
    fn spelling(&self, name: &HeaderName, nth: usize) -> Option<&[u8]> {
        let name = name.as_str().as_bytes();
        self.0
            .iter()
            .filter(|written| written.eq_ignore_ascii_case(name))
            .nth(nth)
            .map(|written| &written[..])
    }
}

/// The head of a request that asks for a WebSocket and for nothing beside it: GET in HTTP/1.1 with a path for a target,
/// no body, and nobody who expects a 100. `None` for any other, or if it is not whole or no head at all.
pub fn read_upgrade(bytes: &Bytes) -> Option<Head<request::Parts>> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(Status::Complete(length)) = parsed.parse_with_uninit_headers(bytes, &mut lines) else {
        return None;
    };
    let target = parsed.path.filter(|target| target.starts_with('/'))?;
    if parsed.method != Some("GET") || parsed.version != Some(1) {
        return None;
    }
    let (headers, names) = fields(bytes, parsed.headers)?;
    let plain = has_member(&headers, header::CONNECTION, "upgrade")
        && has_member(&headers, header::UPGRADE, "websocket")
        && ![
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::EXPECT,
        ]
        .iter()
        .any(|name| headers.contains_key(name));
    if !plain {
        return None;
    }
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes())).ok()?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::GET;
    parts.uri = uri;
    parts.version = Version::HTTP_11;
    parts.headers = headers;
    Some(Head {
        parts,
        names,
        length,
    })
}

/// What the first bytes of an answer to an upgrade request are.
#[derive(Debug)]
pub enum Answer {
    /// They may become a 101.
    Partial,
    /// The whole head of a 101.
    Switching(Head<response::Parts>),
    /// Something else.
    Other,
}

/// Reads the first bytes of an answer.
pub fn read_switching(bytes: &Bytes) -> Answer {
    const BEGIN: &[u8] = b"HTTP/1.1 101";
    let common = bytes.len().min(BEGIN.len());
    if bytes[..common] != BEGIN[..common] {
        return Answer::Other;
    }
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut lines,
    );
    match read {
        Ok(Status::Partial) => Answer::Partial,
        Ok(Status::Complete(length)) if parsed.code == Some(101) => {
            let Some((headers, names)) = fields(bytes, parsed.headers) else {
                return Answer::Other;
            };
            let (mut parts, ()) = Response::new(()).into_parts();
            parts.status = StatusCode::SWITCHING_PROTOCOLS;
            parts.headers = headers;
            Answer::Switching(Head {
                parts,
                names,
                length,
            })
        }
        _ => Answer::Other,
    }
}

/// `None` where a name or a value has a byte that `http` does not take.
fn fields(bytes: &Bytes, lines: &[httparse::Header<'_>]) -> Option<(HeaderMap, Names)> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    let mut names = Vec::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        headers.append(name, value);
        names.push(bytes.slice_ref(line.name.as_bytes()));
    }
    Some((headers, Names(names)))
}

/// The head of a request, in origin-form.
pub fn write_request(parts: &request::Parts, names: &Names) -> Vec<u8> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(&mut head, &parts.headers, names);
    head
}

/// The head of a 101.
pub fn write_switching(parts: &response::Parts, names: &Names) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    write_fields(&mut head, &parts.headers, names);
    head
}

fn write_fields(head: &mut Vec<u8>, headers: &HeaderMap, names: &Names) {
    let mut last = None;
    let mut nth = 0;
    // Lines of one name stand together.
    for (name, value) in headers {
        nth = if last == Some(name) { nth + 1 } else { 0 };
        last = Some(name);
        match names.spelling(name, nth) {
            Some(spelling) => head.extend_from_slice(spelling),
            None => push_title_case(head, name),
        }
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

/// `x-forwarded-for` as `X-Forwarded-For`, as hyper does it.
fn push_title_case(head: &mut Vec<u8>, name: &HeaderName) {
    let mut first = true;
    for byte in name.as_str().bytes() {
        head.push(if first {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        first = byte == b'-';
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use proptest::prelude::*;

    use crate::headers::head::Answer;
    use crate::headers::head::read_switching;
    use crate::headers::head::read_upgrade;
    use crate::headers::head::write_request;
    use crate::headers::head::write_switching;

    const PLAIN: &str = "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nupGrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        X-oDD:  1 \r\nx-Odd: 2\r\n\r\n";

    #[test]
    fn a_head_is_written_as_it_was_spelled() {
        let bytes = Bytes::from(format!("{PLAIN}early"));
        let mut head = read_upgrade(&bytes).unwrap();
        assert_eq!(&bytes[head.length..], b"early");
        head.parts
            .headers
            .insert("x-real-ip", HeaderValue::from_static("127.0.0.1"));
        head.parts
            .headers
            .insert("x-forwarded-for", HeaderValue::from_static("::1"));
        assert_eq!(
            String::from_utf8(write_request(&head.parts, &head.names)).unwrap(),
            "GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nupGrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             X-oDD: 1\r\nx-Odd: 2\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-For: ::1\r\n\r\n"
        );
    }

    #[test]
    fn what_asks_for_more_than_a_tunnel_is_left_to_hyper() {
        let taken = |text: &str| read_upgrade(&Bytes::from(text.to_owned())).is_some();
        assert!(taken(PLAIN));
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
            assert!(!taken(&PLAIN.replace(from, to)), "{from} {to}");
        }
        let many = "X: 1\r\n".repeat(96);
        assert!(taken(
            &PLAIN.replace("Host: a\r\n", &format!("Host: a\r\n{}", &many[6..]))
        ));
        assert!(!taken(
            &PLAIN.replace("Host: a\r\n", &format!("Host: a\r\n{many}"))
        ));
    }

    #[test]
    fn a_101_is_known_from_its_first_bytes() {
        let whole =
            "HTTP/1.1 101 Any words\r\nUPGRADE: websocket\r\nsec-websocket-accept: x\r\n\r\n\u{81}";
        for length in 0..whole.len() {
            let read = read_switching(&Bytes::copy_from_slice(&whole.as_bytes()[..length]));
            match read {
                Answer::Partial => assert!(length < whole.len() - 2, "{length}"),
                Answer::Switching(head) => {
                    assert_eq!(head.length, whole.len() - 2);
                    assert_eq!(
                        write_switching(&head.parts, &head.names),
                        b"HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nsec-websocket-accept: x\r\n\r\n"
                    );
                }
                Answer::Other => panic!("{length}"),
            }
        }
        for other in [
            "HTTP/1.0 101 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 1010 x\r\n\r\n",
            "HTTP/1.1 101 x\r\nA : b\r\n\r\n",
            "GET",
        ] {
            let read = read_switching(&Bytes::from_static(other.as_bytes()));
            assert!(matches!(read, Answer::Other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = (read_upgrade(&bytes), read_switching(&bytes));
        }

        #[test]
        fn what_was_written_is_read_again(
            lines in prop::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,8}", "[!-~]([ -~]{0,8}[!-~])?"), 0..12),
        ) {
            let mut text = PLAIN.strip_suffix("\r\n").unwrap().to_owned();
            for (name, value) in &lines {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let Some(head) = read_upgrade(&Bytes::from(text)) else {
                // One of the names was that of a body.
                prop_assert!(lines.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect")));
                return Ok(());
            };
            let again = Bytes::from(write_request(&head.parts, &head.names));
            let again = read_upgrade(&again).unwrap();
            prop_assert_eq!(&again.parts.headers, &head.parts.headers);
            prop_assert_eq!(again.parts.uri, head.parts.uri);
        }
    }
}
