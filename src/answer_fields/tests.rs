//! What is changed in an answer, alike in both of its forms.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use http::Response;
use http::StatusCode;
use http::response::Parts;

use crate::answer_fields::AddedField;
use crate::answer_fields::AddedTo;
use crate::answer_fields::AnswerChanges;
use crate::answer_fields::AnswerFields;
use crate::answer_fields::DefaultRedirect;
use crate::answer_fields::RedirectRule;
use crate::answer_fields::Replacement;
use crate::answer_fields::SUCCESSES;
use crate::answer_fields::is_fixed;
use crate::headers::forwarded::Scheme;
use crate::http1;
use crate::http1::AnswerState;
use crate::http1::Persistence;
use crate::stream::ClientAddr;
use crate::template::Variables;

fn changes(fields: AnswerFields) -> AnswerChanges {
    Arc::new(fields).changes(Variables {
        host: "a.test",
        remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
        scheme: Scheme::Https,
        request_uri: "/x?y",
    })
}

fn added(name: &str, value: &str, to: AddedTo) -> AddedField {
    AddedField {
        name: name.parse().unwrap(),
        value: value.parse().unwrap(),
        to,
    }
}

/// A head of this status with these lines, and the names and values of what becomes of it.
fn head(status: u16, lines: &[(&str, &str)]) -> Parts {
    let mut response = Response::builder().status(status);
    for (name, value) in lines {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

fn lines(head: &Parts) -> Vec<String> {
    let lines = head.headers.iter();
    let mut lines: Vec<String> = lines
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

/// What becomes of an answer in its form for hyper, and as bytes: lines in the order of the alphabet.
fn both(changes: &AnswerChanges, status: u16, sent: &[(&str, &str)]) -> Vec<String> {
    let mut head = head(status, sent);
    changes.change(&mut head);
    let for_hyper = lines(&head);

    let sent: String = sent
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n{sent}\r\nok");
    let AnswerState::Complete(mut answer) = http1::read_answer(&Bytes::from(text)) else {
        panic!("not plain: {sent}");
    };
    changes.change_buffered(&mut answer);
    let message = String::from_utf8(answer.message(Persistence::KeepAlive)).unwrap();
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "ok");
    let mut as_bytes: Vec<String> = head
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("Content-Length"))
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            format!("{}: {value}", name.to_ascii_lowercase())
        })
        .collect();
    as_bytes.sort();
    assert_eq!(as_bytes, for_hyper);
    for_hyper
}

#[test]
fn without_always_a_field_goes_to_successes_only() {
    let changes = changes(AnswerFields {
        added: vec![
            added("X-Some", "1", AddedTo::Successes),
            added("X-Every", "2", AddedTo::Every),
        ],
        ..AnswerFields::default()
    });
    let mut successes = Vec::new();
    for status in 200..600 {
        let mut head = head(status, &[]);
        changes.change(&mut head);
        assert_eq!(head.headers["x-every"], "2");
        if head.headers.contains_key("x-some") {
            successes.push(StatusCode::from_u16(status).unwrap());
        }
    }
    assert_eq!(successes, SUCCESSES);
}

#[test]
fn an_added_field_is_one_more_line() {
    let changes = changes(AnswerFields {
        added: vec![
            added("X-A", "$scheme://$host$request_uri", AddedTo::Successes),
            added("Set-Cookie", "c=1", AddedTo::Successes),
            added("X-Empty", "", AddedTo::Every),
        ],
        ..AnswerFields::default()
    });
    assert_eq!(
        both(
            &changes,
            200,
            &[("X-A", "own"), ("set-cookie", "a=b"), ("X-B", "")]
        ),
        [
            "set-cookie: a=b",
            "set-cookie: c=1",
            "x-a: https://a.test/x?y",
            "x-a: own",
            "x-b: "
        ]
    );
}

#[test]
fn two_fields_are_replaced_as_in_nginx() {
    let changes = changes(AnswerFields {
        added: vec![
            added("Last-Modified", "", AddedTo::Successes),
            added("ETag", "\"1\"", AddedTo::Successes),
        ],
        ..AnswerFields::default()
    });
    let sent = [("last-modified", "then"), ("etag", "\"2\"")];
    assert_eq!(both(&changes, 200, &sent), ["etag: \"1\""]);
    assert_eq!(
        both(&changes, 500, &sent),
        ["etag: \"2\"", "last-modified: then"]
    );
}

