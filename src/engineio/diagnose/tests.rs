#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use proptest::prelude::*;

use crate::engineio::diagnose;
use crate::engineio::diagnose::SLOW;
use crate::engineio::finding::Evidence;
use crate::engineio::finding::Finding;
use crate::engineio::finding::RedirectedBy;
use crate::engineio::finding::ServerFamily;
use crate::engineio::finding::SessionPlace;
use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::GroupLabel;
use crate::observe::Lost;
use crate::observe::Opening;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::observe::RuleLabel;
use crate::observe::Said;
use crate::observe::StickyBy;
use crate::observe::TunnelEnd;
use crate::stream::ClientAddr;
use crate::stream::PeerAddr;

const POLL: &str = "/socket.io/?EIO=4&transport=polling&t=x";
const V4: &str = r#"0{"sid":"kkRumerAWARXZW80AAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const V3: &str =
    r#"0{"sid":"kkRumerAWARXZW80AAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

/// A request that an upstream answered.
fn asking(method: Method, target: &str, opening: Opening) -> Exchange {
    let target: Uri = target.parse().unwrap();
    Exchange {
        remote_addr: ClientAddr::Ip("192.0.2.7:50000".parse().unwrap()),
        request: RequestLine::new(&method, &target, Version::HTTP_11),
        opening,
        upstream_addr: Some(PeerAddr::Ip("127.0.0.1:3000".parse().unwrap())),
        tried_before: None,
        chosen_by: None,
        rule: Some(Arc::new(RuleLabel::new("/socket.io", "routes.yaml:9"))),
    }
}

fn get(target: &str) -> Exchange {
    asking(Method::GET, target, Opening::Nothing)
}

fn upgrade(target: &str) -> Exchange {
    asking(Method::GET, target, Opening::Whole)
}

fn end(status: u16, said: Option<&str>) -> ExchangeEnd {
    ExchangeEnd {
        status: Some(StatusCode::from_u16(status).unwrap()),
        body_bytes_sent: 0,
        duration: Duration::ZERO,
        reason: None,
        said: said.map(|said| Said::Words(said.as_bytes().to_vec())),
    }
}

/// The finding about an exchange, whose body is shown only if it is listened to.
fn found(exchange: &Exchange, status: u16, body: &str) -> Option<Finding> {
    let listens = diagnose::listens(exchange, StatusCode::from_u16(status).unwrap());
    diagnose::exchange(exchange, &end(status, listens.then_some(body)))
}

fn kind(exchange: &Exchange, status: u16, body: &str) -> Option<&'static str> {
    found(exchange, status, body).map(|finding| finding.kind())
}

#[test]
fn what_a_healthy_client_gets_is_not_even_looked_at_but_for_its_first_answer() {
    let session = "/socket.io/?EIO=4&transport=polling&sid=kkRumerAWARXZW80AAAA";
    for (exchange, status, body) in [
        (get(session), 200, "2probe"),
        (asking(Method::POST, session, Opening::Nothing), 200, "ok"),
        (upgrade("/socket.io/?EIO=4&transport=websocket"), 403, "no"),
        (
            upgrade("/socket.io/?EIO=4&transport=websocket"),
            503,
            "later",
        ),
        (asking(Method::OPTIONS, POLL, Opening::Nothing), 204, ""),
        (asking(Method::HEAD, POLL, Opening::Nothing), 200, ""),
        (get(POLL), 503, "<h1>later</h1>"),
        (get("/"), 200, "<!doctype html>"),
        (get("/"), 404, ""),
        (get("/old"), 301, ""),
    ] {
        let listens = diagnose::listens(&exchange, StatusCode::from_u16(status).unwrap());
        assert!(!listens, "{exchange:?}");
        assert_eq!(kind(&exchange, status, body), None, "{exchange:?}");
    }
    for body in [V4, &format!("{V4}\u{1e}40")] {
        assert_eq!(kind(&get(POLL), 200, body), None, "{body}");
    }
    let eio3 = get("/socket.io/?EIO=3&transport=polling&b64=1");
    assert_eq!(kind(&eio3, 200, &format!("{}:{V3}2:40", V3.len())), None);
    // The answer is a script that calls a function with the packet.
    let jsonp = get("/socket.io/?EIO=4&transport=polling&j=0");
    assert_eq!(kind(&jsonp, 200, &format!("___eio[0](\"{}\");", "x")), None);
    // A compressed body cannot be read, but it can be a page.
    let mut unread = end(200, None);
    assert_eq!(diagnose::exchange(&get(POLL), &unread), None);
    unread.said = Some(Said::EncodedPage);
    let found = diagnose::exchange(&get(POLL), &unread);
    assert_eq!(found.map(|found| found.kind()), Some("got_page"));
    unread.status = Some(StatusCode::BAD_REQUEST);
    assert_eq!(diagnose::exchange(&get(POLL), &unread), None);
}

