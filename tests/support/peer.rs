//! One end of a connection, of a client or of an upstream, in the hands of a test.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::support::QUIET;
use crate::support::message::Answer;
use crate::support::message::Framing;
use crate::support::message::Head;
use crate::support::wire::Wire;
use crate::support::within;

/// How the other side ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// In order: a FIN, under TLS after a close_notify.
    Fin,
    /// A reset.
    Reset,
    /// TLS that stopped without a close_notify.
    Cut,
}

/// Both abrupt ends.
pub(crate) const LEAVE: [fn(Peer); 2] = [Peer::vanish, Peer::reset];

/// A connection and what was read from it beyond what the test has looked at.
#[derive(Debug)]
pub(crate) struct Peer {
    wire: Wire,
    read: Vec<u8>,
}

impl Peer {
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self {
            wire: Wire::Plain(tcp),
            read: Vec::new(),
        }
    }

    pub(crate) fn tls(tls: impl Into<TlsStream<TcpStream>>) -> Self {
        let tls = tls.into();
        tls.get_ref().0.set_nodelay(true).unwrap();
        Self {
            wire: Wire::Tls(Box::new(tls)),
            read: Vec::new(),
        }
    }

    pub(crate) fn unix(unix: UnixStream) -> Self {
        Self {
            wire: Wire::Unix(unix),
            read: Vec::new(),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls.get_ref().0,
            Wire::Unix(_) => panic!("a Unix socket"),
        }
    }

    /// What the TLS handshake agreed on.
    pub(crate) fn tls_session(&self) -> &rustls::CommonState {
        match &self.wire {
            Wire::Tls(tls) => tls.get_ref().1,
            Wire::Plain(_) | Wire::Unix(_) => panic!("no TLS"),
        }
    }

    /// The name that the other side asked for in its TLS handshake.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.wire {
            Wire::Tls(tls) => match &**tls {
                TlsStream::Server(tls) => tls.get_ref().1.server_name(),
                TlsStream::Client(_) => panic!("a client"),
            },
            Wire::Plain(_) | Wire::Unix(_) => panic!("no TLS"),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// For when the other side may be gone already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("writing", async {
            self.wire.write_all(bytes.as_ref()).await?;
            self.wire.flush().await
        })
        .await
    }

    /// Reads the next head; panics if the connection ends before.
    pub(crate) async fn head(&mut self) -> Head {
        let end = within("a head", async {
            loop {
                if let Some(at) = find(&self.read, b"\r\n\r\n") {
                    return at + 4;
                }
                let read = self.fill().await;
                assert!(
                    matches!(read, Ok(1..)),
                    "no head, but {read:?} after {:?}",
                    String::from_utf8_lossy(&self.read)
                );
            }
        })
        .await;
        Head::new(&self.consume(end))
    }

    /// The next answer with its body, by its framing.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let body = self.body(Framing::of_answer(&head)).await;
        Answer { head, body }
    }

    /// The next request's head and body.
    pub(crate) async fn request(&mut self) -> (Head, Vec<u8>) {
        let head = self.head().await;
        let body = self.body(Framing::of_request(&head)).await;
        (head, body)
    }

    /// Sends a request and returns its answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// Sends a GET for `target`.
    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n"))
            .await
    }

    /// Exactly so many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        within("bytes", async {
            while self.read.len() < count {
                let read = self.fill().await;
                assert!(
                    matches!(read, Ok(1..)),
                    "{read:?} instead of {count} bytes, after {:?}",
                    String::from_utf8_lossy(&self.read)
                );
            }
        })
        .await;
        self.consume(count)
    }

    /// So many bytes, or fewer if the other side ends before.
    pub(crate) async fn up_to(&mut self, count: usize) -> Vec<u8> {
        within("bytes or the end", async {
            while self.read.len() < count && matches!(self.fill().await, Ok(1..)) {}
        })
        .await;
        self.consume(count.min(self.read.len()))
    }

    /// One line with its line end.
    pub(crate) async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend(self.take(1).await);
        }
        line
    }

    /// What comes until the other side ends, and how it ends.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Ending) {
        within("the end", async {
            loop {
                if let Err(ending) = self.more_or_end().await {
                    return (std::mem::take(&mut self.read), ending);
                }
            }
        })
        .await
    }

    /// Reads away what comes, until the other side has ended, however it does.
    pub(crate) async fn ends(&mut self) {
        within("the end", async {
            while matches!(self.fill().await, Ok(1..)) {
                self.read.clear();
            }
        })
        .await;
    }

    /// Waits, however long, until there is something to read; false at the end.
    pub(crate) async fn has_more(&mut self) -> bool {
        !self.read.is_empty() || matches!(self.fill().await, Ok(1..))
    }

    /// Waits, however long, for more than was read; how the other side ends if nothing comes.
    pub(crate) async fn more_or_end(&mut self) -> Result<(), Ending> {
        match self.fill().await {
            Ok(0) => Err(Ending::Fin),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Ending::Reset),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Ending::Cut),
            Err(error) => panic!("{error}"),
        }
    }

    /// Looks for a moment: nothing may come, not even the end.
    pub(crate) async fn is_quiet(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.read), "");
        if let Ok(read) = timeout(QUIET, self.fill()).await {
            panic!("{read:?}: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Ends the own direction: a FIN, under TLS after a close_notify.
    pub(crate) async fn finish(&mut self) {
        within("a half-close", self.wire.shutdown()).await.unwrap();
    }

    /// Ends abruptly, with a reset.
    pub(crate) fn reset(self) {
        let zero = Some(Duration::ZERO);
        SockRef::from(self.tcp()).set_linger(zero).unwrap();
    }

    /// Ends as when the process ends: a FIN, under TLS without a close_notify.
    pub(crate) fn vanish(self) {}

    /// The socket, to write to or to read from when nothing is left unread.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The socket, when nothing is left unread.
    pub(crate) fn into_wire(self) -> Wire {
        assert_eq!(String::from_utf8_lossy(&self.read), "");
        self.wire
    }

    async fn body(&mut self, framing: Framing) -> Vec<u8> {
        match framing {
            Framing::Length(length) => self.take(length).await,
            Framing::Chunked => {
                let mut body = Vec::new();
                loop {
                    let chunk = self.chunk().await;
                    if chunk.is_empty() {
                        return body;
                    }
                    body.extend(chunk);
                }
            }
            Framing::Close => {
                let (body, ending) = self.rest().await;
                assert_eq!(ending, Ending::Fin);
                body
            }
        }
    }

    /// The content of the next chunk; the last is empty, and must be without trailers.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let line = String::from_utf8(self.line().await).unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let chunk = self.take(size).await;
        assert_eq!(self.take(2).await, b"\r\n", "behind a chunk");
        chunk
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.read.reserve(64 * 1024);
        self.wire.read_buf(&mut self.read).await
    }

    fn consume(&mut self, count: usize) -> Vec<u8> {
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
