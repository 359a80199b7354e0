//! A panic ends its connection and nothing else, and one that ends a thread ends all of them.
//!
//! The panics are those of an observer, which is asked in the middle of requests and tunnels.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::config::Config;
use crate::config::Environment;
use crate::listener::ListeningSocket;
use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::server::StartError;
use crate::server::listeners::OpeningContext;
use crate::server::test_support::DEADLINE;
use crate::server::test_support::ask;
use crate::server::test_support::read;
use crate::server::test_support::start;
use crate::server::test_support::upgrade;

/// More than one thread, and little that may be left behind.
const LIMITS: &str = "threads: 2\nmax_connections: 8\nper_ip: { connections: 4 }\n";

/// Panics where the request or the upstream says so, and writes down what it hears of the ends of these.
#[derive(Debug, Default)]
struct Panics {
    heard: Mutex<Vec<String>>,
}

impl Panics {
    fn hear(&self, what: &str, exchange: &Exchange) {
        let route = exchange.route().map_or("no route", |route| route);
        let line = route.rsplit('/').next().unwrap_or_default();
        let said = format!("{what} {line}");
        self.heard.lock().unwrap().push(said);
    }
}

impl Observer for Panics {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        if end.reason == Some(Reason::Panic) {
            self.hear("request", exchange);
        }
    }

    fn tunnel_ended(&self, _: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        if end.ended_by == EndedBy::Panic {
            self.hear(
                &format!("tunnel, {} bytes", end.bytes_to_upstream),
                exchange,
            );
        }
    }

    fn listens(&self, exchange: &Exchange, _: StatusCode) -> bool {
        assert!(
            !exchange.request.to_string().contains("/panic"),
            "as asked for"
        );
        true
    }

    fn is_enough(&self, _: &Exchange, said: &[u8]) -> bool {
        assert!(!said.ends_with(b"panic"), "as said");
        false
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_with_a_line_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let observer = Arc::new(Panics::default());
    let (mut running, address) = start(&folder, LIMITS, observer.clone()).await;
    let (said, mut tunnel) = ask(address, &upgrade("/stays"), "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");

    // Ten of each, which is more than there may be at a time: nothing of them is left.
    for round in 0..10 {
        let get = "GET /panic HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let chunks = "POST /panic HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        for request in [get, chunks] {
            let (said, _) = ask(address, request, "ok").await;
            assert_eq!(said, "", "round {round}: {request}");
        }
        let (said, mut tcp) = ask(address, &upgrade("/panic"), "\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        assert_eq!(read(&mut tcp, "nothing").await, "");
        let (said, mut tcp) = ask(address, &upgrade("/later"), "\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        tcp.write_all(b"panic").await.unwrap();
        assert_eq!(read(&mut tcp, "panic").await, "");

        tunnel.write_all(b"still here").await.unwrap();
        assert_eq!(read(&mut tunnel, "still here").await, "still here");
        let (said, _) = ask(address, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "ok").await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
    let mut heard = observer.heard.lock().unwrap().clone();
    heard.sort();
    let each = [
        "request routes.yaml:7",
        "tunnel, 0 bytes routes.yaml:7",
        "tunnel, 5 bytes routes.yaml:7",
    ];
    let expected: Vec<_> = each
        .iter()
        .zip([20, 10, 10])
        .flat_map(|(line, times)| vec![*line; times])
        .collect();
    assert_eq!(heard, expected);

    drop(tunnel);
    running.drain();
    timeout(DEADLINE, running.ended())
        .await
        .expect("a drain")
        .unwrap();
    assert_eq!(running.join(), 0);
}

#[tokio::test]
async fn a_thread_that_dies_is_an_error_while_the_others_live() {
    let folder = TempDir::new().unwrap();
    let (mut running, _) = start(&folder, LIMITS, Arc::<Panics>::default()).await;
    let wait = Duration::from_millis(100);
    assert!(
        timeout(wait, running.ended()).await.is_err(),
        "nothing is wrong yet"
    );

    // The runtime takes no socket that blocks: the first thread panics where it opens its listeners.
    let text = std::fs::read_to_string(&running.config.file).unwrap();
    let text = text.replace("routes:", "  - address: 127.0.0.2:0\nroutes:");
    std::fs::write(&running.config.file, text).unwrap();
    let now = OffsetDateTime::now_utc();
    let (config, _) = Config::read(&running.config.file, &Environment::default(), now).unwrap();
    let opening = OpeningContext {
        shared: &running.shared,
        threads: 2,
        now,
    };
    let (listeners, mut sockets) = running.listeners.prepare(&config, opening).unwrap();
    for (_, sockets) in &mut sockets {
        sockets.truncate(1);
        let ListeningSocket::Tcp(socket) = &sockets[0] else {
            panic!("TCP");
        };
        socket.set_nonblocking(false).unwrap();
    }
    running.listeners = listeners;
    running.order(sockets).await;

    let ended = timeout(DEADLINE, running.ended())
        .await
        .expect("it is noticed");
    assert!(matches!(ended, Err(StartError::Died)), "{ended:?}");
}
