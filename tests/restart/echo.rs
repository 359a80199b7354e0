//! An upstream that answers each request with its number, and remembers it; in a tunnel it gives back what it gets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Wire;

#[derive(Debug)]
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    /// How often each number came.
    requests: Mutex<HashMap<usize, usize>>,
}

impl Echo {
    pub(super) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&echo);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&serving).serve(client));
            }
        });
        echo
    }

    /// How often this request arrived. It is forgotten, since nobody asks twice.
    pub(super) fn came(&self, number: usize) -> usize {
        self.requests.lock().unwrap().remove(&number).unwrap_or(0)
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let mut peer = Peer::plain(client);
        while peer.has_more().await {
            let (head, _) = peer.request().await;
            if head.value("upgrade").is_some() {
                peer.send(SWITCHING).await;
                // It is closed while messages are on their way: that may be a reset here.
                let _ = echo(peer.into_wire()).await;
                return;
            }
            let number = head.value("x-number").unwrap().to_owned();
            let key = number.parse().unwrap();
            *self.requests.lock().unwrap().entry(key).or_default() += 1;
            let length = number.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{number}");
            if peer.try_send(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Gives back what it gets until the end.
async fn echo(mut wire: Wire) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match wire.read(&mut buffer).await? {
            0 => return wire.shutdown().await,
            read => wire.write_all(&buffer[..read]).await?,
        }
    }
}
