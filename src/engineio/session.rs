//! The sessions of Engine.IO: which one a request belongs to, by its query, which one an answer opens, and which answers say that
//! a server has no such session.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;

use crate::affinity::LONGEST_REFUSAL;
use crate::affinity::Lifetime;
use crate::affinity::OpenedSession;
use crate::affinity::SessionKey;
use crate::affinity::SessionNeed;
use crate::affinity::Sessions;
use crate::engineio::RefusedCode;
use crate::engineio::answer::first_packet;
use crate::engineio::answer::refusal;

/// The shortest id that is taken for a session's. Servers make 15 to 36 characters.
const SHORTEST_ID: usize = 8;

/// The longest id that is taken for a session's.
const LONGEST_ID: usize = 128;

/// Longest time between two pings where an open packet does not say: the default of all servers.
const PING_INTERVAL: Duration = Duration::from_secs(25);

/// Longest wait for the answer to a ping where an open packet does not say: the longest that was ever a server's default.
const PING_TIMEOUT: Duration = Duration::from_secs(60);

/// The sessions of Engine.IO, in both versions of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct EngineIoSessions;

impl Sessions for EngineIoSessions {
    /// `EIO` or `transport` in the query makes a request one of Engine.IO, `sid` names its session.
    fn need(&self, target: &str) -> SessionNeed {
        let Some((_, query)) = target.split_once('?') else {
            return SessionNeed::Nothing;
        };
        let (mut is_one, mut sid) = (false, None);
        for pair in query.split('&') {
            if let Some(value) = pair.strip_prefix("sid=") {
                sid = Some(value);
            }
            is_one |= pair.starts_with("EIO=") || pair.starts_with("transport=");
        }
        match sid {
            _ if !is_one => SessionNeed::Nothing,
            None | Some("") => SessionNeed::New(&Self),
            Some(sid) if is_likely(sid) => SessionNeed::Of(SessionKey::of(sid)),
            Some(sid) => SessionNeed::OfOdd(SessionKey::of(sid)),
        }
    }

    fn opened(&self, body: &[u8]) -> Option<OpenedSession> {
        let json = first_packet(body)?.strip_prefix('0')?;
        // Behind the packet there may be another one.
        let mut packets = serde_json::Deserializer::from_str(json).into_iter::<OpenedPacket<'_>>();
        let open = packets.next()?.ok()?;
        Some(OpenedSession {
            key: SessionKey::of(open.sid?),
            lifetime: open.lifetime(),
        })
    }

    fn is_unknown(&self, status: StatusCode, body: &[u8]) -> bool {
        if !status.is_client_error() || body.len() > LONGEST_REFUSAL {
            return false;
        }
        str::from_utf8(body).is_ok_and(says_unknown)
    }
}

/// Whether this can be the id of a session: as long as one, and of the characters that a client's `encodeURIComponent` leaves or
/// writes.
fn is_likely(sid: &str) -> bool {
    let written = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&byte);
    (SHORTEST_ID..=LONGEST_ID).contains(&sid.len()) && sid.bytes().all(written)
}

/// What python-engineio 3 says to a request of a session that it does not know, and to one that ends its session. Nobody else writes
/// these words as a text of JSON.
const OLD_PYTHON: &str = r#""Bad Request""#;

/// Whether this is what a server says to a request of a session that it does not know.
///
/// engine.io says it in JSON to a request and in words alone to an upgrade, in all its versions; socketioxide in JSON, with the code as
/// a text; python-engineio in a text of JSON since version 4; go-socket.io in words.
fn says_unknown(text: &str) -> bool {
    if refusal(text) == Some(RefusedCode::SessionUnknown) {
        return true;
    }
    let words = text.trim();
    words == OLD_PYTHON
        || words.trim_start_matches('"').starts_with("Invalid session")
        || words.starts_with("invalid sid value")
}

/// What matters here of the packet that opens a session. It is read once a session, without a copy.
#[derive(Debug, Default)]
struct OpenedPacket<'b> {
    /// As it is written; `None` if it is missing.
    sid: Option<&'b str>,
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
}

impl OpenedPacket<'_> {
    /// How long the session may be silent: until a ping is due and its answer has not come, and a quarter of that for the way.
    fn lifetime(&self) -> Lifetime {
        let interval = self.ping_interval.unwrap_or(PING_INTERVAL);
        let silence = interval.saturating_add(self.ping_timeout.unwrap_or(PING_TIMEOUT));
        Lifetime::nearest(silence.saturating_add(silence / 4))
    }
}

impl<'de> Deserialize<'de> for OpenedPacket<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OpenedPacketVisitor)
    }
}

struct OpenedPacketVisitor;

impl<'de> Visitor<'de> for OpenedPacketVisitor {
    type Value = OpenedPacket<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an open packet")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut packet = OpenedPacket::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "sid" => packet.sid = Some(map.next_value()?),
                "pingInterval" => packet.ping_interval = millis(&map.next_value()?),
                "pingTimeout" => packet.ping_timeout = millis(&map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(packet)
    }
}