#[test]
fn a_hidden_field_is_gone_on_all_its_lines() {
    let changes = changes(AnswerFields {
        hidden: vec!["X-Powered-By".parse().unwrap()],
        added: vec![added("X-Powered-By", "mine", AddedTo::Successes)],
        ..AnswerFields::default()
    });
    let sent = [
        ("x-powered-by", "a"),
        ("X-Powered-By", "b"),
        ("X-Powered-By-Not", "c"),
    ];
    assert_eq!(
        both(&changes, 200, &sent),
        ["x-powered-by-not: c", "x-powered-by: mine"]
    );
    let mut switch = head(101, &sent);
    changes.change_switch(&mut switch);
    assert_eq!(lines(&switch), ["x-powered-by-not: c"]);
    let mut own = head(200, &sent);
    changes.change_own(&mut own);
    assert_eq!(lines(&own).len(), 4);
}

#[test]
fn redirects_and_cookies_are_rewritten_in_both_forms() {
    let mut changes = changes(AnswerFields {
        redirects: vec![
            RedirectRule::Default(DefaultRedirect::new(
                "/",
                Some("http://10.0.0.5:80".to_owned()),
                Some("/app/"),
            )),
            RedirectRule::Written(Replacement::new("http://$host/", "https://$host/").unwrap()),
        ],
        cookie_paths: vec![Replacement::new("/app/", "/").unwrap()],
        ..AnswerFields::default()
    });
    let mut sent_host = head(200, &[("host", "a.test"), ("x-forwarded-proto", "https")]);
    changes.client_asks(&sent_host.headers);
    changes.upstream_is_asked(&sent_host.headers);
    let sent = [
        ("location", "https://a.test/app/x"),
        ("Refresh", "5; URL=http://10.0.0.5/app/y"),
        ("set-cookie", "a=1; Path=/app/"),
        ("Set-Cookie", "b=2"),
        ("SET-COOKIE", "c=3;path=/app/z"),
        ("content-location", "/app/"),
    ];
    let gone_on = [
        "content-location: /app/",
        "location: https://a.test/x",
        "refresh: 5; URL=/y",
        "set-cookie: a=1; Path=/",
        "set-cookie: b=2",
        "set-cookie: c=3; path=/z",
    ];
    assert_eq!(both(&changes, 302, &sent), gone_on);
    sent_host = head(101, &sent);
    changes.change_switch(&mut sent_host);
    assert_eq!(lines(&sent_host), gone_on);
    // The first rule that is found changes it.
    let sent = [("location", "http://a.test/x")];
    assert_eq!(both(&changes, 302, &sent), ["location: https://a.test/x"]);
}

#[test]
fn the_names_that_hyper_would_respell_are_told() {
    let changes = changes(AnswerFields {
        added: vec![
            added("X-XSS-Protection", "0", AddedTo::Successes),
            added("X-Frame-Options", "DENY", AddedTo::Successes),
            added("X-NO", "", AddedTo::Successes),
        ],
        ..AnswerFields::default()
    });
    let spelling = changes.change(&mut head(200, &[]));
    let names: Vec<&str> = spelling.names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["X-XSS-Protection"]);
    assert!(changes.change(&mut head(404, &[])).names().is_empty());
}

#[test]
fn a_value_that_a_variable_makes_unfit_is_left_out() {
    let changes = Arc::new(AnswerFields {
        added: vec![added("X-A", "$request_uri", AddedTo::Every)],
        ..AnswerFields::default()
    })
    .changes(Variables {
        host: "a.test",
        remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
        scheme: Scheme::Http,
        request_uri: "/\r\nX-B: 1",
    });
    assert!(both(&changes, 200, &[]).is_empty());
}

#[test]
fn the_fields_of_connections_framing_and_handshakes_are_fixed() {
    for (name, fixed) in [
        ("Connection", true),
        ("Content-Length", true),
        ("Transfer-Encoding", true),
        ("Trailer", true),
        ("Keep-Alive", true),
        ("Upgrade", true),
        ("TE", true),
        ("Sec-WebSocket-Accept", true),
        ("sec-websocket-protocol", true),
        ("Date", false),
        ("Set-Cookie", false),
        ("Strict-Transport-Security", false),
    ] {
        assert_eq!(
            is_fixed(&name.parse::<HeaderName>().unwrap()),
            fixed,
            "{name}"
        );
    }
}
