//! The session of a request, by its query, and the session that an answer opens.
//!
//! What asks is on the path of every request, and so this looks at a query and no further, and allocates nothing.

use serde_json::Deserializer;
use serde_json::Value;

use crate::engineio::answer::first_packet;

/// What a request has to do with sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestedSession<'t> {
    /// It is no request of Engine.IO.
    None,
    /// It asks for a session of its own: an Engine.IO handshake.
    New,
    /// It belongs to the session with this id.
    Known(&'t str),
}

/// What a request with this target has to do with sessions: `EIO` or `transport` in its query makes it one of Engine.IO, `sid` names
/// its session.
pub fn requested_session(target: &str) -> RequestedSession<'_> {
    let Some((_, query)) = target.split_once('?') else {
        return RequestedSession::None;
    };
    let (mut is_one, mut sid) = (false, None);
    for pair in query.split('&') {
        if let Some(value) = pair.strip_prefix("sid=") {
            sid = Some(value);
        }
        is_one |= pair.starts_with("EIO=") || pair.starts_with("transport=");
    }
    match sid {
        _ if !is_one => RequestedSession::None,
        None | Some("") => RequestedSession::New,
        Some(sid) => RequestedSession::Known(sid),
    }
}

/// The id of the session that the answer to a polling handshake opens, if it is one with this beginning.
pub fn opened_session(body: &[u8]) -> Option<String> {
    let json = first_packet(body)?.strip_prefix('0')?;
    let mut values = Deserializer::from_str(json).into_iter::<Value>();
    let open = values.next()?.ok()?;
    open.get("sid")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::engineio::session::RequestedSession;
    use crate::engineio::session::opened_session;
    use crate::engineio::session::requested_session;

    #[test]
    fn a_request_of_engine_io_asks_for_a_session_or_names_its_own() {
        for (target, session) in [
            ("/", RequestedSession::None),
            ("/x?sid=a", RequestedSession::None),
            ("/x?xEIO=4&sid=a", RequestedSession::None),
            ("/x?EIO=4&transport=polling", RequestedSession::New),
            ("/x?EIO=4&transport=polling&sid=", RequestedSession::New),
            ("/x?transport=polling", RequestedSession::New),
            (
                "/x?EIO=4&transport=polling&t=1&sid=a-_9",
                RequestedSession::Known("a-_9"),
            ),
            ("/x?sid=a&EIO=3", RequestedSession::Known("a")),
            ("/x?sid=a&EIO=3&xsid=b", RequestedSession::Known("a")),
        ] {
            assert_eq!(requested_session(target), session, "{target}");
        }
    }

    #[test]
    fn an_answer_in_any_framing_says_which_session_it_opens() {
        let open = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000}"#;
        let length = open.len();
        let mut binary = vec![0];
        binary.extend(length.to_string().bytes().map(|digit| digit - b'0'));
        binary.push(0xff);
        binary.extend(open.bytes());
        for body in [
            open.as_bytes().to_vec(),
            format!("{open}\u{1e}40").into_bytes(),
            format!("{length}:{open}").into_bytes(),
            format!("{length}:{open}2:40").into_bytes(),
            br#"0{"upgrades": [], "sid": "abc"}"#.to_vec(),
            binary,
        ] {
            let shown = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(opened_session(&body).as_deref(), Some("abc"), "{shown}");
        }
        for body in [
            &b""[..],
            b"ok",
            b"4hello",
            br#"{"code":1,"message":"Session ID unknown"}"#,
            br#"0{"sid":7}"#,
            br#"0{"sid":"ab"#,
            b"\xff\xfe",
            br#"___eio[0]("0{\"sid\":\"abc\"}");"#,
        ] {
            assert_eq!(opened_session(body), None, "{}", body.escape_ascii());
        }
    }
}
