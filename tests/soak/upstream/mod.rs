//! The upstream, a process of its own that may be killed at any moment: tunnels, polling sessions and plain requests.
//!
//! It keeps an account of each tunnel and session, and prints it when that ends.

mod plain;
mod polling;
mod tunnel;

use std::fmt::Display;
use std::io;
use std::io::Read;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::exit;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::http::Http;
use crate::message::Account;
pub(crate) use crate::upstream::plain::content;
use crate::upstream::polling::Sessions;

/// What every connection needs to know.
#[derive(Debug)]
struct Upstream {
    seed: u64,
    generation: u64,
    sessions: Sessions,
}

/// Serves at a port that the parent keeps for it, until it is killed or its parent is gone.
pub(crate) async fn serve(port: u16, generation: u64, seed: u64) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        exit(0);
    });
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from_std(socket.into())?;
    println!("ready");
    let upstream = Rc::new(Upstream {
        seed,
        generation,
        sessions: Sessions::default(),
    });
    spawn_local(polling::forget(Rc::clone(&upstream)));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let upstream = Rc::clone(&upstream);
        spawn_local(async move {
            let _ = answer(stream, &upstream).await;
        });
    }
}

/// Requests of one connection until it ends or is a tunnel.
async fn answer(stream: TcpStream, upstream: &Rc<Upstream>) -> io::Result<()> {
    let mut http = Http::new(stream);
    loop {
        let Some(head) = http.head().await? else {
            return Ok(());
        };
        if let Some(key) = head.value("sec-websocket-key") {
            let id = head.target().rsplit('/').next();
            let id = id
                .and_then(|id| id.parse().ok())
                .ok_or(io::ErrorKind::InvalidData)?;
            let switching = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 X-Generation: {}\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                upstream.generation,
                accept(key)
            );
            http.send(switching.as_bytes()).await?;
            tunnel::serve(http, id, upstream.seed).await;
            return Ok(());
        }
        let goes_on = match head.target().split('/').nth(1) {
            Some("socket.io") => polling::answer(&mut http, &head, upstream).await?,
            _ => plain::answer(&mut http, &head).await?,
        };
        if !goes_on {
            return SockRef::from(&http.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Says how a tunnel or a session ended: `fin` in order, `wrong` for what must never be, else why not in order.
fn report(id: u64, account: Account, how: &str, why: impl Display) {
    let Account {
        sent,
        sent_bytes,
        got,
        got_bytes,
    } = account;
    println!("{id} {sent} {sent_bytes} {got} {got_bytes} {how} {why}");
}

/// RFC 6455 §4.2.2.
fn accept(key: &str) -> String {
    let both = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        both.as_bytes(),
    );
    BASE64_STANDARD.encode(digest)
}
