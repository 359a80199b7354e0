//! What a relayed message, a line of the access log and a session's id allocate: nothing. A guard that does not depend on the clock.

#![allow(unsafe_code)] // an allocator that counts can be written in no other way

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use wsgate::affinity::Affinity;
use wsgate::affinity::Lifetime;
use wsgate::affinity::OpenedSession;
use wsgate::affinity::ServerId;
use wsgate::affinity::SessionKey;
use wsgate::affinity::Sessions;
use wsgate::engineio::EngineIoSessions;
use wsgate::observe::AccessLog;
use wsgate::observe::Exchange;
use wsgate::observe::ExchangeEnd;
use wsgate::observe::GroupLabel;
use wsgate::observe::LineFormat;
use wsgate::observe::LineSink;
use wsgate::observe::Observer;
use wsgate::observe::Opening;
use wsgate::observe::OrdinaryLines;
use wsgate::observe::Reason;
use wsgate::observe::RequestLine;
use wsgate::observe::RuleLabel;
use wsgate::observe::StickyBy;
use wsgate::observe::TriedBefore;
use wsgate::stream::ClientAddr;
use wsgate::stream::PeerAddr;
use wsgate::stream::Stream;
use wsgate::tunnel::End;
use wsgate::tunnel::IdleSweep;
use wsgate::tunnel::TunnelTimeouts;
use wsgate::tunnel::relay;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, and how often each thread asked it.
struct Counting;

// SAFETY: it is the system's allocator; beside that it adds to a number, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises is what the system's asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc`, and so from the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Both ends of a socket.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn end(stream: TcpStream) -> End<Stream> {
    End {
        stream: Stream::Plain(stream),
        early: Bytes::new(),
    }
}

#[test]
fn a_message_through_a_plain_tunnel_allocates_nothing() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    let counted = runtime.block_on(async {
        let (mut client, near_client) = pair().await;
        let (mut upstream, near_upstream) = pair().await;
        let limits = TunnelTimeouts {
            idle: Duration::from_secs(3600),
            half_closed: Duration::from_secs(60),
        };
        let sweep = Rc::new(IdleSweep::default());
        let relay = relay(
            end(near_client),
            end(near_upstream),
            sweep.watch(limits),
            (),
        );
        let relay = tokio::task::spawn_local(relay);
        let mut buffer = vec![0; 16 * 1024];
        let mut before = 0;
        for round in 0..1100 {
            // The first ones take what is taken once: the thread's buffer, the runtime's own.
            if round == 100 {
                before = COUNT.get();
            }
            let size = if round % 2 == 0 { 125 } else { buffer.len() };
            client.write_all(&buffer[..size]).await.unwrap();
            upstream.read_exact(&mut buffer[..size]).await.unwrap();
            upstream.write_all(&buffer[..size]).await.unwrap();
            client.read_exact(&mut buffer[..size]).await.unwrap();
        }
        let counted = COUNT.get() - before;
        drop((client, upstream));
        let passed = relay.await.unwrap();
        assert_eq!(passed.to_client, passed.to_upstream);
        assert_eq!(passed.to_client, 550 * (125 + 16 * 1024));
        counted
    });
    assert_eq!(counted, 0, "allocations in 1,000 round trips");
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get(), before + 1, "the counter counts");
}

