//! Answers as bytes: a 101, and any other that is complete in a buffer.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::response::Parts;
use httparse::ParserConfig;
use httparse::Status;

use crate::headers::hop_by_hop;
use crate::headers::spelling::Spelling;
use crate::http1::FieldNames;
use crate::http1::Head;
use crate::http1::MAX_LINES;
use crate::http1::Names;
use crate::http1::digits;
use crate::http1::fields;
use crate::http1::write_fields;

/// What the first bytes of an answer are.
#[derive(Debug)]
pub enum AnswerState<A> {
    /// There is no complete head yet.
    HeadMissing,
    /// The head can go on as bytes; part of the body is missing.
    BodyMissing,
    /// A complete answer.
    Complete(A),
    /// An answer that hyper has to read.
    ForHyper,
}

/// Reads the first bytes of an answer to an upgrade request: only a 101 is read here.
pub fn read_switching(bytes: &Bytes) -> AnswerState<Head<Parts>> {
    const BEGIN: &[u8] = b"HTTP/1.1 101";
    let common = bytes.len().min(BEGIN.len());
    if bytes[..common] != BEGIN[..common] {
        return AnswerState::ForHyper;
    }
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match parse(&mut parsed, bytes, &mut lines) {
        AnswerState::Complete(length) if parsed.code == Some(101) => length,
        AnswerState::HeadMissing => return AnswerState::HeadMissing,
        _ => return AnswerState::ForHyper,
    };
    let Some((headers, names)) = fields(bytes, parsed.headers) else {
        return AnswerState::ForHyper;
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    parts.headers = headers;
    AnswerState::Complete(Head {
        parts,
        names,
        length,
    })
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct BufferedAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its head as it goes on, without the empty line: all but what concerned the connection that it came over.
    head: Vec<u8>,
    /// Its body.
    pub body: Bytes,
    /// What becomes of the connection that it came over.
    pub persistence: Persistence,
}

/// What becomes of a connection behind an answer (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// It takes another request, and the answer says nothing of it.
    KeepAlive,
    /// It is closed, and the answer says so.
    Close,
}

impl BufferedAnswer {
    /// The value of its first line of this name.
    pub fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        let name = name.as_str().as_bytes();
        self.head.split(|byte| *byte == b'\n').find_map(|line| {
            let (found, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
        })
    }

    /// Changes the lines of its head: each becomes what `change` says of its name and its value.
    pub fn change_lines(&mut self, change: impl Fn(&[u8], &[u8]) -> LineBecomes) {
        let mut changed = Vec::with_capacity(self.head.len() + 64);
        let mut lines = self.head.split_inclusive(|byte| *byte == b'\n');
        changed.extend_from_slice(lines.next().unwrap_or_default());
        for line in lines {
            // Each line was written here with a colon, a space and a line end.
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
            let name = &line[..colon];
            match change(
                name,
                line[colon..]
                    .trim_ascii()
                    .get(1..)
                    .unwrap_or_default()
                    .trim_ascii(),
            ) {
                LineBecomes::Itself => changed.extend_from_slice(line),
                LineBecomes::Nothing => {}
                LineBecomes::Value(value) => write_line(&mut changed, name, value.as_bytes()),
            }
        }
        self.head = changed;
    }

    /// Adds a line to its head.
    pub fn add_line(&mut self, name: &str, value: &HeaderValue) {
        write_line(&mut self.head, name.as_bytes(), value.as_bytes());
    }

    /// What goes on: one message.
    pub fn message(mut self, persistence: Persistence) -> Vec<u8> {
        if persistence == Persistence::Close {
            self.head.extend_from_slice(b"Connection: close\r\n");
        }
        self.head.extend_from_slice(b"\r\n");
        self.head.extend_from_slice(&self.body);
        self.head
    }
}

/// What becomes of a line of an answer's head.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LineBecomes {
    /// It goes on as it is.
    Itself,
    /// It does not go on.
    Nothing,
    /// It goes on with this value.
    Value(HeaderValue),
}

