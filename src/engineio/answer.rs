//! Reads the answer to an Engine.IO handshake, over HTTP and in a WebSocket.

use std::fmt;

use serde_json::Value;

use crate::engineio::Protocol;
use crate::engineio::frame::Frame;

/// A server's answer to an Engine.IO handshake.
#[derive(Clone, Debug, PartialEq)]
pub enum HandshakeAnswer {
    /// The server opens a session.
    Open(Open),
    /// The server speaks Engine.IO, and refuses.
    Refused(RefusedCode),
    /// The answer is not one of Engine.IO.
    Other,
}

/// The open packet, in which the server tells its client about the session. Its `sid` is left out, since it is all that
/// one needs to be that client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// The protocol in whose framing it came; `None` over WebSocket, where the framing does not show it.
    pub framed_as: Option<Protocol>,
    /// Milliseconds between two pings.
    pub ping_interval_ms: Option<u64>,
    /// Milliseconds in which the other side must answer a ping.
    pub ping_timeout_ms: Option<u64>,
    /// The transports to which the client may change.
    pub upgrades: Vec<String>,
    /// How many bytes one message may have, which servers tell since Socket.IO 4.5.
    pub max_payload: Option<u64>,
}

/// Why an Engine.IO server refuses (the table `errorMessages` of engine.io).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefusedCode {
    /// Code 0: the server does not speak this transport, or the query names none.
    TransportUnknown,
    /// Code 1: the server has no such session.
    SessionUnknown,
    /// Code 2: the handshake is no GET.
    BadHandshakeMethod,
    /// Code 3: the request is wrong in another way, or the session cannot be upgraded to the transport.
    BadRequest,
    /// Code 4: the server's `allowRequest` refuses the client, in these words.
    Forbidden(String),
    /// Code 5: the client speaks EIO=3, and the server is of version 4 and without `allowEIO3`.
    UnsupportedProtocol,
    /// A code of a later version, and its words.
    Other(u64, String),
}

impl RefusedCode {
    fn new(code: u64, message: &str) -> Self {
        match code {
            0 => Self::TransportUnknown,
            1 => Self::SessionUnknown,
            2 => Self::BadHandshakeMethod,
            3 => Self::BadRequest,
            4 => Self::Forbidden(message.to_owned()),
            5 => Self::UnsupportedProtocol,
            code => Self::Other(code, message.to_owned()),
        }
    }

    /// The code for the text of a refused upgrade, which has no number.
    fn from_text(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "Transport unknown" => Self::TransportUnknown,
            "Session ID unknown" => Self::SessionUnknown,
            "Bad handshake method" => Self::BadHandshakeMethod,
            "Bad request" => Self::BadRequest,
            "Forbidden" => Self::Forbidden("Forbidden".to_owned()),
            "Unsupported protocol version" => Self::UnsupportedProtocol,
            _ => return None,
        })
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::TransportUnknown => Some(
                "the server's option `transports` leaves this one out; the client's `transports` must name one of \
                 those that are left",
            ),
            Self::UnsupportedProtocol => Some(
                "the server is of version 3 or 4 and was not started with `allowEIO3: true`: set that, or use a client \
                 of version 3 or 4",
            ),
            Self::Forbidden(_) => Some("the server's `allowRequest` decides"),
            Self::SessionUnknown
            | Self::BadHandshakeMethod
            | Self::BadRequest
            | Self::Other(..) => None,
        }
    }
}

impl fmt::Display for RefusedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransportUnknown => f.write_str("it does not speak this transport (code 0)"),
            Self::SessionUnknown => f.write_str("it knows no such session (code 1)"),
            Self::BadHandshakeMethod => f.write_str("a handshake must be a GET (code 2)"),
            Self::BadRequest => f.write_str("bad request (code 3)"),
            Self::Forbidden(words) => write!(f, "forbidden (code 4): {words}"),
            Self::UnsupportedProtocol => {
                f.write_str("it does not speak this client's protocol (code 5)")
            }
            Self::Other(code, words) => write!(f, "code {code}: {words}"),
        }
    }
}

