//! HTTP/1.1 as far as the soak speaks it, for both ends: heads, and bodies by their framing.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::wire::Wire;

/// A connection, and what was read from it beyond what was looked at.
#[derive(Debug)]
pub(crate) struct Http<S> {
    pub(crate) stream: S,
    pub(crate) read: Vec<u8>,
}

/// The first line and the fields.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    fn of(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields =
            fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Self {
            first,
            fields: fields.collect(),
        }
    }

    /// The value of a field, whose name is written in lower case.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(this, _)| this == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// What a request asks for.
    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// A parameter of what a request asks for.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target().split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn parsed(&self, name: &str) -> Option<u64> {
        self.parameter(name)?.parse().ok()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next head; none where the other end is done.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut looked = 0;
        loop {
            let from = looked.min(self.read.len());
            if let Some(at) = self.read[from..]
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let end = from + at;
                let head = Head::of(&String::from_utf8_lossy(&self.read[..end]));
                self.read.drain(..end + 4);
                return Ok(Some(head));
            }
            looked = self.read.len().saturating_sub(3);
            if self.more().await? == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// The body behind a head; none without framing.
    pub(crate) async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.value("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(&line, 16)
                    .map_err(|_| io::Error::other(format!("no size of a chunk: {line:?}")))?;
                let chunk = self.take(size).await?;
                if !self.line().await?.is_empty() {
                    return Err(io::Error::other("no line end behind a chunk"));
                }
                if chunk.is_empty() {
                    return Ok(body);
                }
                body.extend(chunk);
            }
        }
        self.take(head.number("content-length").unwrap_or(0) as usize)
            .await
    }

    /// A request, and its answer with the body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        self.send(request).await?;
        let head = self.head().await?;
        let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.read[..at]).into_owned();
                self.read.drain(..at + 2);
                return Ok(line);
            }
            self.must_more().await?;
        }
    }

    pub(crate) async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            self.must_more().await?;
        }
        let rest = self.read.split_off(count);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    async fn must_more(&mut self) -> io::Result<()> {
        match self.more().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.read.reserve(16 * 1024);
        self.stream.read_buf(&mut self.read).await
    }
}

/// A body with its framing: the fields, a line end, and the content, in chunks if it is to be.
pub(crate) fn framed(body: &[u8], chunked: bool) -> Vec<u8> {
    if !chunked {
        let mut framed = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        framed.extend(body);
        return framed;
    }
    let mut framed = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(5000) {
        framed.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend(chunk);
        framed.extend(b"\r\n");
    }
    framed.extend(b"0\r\n\r\n");
    framed
}

/// Ends a connection with a reset.
pub(crate) fn reset(wire: Wire) {
    let linger = |tcp: &TcpStream| SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    let _ = match &wire {
        Wire::Plain(tcp) => linger(tcp),
        Wire::Tls(tls) => linger(tls.get_ref().0),
        Wire::Unix(_) => Ok(()),
    };
}
