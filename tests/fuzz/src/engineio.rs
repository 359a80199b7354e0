//! What Engine.IO says, as the log and `wsgate explain` read it.
//!
//! The first line is a request target, the second what is known of the exchange, the rest is what the upstream said.
//!
//! - No answer panics, in a poll or in a stream, whole or cut.
//! - What decides about the first words is what decides when more of a frame is there.
//! - The observer hears any exchange and any tunnel, and never takes more than it was given.
//! - A client's `path` is read into one with a slash at both ends, which is read again.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use wsgate::engineio::Diagnosis;
use wsgate::engineio::HandshakeAnswer;
use wsgate::engineio::Path;
use wsgate::engineio::Protocol;
use wsgate::engineio::Transport;
use wsgate::engineio::read_polling;
use wsgate::engineio::read_stream;
use wsgate::observe::EndedBy;
use wsgate::observe::Exchange;
use wsgate::observe::ExchangeEnd;
use wsgate::observe::FIRST_WORDS;
use wsgate::observe::Lost;
use wsgate::observe::Observer;
use wsgate::observe::Opening;
use wsgate::observe::Reason;
use wsgate::observe::RequestLine;
use wsgate::observe::RuleLabel;
use wsgate::observe::Said;
use wsgate::observe::TunnelEnd;
use wsgate::observe::TunnelId;
use wsgate::stream::PeerAddr;

use crate::log;

/// Holds the above.
pub fn run(data: &[u8]) {
    log::write();
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (target, known) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let said = lines.next().unwrap_or_default();
    answers(said);
    path(target);
    observe(target, known, said);
}

fn answers(said: &[u8]) {
    for answer in [Some(read_polling(said)), read_stream(said)]
        .into_iter()
        .flatten()
    {
        if let HandshakeAnswer::Open(open) = &answer {
            let length: usize = open.upgrades.iter().map(String::len).sum();
            assert!(length <= said.len());
        }
        if let HandshakeAnswer::Refused(code) = &answer {
            assert!(code.to_string().len() <= said.len() + 64);
            let _ = code.help();
        }
    }
    // A frame says the same however much is behind it.
    if !said.starts_with(b"HTTP/1.1 ")
        && let Some(decided) = read_stream(said)
    {
        assert_eq!(
            read_stream(&[said, b"\x81\x00more"].concat()),
            Some(decided)
        );
    }
}

fn path(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    match text.parse::<Path>() {
        Ok(path) => {
            let shown = path.as_str();
            assert!(shown.starts_with('/') && shown.ends_with('/'), "{shown}");
            assert_eq!(shown.parse(), Ok(path.clone()));
            let asked = path.handshake("a=b", Protocol::V4, Transport::WebSocket);
            assert!(asked.parse::<Uri>().is_ok(), "{asked}");
        }
        Err(error) => {
            let _ = (error.to_string(), error.help());
        }
    }
}

fn observe(target: &[u8], known: &[u8], said: &[u8]) {
    let Ok(target) = Uri::try_from(target) else {
        return;
    };
    let has = |what: &str| {
        known
            .windows(what.len())
            .any(|part| part == what.as_bytes())
    };
    let digits = known
        .get(..3)
        .and_then(|digits| StatusCode::from_bytes(digits).ok());
    let status = digits.unwrap_or(StatusCode::SWITCHING_PROTOCOLS);
    let method = if has("POST") {
        Method::POST
    } else {
        Method::GET
    };
    let request = RequestLine::new(&method, &target, Version::HTTP_11);
    let shown = request.to_string();
    assert!(
        shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{shown}"
    );
    let again = request.detached();
    assert_eq!(again.to_string(), shown);
    let exchange = Exchange {
        remote_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        request: if has("detached") { again } else { request },
        opening: match () {
            () if has("whole") => Opening::Whole,
            () if has("version") => Opening::Without(Lost::Version),
            () if has("upgrade") => Opening::Without(Lost::Upgrade),
            () if has("connection") => Opening::Without(Lost::Connection),
            () if has("both") => Opening::Without(Lost::Both),
            () => Opening::Nothing,
        },
        upstream_addr: (!has("own"))
            .then(|| PeerAddr::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)))),
        tried_before: None,
        chosen_by: None,
        rule: Some(Arc::new(RuleLabel::new("/", "routes.yaml:4"))),
    };
    let reason = match () {
        () if has("client") => Some(Reason::Client("it left".to_owned())),
        () if has("rule") => Some(Reason::Rule("a rule".to_owned())),
        () if has("broke") => Some(Reason::Upstream("it broke".to_owned())),
        () if has("unanswered") => Some(Reason::Unanswered("it closed".to_owned())),
        () => None,
    };
    let words = &said[..said.len().min(FIRST_WORDS)];
    let diagnosis = Diagnosis::default();
    let listens = diagnosis.listens(&exchange, status);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let id = TunnelId::next();
        diagnosis.tunnel_opened(id, &exchange);
        let mut heard = None;
        if listens {
            // As `told` of `proxy` asks it: with ever more, until that is enough.
            let enough = (1..=words.len()).find(|length| {
                *length == FIRST_WORDS || diagnosis.is_enough(&exchange, &words[..*length])
            });
            match enough {
                Some(length) => diagnosis.tunnel_said(id, &exchange, &words[..length]),
                None => heard = Some(words.to_vec()),
            }
        }
        let end = TunnelEnd {
            bytes_to_upstream: 0,
            bytes_to_client: said.len() as u64,
            duration: Duration::from_secs(if has("slow") { 3 } else { 0 }),
            ended_by: match () {
                () if has("idle") => EndedBy::Idle(Duration::from_secs(60)),
                () if has("drain") => EndedBy::Drain,
                () if has("half") => EndedBy::HalfClosed,
                () if has("by-client") => EndedBy::Client,
                () => EndedBy::Upstream,
            },
            reason: None,
            said: heard,
        };
        diagnosis.tunnel_ended(id, &exchange, &end);
    } else {
        let said = match () {
            () if has("encoded") => Some(Said::EncodedPage),
            () if listens => Some(Said::Words(words.to_vec())),
            () => None,
        };
        let end = ExchangeEnd {
            status: (!has("gone")).then_some(status),
            body_bytes_sent: 0,
            duration: Duration::ZERO,
            reason,
            said,
        };
        diagnosis.exchange_ended(&exchange, &end);
    }
}
