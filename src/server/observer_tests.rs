//! Who hears of what happens does so from the start of the process to its end, whatever configuration is served.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::observe::AcceptPause;
use crate::observe::ConnectionFailure;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::server::Running;
use crate::server::test_support::DEADLINE;
use crate::server::test_support::ask;
use crate::server::test_support::config;
use crate::server::test_support::read;
use crate::server::test_support::start;
use crate::server::test_support::upgrade;
use crate::stream::ClientAddr;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Counts what it hears.
#[derive(Debug, Default)]
struct Counts(Mutex<Counted>);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Counted {
    accepted: usize,
    ended: usize,
    requests: usize,
    tunnels_opened: usize,
    tunnels_ended: usize,
    reloads: usize,
    failures: Vec<String>,
    full: bool,
}

impl Counts {
    fn add(&self, add: impl FnOnce(&mut Counted)) {
        add(&mut self.0.lock().unwrap());
    }

    /// What was counted, as soon as that is enough.
    async fn once(&self, is_enough: impl Fn(&Counted) -> bool) -> Counted {
        let waiting = async {
            loop {
                let counted = self.0.lock().unwrap().clone();
                if is_enough(&counted) {
                    return counted;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let counted = timeout(DEADLINE, waiting).await;
        counted.unwrap_or_else(|_| panic!("it comes to this: {:?}", self.0))
    }
}

impl Observer for Counts {
    fn connection_accepted(&self) {
        self.add(|counted| counted.accepted += 1);
    }

    fn connection_ended(&self) {
        self.add(|counted| counted.ended += 1);
    }

    fn connection_failed(&self, _: ClientAddr, failure: ConnectionFailure<'_>) {
        let failure = match failure {
            ConnectionFailure::PerIp { limit, is_news, .. } => format!("{limit}, {is_news}"),
            ConnectionFailure::ProxyHeader { kind, .. } => format!("{kind:?}"),
            ConnectionFailure::TlsHandshake { kind, .. } => format!("{kind:?}"),
            ConnectionFailure::NoRequest { header_timeout } => format!("{header_timeout:?}"),
        };
        self.add(|counted| counted.failures.push(failure));
    }

    fn accepting_paused(&self, pause: AcceptPause<'_>) {
        if let AcceptPause::Full { max_connections: 1 } = pause {
            self.add(|counted| counted.full = true);
        }
    }

    fn reloaded(&self) {
        self.add(|counted| counted.reloads += 1);
    }

    fn exchange_ended(&self, _: &Exchange, _: &ExchangeEnd) {
        self.add(|counted| counted.requests += 1);
    }

    fn tunnel_opened(&self, _: TunnelId, _: &Exchange) {
        self.add(|counted| counted.tunnels_opened += 1);
    }

    fn tunnel_ended(&self, _: TunnelId, _: &Exchange, _: &TunnelEnd) {
        self.add(|counted| counted.tunnels_ended += 1);
    }
}

/// The file that is served now, with other keys before the ones it has, or listeners beside the one it has.
async fn edit(running: &mut Running, folder: &TempDir, keys: &str, listeners: &str) -> usize {
    let text = std::fs::read_to_string(&running.config().file).unwrap();
    let text = text.replace("routes:", &format!("{listeners}routes:"));
    let config = config(folder, &format!("{keys}{text}"));
    let changes = running.reload(config, OffsetDateTime::now_utc()).await;
    changes.unwrap().len()
}

#[tokio::test]
async fn what_is_counted_survives_a_reload() {
    let folder = TempDir::new().unwrap();
    let counts = Arc::new(Counts::default());
    let (mut running, address) = start(&folder, "threads: 2\n", counts.clone()).await;
    let (said, mut tunnel) = ask(address, &upgrade("/"), "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
    assert!(ask(address, GET, "ok").await.0.ends_with("ok"));

    assert_eq!(edit(&mut running, &folder, "", "").await, 0);
    assert!(ask(address, GET, "ok").await.0.ends_with("ok"));
    let keys = "header_timeout: 20s\naccess_log: off\n";
    assert_eq!(edit(&mut running, &folder, keys, "").await, 2);
    assert!(ask(address, GET, "ok").await.0.ends_with("ok"));
    tunnel.write_all(b"end").await.unwrap();
    assert_eq!(read(&mut tunnel, "end").await, "end");
    drop(tunnel);
    let expected = Counted {
        accepted: 4,
        ended: 4,
        requests: 3,
        tunnels_opened: 1,
        tunnels_ended: 1,
        reloads: 1,
        ..Counted::default()
    };
    let counted = counts.once(|counted| counted.ended == 4).await;
    assert_eq!(counted, expected);

    running.drain();
    timeout(DEADLINE, running.ended())
        .await
        .expect("a drain")
        .unwrap();
    assert_eq!(counts.0.lock().unwrap().clone(), expected);
}

#[tokio::test]
async fn connections_that_come_to_no_request_are_counted_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let counts = Arc::new(Counts::default());
    let keys = "threads: 1\ntrusted_proxies: 127.0.0.2\n";
    let (mut running, address) = start(&folder, keys, counts.clone()).await;
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [tls, announced] = ports.map(|port| port.local_addr().unwrap());
    let listeners = format!(
        "  - {{ address: '{tls}', tls: self_signed }}\n  - {{ address: '{announced}', proxy_protocol: true }}\n"
    );
    edit(&mut running, &folder, "header_timeout: 50ms\n", &listeners).await;

    let mut failures = vec!["PlainHttp", "NotTrusted"];
    assert!(ask(tls, GET, "wss://\r\n").await.0.contains(" 400 "));
    assert_eq!(ask(announced, GET, "nothing").await.0, "");
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(read(&mut silent, "nothing").await, "");
    failures.push("50ms");
    counts.once(|counted| counted.ended == 3).await;

    edit(&mut running, &folder, "per_ip: { connections: 1 }\n", "").await;
    let (_, _tunnel) = ask(address, &upgrade("/"), "\r\n\r\n").await;
    let (said, _refused) = ask(address, GET, "nothing").await;
    assert!(said.starts_with("HTTP/1.1 429 "), "{said}");
    for news in ["per_ip: connections, true", "per_ip: connections, false"] {
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(read(&mut third, "nothing").await, "");
        failures.push(news);
    }
    let counted = counts.once(|counted| counted.failures.len() == 5).await;
    assert_eq!(counted.failures, failures);

    edit(&mut running, &folder, "max_connections: 1\n", "").await;
    // The one place that was kept before is this one's.
    let _another = TcpStream::connect(address).await.unwrap();
    counts.once(|counted| counted.full).await;
}
