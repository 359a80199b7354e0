//! What a message costs in system calls, counted by strace, and an idle tunnel in memory: guards that do not depend on
//! the clock.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;

use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::raise_descriptor_limit;
use crate::support::tunnel;

/// Messages there and back.
const ROUND_TRIPS: usize = 1000;

/// Calls that belong to no message: a log line, the sweep for idle tunnels.
const BESIDE: usize = 40;

/// Counts the system calls of the threads of `gate` that serve, while `work` runs. The main thread reads certificates and
/// what the system knows of authorities at its own time.
pub(crate) async fn calls_during(
    gate: &TestServer,
    work: impl Future<Output = ()>,
) -> BTreeMap<String, usize> {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    let serving = serving_threads(gate.id());
    let mut strace = Command::new("strace")
        .args(["-c", "-o"])
        .arg(&counts)
        .args(serving.iter().map(|thread| format!("--attach={thread}")))
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace, which tests/run installs");
    // Read on to its end, below: a strace that cannot say what it attaches to dies of it.
    let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
    for _ in &serving {
        let attached = said.next().unwrap().unwrap();
        assert!(attached.contains("attached"), "{attached}");
    }
    work.await;
    let id = strace.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    said.for_each(drop);
    strace.wait().unwrap();
    let text = std::fs::read_to_string(&counts).unwrap();
    // `% time  seconds  usecs/call  calls  [errors]  syscall`
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() >= 5 && words[0].parse::<f64>().is_ok())
        .map(|words| (words[words.len() - 1].to_owned(), words[3].parse().unwrap()))
        .filter(|(name, _)| name != "total")
        .collect()
}

/// The threads of a process that serve, which are called `wsgate-1` and so on.
fn serving_threads(process: u32) -> Vec<String> {
    let mut serving = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let thread = thread.unwrap();
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap();
        if name.starts_with("wsgate-") {
            serving.push(thread.file_name().into_string().unwrap());
        }
    }
    assert!(!serving.is_empty());
    serving
}

/// What `trips` round trips of a message of `length` bytes cost: reads, writes, and everything in words.
async fn reads_and_writes(over: Over, trips: usize, length: usize) -> (usize, usize, String) {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .top("threads: 1")
        .route("/", &upstream)
        .start()
        .await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
    let message = vec![b'm'; length];
    let calls = calls_during(&gate, async {
        for _ in 0..trips {
            client.send(&message).await;
            assert_eq!(server.take(length).await, message);
            server.send(&message).await;
            assert_eq!(client.take(length).await, message);
        }
    })
    .await;
    let sum = |names: &[&str]| names.iter().filter_map(|name| calls.get(*name)).sum();
    let reads = sum(&["read", "readv", "recvfrom", "recvmsg"]);
    let writes = sum(&["write", "writev", "sendto", "sendmsg"]);
    (reads, writes, format!("{calls:?}"))
}

#[tokio::test]
async fn a_message_costs_one_read_and_one_write() {
    for over in [Over::Ws, Over::Wss] {
        let (reads, writes, all) = reads_and_writes(over, ROUND_TRIPS, 125).await;
        // Fewer would mean that strace came too late and counted something else.
        assert!(
            reads >= 2 * ROUND_TRIPS && writes >= 2 * ROUND_TRIPS,
            "{all}"
        );
        assert!(reads <= 2 * ROUND_TRIPS + BESIDE, "{all}");
        assert!(writes <= 2 * ROUND_TRIPS + BESIDE, "{all}");
    }
}

#[tokio::test]
async fn a_record_over_tls_costs_few_reads() {
    let trips = 200;
    let (reads, writes, all) = reads_and_writes(Over::Wss, trips, 16 * 1024).await;
    assert!(reads >= 2 * trips && writes >= 2 * trips, "{all}");
    // One each way, and one more where a part was read before the rest had come.
    assert!(reads <= 3 * trips + BESIDE, "{all}");
    assert!(writes <= 3 * trips + BESIDE, "{all}");
}

/// Open at the same time, for what one of them takes.
const IDLE: usize = 2000;

/// Memory of an idle tunnel in KiB, over that of the first ten; each has echoed a message of 16 KiB.
async fn kib_per_idle_tunnel(over: Over) -> f64 {
    raise_descriptor_limit();
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .tls()
        .top("threads: 1")
        .top("access_log: off")
        .route("/", &upstream)
        .start()
        .await;
    let mut tunnels = Vec::new();
    let mut first = 0;
    let message = vec![b'm'; 16 * 1024];
    for number in 0..IDLE + 10 {
        if number == 10 {
            first = gate.resident_kib();
        }
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        client.send(&message).await;
        assert_eq!(server.take(message.len()).await, message);
        server.send(&message).await;
        assert_eq!(client.take(message.len()).await, message);
        tunnels.push((client, server));
    }
    gate.resident_kib().saturating_sub(first) as f64 / IDLE as f64
}

#[tokio::test]
async fn an_idle_tunnel_takes_two_kib_or_so() {
    let each = kib_per_idle_tunnel(Over::Ws).await;
    // 1 KiB is its state; a buffer that somebody kept would be 2 or more.
    assert!((0.2..3.0).contains(&each), "{each} KiB");
}

#[tokio::test]
async fn an_idle_tunnel_over_tls_owns_no_record() {
    let each = kib_per_idle_tunnel(Over::Wss).await;
    // A record is 16 KiB, the least buffer that tokio-rustls kept 4; what rustls has to know are 4.
    assert!((1.0..8.0).contains(&each), "{each} KiB");
}

/// What of a connection is left between two requests.
#[derive(Clone, Copy)]
enum Said {
    /// It never said a word.
    Nothing,
    /// It was answered once, and its upstream connection is kept.
    OneRequest,
}

/// Memory of a connection that waits in KiB, over that of the first ten.
async fn kib_per_waiting_connection(said: Said) -> f64 {
    raise_descriptor_limit();
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .top("threads: 1")
        .top("access_log: off")
        .route("/", &upstream)
        .start()
        .await;
    let mut clients = Vec::new();
    let mut first = 0;
    for number in 0..IDLE + 10 {
        if number == 10 {
            first = gate.resident_kib();
        }
        let mut client = gate.connect().await;
        if let Said::OneRequest = said {
            assert_eq!(client.get("/").await.text(), "ok");
        }
        clients.push(client);
    }
    // Accepted in order: when this one is answered, the others are there.
    let mut last = gate.connect().await;
    assert_eq!(last.get("/").await.text(), "ok");
    gate.resident_kib().saturating_sub(first) as f64 / IDLE as f64
}

#[tokio::test]
async fn a_silent_connection_owns_no_buffer() {
    let each = kib_per_waiting_connection(Said::Nothing).await;
    // 2 KiB is its state; hyper's first buffers are 8 each.
    assert!((0.2..4.0).contains(&each), "{each} KiB");
}

#[tokio::test]
async fn a_connection_between_two_polls_owns_no_buffer() {
    let each = kib_per_waiting_connection(Said::OneRequest).await;
    // Two sockets and their state; with hyper on both sides it was 27.
    assert!((0.2..8.0).contains(&each), "{each} KiB");
}