/// Reads the first bytes of an answer to another request than HEAD: in HTTP/1.1, with a body by one Content-Length, and
/// with no other word on its connection than whether it goes on.
pub fn read_answer(bytes: &Bytes) -> AnswerState<BufferedAnswer> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match parse(&mut parsed, bytes, &mut lines) {
        AnswerState::Complete(length) => length,
        AnswerState::HeadMissing => return AnswerState::HeadMissing,
        AnswerState::BodyMissing | AnswerState::ForHyper => return AnswerState::ForHyper,
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let Some(status) = status.filter(|status| !has_own_rules(*status)) else {
        return AnswerState::ForHyper;
    };
    let mut head = Vec::with_capacity(bytes.len() + 64);
    write_status(&mut head, status, parsed.reason.unwrap_or_default());
    let Some((body, persistence)) = pass_lines(parsed.headers, &mut head) else {
        return AnswerState::ForHyper;
    };
    let rest = bytes.len() - length;
    if rest < body {
        return AnswerState::BodyMissing;
    }
    AnswerState::Complete(BufferedAnswer {
        status,
        head,
        body: bytes.slice(length..length + body),
        // Bytes that nobody asked for must not answer the next request.
        persistence: if rest == body {
            persistence
        } else {
            Persistence::Close
        },
    })
}

/// Whether hyper must read an answer of this status: one that is interim, has no body, or asks for an upgrade.
fn has_own_rules(status: StatusCode) -> bool {
    status.is_informational()
        || [
            StatusCode::NO_CONTENT,
            StatusCode::NOT_MODIFIED,
            StatusCode::UPGRADE_REQUIRED,
        ]
        .contains(&status)
}

/// Writes to `head` the lines that the client gets; returns the length of the body, and what becomes of the connection.
/// `None` if hyper must read the answer.
fn pass_lines(lines: &[httparse::Header<'_>], head: &mut Vec<u8>) -> Option<(usize, Persistence)> {
    let mut body = None;
    let mut persistence = Persistence::KeepAlive;
    for line in lines {
        if line.name.eq_ignore_ascii_case("connection") {
            for member in line.value.split(|byte| *byte == b',') {
                let member = member.trim_ascii();
                if member.eq_ignore_ascii_case(b"close") {
                    persistence = Persistence::Close;
                } else if !member.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            }
            continue;
        }
        if line.name.eq_ignore_ascii_case("keep-alive") {
            continue;
        }
        if hop_by_hop::is_one(line.name) {
            return None;
        }
        if line.name.eq_ignore_ascii_case("content-length")
            && body.replace(digits(line.value)?).is_some()
        {
            return None;
        }
        write_line(head, line.name.as_bytes(), line.value);
    }
    Some((body?, persistence))
}

/// Reads a head in HTTP/1.1; returns its length.
fn parse<'h, 'b>(
    parsed: &mut httparse::Response<'h, 'b>,
    bytes: &'b [u8],
    lines: &'h mut [MaybeUninit<httparse::Header<'b>>],
) -> AnswerState<usize> {
    match ParserConfig::default().parse_response_with_uninit_headers(parsed, bytes, lines) {
        Ok(Status::Partial) => AnswerState::HeadMissing,
        Ok(Status::Complete(length)) if parsed.version == Some(1) => AnswerState::Complete(length),
        Ok(Status::Complete(_)) | Err(_) => AnswerState::ForHyper,
    }
}

/// The head of a 101.
pub fn write_switching(parts: &Parts, names: &FieldNames) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    let status = StatusCode::SWITCHING_PROTOCOLS;
    write_status(&mut head, status, "Switching Protocols");
    let names = Names {
        sent: names,
        written: &Spelling::default(),
    };
    write_fields(&mut head, &parts.headers, &names, b": ");
    head
}

