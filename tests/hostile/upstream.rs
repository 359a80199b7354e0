//! An upstream that writes down every byte it gets, and answers by script.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::hostile::case::Reply;
use crate::hostile::reader;
use crate::hostile::reader::Message;
use crate::hostile::reader::Next;
use crate::hostile::reader::shown;

/// Said to every request for which the script has nothing.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Pieces of an endless answer; far more than wsgate or the system holds.
const ENDLESS: usize = 100_000;

/// A listening upstream. Dropping it closes its port.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    script: Vec<Reply>,
    replies: usize,
    open: usize,
    seen: Seen,
    /// Who has connected.
    accepted: Vec<SocketAddr>,
}

/// What one case made the upstream see.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The whole requests, in the order in which they were.
    pub(super) requests: Vec<Message>,
    /// Of each connection all bytes that came before a tunnel.
    pub(super) connections: Vec<Vec<u8>>,
    /// Of each connection what is no whole request.
    pub(super) rests: Vec<Next>,
    /// What came through tunnels.
    pub(super) tunnel: Vec<u8>,
    /// Whether a tunnel was agreed to.
    pub(super) agreed: bool,
    /// Bytes behind an upgrade request that was not answered yet.
    pub(super) too_early: Vec<u8>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                loop {
                    let (tcp, from) = listener.accept().await.unwrap();
                    {
                        let mut state = shared.state();
                        state.open += 1;
                        state.accepted.push(from);
                    }
                    tokio::spawn(serve(tcp, Arc::clone(&shared)));
                    shared.ended.notify_one();
                }
            })
            .abort_handle()
        };
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// From now on it answers by this script.
    pub(super) fn begin(&self, script: &[Reply]) {
        let mut state = self.shared.state();
        state.script = script.to_vec();
        state.replies = 0;
        state.accepted.clear();
    }

    /// All that it saw, once each connection is over.
    pub(super) async fn finish(&self) -> Seen {
        // Connections are accepted in their order, so all that began before this one are known when it is.
        let last = TcpStream::connect(self.address).await.unwrap();
        let own = last.local_addr().unwrap();
        while !self.shared.state().accepted.contains(&own) {
            self.shared.ended.notified().await;
        }
        drop(last);
        loop {
            let ended = self.shared.ended.notified();
            {
                let mut state = self.shared.state();
                if state.open == 0 {
                    return std::mem::take(&mut state.seen);
                }
            }
            ended.await;
        }
    }

    /// What it has seen so far, for a message.
    pub(super) fn so_far(&self) -> Vec<String> {
        let state = self.shared.state();
        let connections = state.seen.connections.iter();
        connections.map(|bytes| shown(bytes)).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    tcp.set_nodelay(true).unwrap();
    // Nothing comes where wsgate tries, at its start, whether there is an upstream.
    if !matches!(tcp.peek(&mut [0]).await, Ok(1)) {
        shared.state().open -= 1;
        shared.ended.notify_one();
        return;
    }
    let number = {
        let mut state = shared.state();
        state.seen.connections.push(Vec::new());
        state.seen.connections.len() - 1
    };
    let rest = answer(&mut tcp, &shared, number).await;
    drop(tcp);
    let mut state = shared.state();
    state.open -= 1;
    state.seen.rests.extend(rest);
    drop(state);
    shared.ended.notify_one();
}

/// Answers until the connection is over; what is left then.
async fn answer(tcp: &mut TcpStream, shared: &Shared, number: usize) -> Option<Next> {
    let mut bytes = Vec::new();
    let mut done = 0;
    let mut is_answered = false;
    let record = |bytes: &[u8]| {
        if let Some(kept) = shared.state().seen.connections.get_mut(number) {
            kept.clear();
            kept.extend(bytes);
        }
    };
    loop {
        let left = loop {
            match reader::next(&bytes[done..]) {
                Next::Whole(message) => {
                    done += message.length;
                    let is_upgrade = message.is_upgrade();
                    if is_upgrade {
                        // What should have waited is there by now, or was written behind it.
                        tokio::task::yield_now().await;
                        let _ = tcp.try_read_buf(&mut bytes);
                        record(&bytes);
                    }
                    if std::mem::take(&mut is_answered) {
                        shared.state().seen.requests.push(message);
                        continue;
                    }
                    let reply = {
                        let mut state = shared.state();
                        if is_upgrade {
                            state.seen.too_early.extend(&bytes[done..]);
                        }
                        state.seen.requests.push(message);
                        let reply = state.script.get(state.replies).cloned();
                        state.replies += 1;
                        reply
                    };
                    let switches = reply
                        .as_ref()
                        .is_some_and(|reply| has(&reply.bytes, b" 101 "));
                    if !reply_with(tcp, reply).await {
                        record(&bytes);
                        return None;
                    }
                    if switches && is_upgrade {
                        shared.state().seen.agreed = true;
                        let mut tunnel = bytes.split_off(done);
                        record(&bytes);
                        while matches!(tcp.read_buf(&mut tunnel).await, Ok(1..)) {}
                        shared.state().seen.tunnel.extend(tunnel);
                        return None;
                    }
                }
                other => break other,
            }
        };
        match &left {
            Next::Garbage(_) => return Some(left),
            Next::Partial(Some(_)) if !is_answered => {
                let reply = {
                    let mut state = shared.state();
                    let reply = state.script.get(state.replies).cloned();
                    let reply = reply.filter(|reply| reply.at_head);
                    state.replies += usize::from(reply.is_some());
                    reply
                };
                if reply.is_some() {
                    is_answered = true;
                    if !reply_with(tcp, reply).await {
                        return Some(left);
                    }
                }
            }
            Next::Partial(_) | Next::Whole(_) => {}
        }
        bytes.reserve(64 * 1024);
        let read = tcp.read_buf(&mut bytes).await;
        record(&bytes);
        if !matches!(read, Ok(1..)) {
            return (done < bytes.len()).then_some(left);
        }
    }
}

/// Whether the connection goes on.
async fn reply_with(tcp: &mut TcpStream, reply: Option<Reply>) -> bool {
    let Some(reply) = reply else {
        return tcp.write_all(OK).await.is_ok();
    };
    let piece = if reply.trickles {
        1
    } else {
        reply.bytes.len().max(1)
    };
    let times = if reply.endless { ENDLESS } else { 1 };
    for _ in 0..times {
        for piece in reply.bytes.chunks(piece) {
            if tcp.write_all(piece).await.is_err() {
                return false;
            }
            if reply.trickles {
                tokio::task::yield_now().await;
            }
        }
    }
    if reply.resets {
        let zero = Some(std::time::Duration::ZERO);
        SockRef::from(&*tcp).set_linger(zero).unwrap();
    }
    !(reply.closes || reply.resets)
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|part| part == what)
}
