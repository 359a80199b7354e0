//! The access log's own bytes against tracing-subscriber's formatters, which write all other lines of the same log.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use crate::cli::logging::formatter;
use crate::observe::AccessLog;
use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::GroupLabel;
use crate::observe::LineFormat;
use crate::observe::LineSink;
use crate::observe::Observer;
use crate::observe::Opening;
use crate::observe::OrdinaryLines;
use crate::observe::Reason;
use crate::observe::RequestLine;
use crate::observe::RuleLabel;
use crate::observe::StickyBy;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::stream::ClientAddr;
use crate::stream::PeerAddr;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn keep(line: &[u8]) {
    WRITTEN.with_borrow_mut(|written| written.extend_from_slice(line));
}

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while `tell` speaks to an access log, which writes its own bytes or goes through `tracing`.
fn written(format: LineFormat, sink: Option<LineSink>, tell: impl Fn(&AccessLog)) -> String {
    let log = AccessLog {
        ordinary: OrdinaryLines::Written,
        sink,
    };
    tracing::dispatcher::with_default(&formatter(format, || Kept), || tell(&log));
    String::from_utf8(WRITTEN.take()).unwrap()
}

/// A line's time, and the line without it.
fn apart(line: &str) -> (&str, String) {
    let at = line.find("20").unwrap();
    let end = at + "2026-12-01T04:05:06.123456Z".len();
    (&line[at..end], format!("{}{}", &line[..at], &line[end..]))
}

/// Both ways write the same in every format, and the time between two other lines.
fn both_ways_are_one(tell: impl Fn(&AccessLog)) {
    for format in [LineFormat::Text, LineFormat::ColouredText, LineFormat::Json] {
        let sink = LineSink {
            format,
            write: keep,
        };
        let before = written(format, None, &tell);
        let own = written(format, Some(sink), &tell);
        let behind = written(format, None, &tell);
        let [(first, expected), (time, line), (last, _)] =
            [&before, &own, &behind].map(|line| apart(line));
        assert_eq!(line, expected);
        assert!(first <= time && time <= last, "{first} {time} {last}");
    }
}

/// Any text: plain, with whatever a log must escape, or long.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        any::<String>(),
        vec(any::<char>(), 0..20).prop_map(String::from_iter),
        "[\"'\\\\\u{0}-\u{20}\u{7f}-\u{9f}\u{300}\u{200b}\u{202e}\u{2028}é😀]{0,30}",
        (any::<char>(), 1_000..9_000_usize).prop_map(|(c, count)| c.to_string().repeat(count)),
    ]
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::POST),
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}"
            .prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap()),
    ]
}

fn target() -> impl Strategy<Value = Uri> {
    let query = vec(
        (
            prop_oneof!["EIO", "transport", "sid", "[!-~&&[^#]]{0,9}"],
            prop_oneof!["[a-zA-Z0-9_-]{0,30}", "[!-~é&&[^#]]{0,30}"],
        ),
        0..6,
    );
    let query = query.prop_map(|pairs| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    });
    let path = prop_oneof!["(/[a-z.]{0,12}){1,4}", "/[!-~é\u{85}😀\u{7f}&&[^#?]]{0,60}"];
    let whole = prop_oneof![
        (path, of(query)).prop_map(|(path, query)| match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }),
        Just("*".to_owned()),
        Just("http://chat.test/a?b".to_owned()),
        Just("chat.test:80".to_owned()),
    ];
    whole.prop_filter_map("a target", |target| target.parse().ok())
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let request = (method(), target(), 0..4, 0..9).prop_map(|(method, target, version, form)| {
        let version = match version {
            0 => Version::HTTP_10,
            1 => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        let request = RequestLine::new(&method, &target, version);
        match form {
            0 => RequestLine::unread(b""),
            1..4 => request.detached(),
            _ => request,
        }
    });
    let port = prop_oneof![Just(0), any::<u16>()];
    let address = (any::<std::net::IpAddr>(), port).prop_map(SocketAddr::from);
    let path = prop_oneof![
        text().prop_map(PathBuf::from),
        vec(any::<u8>(), 0..30).prop_map(|path| OsString::from_vec(path).into()),
    ];
    let upstream_addr = prop_oneof![
        address.clone().prop_map(PeerAddr::Ip),
        path.prop_map(|path| PeerAddr::Unix(path.into())),
    ];
    let client = prop_oneof![address.prop_map(ClientAddr::Ip), Just(ClientAddr::Unix)];
    let chosen_by = of(select(vec!["sid", "cookie", "asked", "balance"]));
    let tried = vec(of(upstream_addr), 0..4);
    let parts = (client, request, tried, chosen_by, of(rule()));
    parts.prop_map(|(remote_addr, request, tried, chosen_by, rule)| {
        let mut exchange = Exchange {
            remote_addr,
            request,
            opening: Opening::Nothing,
            upstream_addr: None,
            tried_before: None,
            chosen_by,
            rule: rule.map(Arc::new),
        };
        tried
            .into_iter()
            .for_each(|address| exchange.sent_to(address));
        exchange
    })
}