#[test]
fn each_answer_to_the_first_request_of_a_polling_client_is_understood() {
    let old = format!("{}:{V3}2:40", V3.len());
    for (status, body, found) in [
        (200, old.as_str(), Some("old_server")),
        (200, "<!doctype html>", Some("got_page")),
        (200, "", Some("got_page")),
        // These answers are longer than what is kept of them.
        (200, &V4[..60], None),
        (200, &old[..60], None),
        (404, "", Some("not_found")),
        (426, "Upgrade Required", Some("plain_server")),
        (
            400,
            r#"{"code":0,"message":"Transport unknown"}"#,
            Some("transport_unknown"),
        ),
        (
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
            None,
        ),
        (400, r#"{"code":3,"message":"Bad request"}"#, None),
        (400, r#"{"code":4,"message":"Forbidden"}"#, None),
        (400, "no", None),
        (302, "", None),
    ] {
        assert_eq!(kind(&get(POLL), status, body), found, "{status} {body}");
    }
    let eio3 = get("/socket.io/?EIO=3&transport=polling");
    let refused = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    assert_eq!(
        found(&eio3, 400, refused),
        Some(Finding::Eio3Refused(ServerFamily::Node))
    );
    let python =
        "\"The client is using an unsupported version of the Socket.IO or Engine.IO protocols\"";
    assert_eq!(
        found(&eio3, 400, python),
        Some(Finding::Eio3Refused(ServerFamily::Python))
    );
}

#[test]
fn other_servers_say_code_and_message_too() {
    for body in [
        r#"{"code":0,"message":"x"}"#,
        r#"{"code":1,"message":"Session ID unknown"}"#,
        r#"{"code":5,"message":"x"}"#,
    ] {
        assert_eq!(kind(&get("/api/things"), 400, body), None, "{body}");
        let post = asking(Method::POST, "/api/things?id=1", Opening::Nothing);
        assert_eq!(kind(&post, 400, body), None, "{body}");
    }
    let unknown = r#"{"code":0,"message":"Transport unknown"}"#;
    assert_eq!(kind(&get("/socket.io/"), 400, unknown), Some("no_client"));
}

#[test]
fn of_an_answer_that_broke_off_nothing_is_known() {
    for reason in [
        Reason::Client(String::new()),
        Reason::Upstream(String::new()),
    ] {
        let mut end = end(200, Some("0{\"sid\""));
        end.reason = Some(reason);
        assert_eq!(diagnose::exchange(&get(POLL), &end), None);
    }
    let mut silence = end(502, None);
    silence.reason = Some(Reason::Unanswered(String::new()));
    let found = diagnose::exchange(&get("/"), &silence);
    assert_eq!(found.map(|found| found.kind()), Some("unanswered"));
    silence.status = None;
    assert_eq!(diagnose::exchange(&get("/"), &silence), None);
}

#[test]
fn each_answer_to_an_upgrade_request_is_understood() {
    let plain = upgrade("/chat");
    for (status, found) in [
        (200, Some("got_page")),
        (204, Some("got_page")),
        (301, Some("redirected")),
        (302, Some("redirected")),
        (303, Some("redirected")),
        (304, None),
        (307, Some("redirected")),
        (308, Some("redirected")),
        (401, None),
        (403, None),
        (404, Some("not_found")),
        (426, None),
        (500, None),
    ] {
        assert_eq!(
            kind(&plain, status, "Session ID unknown"),
            found,
            "{status}"
        );
    }
    let of_session = upgrade("/socket.io/?EIO=4&transport=websocket&sid=kkRumerAWARXZW80AAAA");
    assert_eq!(
        kind(&of_session, 400, "Session ID unknown"),
        Some("session_unknown")
    );
    for sticky in [StickyBy::Sid, StickyBy::Cookie, StickyBy::Nothing] {
        let mut in_group = get("/socket.io/?EIO=4&transport=polling&sid=kkRumerAWARXZW80AAAA");
        in_group.rule = Some(Arc::new(RuleLabel {
            group: Some(GroupLabel {
                name: "chat".into(),
                sticky,
            }),
            ..RuleLabel::new("/socket.io", "routes.yaml:9")
        }));
        assert_eq!(
            found(
                &in_group,
                400,
                r#"{"code":1,"message":"Session ID unknown"}"#
            ),
            Some(Finding::SessionUnknown(SessionPlace::GroupOf(sticky)))
        );
    }
    assert_eq!(
        kind(&upgrade("/socket.io/"), 400, "Transport unknown"),
        Some("plain_client")
    );
    assert_eq!(kind(&upgrade("/socket.io/"), 403, ""), Some("plain_client"));
    let eio3 = upgrade("/socket.io/?EIO=3&transport=websocket");
    assert_eq!(
        kind(&eio3, 400, "Unsupported protocol version"),
        Some("eio3_refused")
    );
}

#[test]
fn the_slash_that_is_missing_is_named() {
    let path = |target: &str, opening| {
        let found = found(&asking(Method::GET, target, opening), 404, "");
        let Some(Finding::NotFound(asked)) = found else {
            panic!("{found:?}");
        };
        asked.no_slash
    };
    for (target, opening, named) in [
        ("/socket.io", Opening::Whole, Some("/socket.io")),
        (
            "/app/socket.io?EIO=4&transport=polling",
            Opening::Nothing,
            Some("/app/socket.io"),
        ),
        (
            "/socket.io/?EIO=4&transport=polling",
            Opening::Nothing,
            None,
        ),
        ("/chat", Opening::Whole, None),
        ("/é/socket.io", Opening::Whole, None),
    ] {
        assert_eq!(path(target, opening).as_deref(), named, "{target}");
    }
}

#[test]
fn what_wsgate_answers_itself_is_named_where_nobody_wrote_it_so() {
    let own = |route: Option<&str>, status| {
        let mut exchange = upgrade("/chat");
        exchange.upstream_addr = None;
        exchange.rule = route.map(|route| Arc::new(RuleLabel::new("/chat", route)));
        found(&exchange, status, "")
    };
    assert_eq!(own(None, 404), Some(Finding::NoLocation));
    assert_eq!(
        own(None, 426),
        Some(Finding::Redirected(RedirectedBy::Listener))
    );
    assert_eq!(own(None, 400), None);
    let moved = RedirectedBy::Status(StatusCode::MOVED_PERMANENTLY);
    assert_eq!(own(Some("a:1"), 301), Some(Finding::Redirected(moved)));
    assert_eq!(own(Some("a:1"), 404), None);
    assert_eq!(own(Some("a:1"), 502), None);
    let mut page = get("/chat");
    page.upstream_addr = None;
    assert_eq!(found(&page, 404, ""), None);
}

#[test]
fn an_upgrade_request_that_lost_its_fields_is_known_whatever_came_of_it() {
    for lost in [Lost::Version, Lost::Upgrade, Lost::Connection, Lost::Both] {
        let exchange = asking(Method::GET, "/chat", Opening::Without(lost));
        for status in [200, 400, 404, 426] {
            assert_eq!(
                found(&exchange, status, ""),
                Some(Finding::LostHeaders(Some(lost)))
            );
        }
    }
    for target in [
        "/x?EIO=4&transport=websocket",
        "/socket.io/?transport=websocket",
    ] {
        let typed = get(target);
        assert_eq!(found(&typed, 400, "x"), Some(Finding::LostHeaders(None)));
    }
    assert_eq!(found(&get("/x?transport=websocket"), 200, "x"), None);
}

fn text_frame(payload: &str) -> Vec<u8> {
    [
        &[0x81, u8::try_from(payload.len()).unwrap()],
        payload.as_bytes(),
    ]
    .concat()
}

/// What the first bytes show; it must not depend on the pieces in which they come.
fn heard(target: &str, said: &[u8]) -> Option<Option<&'static str>> {
    let exchange = upgrade(target);
    assert!(diagnose::listens(
        &exchange,
        StatusCode::SWITCHING_PROTOCOLS
    ));
    let whole = diagnose::first_words(&exchange, said);
    for end in 0..said.len() {
        if let Some(found) = diagnose::first_words(&exchange, &said[..end]) {
            assert_eq!(Some(found), whole, "{end}");
        }
    }
    whole.map(|found| found.map(|found| found.kind()))
}

#[test]
fn the_first_words_in_a_tunnel_are_understood() {
    const EIO4: &str = "/socket.io/?EIO=4&transport=websocket";
    const EIO3: &str = "/socket.io/?EIO=3&transport=websocket";
    let refused = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 28\r\n\r\nUnsupported protocol version";
    let old = [text_frame(V3), text_frame("40")].concat();
    // Socket.IO 3 has no `maxPayload` either, but waits for the client's `40`, and answers with more.
    let older = [
        text_frame(V3),
        text_frame(r#"40{"sid":"cKZWsqMrlxTMFS_6AAAB"}"#),
    ]
    .concat();
    for (target, said, found) in [
        (EIO4, &text_frame(V4)[..], Some(None)),
        (EIO3, &text_frame(V4), Some(None)),
        (EIO3, &text_frame(V3), Some(None)),
        (EIO3, &old, Some(None)),
        (EIO4, &text_frame(V3), None),
        (EIO4, &old, Some(Some("old_server"))),
        (EIO4, &older, Some(None)),
        (EIO3, refused, Some(Some("eio3_refused"))),
        (EIO4, refused, Some(None)),
        (
            "/socket.io/?transport=websocket",
            refused,
            Some(Some("plain_client")),
        ),
        (
            "/socket.io/?transport=websocket",
            &text_frame("welcome"),
            Some(None),
        ),
        (EIO4, &text_frame("welcome"), Some(Some("plain_server"))),
        (EIO4, &text_frame(""), Some(Some("plain_server"))),
        (EIO4, b"\x82\x01x", Some(Some("plain_server"))),
        // A compressed frame, a ping, a close, a part of a message, a long frame, and an end without a word.
        (EIO4, b"\xc1\x05abcde", Some(None)),
        (EIO4, b"\x89\0", Some(None)),
        (EIO4, b"\x88\0", None),
        (EIO4, b"\x01\x01a", Some(None)),
        (EIO4, b"\x81\x7f", Some(None)),
        (EIO4, b"", None),
    ] {
        assert_eq!(heard(target, said), found, "{target} {said:?}");
    }
    for target in [
        "/chat",
        "/socket.io/?EIO=4&transport=websocket&sid=x",
        "/socket.io/",
    ] {
        let listens = diagnose::listens(&upgrade(target), StatusCode::SWITCHING_PROTOCOLS);
        assert!(!listens, "{target}");
    }
}

#[test]
fn a_tunnel_shows_at_its_end_what_nobody_said() {
    let ended = |target: &str, ended_by, duration, said: Option<&[u8]>| {
        let end = TunnelEnd {
            bytes_to_upstream: 0,
            bytes_to_client: 0,
            duration,
            ended_by,
            reason: None,
            said: said.map(<[u8]>::to_vec),
        };
        diagnose::tunnel(&upgrade(target), &end)
    };
    let eio4 = "/socket.io/?EIO=4&transport=websocket";
    let silence = Some(Finding::PlainServer(Evidence::Silence(SLOW)));
    for by in [EndedBy::Client, EndedBy::Upstream] {
        assert_eq!(ended(eio4, by, SLOW, Some(b"")), silence);
        assert_eq!(ended(eio4, by, SLOW, Some(b"\x88\x02\x03\xe8")), silence);
        assert_eq!(ended(eio4, by, SLOW, Some(b"\x81")), None);
        assert_eq!(ended(eio4, by, SLOW, None), None);
        assert_eq!(
            ended(eio4, by, SLOW - Duration::from_millis(1), Some(b"")),
            None
        );
        assert_eq!(ended("/?transport=websocket", by, SLOW, Some(b"")), None);
    }
    assert_eq!(ended(eio4, EndedBy::Drain, SLOW, Some(b"")), None);
    let limit = Duration::from_secs(3600);
    assert_eq!(
        ended("/chat", EndedBy::Idle(limit), limit, None),
        Some(Finding::TunnelTimeout(limit))
    );
}

proptest! {
    #[test]
    fn nothing_that_is_said_panics(said in prop::collection::vec(any::<u8>(), 0..60), status in 100_u16..600) {
        for target in ["/socket.io/?EIO=4&transport=polling", "/socket.io?EIO=3", "/"] {
            for exchange in [get(target), upgrade(target)] {
                let mut end = end(status, None);
                end.said = Some(Said::Words(said.clone()));
                diagnose::exchange(&exchange, &end);
                diagnose::first_words(&exchange, &said);
            }
        }
    }
}
