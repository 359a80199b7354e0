//! A socket on which hyper's heads get the spelling of a route.
//!
//! Hyper spells a name as its sender did, or in title case, and cannot be told another spelling. A name is as long in any of them,
//! so the bytes are changed in their place, on their way from hyper to the socket. What is not told is not looked at.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::headers::spelling::Spelling;
use crate::stream::Rewound;

/// As many slices are written at once behind a head as hyper usually has: a length, a body's piece and a line end.
const SLICES: usize = 8;

/// Tells a [`Respelled`] how the next head is spelled, and is told by it whether something is left to write.
#[derive(Debug, Default)]
pub struct NextHead {
    spelling: RefCell<Option<Spelling>>,
    /// Whether hyper began to write something and did not flush it: there may be more of it, so that the next byte begins no head.
    is_unflushed: Cell<bool>,
}

impl NextHead {
    /// The next bytes that hyper writes are a head, spelled so. If hyper still has to write what stands before that head, the names
    /// go out as hyper spells them.
    pub fn is_spelled(&self, spelling: Spelling) {
        if !spelling.names().is_empty() && !self.is_unflushed.get() {
            self.spelling.replace(Some(spelling));
        }
    }

    /// Whether all is out that hyper began to write.
    pub fn is_flushed(&self) -> bool {
        !self.is_unflushed.get()
    }
}

/// A socket for hyper, on which a head goes out in the spelling that its [`NextHead`] was told.
#[derive(Debug)]
pub struct Respelled {
    stream: Rewound,
    next: Rc<NextHead>,
    /// What is left of a head that was spelled anew. Hyper offers the same bytes in its own spelling until they are taken.
    owed: Bytes,
}

impl Respelled {
    /// This socket.
    pub fn new(stream: Rewound, next: Rc<NextHead>) -> Self {
        Self {
            stream,
            next,
            owed: Bytes::new(),
        }
    }

    /// Looks for the end of what the peer sends, while nobody reads it: see [`Stream::poll_end`](crate::stream::Stream::poll_end).
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_end(cx)
    }

    /// The socket, when hyper is done with it.
    pub fn into_inner(self) -> Rewound {
        self.stream
    }

    /// Hyper is about to write: spells the head anew with which `message` begins, if its spelling was told.
    fn begin(&mut self, message: &[u8]) {
        if let Some(spelling) = self.next.spelling.take() {
            self.owed = respell(message, &spelling).into();
        }
        self.next.is_unflushed.set(true);
    }

    /// Of what hyper offered `written` bytes are out.
    fn wrote(&mut self, written: usize) {
        self.owed.advance(written.min(self.owed.len()));
    }
}

/// The head with which `message` begins, with its names in this spelling; nothing if there is no whole head. Of several lines of a
/// name the last ones get it, one for each time that the spelling has the name.
fn respell(message: &[u8], spelling: &Spelling) -> Vec<u8> {
    const END: &[u8] = b"\r\n\r\n";
    let end = message.windows(END.len()).position(|four| four == END);
    let Some(end) = end else {
        return Vec::new();
    };
    let mut head = message[..end + END.len()].to_vec();
    let mut names: Vec<&[u8]> = spelling
        .names()
        .iter()
        .map(|name| name.as_str().as_bytes())
        .collect();
    // The place of each line, but for the first and the empty one.
    let mut starts: Vec<usize> = Vec::new();
    for (at, pair) in head[..end].windows(2).enumerate() {
        if pair == b"\r\n" {
            starts.push(at + 2);
        }
    }
    for start in starts.into_iter().rev() {
        let length = head[start..].iter().position(|byte| *byte == b':');
        let Some(length) = length else {
            continue;
        };
        let written = &mut head[start..start + length];
        if let Some(at) = names
            .iter()
            .rposition(|name| name.eq_ignore_ascii_case(written))
        {
            written.copy_from_slice(names.remove(at));
        }
    }
    head
}

