//! Requests that come whole, one after the other: they go a short way without hyper, until one does not fit.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::http1;
use crate::http1::Asks;
use crate::http1::Behind;
use crate::listener::Phase;
use crate::listener::connection::Patience;
use crate::proxy;
use crate::proxy::Handshake;
use crate::proxy::Session;
use crate::proxy::Switch;
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::tunnel::End;

/// What a connection becomes.
pub(super) enum Became {
    /// A tunnel, whose 101 is out.
    Tunnel(Box<(End<Stream>, Switch)>),
    /// HTTP through hyper, from these bytes on; how long the head may take that they begin.
    Http(Rewound, Patience),
    /// Nothing more: it is closed in order.
    Closing(Stream),
    /// Nothing: the client left, or the process does.
    Over,
}

/// Serves a connection, from which `first` was read, for as long as each request comes whole.
pub(super) async fn serve(
    stream: Stream,
    first: Bytes,
    session: &Session,
    phase: &watch::Receiver<Phase>,
    patience: Patience,
) -> Became {
    let mut over = phase.clone();
    // Not within the select, which would drop it, and log what it was doing, before the process says that it was the one.
    let mut requests = pin!(requests(stream, first, session, phase, patience));
    tokio::select! {
        biased;
        became = &mut requests => became,
        _ = over.wait_for(|phase| *phase == Phase::Over) => {
            session.cut();
            Became::Over
        }
    }
}

async fn requests(
    mut stream: Stream,
    mut read: Bytes,
    session: &Session,
    phase: &watch::Receiver<Phase>,
    mut patience: Patience,
) -> Became {
    let mut leaving = phase.clone();
    let mut leaving = pin!(leaving.wait_for(|phase| *phase > Phase::Running));
    let mut late = pin!(sleep_until(patience.until));
    loop {
        let Some((mut request, asks)) = http1::read_request(&read) else {
            return Became::Http(Rewound::reading(stream, read), patience);
        };
        let head = request.length;
        let body = match asks {
            Asks::Answer(body) => body,
            Asks::Tunnel => {
                let handshake = proxy::shake_hands(session, request);
                // Boxed, so that what polls does not carry the room for it.
                let tunnel = tunnel(stream, session, (&read, head), handshake);
                return match Box::pin(tunnel).await {
                    Ok(became) => became,
                    Err(again) => Became::Http(again, patience),
                };
            }
        };
        if read.len() - head != body.unwrap_or(0) {
            return Became::Http(Rewound::reading(stream, read), patience);
        }
        let body = body.map(|_| read.slice(head..));
        let mut client = End {
            stream,
            early: Bytes::new(),
        };
        let passed = {
            let passed = pin!(proxy::pass_on(session, &mut request, body));
            while_there(&mut client, session, passed).await
        };
        stream = client.stream;
        drop(request);
        let whole = match passed {
            // A request that is dropped without an answer says so in the log.
            None => return Became::Over,
            Some(None) => {
                let again = [read, client.early].concat();
                return Became::Http(Rewound::reading(stream, again.into()), patience);
            }
            Some(Some(whole)) => whole,
        };
        let behind = if *phase.borrow() > Phase::Running {
            Behind::Closes
        } else {
            Behind::GoesOn
        };
        let (message, delivery) = whole.message(behind);
        if stream.write_all(&message).await.is_err() || stream.flush().await.is_err() {
            return Became::Over;
        }
        delivery.done();
        if behind == Behind::Closes {
            return Became::Closing(stream);
        }
        patience.renew();
        read = client.early;
        if !read.is_empty() {
            continue;
        }
        late.as_mut().reset(patience.until);
        let taken = tokio::select! {
            biased;
            taken = poll_fn(|cx| {
                session.poll_kept(cx);
                stream.poll_take(cx)
            }) => taken,
            _ = &mut leaving => return Became::Closing(stream),
            () = &mut late => return Became::Closing(stream),
        };
        match taken {
            Ok(taken) if taken.is_empty() => return Became::Closing(stream),
            Ok(taken) => read = taken,
            Err(_) => return Became::Over,
        }
    }
}

/// Does an opening handshake whose request is `read` up to its byte `head`. If its answer is for hyper, so is what was read.
async fn tunnel(
    stream: Stream,
    session: &Session,
    (read, head): (&Bytes, usize),
    handshake: impl Future<Output = Handshake>,
) -> Result<Became, Rewound> {
    let mut client = End {
        stream,
        early: read.slice(head..),
    };
    match while_there(&mut client, session, pin!(handshake)).await {
        None => Ok(Became::Over),
        Some(Handshake::Answered) => {
            let again = [&read[..head], &client.early].concat();
            Err(Rewound::reading(client.stream, again.into()))
        }
        Some(Handshake::Agreed(head, switch)) => {
            let stream = &mut client.stream;
            if stream.write_all(&head).await.is_err() || stream.flush().await.is_err() {
                return Ok(Became::Over);
            }
            Ok(Became::Tunnel(Box::new((client, *switch))))
        }
    }
}

/// What `work` comes to, unless the client leaves before.
async fn while_there<T>(
    client: &mut End<Stream>,
    session: &Session,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            session.poll_kept(cx);
            left(client, cx).map(|()| None)
        }
    })
    .await
}

/// Ready when the client has gone. It may send before it has its answer: that waits, and hides its end.
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