#[test]
fn a_line_of_the_access_log_allocates_nothing() {
    thread_local! {
        static LENGTH: Cell<usize> = const { Cell::new(0) };
    }
    let target = Uri::from_static("/chat/\"é\"?token=x&EIO=4&sid=kkRumerAWARXZW80");
    let exchange = Exchange {
        remote_addr: ClientAddr::Ip("[2001:db8::7]:50000".parse().unwrap()),
        request: RequestLine::new(&Method::GET, &target, Version::HTTP_11),
        opening: Opening::Nothing,
        upstream_addr: Some(PeerAddr::Ip("127.0.0.1:3000".parse().unwrap())),
        tried_before: None,
        chosen_by: None,
        rule: Some(Arc::new(RuleLabel::new("/chat", "routes.yaml:9"))),
    };
    let in_group = Exchange {
        tried_before: Some(Box::new(TriedBefore(vec![PeerAddr::Ip(
            "[2001:db8::1]:3000".parse().unwrap(),
        )]))),
        chosen_by: Some("asked"),
        rule: Some(Arc::new(RuleLabel {
            group: Some(GroupLabel {
                name: "chat".into(),
                sticky: StickyBy::Sid,
            }),
            ..RuleLabel::new("/chat", "routes.yaml:9")
        })),
        ..exchange.clone()
    };
    let end = ExchangeEnd {
        status: Some(StatusCode::BAD_GATEWAY),
        body_bytes_sent: 1234,
        duration: Duration::from_millis(5),
        reason: Some(Reason::Upstream("said \u{1b}[31m".to_owned())),
        said: None,
    };
    for format in [LineFormat::Text, LineFormat::ColouredText, LineFormat::Json] {
        let log = AccessLog {
            ordinary: OrdinaryLines::Written,
            sink: Some(LineSink {
                format,
                write: |line| LENGTH.set(LENGTH.get() + line.len()),
            }),
        };
        // The first ones take what is taken once: the thread's buffer.
        (0..10).for_each(|_| log.exchange_ended(&in_group, &end));
        for exchange in [&exchange, &in_group] {
            let (before, written) = (COUNT.get(), LENGTH.get());
            (0..1000).for_each(|_| log.exchange_ended(exchange, &end));
            assert_eq!(COUNT.get() - before, 0, "allocations in 1,000 lines");
            assert!(LENGTH.get() - written > 250_000, "{format:?}");
        }
    }
}

#[test]
fn the_session_of_a_request_and_of_an_open_packet_allocates_nothing() {
    let targets = [
        "/socket.io/?EIO=4&transport=polling&t=abc",
        "/socket.io/?EIO=4&transport=polling&t=abc&sid=kkRumerAWARXZW80AAAA",
        "/socket.io/?EIO=4&transport=polling&sid=short",
        "/page?sid=kkRumerAWARXZW80AAAA",
    ];
    let open = br#"118:0{"sid":"kkRumerAWARXZW80AAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}2:40"#;
    let all = || {
        let named = targets.map(|target| EngineIoSessions.need(target).named());
        assert_eq!(
            named.map(|named| named.is_some()),
            [false, true, true, false]
        );
        let opened = EngineIoSessions.opened(open).map(|opened| opened.key);
        assert_eq!(opened, named[1]);
    };
    // The first one takes what is taken once: the random key of the process.
    all();
    let before = COUNT.get();
    (0..1000).for_each(|_| all());
    assert_eq!(COUNT.get() - before, 0, "allocations in 1,000 sessions");
}

#[test]
fn what_a_group_remembers_of_sessions_does_not_grow() {
    let affinity = Affinity::default();
    let server = ServerId::of("chat", "127.0.0.1:3000");
    let client = Some("203.0.113.1".parse().unwrap());
    let start = Instant::now();
    let use_all = |from: u32, to: u32| {
        for number in from..to {
            let mut id = [b'a'; 16];
            (0..10).for_each(|digit| id[digit] += (number >> (3 * digit)) as u8 & 7);
            let key = SessionKey::of(str::from_utf8(&id).unwrap());
            let now = start + Duration::from_millis(number.into());
            let lifetime = Lifetime::UNKNOWN;
            assert_eq!(affinity.find(key, now), None);
            match number % 3 {
                0 => affinity.learned(OpenedSession { key, lifetime }, server, now),
                1 => affinity.accepted(key, server, now),
                _ if affinity.may_ask(key, client, now) => {
                    affinity.refused_by_all(key, client, now);
                }
                _ => {}
            }
        }
    };
    // The first ones take what is taken once: the tables.
    use_all(0, 3);
    let before = COUNT.get();
    use_all(3, 200_000);
    assert_eq!(COUNT.get() - before, 0, "allocations in 200,000 sessions");
    // The last minute and three quarters of them, of which two thirds were found to be a server's.
    let live = affinity.sessions_of(server, start + Duration::from_millis(200_000));
    assert!((60_000..=65_536).contains(&live), "{live}");
}
