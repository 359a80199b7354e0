//! The first bytes of a connection: an opening handshake that came whole goes its own short way, all else goes to hyper.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::sync::watch;

use crate::headers::head;
use crate::listener::Phase;
use crate::proxy;
use crate::proxy::Handshake;
use crate::proxy::Session;
use crate::proxy::Switch;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::tunnel::End;

/// Room for the first bytes: the upgrade request of a browser, with a few cookies. A larger one is hyper's.
const ROOM: usize = 4 * 1024;

/// What a connection becomes.
pub(super) enum Opening {
    /// A tunnel, whose 101 is out.
    Tunnel(Box<(End<Stream>, Switch)>),
    /// HTTP, from its first byte on.
    Http(Rewound),
    /// Nothing: the client left, or the process does.
    Over,
}

/// Reads what is there of a connection's first bytes, and does the opening handshake if they are one.
pub(super) async fn open(
    mut stream: Stream,
    session: &Session,
    phase: &mut watch::Receiver<Phase>,
) -> Opening {
    let read = poll_fn(|cx| Poll::Ready(first_bytes(&mut stream, cx))).await;
    let Some(request) = head::read_upgrade(&read) else {
        return Opening::Http(Rewound::reading(stream, read));
    };
    let length = request.length;
    let mut client = End {
        stream,
        early: read.slice(length..),
    };
    let opened = async {
        let mut handshake = pin!(proxy::shake_hands(session, request));
        let handshake = poll_fn(|cx| match handshake.as_mut().poll(cx) {
            Poll::Ready(handshake) => Poll::Ready(Some(handshake)),
            Poll::Pending => left(&mut client, cx).map(|()| None),
        });
        match handshake.await {
            // A request that is dropped without an answer says so in the log.
            None => Opening::Over,
            Some(Handshake::Answered) => {
                let again = [&read[..length], &client.early].concat();
                Opening::Http(Rewound::reading(client.stream, again.into()))
            }
            Some(Handshake::Agreed(head, switch)) => {
                let stream = &mut client.stream;
                if stream.write_all(&head).await.is_err() || stream.flush().await.is_err() {
                    return Opening::Over;
                }
                Opening::Tunnel(Box::new((client, *switch)))
            }
        }
    };
    tokio::select! {
        biased;
        opened = opened => opened,
        _ = phase.wait_for(|phase| *phase == Phase::Over) => {
            session.cut();
            Opening::Over
        }
    }
}

/// What can be read at once. Nothing, if the socket has ended or is broken: it will say so again.
fn first_bytes(stream: &mut Stream, cx: &mut Context<'_>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(ROOM);
    let _ = pin!(stream.read_buf(&mut bytes)).poll(cx);
    bytes.freeze()
}

/// Ready when the client has gone. It may send before it has its answer: that waits for the tunnel, and hides its end.
fn left(client: &mut End<Stream>, cx: &mut Context<'_>) -> Poll<()> {
    if !client.early.is_empty() {
        return Poll::Pending;
    }
    let mut room = [MaybeUninit::uninit(); 512];
    let mut early = ReadBuf::uninit(&mut room);
    match Pin::new(&mut client.stream).poll_read(cx, &mut early) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if !early.filled().is_empty() => {
            client.early = Bytes::copy_from_slice(early.filled());
            Poll::Pending
        }
        Poll::Ready(_) => Poll::Ready(()),
    }
}
