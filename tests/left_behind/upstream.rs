//! Upstreams that leave where they are told to, by the target of a request, or at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::support::Authority;
use crate::support::Peer;
use crate::support::SWITCHING;

/// What was said before it leaves: each with a reset and with a FIN.
const SAID: [&[u8]; 7] = [
    b"",
    b"HTTP/1.1 200 OK\r\nX-Half: ",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
    TO_THE_END,
    b"101",
    b"101 and half a frame",
];

/// Whose end would complete it: always with a reset.
const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhalf";

/// The points at which it may leave.
pub(super) const POINTS: usize = 2 * SAID.len();

/// See the module.
pub(super) struct Upstreams {
    pub(super) authority: Authority,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    /// Leaves as soon as it has accepted.
    pub(super) slamming: SocketAddr,
    /// Leaves when it was told something.
    pub(super) at_hello: SocketAddr,
}

impl Upstreams {
    pub(super) async fn start() -> Self {
        let authority = Authority::new();
        let config = authority.issue(&["localhost"]).server(&[&TLS13, &TLS12]);
        let acceptor = TlsAcceptor::from(config);
        let turns = Arc::new(AtomicUsize::new(0));
        let turn = Arc::clone(&turns);
        Self {
            plain: listen(|tcp| serve(Peer::plain(tcp))).await,
            tls: listen(move |tcp| {
                let acceptor = acceptor.clone();
                async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        serve(Peer::tls(tls)).await;
                    }
                }
            })
            .await,
            slamming: listen(move |tcp| {
                leave(Peer::plain(tcp), turns.fetch_add(1, Ordering::Relaxed));
                std::future::ready(())
            })
            .await,
            at_hello: listen(move |mut tcp| {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                async move {
                    let _ = tcp.read(&mut [0; 64]).await;
                    leave(Peer::plain(tcp), turn);
                }
            })
            .await,
            authority,
        }
    }
}

async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// Even turns end with a reset, odd ones with a FIN.
fn leave(peer: Peer, turn: usize) {
    match turn.is_multiple_of(2) {
        true => peer.reset(),
        false => peer.vanish(),
    }
}

/// Answers what its target says.
async fn serve(mut peer: Peer) {
    while let Some(head) = head(&mut peer).await {
        let is_upgrade = head.contains("pgrade: websocket");
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (_, what) = target.split_once('/').unwrap_or_default();
        let answer: &[u8] = match what.split_once('/') {
            Some(("leave", point)) => {
                let point: usize = point.parse().unwrap();
                let turn = if SAID[point / 2] == TO_THE_END {
                    0
                } else {
                    point
                };
                let said = match (SAID[point / 2], is_upgrade) {
                    (b"101", true) => SWITCHING.to_vec(),
                    (b"101 and half a frame", true) => [SWITCHING, b"\x81\x7e"].concat(),
                    (said, _) => said.to_vec(),
                };
                let _ = peer.try_send(said).await;
                leave(peer, turn);
                return;
            }
            _ if what.ends_with("silent") => continue,
            _ if what.ends_with("half") => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            _ if is_upgrade => SWITCHING,
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        if peer.try_send(answer).await.is_err() {
            return;
        }
        if is_upgrade {
            let _ = peer.try_send([0x81; 300]).await;
        }
    }
}

/// The next head, if there is another one. What comes of a body or through a tunnel is read away.
async fn head(peer: &mut Peer) -> Option<String> {
    let mut read = Vec::new();
    loop {
        match peer.wire().read_buf(&mut read).await {
            Ok(1..) => {}
            _ => return None,
        }
        if read.starts_with(b"GET ") || read.starts_with(b"POST ") {
            if read.windows(4).any(|end| end == b"\r\n\r\n") {
                return Some(String::from_utf8_lossy(&read).into_owned());
            }
        } else {
            read.clear();
        }
    }
}
