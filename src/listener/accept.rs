//! From a listening socket to connections that are served.
//!
//! A failed accept is waited out, and so is the time in which there are as many connections as there may be: neither ends
//! the listener, and neither spins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::task::yield_now;

use crate::listener::Context;
use crate::listener::Door;
use crate::listener::connection;
use crate::listener::phase::drained;
use crate::listener::promised::PromisedTunnel;
use crate::listener::tasks::Task;
use crate::observe::AcceptPause;

/// Connections that are begun before others get their turn: a millisecond or two of work.
const BEGUN_IN_A_ROW: usize = 64;

/// Connections that are taken from the system before they are begun. Its queue is short, and whoever finds it full is turned
/// away and tries again after a second; here there is room for twice as many.
const TAKEN_AHEAD: usize = 8192;

/// How long accepting pauses when the process or the system has no room for another connection, before it looks again.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that is taken from the system, with its place among all.
type Taken = (TcpStream, SocketAddr, Task);

/// What a listening socket says.
enum Next {
    Over,
    Accepted(Taken),
    /// The client was gone before it was accepted.
    Gone,
    /// The system has no room.
    Refused(io::Error),
    /// Nobody waits, or there is no place for who does; but some were taken before.
    Nothing,
    /// There are as many connections as there may be, and all are begun.
    Full,
}

/// Accepts until the process drains or the door is closed, then takes what the system has accepted already, and closes the socket.
///
/// What waits is taken before what was taken is served (the runtime would stop after 128): the system's queue is short, and
/// a client that finds it full tries again only after a second, while one that was taken waits for its turn in little room.
pub async fn accept(listener: TcpListener, door: Rc<Door>, context: Rc<Context>) {
    unconstrained(take(listener, door, context)).await;
}

async fn take(listener: TcpListener, door: Rc<Door>, context: Rc<Context>) {
    let mut phase = context.phase.clone();
    let mut over = pin!(async {
        tokio::select! {
            () = drained(&mut phase) => {}
            () = door.closed() => {}
        }
    });
    let mut taken: VecDeque<Taken> = VecDeque::new();
    loop {
        let next = poll_fn(|cx| {
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Over);
            }
            // The place before the connection, so that there are never more than there may be.
            let next = match context.tasks.place() {
                None => Poll::Ready(Next::Full),
                Some(place) => listener.poll_accept(cx).map(|accepted| match accepted {
                    Ok((tcp, peer)) => Next::Accepted((tcp, peer, place.take())),
                    Err(error) if is_about_one_connection(&error) => Next::Gone,
                    Err(error) => Next::Refused(error),
                }),
            };
            match next {
                Poll::Ready(Next::Full) | Poll::Pending if !taken.is_empty() => {
                    Poll::Ready(Next::Nothing)
                }
                next => next,
            }
        });
        let is_room = match next.await {
            Next::Over => break,
            Next::Accepted(connection) => {
                taken.push_back(connection);
                if taken.len() < TAKEN_AHEAD {
                    continue;
                }
                true
            }
            Next::Gone => continue,
            Next::Nothing => true,
            Next::Refused(error) => {
                context
                    .observer
                    .accepting_paused(AcceptPause::System(&error));
                false
            }
            Next::Full => {
                let max_connections = context.tasks.most();
                let pause = AcceptPause::Full { max_connections };
                context.observer.accepting_paused(pause);
                false
            }
        };
        let begun = match is_room {
            true => taken.len().min(BEGUN_IN_A_ROW),
            false => taken.len(),
        };
        for connection in taken.drain(..begun) {
            begin(connection, &door, &context);
        }
        if !is_room {
            tokio::select! {
                biased;
                () = &mut over => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        } else if !taken.is_empty() {
            yield_now().await;
        }
    }
    for connection in taken {
        begin(connection, &door, &context);
    }
    // Closing the socket would reset those that wait in it. The system is asked, since the runtime may not know of them yet.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Some(place) = context.tasks.place() {
        match listener.accept() {
            Ok((tcp, peer)) => {
                if tcp.set_nonblocking(true).is_ok()
                    && let Ok(tcp) = TcpStream::from_std(tcp)
                {
                    begin((tcp, peer, place.take()), &door, &context);
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// Serves one connection.
fn begin((tcp, peer, task): Taken, door: &Rc<Door>, context: &Rc<Context>) {
    let keeper = Rc::clone(&context.keeper);
    let serving = connection::serve(tcp, peer, Rc::clone(door), Rc::clone(context));
    let serving = Box::pin(serving);
    tokio::task::spawn_local(async move {
        if let Some(PromisedTunnel { client, switch }) = serving.await {
            // In a task of its own, which is no larger than a tunnel.
            tokio::task::spawn_local(switch.begin(client, &keeper, task));
        }
    });
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