fn rule() -> impl Strategy<Value = RuleLabel> {
    (text(), text(), of(text())).prop_map(|(location, route, group)| RuleLabel {
        group: group.map(|name| GroupLabel {
            name: name.into(),
            sticky: StickyBy::Sid,
        }),
        ..RuleLabel::new(location, route)
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        text().prop_map(Reason::Client),
        text().prop_map(Reason::Rule),
        text().prop_map(Reason::Upstream),
        text().prop_map(Reason::Unanswered),
        Just(Reason::Panic),
    ]
}

fn ended_by() -> impl Strategy<Value = EndedBy> {
    prop_oneof![
        Just(EndedBy::Client),
        Just(EndedBy::Upstream),
        any::<Duration>().prop_map(EndedBy::Idle),
        Just(EndedBy::HalfClosed),
        Just(EndedBy::Drain),
        Just(EndedBy::Down),
        Just(EndedBy::Panic),
    ]
}

proptest! {
    #[test]
    fn the_line_of_a_request_is_what_tracing_writes(
        exchange in exchange(),
        status in of(100..1_000_u16),
        body_bytes_sent in any::<u64>(),
        duration in any::<Duration>(),
        reason in of(reason()),
    ) {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        let end = ExchangeEnd { status, body_bytes_sent, duration, reason, said: None };
        both_ways_are_one(|log| log.exchange_ended(&exchange, &end));
    }

    #[test]
    fn the_two_lines_of_a_tunnel_are_what_tracing_writes(
        exchange in exchange(),
        bytes_to_upstream in any::<u64>(),
        bytes_to_client in any::<u64>(),
        duration in any::<Duration>(),
        ended_by in ended_by(),
        reason in of(text()),
    ) {
        let id = TunnelId::next();
        let end = TunnelEnd { bytes_to_upstream, bytes_to_client, duration, ended_by, reason, said: None };
        both_ways_are_one(|log| log.tunnel_opened(id, &exchange));
        both_ways_are_one(|log| log.tunnel_ended(id, &exchange, &end));
    }
}

/// What the lines look like, for whoever reads this.
#[test]
fn a_line_has_its_fields_in_this_order() {
    let target = Uri::from_static("/chat?token=x&EIO=4");
    let exchange = Exchange {
        remote_addr: ClientAddr::Ip("192.0.2.7:50000".parse().unwrap()),
        request: RequestLine::new(&Method::GET, &target, Version::HTTP_11),
        opening: Opening::Nothing,
        upstream_addr: Some(PeerAddr::Ip("[2001:db8::1]:3000".parse().unwrap())),
        tried_before: None,
        chosen_by: None,
        rule: Some(Arc::new(RuleLabel::new("~ \"\\d\"", "routes.yaml:9"))),
    };
    let end = ExchangeEnd {
        status: None,
        body_bytes_sent: 0,
        duration: Duration::from_millis(1),
        reason: Some(Reason::Upstream("\u{1b}[31m é".to_owned())),
        said: None,
    };
    let line = |format| {
        let sink = LineSink {
            format,
            write: keep,
        };
        let line = written(format, Some(sink), |log| {
            log.exchange_ended(&exchange, &end)
        });
        apart(&line).1
    };
    assert_eq!(
        line(LineFormat::Text),
        "  WARN request remote_addr=\"192.0.2.7:50000\" request=\"GET /chat?EIO=4&.. HTTP/1.1\" \
         upstream_addr=\"[2001:db8::1]:3000\" location=\"~ \\\"\\\\d\\\"\" route=\"routes.yaml:9\" status=499 body_bytes_sent=0 duration_ms=1 \
         reason=\"\\u{1b}[31m é\"\n"
    );
    assert_eq!(
        line(LineFormat::Json),
        "{\"timestamp\":\"\",\"level\":\"WARN\",\"message\":\"request\",\"remote_addr\":\"192.0.2.7:50000\",\
         \"request\":\"GET /chat?EIO=4&.. HTTP/1.1\",\"upstream_addr\":\"[2001:db8::1]:3000\",\
         \"location\":\"~ \\\"\\\\d\\\"\",\"route\":\"routes.yaml:9\",\"status\":499,\"body_bytes_sent\":0,\"duration_ms\":1,\
         \"reason\":\"\\u001b[31m é\"}\n"
    );
}

/// What a request to a group has more.
#[test]
fn a_request_to_a_group_shows_each_address_that_was_tried() {
    let target = Uri::from_static("/socket.io/?EIO=4&sid=kkRumerAWARXZW80AAAA");
    let at = |address: &str| Some(PeerAddr::Ip(address.parse().unwrap()));
    let mut exchange = Exchange {
        remote_addr: ClientAddr::Ip("192.0.2.7:50000".parse().unwrap()),
        request: RequestLine::new(&Method::GET, &target, Version::HTTP_11),
        opening: Opening::Nothing,
        upstream_addr: None,
        tried_before: None,
        chosen_by: None,
        rule: Some(Arc::new(RuleLabel {
            group: Some(GroupLabel {
                name: "chat".into(),
                sticky: StickyBy::Sid,
            }),
            ..RuleLabel::new("/socket.io", "routes.yaml:9")
        })),
    };
    let shown = |exchange: &Exchange| {
        let sink = LineSink {
            format: LineFormat::Text,
            write: keep,
        };
        let line = written(LineFormat::Text, Some(sink), |log| {
            log.tunnel_opened(TunnelId::next(), exchange)
        });
        let line = apart(&line).1;
        let from = line.find(" upstream").unwrap();
        line[from..line.find(" location").unwrap()].to_owned()
    };
    // Nothing was chosen: the route refuses its client, or all servers are full.
    assert_eq!(shown(&exchange), " upstream=\"chat\"");
    exchange.chosen_by = Some("asked");
    // A kept connection was gone, and a new one to the same server took the request.
    exchange.sent_to(at("10.0.0.1:3000"));
    exchange.sent_to(at("10.0.0.1:3000"));
    let one = " upstream=\"chat\" chosen_by=\"asked\" upstream_addr=\"10.0.0.1:3000\"";
    assert_eq!(shown(&exchange), one);
    exchange.sent_to(at("[2001:db8::2]:3000"));
    exchange.sent_to(at("10.0.0.1:3000"));
    let three = " upstream=\"chat\" chosen_by=\"asked\" \
                 upstream_addr=\"10.0.0.1:3000, [2001:db8::2]:3000, 10.0.0.1:3000\"";
    assert_eq!(shown(&exchange), three);
    // To one server, only the last address is of interest: those before are addresses of its name.
    exchange.tried_before = None;
    exchange.chosen_by = None;
    exchange.sent_to(at("10.0.0.2:3000"));
    let last = " upstream=\"chat\" upstream_addr=\"10.0.0.2:3000\"";
    assert_eq!(shown(&exchange), last);
}