/// Reads the body of the answer to a polling handshake.
pub fn read_polling(body: &[u8]) -> HandshakeAnswer {
    if let Some(packet) = first_in_binary(body) {
        let open = packet
            .strip_prefix("0")
            .and_then(|json| open(json, Some(Protocol::V3)));
        return open.map_or(HandshakeAnswer::Other, HandshakeAnswer::Open);
    }
    let Ok(text) = str::from_utf8(body) else {
        return HandshakeAnswer::Other;
    };
    if let Some(open) = text.strip_prefix('0').and_then(|json| {
        let packet = json.split('\u{1e}').next().unwrap_or_default();
        open(packet, Some(Protocol::V4))
    }) {
        return HandshakeAnswer::Open(open);
    }
    // Version 3 writes before each packet how many characters it has.
    if let Some((length, rest)) = text.split_once(':')
        && let Ok(length) = length.parse::<usize>()
    {
        let packet: String = rest.chars().take(length).collect();
        let open = packet
            .strip_prefix('0')
            .and_then(|json| open(json, Some(Protocol::V3)));
        return open.map_or(HandshakeAnswer::Other, HandshakeAnswer::Open);
    }
    refusal(text).map_or(HandshakeAnswer::Other, HandshakeAnswer::Refused)
}

/// The first packet of an answer over HTTP, in the framing of either version; behind it there may be more.
pub(super) fn first_packet(body: &[u8]) -> Option<&str> {
    if let Some(packet) = first_in_binary(body) {
        return Some(packet);
    }
    let text = str::from_utf8(body).ok()?;
    match text.split_once(':') {
        Some((length, packet)) if length.parse::<usize>().is_ok() => Some(packet),
        _ => Some(text),
    }
}

/// Reads the first bytes that a server sent in a WebSocket. `None` if more are needed.
///
/// It also reads an HTTP answer where a frame should be, which a version 4 server without `allowEIO3` sends there to a
/// client of version 3.
pub fn read_stream(bytes: &[u8]) -> Option<HandshakeAnswer> {
    if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 ") {
        let text = String::from_utf8_lossy(rest);
        let (head, body) = text.split_once("\r\n\r\n")?;
        return match refusal(body) {
            Some(code) => Some(HandshakeAnswer::Refused(code)),
            None if body.is_empty() || body.len() < promised(head) => None,
            None => Some(HandshakeAnswer::Other),
        };
    }
    if b"HTTP/1.1 ".starts_with(bytes) {
        return None;
    }
    match Frame::read(bytes)? {
        Frame::Text { payload, .. } => {
            Some(in_frame(payload).map_or(HandshakeAnswer::Other, HandshakeAnswer::Open))
        }
        Frame::Binary | Frame::Other => Some(HandshakeAnswer::Other),
    }
}

/// The length of a body by the head before it; 0 if that has none.
fn promised(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, value)| value.trim().parse().unwrap_or(0))
}

/// The open packet, if the payload of a text frame is one.
pub(super) fn in_frame(payload: &[u8]) -> Option<Open> {
    let json = str::from_utf8(payload).ok()?.strip_prefix('0')?;
    open(json, None)
}

/// The first packet of a body in the binary framing of version 3, in which a server of Socket.IO 1 answers a client
/// that did not ask for base64: 0 for text, each digit of the length as a byte, 255, the packet.
fn first_in_binary(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(&[0])?;
    let end = rest.iter().take(10).position(|byte| *byte == 0xff)?;
    let length = rest[..end].iter().try_fold(0_usize, |length, digit| {
        (*digit < 10).then_some(length.checked_mul(10)? + usize::from(*digit))
    })?;
    str::from_utf8(rest[end + 1..].get(..length)?).ok()
}

/// Reads the JSON of an open packet.
fn open(json: &str, framed_as: Option<Protocol>) -> Option<Open> {
    let value: Value = serde_json::from_str(json).ok()?;
    value.get("sid")?.as_str()?;
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let upgrades = value.get("upgrades").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Open {
        framed_as,
        ping_interval_ms: number("pingInterval"),
        ping_timeout_ms: number("pingTimeout"),
        upgrades: upgrades.into_iter().flatten().filter_map(text).collect(),
        max_payload: number("maxPayload"),
    })
}