fn write_line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn write_status(head: &mut Vec<u8>, status: StatusCode, reason: &str) {
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(reason.as_bytes());
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use http::HeaderName;
    use proptest::prelude::*;

    use crate::http1::AnswerState;
    use crate::http1::Persistence;
    use crate::http1::read_answer;
    use crate::http1::read_switching;
    use crate::http1::write_switching;

    #[test]
    fn a_101_is_known_from_its_first_bytes() {
        let whole =
            "HTTP/1.1 101 Any words\r\nUPGRADE: websocket\r\nsec-websocket-accept: x\r\n\r\n\u{81}";
        for length in 0..whole.len() {
            let read = read_switching(&Bytes::copy_from_slice(&whole.as_bytes()[..length]));
            match read {
                AnswerState::HeadMissing => assert!(length < whole.len() - 2, "{length}"),
                AnswerState::Complete(head) => {
                    assert_eq!(head.length, whole.len() - 2);
                    assert_eq!(
                        write_switching(&head.parts, &head.names),
                        b"HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nsec-websocket-accept: x\r\n\r\n"
                    );
                }
                AnswerState::BodyMissing | AnswerState::ForHyper => panic!("{length}"),
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
            assert!(matches!(read, AnswerState::ForHyper), "{other}");
        }
    }

    const OK: &str = "HTTP/1.1 200 Fine by me\r\nset-COOKIE: a\r\nContent-Length: 4\r\nSet-Cookie: b\r\n\r\nbody";

    #[test]
    fn an_answer_is_whole_with_the_last_byte_of_its_body() {
        for length in 0..OK.len() {
            let read = read_answer(&Bytes::from_static(&OK.as_bytes()[..length]));
            match read {
                AnswerState::HeadMissing => assert!(length < OK.len() - 4, "{length}"),
                AnswerState::BodyMissing => assert!(length >= OK.len() - 4, "{length}"),
                AnswerState::Complete(_) | AnswerState::ForHyper => panic!("{length}"),
            }
        }
        for more in ["", "HTTP/1.1"] {
            let AnswerState::Complete(answer) = read_answer(&Bytes::from(format!("{OK}{more}")))
            else {
                panic!("{more}");
            };
            assert_eq!(&answer.body[..], b"body");
            assert_eq!(
                answer.persistence == Persistence::KeepAlive,
                more.is_empty()
            );
            let message = String::from_utf8(answer.message(Persistence::KeepAlive)).unwrap();
            assert_eq!(message, OK);
        }
    }

    #[test]
    fn what_concerns_one_connection_does_not_go_on() {
        for (line, goes_on) in [
            ("Connection: keep-alive", true),
            ("Keep-Alive: timeout=5\r\nCONNECTION: Keep-Alive", true),
            ("connection: Close", false),
            ("Connection: keep-alive, close", false),
            ("Connection: close\r\nConnection: keep-alive", false),
        ] {
            let text = OK.replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
            let AnswerState::Complete(answer) = read_answer(&Bytes::from(text)) else {
                panic!("{line}");
            };
            assert_eq!(
                answer.persistence == Persistence::KeepAlive,
                goes_on,
                "{line}"
            );
            let message = String::from_utf8(answer.message(Persistence::Close)).unwrap();
            let closes = OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            assert_eq!(message, closes, "{line}");
        }
    }

    /// Hyper reads names with both.
    #[test]
    fn the_parser_takes_the_names_that_http_takes() {
        for byte in 0..=u8::MAX {
            let mut text = OK.as_bytes().to_vec();
            let at = OK.find("COOKIE").unwrap();
            text[at] = byte;
            let whole = matches!(read_answer(&Bytes::from(text)), AnswerState::Complete(_));
            let name = [b"set-", &[byte][..], b"OOKIE"].concat();
            // A colon ends the name.
            assert_eq!(
                whole,
                HeaderName::from_bytes(&name).is_ok() || byte == b':',
                "{byte}"
            );
        }
    }

    #[test]
    fn what_is_no_plain_answer_is_left_to_hyper() {
        for (from, to) in [
            ("200", "100"),
            ("200", "103"),
            ("200", "204"),
            ("200", "304"),
            ("200", "426"),
            ("200", "2000"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Content-Length", "X-Length"),
            ("Content-Length: 4", "Content-Length: 4, 4"),
            (
                "Content-Length: 4",
                "Content-Length: 4\r\nContent-Length: 4",
            ),
            ("Content-Length: 4", "Content-Length: -4"),
            ("Content-Length: 4", "Content-Length: 4\r\nConnection: x-a"),
            ("Content-Length: 4", "Content-Length: 4\r\nConnection:"),
            ("Content-Length: 4", "Content-Length: 4\r\nUpgrade: h2c"),
            ("Content-Length: 4", "Content-Length: 4\r\nTrailer: x"),
            (
                "Content-Length: 4",
                "Content-Length: 4\r\nTransfer-Encoding: chunked",
            ),
            ("Content-Length: 4", "Transfer-Encoding: chunked"),
            ("Content-Length: 4", "Content-Length: 4\r\nA : b"),
        ] {
            let read = read_answer(&Bytes::from(OK.replacen(from, to, 1)));
            assert!(matches!(read, AnswerState::ForHyper), "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = (read_answer(&bytes), read_switching(&bytes));
        }
    }
}
