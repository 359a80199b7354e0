//! The end of an answer behind which the connection closes, when its client reads late.
//!
//! Hyper calls such a connection done when the last byte is in its own buffer, not when it is written. Whether some of an
//! answer waits there depends on what the sockets between hold (megabytes, by the system's measure), so answers of many
//! sizes are asked for at once: closer to each other than that buffer is large, and on both sides of what fits.

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::AT_ONCE;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::within;

const SIZES: std::ops::Range<usize> = 1_600_000..6_000_000;
const STEP: usize = 48 * 1024;

/// What happens while the clients do not read yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meanwhile {
    Nothing,
    Drain,
}

/// Sends `head` with each size as its target; returns the sizes of answers that did not arrive whole, with what did.
async fn cut_answers(head: &'static str, meanwhile: Meanwhile) -> Vec<(usize, usize)> {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut servers = JoinSet::new();
    let mut clients = Vec::new();
    for size in SIZES.step_by(STEP) {
        let mut client = gate.connect_with_small_buffers(Over::Ws).await;
        client.send(head).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            ))
            .await;
        servers.spawn(async move {
            server.send(vec![b'x'; size]).await;
            server.finish().await;
            server
        });
        clients.push((size, client));
    }
    // Until nothing more is taken: what still moves after this only makes the test weaker.
    let mut finished = Vec::new();
    while let Ok(Some(server)) = timeout(AT_ONCE, servers.join_next()).await {
        finished.push(server.unwrap());
    }
    if meanwhile == Meanwhile::Drain {
        gate.signal("TERM");
        gate.log().first("draining").await;
    }
    let mut readers = JoinSet::new();
    for (size, mut client) in clients {
        readers.spawn(async move {
            assert_eq!(client.head().await.status(), 200);
            let (body, _) = within("the end", client.rest()).await;
            (size, body.len())
        });
    }
    let mut cut = Vec::new();
    while let Some(read) = readers.join_next().await {
        let (size, read) = read.unwrap();
        if read != size {
            cut.push((size, read));
        }
    }
    cut.sort_unstable();
    cut
}

#[tokio::test]
async fn an_early_answer_to_an_upload_arrives_whole() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun";
    assert_eq!(cut_answers(head, Meanwhile::Nothing).await, []);
}

#[tokio::test]
async fn an_answer_that_a_drain_overtakes_arrives_whole() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(cut_answers(head, Meanwhile::Drain).await, []);
}

#[tokio::test]
async fn an_answer_to_an_upgrade_that_is_none_arrives_whole() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\
                Content-Length: 1000000\r\n\r\nbegun";
    assert_eq!(cut_answers(head, Meanwhile::Nothing).await, []);
}