impl AsyncRead for Respelled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Respelled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin(buf);
        let stream = Pin::new(&mut this.stream);
        let written = if this.owed.is_empty() {
            ready!(stream.poll_write(cx, buf))?
        } else {
            ready!(stream.poll_write(cx, &this.owed))?
        };
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = bufs.first().map_or(&[][..], |first| first);
        this.begin(first);
        let stream = Pin::new(&mut this.stream);
        let written = if this.owed.is_empty() {
            ready!(stream.poll_write_vectored(cx, bufs))?
        } else {
            // The head stands in one slice, behind which a body may begin.
            let mut slices = [IoSlice::new(&[]); SLICES];
            slices[0] = IoSlice::new(&this.owed);
            slices[1] = IoSlice::new(first.get(this.owed.len()..).unwrap_or_default());
            let mut count = 2;
            for (slice, buf) in slices[2..].iter_mut().zip(bufs.iter().skip(1)) {
                *slice = IoSlice::new(buf);
                count += 1;
            }
            ready!(stream.poll_write_vectored(cx, &slices[..count]))?
        };
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.next.is_unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::IoSlice;
    use std::pin::Pin;
    use std::rc::Rc;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWrite;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use crate::headers::spelling::Spelling;
    use crate::http1::respelled::NextHead;
    use crate::http1::respelled::Respelled;
    use crate::http1::respelled::respell;
    use crate::stream::Rewound;
    use crate::stream::Stream;

    fn spelling(names: &[&str]) -> Spelling {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn names_are_spelled_and_nothing_else() {
        let head = "GET /x-a: HTTP/1.1\r\nHost: x-a\r\nX-A: x-a: x-a\r\nX-Ab: x-a\r\n\r\nX-A: body\r\n\r\n";
        let respelled = respell(head.as_bytes(), &spelling(&["x-a", "HOST", "X-Gone"]));
        assert_eq!(
            String::from_utf8(respelled).unwrap(),
            "GET /x-a: HTTP/1.1\r\nHOST: x-a\r\nx-a: x-a: x-a\r\nX-Ab: x-a\r\n\r\n"
        );
        assert!(respell(b"HTTP/1.1 200 OK\r\nX-A: b\r\n", &spelling(&["x-a"])).is_empty());
    }

    #[test]
    fn the_last_lines_of_a_name_are_the_routes_own() {
        let head = b"HTTP/1.1 200 OK\r\nX-A: sent\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
        let respelled = respell(head, &spelling(&["x-a", "X-a"]));
        assert_eq!(
            String::from_utf8(respelled).unwrap(),
            "HTTP/1.1 200 OK\r\nX-A: sent\r\nx-a: 1\r\nX-a: 2\r\n\r\n"
        );
    }

    async fn pair() -> (Respelled, Rc<NextHead>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let next = Rc::new(NextHead::default());
        let stream = Rewound::untouched(Stream::Plain(near.unwrap()));
        (
            Respelled::new(stream, Rc::clone(&next)),
            next,
            far.unwrap().0,
        )
    }

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n";

    #[tokio::test]
    async fn only_the_head_that_was_told_is_spelled() {
        let (mut socket, next, mut far) = pair().await;
        socket.write_all(HEAD).await.unwrap();
        // There may be more of it, so that what comes next is no head for sure.
        next.is_spelled(spelling(&["x-a"]));
        socket.write_all(HEAD).await.unwrap();
        socket.flush().await.unwrap();
        next.is_spelled(spelling(&["x-a"]));
        socket.write_all(HEAD).await.unwrap();
        socket.write_all(HEAD).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut got = String::new();
        far.read_to_string(&mut got).await.unwrap();
        let spelled: Vec<bool> = got
            .split("\r\n\r\n")
            .filter(|head| !head.is_empty())
            .map(|head| head.contains("x-a"))
            .collect();
        assert_eq!(spelled, [false, false, true, false]);
    }

    #[tokio::test]
    async fn a_socket_that_takes_little_gets_all_of_it() {
        let (mut socket, next, mut far) = pair().await;
        let body = vec![b'x'; 16 * 1024 * 1024];
        let whole = [HEAD, &body].concat();
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        });
        next.is_spelled(spelling(&["x-a"]));
        let mut written = 0;
        while written < whole.len() {
            // As hyper does it: what is left of the head and of each piece of the body.
            let (head, body) = (&whole[..HEAD.len()], &whole[HEAD.len()..]);
            let head = head.get(written..).unwrap_or_default();
            let body = &body[written.saturating_sub(HEAD.len())..];
            let step = body.len().min(300_000);
            let (one, two) = body[..step].split_at(step / 2);
            let slices = [IoSlice::new(head), IoSlice::new(one), IoSlice::new(two)];
            let slices = &slices[usize::from(head.is_empty())..];
            written +=
                std::future::poll_fn(|cx| Pin::new(&mut socket).poll_write_vectored(cx, slices))
                    .await
                    .unwrap();
        }
        socket.shutdown().await.unwrap();
        let got = reading.await.unwrap();
        let expected = String::from_utf8(whole).unwrap().replace("X-A", "x-a");
        assert!(got == expected.as_bytes(), "{} bytes", got.len());
    }
}
