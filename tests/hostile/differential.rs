//! Requests at random, pipelined over many connections, and whether all readers understand alike what became of them.
//!
//! What the upstream got must be clear to the strict reader, and hold the same requests with the same ends for all lenient ones.
//! Its answers name the target that it saw: each must belong to something that the client has sent, in that order.
//!
//! `WSGATE_SEED=7` makes other requests, `WSGATE_LONG=1` a million. Eight numbers belong to one client: a request for `/1234` is
//! of client 154, and `WSGATE_SEED` with that number makes it again.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hostile::client::Client;
use crate::hostile::client::Heard;
use crate::hostile::generate;
use crate::hostile::generate::Sent;
use crate::hostile::reader;
use crate::hostile::reader::Next;
use crate::hostile::reader::shown;
use crate::support::DEADLINE;
use crate::support::TestServer;
use crate::support::Way;
use crate::support::within;

/// What an ordinary run makes its requests of.
const SEED: u64 = 1;

/// Requests in an ordinary run, and in a long one.
const REQUESTS: usize = 100_000;
const LONG: usize = 1_000_000;

/// Clients at a time.
const LANES: usize = 48;

/// Sent behind all others.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n";

/// How long a client waits for a next answer, before it leaves: some requests wait for a body that never comes. Who leaves too
/// early proves less, but nothing wrong.
const PATIENCE: Duration = Duration::from_millis(60);

/// What an upstream and its clients found.
#[derive(Debug, Default)]
struct Found {
    /// Requests that the upstream saw.
    seen: AtomicUsize,
    /// Answers that clients got, from the upstream and from wsgate.
    answered: AtomicUsize,
    refused: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Found {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }
}

#[tokio::test]
async fn every_reader_finds_the_same_requests_in_what_goes_on() {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect(name))
    };
    let seed = number("WSGATE_SEED").unwrap_or(SEED);
    let wanted = if number("WSGATE_LONG").is_some_and(|long| long > 0) {
        LONG
    } else {
        REQUESTS
    };
    let begun = Instant::now();
    let found = Arc::new(Found::default());
    let (address, mut open) = upstream(Arc::clone(&found)).await;
    let gate = TestServer::setup()
        .top("access_log: off")
        .proxy_pass("/", format!("http://{address}"))
        .start()
        .await;
    let gate = Arc::new(gate);
    let (next, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (gate, found) = (Arc::clone(&gate), Arc::clone(&found));
        let (next, sent) = (Arc::clone(&next), Arc::clone(&sent));
        lanes.spawn(async move {
            while sent.load(Ordering::Relaxed) < wanted && found.wrong.lock().unwrap().is_empty() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let client = generate::client(seed, number);
                sent.fetch_add(client.requests, Ordering::Relaxed);
                if let Err(why) = ask(&gate, &client, &found).await {
                    let bytes = &client.bytes;
                    found.wrong(format!("client {number}: {why}\n{}", bytes.escape_ascii()));
                }
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    within(
        "the end of all connections",
        open.wait_for(|open| *open == 0),
    )
    .await
    .unwrap();

    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (sent, seen) = (count(&sent), count(&found.seen));
    let (answered, refused) = (count(&found.answered), count(&found.refused));
    println!(
        "WSGATE_SEED={seed}: {sent} requests of {} clients; the upstream saw {seen}, {answered} were answered, \
         {refused} refused, in {:.1?}",
        count(&next),
        begun.elapsed()
    );
    let wrong = found.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "WSGATE_SEED={seed}:\n{}",
        wrong.join("\n\n")
    );
    assert!(sent >= wanted);
    // A run in which little passes, or little is refused, proves little.
    assert!(seen >= wanted / 4 && seen <= sent, "{seen} seen");
    assert!(answered >= wanted / 4, "{answered} answered");
    assert!(refused >= wanted / 100, "{refused} refused");
}

/// Sends all of it, and reads what comes.
async fn ask(gate: &TestServer, sent: &Sent, found: &Found) -> Result<(), String> {
    let mut client = Client::connect(gate, Way::Short).await;
    client.send(&sent.bytes, usize::MAX).await;
    client.send(LAST, usize::MAX).await;
    let mut from = 0;
    // More answers than requests would be one for something else.
    for _ in 0..=2 * sent.requests {
        let Ok(answer) = timeout(PATIENCE, client.answer(false)).await else {
            break;
        };
        match answer? {
            Heard::Whole(answer) if answer.body == b"/last" => break,
            Heard::Whole(answer) if answer.status == 200 => {
                // The target, which must have been sent behind that of the answer before.
                let at = sent.bytes[from..]
                    .windows(answer.body.len())
                    .position(|part| part == answer.body);
                let at = at.ok_or_else(|| format!("an answer to {}", shown(&answer.body)))?;
                from += at + answer.body.len();
                found.answered.fetch_add(1, Ordering::Relaxed);
            }
            Heard::Whole(answer) if answer.status == 100 => {}
            Heard::Whole(answer) if matches!(answer.status, 400 | 405 | 414 | 431) => {
                found.refused.fetch_add(1, Ordering::Relaxed);
                break;
            }
            Heard::Nothing => break,
            other => return Err(format!("{other:?}")),
        }
    }
    client.leave().await;
    match timeout(DEADLINE, client.rest()).await {
        Ok(_) => Ok(()),
        Err(_) => Err("its connection does not end".to_owned()),
    }
}

/// Where it listens, and how many connections are open.
async fn upstream(found: Arc<Found>) -> (SocketAddr, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, opened) = watch::channel(0);
    let open = Arc::new(open);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (found, open) = (Arc::clone(&found), Arc::clone(&open));
            open.send_modify(|open| *open += 1);
            tokio::spawn(async move {
                serve(tcp, &found).await;
                open.send_modify(|open| *open -= 1);
            });
        }
    });
    (address, opened)
}

/// Answers each request with its target, and judges at the end.
async fn serve(mut tcp: TcpStream, found: &Found) {
    let _ = tcp.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut done = 0;
    loop {
        let mut answers = Vec::new();
        loop {
            match reader::next(&bytes[done..]) {
                Next::Whole(message) => {
                    done += message.length;
                    let mut parts = message.first.split(|byte| *byte == b' ');
                    let target = parts.nth(1).unwrap_or_default();
                    if target != b"/last" {
                        found.seen.fetch_add(1, Ordering::Relaxed);
                    }
                    let length = target.len();
                    answers.extend(
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").bytes(),
                    );
                    answers.extend(target);
                }
                Next::Partial(_) => break,
                Next::Garbage(why) => {
                    found.wrong(format!("the upstream got {why}\n{}", bytes.escape_ascii()));
                    return;
                }
            }
        }
        if tcp.write_all(&answers).await.is_err() {
            break;
        }
        bytes.reserve(16 * 1024);
        if !matches!(tcp.read_buf(&mut bytes).await, Ok(1..)) {
            break;
        }
    }
    if let Err(why) = reader::agree(&bytes) {
        found.wrong(format!("{why}\n{}", bytes.escape_ascii()));
    }
}
