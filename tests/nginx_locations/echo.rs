//! Upstreams that say which of them was asked, for which target, and with which `Host`.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::nginx_locations::table::LOCATIONS;

/// As many upstreams as a table can have locations. Dropping them closes their ports.
#[derive(Debug)]
pub(crate) struct Echo {
    addresses: Vec<SocketAddr>,
    _accepting: JoinSet<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let mut addresses = Vec::new();
        let mut accepting = JoinSet::new();
        for number in 0..LOCATIONS {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            accepting.spawn(async move {
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(tcp, number));
                }
            });
        }
        Self {
            addresses,
            _accepting: accepting,
        }
    }

    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.addresses[number]
    }
}

/// Answers requests without a body until the other side ends.
async fn serve(mut tcp: TcpStream, number: usize) {
    tcp.set_nodelay(true).unwrap();
    let mut read = Vec::new();
    while matches!(tcp.read_buf(&mut read).await, Ok(1..)) {
        // One request at a time: neither sends the next before this one is answered.
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        let target = read.split(|byte| *byte == b' ').nth(1).unwrap();
        let body = [format!("{number} ").as_bytes(), target].concat();
        let request = String::from_utf8_lossy(&read);
        let mut lines = request.lines();
        let host = lines
            .find_map(|line| line.strip_prefix("Host: "))
            .unwrap_or_default();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Powered-By: echo\r\nX-Host: {host}\r\n\
             Location: http://{host}/v1/there\r\n\r\n",
            body.len(),
        );
        if tcp
            .write_all(&[head.as_bytes(), &body].concat())
            .await
            .is_err()
        {
            return;
        }
        read.clear();
    }
}
