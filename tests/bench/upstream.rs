//! The upstream that every proxy leads to, a process of its own: WebSockets that echo, flood or broadcast, and polls.
//!
//! It does as little as it can, so that it is not what is measured. What comes behind the 101 is taken as bytes, not
//! as frames: no proxy here looks at them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::rc::Rc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::spawn_local;

use crate::process::Process;
use crate::process::on_core;

/// The argument that makes this program the upstream.
pub(crate) const ROLE: &str = "--upstream";

/// What a poll is answered: as long as an Engine.IO handshake.
const POLL: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// A message of a broadcast.
pub(crate) const BROADCAST: usize = 125;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
    static GROUPS: RefCell<HashMap<String, Vec<Rc<RefCell<OwnedWriteHalf>>>>> = RefCell::default();
}

/// A running one.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Upstream {
    pub(crate) fn start(core: usize) -> Self {
        let own = std::env::current_exe().expect("a path");
        let mut command = on_core(core, Path::new(&own));
        command
            .arg(ROLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command).expect("it starts");
        let stdout = process.child().stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("an address");
        Self {
            address: line.trim().parse().expect("an address"),
            _process: process,
        }
    }
}

/// What the process of it does.
pub(crate) async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let listener = {
        // tokio's own backlog is too short for thousands at once.
        let std = listener.into_std()?;
        socket2::SockRef::from(&std).listen(4096)?;
        TcpListener::from_std(std)?
    };
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(async move {
            let _ = answer(stream).await;
        });
    }
}

/// Requests of one connection until it ends or is a WebSocket.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let end = loop {
            if let Some(end) = find(&head, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        head.drain(..end);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let Some(key) = field(&text, "sec-websocket-key") else {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{POLL}",
                POLL.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            continue;
        };
        let mut switching =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                .to_owned();
        let _ = write!(switching, "Sec-WebSocket-Accept: {}\r\n\r\n", accept(key));
        stream.write_all(switching.as_bytes()).await?;
        drop(head);
        return match path.split_at_checked(5) {
            Some(("/bulk", _)) => bulk(stream).await,
            Some(("/fan/", group)) => broadcast(stream, group.to_owned()).await,
            _ => echo(stream).await,
        };
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut owed: Vec<u8> = Vec::new();
    loop {
        let read = poll_fn(|cx| {
            SHARED.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                read.map_ok(|()| {
                    let bytes = buffer.filled();
                    // What is not taken at once waits in a buffer of its own.
                    let taken = stream.try_write(bytes).unwrap_or(0);
                    owed.extend_from_slice(&bytes[taken..]);
                    bytes.len()
                })
            })
        })
        .await?;
        if read == 0 {
            return Ok(());
        }
        if !owed.is_empty() {
            stream.write_all(&owed).await?;
            owed = Vec::new();
        }
    }
}

/// As many bytes as eight of the client's say.
async fn bulk(mut stream: TcpStream) -> io::Result<()> {
    let block = vec![b'b'; 256 * 1024];
    loop {
        let mut wanted = match stream.read_u64().await {
            Ok(wanted) => usize::try_from(wanted).unwrap_or(0),
            Err(_) => return Ok(()),
        };
        while wanted > 0 {
            let size = wanted.min(block.len());
            stream.write_all(&block[..size]).await?;
            wanted -= size;
        }
    }
}

/// Any byte from one of a group is a message to all of them.
async fn broadcast(stream: TcpStream, group: String) -> io::Result<()> {
    let (mut read, write) = stream.into_split();
    let write = Rc::new(RefCell::new(write));
    GROUPS.with_borrow_mut(|groups| groups.entry(group.clone()).or_default().push(write.clone()));
    let mut byte = [0];
    while read.read_exact(&mut byte).await.is_ok() {
        GROUPS.with_borrow(|groups| {
            for member in &groups[&group] {
                // A message that does not fit is lost, and the benchmark notices.
                let _ = member.borrow().try_write(&[b'f'; BROADCAST]);
            }
        });
    }
    GROUPS.with_borrow_mut(|groups| {
        if let Some(members) = groups.get_mut(&group) {
            members.retain(|member| !Rc::ptr_eq(member, &write));
        }
    });
    Ok(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (this, value) = line.split_once(':')?;
        this.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// RFC 6455 §4.2.2.
pub(crate) fn accept(key: &str) -> String {
    let both = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        both.as_bytes(),
    );
    BASE64_STANDARD.encode(digest)
}