/// Reads the text of a refusal, which is JSON or a message alone.
pub(super) fn refusal(text: &str) -> Option<RefusedCode> {
    if let Some(code) = RefusedCode::from_text(text) {
        return Some(code);
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let message = value.get("message")?.as_str()?;
    let code = value.get("code")?;
    // socketioxide writes its number as a text.
    let in_text = || code.as_str()?.parse().ok();
    Some(RefusedCode::new(code.as_u64().or_else(in_text)?, message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::engineio::HandshakeAnswer;
    use crate::engineio::Protocol;
    use crate::engineio::RefusedCode;
    use crate::engineio::read_polling;
    use crate::engineio::read_stream;

    const V4: &str = r#"0{"sid":"kkRumerAWARXZW80AAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

    fn opened(
        answer: HandshakeAnswer,
    ) -> (Option<Protocol>, Option<u64>, Option<u64>, Vec<String>) {
        let HandshakeAnswer::Open(open) = answer else {
            panic!("{answer:?} is no open packet");
        };
        (
            open.framed_as,
            open.ping_interval_ms,
            open.ping_timeout_ms,
            open.upgrades,
        )
    }

    #[test]
    fn the_open_packets_of_both_versions_are_read() {
        let told = (Some(25000), Some(20000), vec!["websocket".to_owned()]);
        let (framed_as, interval, timeout, upgrades) = opened(read_polling(V4.as_bytes()));
        assert_eq!((interval, timeout, upgrades), told);
        assert_eq!(framed_as, Some(Protocol::V4));
        let v3 = r#"97:0{"sid":"kkRumerAWARXZW80AAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}2:40"#;
        let (framed_as, interval, timeout, upgrades) = opened(read_polling(v3.as_bytes()));
        assert_eq!((interval, timeout, &upgrades), (told.0, told.1, &told.2));
        assert_eq!(framed_as, Some(Protocol::V3));
        let packet = &v3.as_bytes()[3..100];
        let binary = [b"\0\x09\x07\xff", packet, b"\0\x02\xff40"].concat();
        let (framed_as, interval, timeout, upgrades) = opened(read_polling(&binary));
        assert_eq!((interval, timeout, upgrades), told);
        assert_eq!(framed_as, Some(Protocol::V3));
        for cut in 0..101 {
            assert_eq!(
                read_polling(&binary[..cut]),
                HandshakeAnswer::Other,
                "{cut}"
            );
        }
    }

    #[test]
    fn the_first_frame_in_a_websocket_is_read_when_it_is_whole() {
        let mut frame = vec![0x81, u8::try_from(V4.len()).unwrap()];
        frame.extend_from_slice(V4.as_bytes());
        for end in 0..frame.len() {
            assert_eq!(read_stream(&frame[..end]), None, "{end}");
        }
        let (framed_as, interval, ..) = opened(read_stream(&frame).unwrap());
        assert_eq!((framed_as, interval), (None, Some(25000)));
    }

    #[test]
    fn refusals_are_told_apart_in_all_three_places() {
        assert_eq!(
            read_polling(br#"{"code":5,"message":"Unsupported protocol version"}"#),
            HandshakeAnswer::Refused(RefusedCode::UnsupportedProtocol)
        );
        assert_eq!(
            read_polling(br#"{"code":0,"message":"Transport unknown"}"#),
            HandshakeAnswer::Refused(RefusedCode::TransportUnknown)
        );
        assert_eq!(
            read_polling(b"Session ID unknown"),
            HandshakeAnswer::Refused(RefusedCode::SessionUnknown)
        );
        assert_eq!(
            read_polling(br#"{"code":"5","message":"Unsupported protocol version"}"#),
            HandshakeAnswer::Refused(RefusedCode::UnsupportedProtocol)
        );
        let in_the_stream =
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
            Content-Length: 28\r\n\r\nUnsupported protocol version";
        assert_eq!(
            read_stream(in_the_stream),
            Some(HandshakeAnswer::Refused(RefusedCode::UnsupportedProtocol))
        );
        for end in 0..in_the_stream.len() {
            assert_eq!(read_stream(&in_the_stream[..end]), None, "{end}");
        }
    }

    #[test]
    fn pages_and_other_frames_are_something_else() {
        for body in [
            "",
            "<!doctype html>",
            "ok",
            "0{}",
            "3:0{}",
            "{\"code\":5}",
            "1:2",
        ] {
            assert_eq!(
                read_polling(body.as_bytes()),
                HandshakeAnswer::Other,
                "{body}"
            );
        }
        assert_eq!(read_stream(b"\x82\x01x"), Some(HandshakeAnswer::Other));
        assert_eq!(read_stream(b"\x81\x02hi"), Some(HandshakeAnswer::Other));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[0-9]{0,3}:?0?\\PC{0,9}") {
            read_polling(&bytes);
            read_stream(&bytes);
            read_polling(text.as_bytes());
            read_stream(text.as_bytes());
        }
    }
}