/// A number of milliseconds, if it is one.
fn millis(value: &Value) -> Option<Duration> {
    let number = value.as_u64().map(Duration::from_millis);
    number.or_else(|| Duration::try_from_secs_f64(value.as_f64()? / 1_000.0).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write;

    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::affinity::LONGEST_REFUSAL;
    use crate::affinity::SessionKey;
    use crate::affinity::SessionNeed;
    use crate::affinity::Sessions;
    use crate::engineio::EngineIoSessions;

    /// What a request has to do with sessions, with the name of the key.
    fn need(target: &str) -> (&'static str, Option<SessionKey>) {
        let need = EngineIoSessions.need(target);
        let name = match need {
            SessionNeed::Nothing => "nothing",
            SessionNeed::New(_) => "new",
            SessionNeed::Of(_) => "of",
            SessionNeed::OfOdd(_) => "odd",
        };
        (name, need.named())
    }

    #[test]
    fn a_request_of_engine_io_asks_for_a_session_or_names_its_own() {
        for (target, expected, sid) in [
            ("/", "nothing", None),
            ("/x?sid=abcdefgh", "nothing", None),
            ("/x?xEIO=4&sid=abcdefgh", "nothing", None),
            ("/x?EIO=4&transport=polling", "new", None),
            ("/x?EIO=4&transport=polling&sid=", "new", None),
            ("/x?transport=polling", "new", None),
            (
                "/x?EIO=4&transport=polling&t=1&sid=abcdef-_9",
                "of",
                Some("abcdef-_9"),
            ),
            ("/x?sid=abcdefgh&EIO=3", "of", Some("abcdefgh")),
            ("/x?sid=abcdefgh&EIO=3&xsid=b", "of", Some("abcdefgh")),
        ] {
            let expected = (expected, sid.map(SessionKey::of));
            assert_eq!(need(target), expected, "{target}");
        }
    }

    #[test]
    fn an_id_is_odd_that_no_server_gives_and_no_client_writes() {
        for (sid, name) in [
            ("kkRumerAWARXZW80AAAA", "of"),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", "of"),
            ("f3b5bd0f1c3d4d0c8a1d5b8d1f3b5bd0", "of"),
            ("user%3A12~()*!.'", "of"),
            ("abcdefgh", "of"),
            ("abcdefg", "odd"),
            ("abcdefg/", "odd"),
            ("abcdefg+", "odd"),
            ("abcdefg\"", "odd"),
            ("abcdefgä", "odd"),
            ("abcdefg=", "odd"),
            (&"a".repeat(128), "of"),
            (&"a".repeat(129), "odd"),
        ] {
            let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
            assert_eq!(need(&target), (name, Some(SessionKey::of(sid))));
        }
    }

    /// The session that a body opens, and how many seconds it lives.
    fn opened(body: &[u8]) -> Option<(SessionKey, u64)> {
        let opened = EngineIoSessions.opened(body)?;
        Some((opened.key, opened.lifetime.as_secs()))
    }

    #[test]
    fn an_answer_in_any_framing_says_which_session_it_opens() {
        let open = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000}"#;
        let length = open.len();
        let mut binary = vec![0];
        binary.extend(length.to_string().bytes().map(|digit| digit - b'0'));
        binary.push(0xff);
        binary.extend(open.bytes());
        let abc = Some(SessionKey::of("abc"));
        for body in [
            open.as_bytes().to_vec(),
            format!("{open}\u{1e}40").into_bytes(),
            format!("{length}:{open}").into_bytes(),
            format!("{length}:{open}2:40").into_bytes(),
            br#"0{"upgrades": [], "sid": "abc"}"#.to_vec(),
            br#"0{"more": {"sid": "x", "a": [null, 1.5]}, "sid": "abc", "pingTimeout": "soon"}"#
                .to_vec(),
            binary,
        ] {
            let shown = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(opened(&body).map(|(key, _)| key), abc, "{shown}");
        }
        for body in [
            &b""[..],
            b"ok",
            b"4hello",
            br#"{"code":1,"message":"Session ID unknown"}"#,
            br#"0{"sid":7}"#,
            br#"0{"sid":"ab"#,
            br#"0{"upgrades":[]}"#,
            br#"0["sid"]"#,
            b"0",
            b"\xff\xfe",
            br#"___eio[0]("0{\"sid\":\"abc\"}");"#,
        ] {
            assert_eq!(opened(body), None, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_session_lives_a_quarter_longer_than_it_may_be_silent() {
        for (times, seconds) in [
            (r#","pingInterval":25000,"pingTimeout":20000"#, 57),
            (r#","pingInterval":25000,"pingTimeout":60000"#, 107),
            (r#","pingInterval":700,"pingTimeout":500"#, 10),
            (r#","pingInterval":90000.5,"pingTimeout":30000"#, 151),
            (r#","pingInterval":25000"#, 107),
            (r#","pingTimeout":5000"#, 38),
            (r#","pingInterval":-1,"pingTimeout":[3]"#, 107),
            (r#","pingInterval":18446744073709551615"#, 4_095),
            (r#","pingInterval":1e300,"pingTimeout":1e300"#, 107),
            ("", 107),
        ] {
            let body = format!(r#"0{{"sid":"abc"{times}}}"#);
            assert_eq!(
                opened(body.as_bytes()).map(|(_, seconds)| seconds),
                Some(seconds),
                "{body}"
            );
        }
    }

    #[test]
    fn every_server_says_in_its_own_words_that_it_does_not_know_a_session() {
        let unknown = |status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            EngineIoSessions.is_unknown(status, body.as_bytes())
        };
        for body in [
            // engine.io 3 to 6, also on uWebSockets.js
            r#"{"code":1,"message":"Session ID unknown"}"#,
            // engine.io 3 to 6, to an upgrade
            "Session ID unknown",
            // socketioxide
            r#"{"code":"1","message":"Session ID unknown"}"#,
            // python-engineio 4, and what it would be without JSON
            r#""Invalid session kkRumerAWARXZW80AAAA""#,
            "Invalid session kkRumerAWARXZW80AAAA",
            // python-engineio 3
            r#""Bad Request""#,
            r#""Invalid session None""#,
            // go-socket.io
            "invalid sid value: kkRumerAWARXZW80AAAA\n",
        ] {
            assert!(unknown(400, body), "{body}");
            for status in [101, 200, 302, 500, 502] {
                assert!(!unknown(status, body), "{status} {body}");
            }
        }
        for body in [
            "",
            "1",
            "ok",
            "Bad Request",
            "Bad request",
            "Transport unknown",
            r#"{"code":0,"message":"Transport unknown"}"#,
            r#"{"code":3,"message":"Bad request"}"#,
            r#"{"code":"3","message":"Bad request"}"#,
            r#"{"code":4,"message":"Forbidden"}"#,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
            r#""Not connected""#,
            r#""Unexpected HTTP request""#,
            r#""Invalid transport""#,
            "<h1>Session ID unknown</h1>",
            "42[\"Session ID unknown\"]",
        ] {
            assert!(!unknown(400, body), "{body}");
        }
        let long = format!("Invalid session {}", "a".repeat(512));
        assert!(!unknown(400, &long));
        assert!(!EngineIoSessions.is_unknown(StatusCode::BAD_REQUEST, b"Invalid session \xff"));
    }

    /// A member of an object: its name, and its value as JSON.
    fn member() -> impl Strategy<Value = (&'static str, String)> {
        let name = prop::sample::select(vec![
            "sid",
            "sid",
            "pingInterval",
            "pingTimeout",
            "upgrades",
            "more",
        ]);
        let value = prop_oneof![
            "[a-zA-Z0-9_-]{0,24}".prop_map(|text| format!("\"{text}\"")),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| Value::from(number).to_string()),
            prop::sample::select(vec!["null", "[]", "{\"sid\":\"x\"}", "true", "[1,{}]"])
                .prop_map(str::to_owned),
        ];
        (name, value)
    }

    /// The id in an open packet, as who makes a whole value of it finds it.
    fn slow_sid(json: &str) -> Option<String> {
        let value: Value = serde_json::from_str(json).ok()?;
        value.get("sid")?.as_str().map(str::to_owned)
    }

    proptest! {
        #[test]
        fn the_id_of_an_open_packet_is_what_a_whole_value_says(
            members in prop::collection::vec(member(), 0..6),
            framing in 0..4_usize,
        ) {
            let mut json = String::new();
            for (name, value) in &members {
                let comma = if json.is_empty() { "" } else { "," };
                write!(json, "{comma}\"{name}\":{value}").unwrap();
            }
            let json = format!("{{{json}}}");
            let length = json.len() + 1;
            let body = match framing {
                0 => format!("0{json}"),
                1 => format!("0{json}\u{1e}40"),
                2 => format!("{length}:0{json}"),
                _ => format!("{length}:0{json}2:40"),
            };
            // Of several ids the last one counts; where one of the others is no text, nobody reads such a packet the same way.
            let mut ids = members.iter().filter(|(name, _)| *name == "sid");
            let are_all_texts = ids.all(|(_, value)| value.starts_with('"'));
            let slow = slow_sid(&json).filter(|_| are_all_texts);
            prop_assert_eq!(
                opened(body.as_bytes()).map(|(key, _)| key),
                slow.map(|sid| SessionKey::of(&sid))
            );
        }

        #[test]
        fn any_bytes_are_answered(
            body in prop::collection::vec(any::<u8>(), 0..600),
            text in ".{0,64}",
            status in 100..1_000_u16,
        ) {
            let status = StatusCode::from_u16(status).unwrap();
            for body in [&body, text.as_bytes()] {
                for begin in [&b""[..], b"0", b"0{\"sid\":\"", b"96:0{\"sid\":", b"\0\x09\xff0{", b"{\"code\":1,"] {
                    let body = [begin, body].concat();
                    if EngineIoSessions.is_unknown(status, &body) {
                        prop_assert!(status.is_client_error() && body.len() <= LONGEST_REFUSAL);
                    }
                    EngineIoSessions.opened(&body);
                }
            }
            for target in [format!("/?EIO=4&sid={text}"), format!("/{text}"), text] {
                EngineIoSessions.need(&target);
            }
        }
    }
}
