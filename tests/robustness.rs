//! What nobody should send, in large numbers.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::DEADLINE;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::UPGRADE;

const MANY: usize = 10_000;

/// Connections under way at a time.
const AT_A_TIME: usize = 64;

/// xorshift64*: the same heads again for the same seed.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// Seeded by the clock, or by `SEED` to repeat a run.
    fn new() -> Self {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => {
                let now = std::time::SystemTime::now();
                let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
                since.as_nanos() as u64 | 1
            }
        };
        println!("SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 40) as u8
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Heads that are right, to be spoilt.
const GOOD: [&[u8]; 6] = [
    UPGRADE,
    b"GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: chat.test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
    b"POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\n40{}",
    b"POST /upload HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET http://chat.test:80/a/../b%20c?d#e HTTP/1.1\r\nHost: chat.test\r\nUpgrade: h2c, websocket\r\nConnection: upgrade\r\nHTTP2-Settings: AA\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
];

/// What spoils a head more than a random byte.
const SPICES: [&[u8]; 20] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b"\0",
    b"\xff",
    b"%",
    b"%00",
    b"%2e%2e/",
    b"/../",
    b"Host: b.test\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: Host, Upgrade, Content-Length\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"HTTP/1.1",
];

fn head(random: &mut Random) -> Vec<u8> {
    if random.below(4) == 0 {
        return (0..random.below(300)).map(|_| random.byte()).collect();
    }
    let mut head = random.one_of(&GOOD).to_vec();
    for _ in 0..1 + random.below(5) {
        if head.is_empty() {
            break;
        }
        let at = random.below(head.len());
        match random.below(6) {
            0 => head[at] = random.byte(),
            1 => {
                head.remove(at);
            }
            2 => head.insert(at, random.byte()),
            3 => {
                let spice = random.one_of(&SPICES);
                head.splice(at..at, spice.iter().copied());
            }
            4 => {
                let end = head.len().min(at + random.below(40));
                let copy = head[at..end].to_vec();
                let to = random.below(head.len());
                head.splice(to..to, copy);
            }
            _ => head.truncate(at.max(1)),
        }
    }
    head
}

#[tokio::test]
async fn ten_thousand_random_heads_do_no_harm() {
    let upstream = careless_upstream().await;
    let mut gate = TestServer::setup()
        .top("handshake_timeout: 2s\nresponse_timeout: 2s")
        .proxy_pass("/", format!("http://{upstream}"))
        .proxy_pass("/socket.io/", format!("http://{upstream}/path/"))
        .start()
        .await;
    let address = gate.address();
    let random = Arc::new(Mutex::new((Random::new(), 0)));
    let mut workers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let random = Arc::clone(&random);
        workers.spawn(async move {
            loop {
                let (head, waits) = {
                    let mut random = random.lock().unwrap();
                    if random.1 == MANY {
                        return;
                    }
                    random.1 += 1;
                    (head(&mut random.0), random.0.below(2) == 0)
                };
                let mut tcp = TcpStream::connect(address).await.unwrap();
                tcp.set_nodelay(true).unwrap();
                if tcp.write_all(&head).await.is_err() {
                    continue;
                }
                if waits {
                    // For an answer, if one comes soon; whether it does is not what this is about.
                    let _ = timeout(Duration::from_millis(20), tcp.readable()).await;
                }
                if tcp.shutdown().await.is_ok() {
                    let mut answer = Vec::new();
                    let end = timeout(DEADLINE, tcp.read_to_end(&mut answer)).await;
                    assert!(
                        end.is_ok(),
                        "not ended: {:?}",
                        String::from_utf8_lossy(&head)
                    );
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert!(gate.is_alive());
    let mut client = gate.connect().await;
    assert_eq!(client.get("/").await.text(), "ok");
    // TestServer's end looks for panics in the log.
}

/// Answers as soon as a head may be over, whatever it says: by 101, or with `ok`.
async fn careless_upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = tcp.read(&mut buffer).await {
                    let said = &buffer[..read];
                    let has = |text: &[u8]| said.windows(text.len()).any(|part| part == text);
                    let answer: &[u8] = if has(b"Upgrade: websocket") {
                        SWITCHING
                    } else if has(b"\r\n\r\n") {
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    } else {
                        continue;
                    };
                    if tcp.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
