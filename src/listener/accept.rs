//! From a listening socket to connections that are served.
//!
//! A failed accept is waited out, and so is the time in which there are as many connections as there may be: neither ends
//! the listener, and neither spins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context as TaskContext;
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::task::yield_now;

use crate::listener::Context;
use crate::listener::LiveListener;
use crate::listener::acceptor::AcceptedSocket;
use crate::listener::acceptor::Acceptor;
use crate::listener::connection;
use crate::listener::phase::drain_begins;
use crate::listener::promised::PromisedTunnel;
use crate::listener::tasks::Task;
use crate::observe::AcceptPause;
use crate::stream::ClientAddr;

/// Connections that are begun before others get their turn: a millisecond or two of work.
const BEGUN_IN_A_ROW: usize = 64;

/// How long accepting pauses when the process or the system has no room for another connection, before it looks again.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that is taken from the system, with its place among all.
struct TakenConnection {
    socket: AcceptedSocket,
    peer: ClientAddr,
    task: Task,
}

/// What accepting comes to next.
enum AcceptStep {
    Over,
    Accepted(TakenConnection),
    /// The client was gone before it was accepted.
    Gone,
    /// The system has no room.
    Refused(io::Error),
    /// No client waits, or there is no place for one that does; but some connections were taken before.
    Nothing,
    /// There are as many connections as there may be, and all are begun.
    Full,
}

/// Accepts until the process drains or the listener is closed, then takes what the system has accepted already, and closes the socket.
///
/// What waits is taken before what was taken is served (the runtime would stop after 128): the system's queue is short, and
/// a client that finds it full tries again only after a second, while one that was taken waits for its turn in little room.
pub async fn accept(listener: Acceptor, live: Rc<LiveListener>, context: Rc<Context>) {
    unconstrained(take(listener, live, context)).await;
}

async fn take(listener: Acceptor, live: Rc<LiveListener>, context: Rc<Context>) {
    let mut phase = context.phase.clone();
    let mut over = pin!(async {
        tokio::select! {
            () = drain_begins(&mut phase) => {}
            () = live.closed() => {}
        }
    });
    let mut taken: VecDeque<TakenConnection> = VecDeque::new();
    loop {
        let next = poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(AcceptStep::Over),
            Poll::Pending => poll_next(&listener, &context, &taken, cx),
        });
        let is_room = match next.await {
            AcceptStep::Over => break,
            AcceptStep::Accepted(connection) => {
                taken.push_back(connection);
                if taken.len() < listener.taken_ahead() {
                    continue;
                }
                true
            }
            AcceptStep::Gone => continue,
            AcceptStep::Nothing => true,
            AcceptStep::Refused(error) => {
                context
                    .observer
                    .accepting_paused(AcceptPause::System(&error));
                false
            }
            AcceptStep::Full => {
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
            begin(connection, &live, &context);
        }
        if !is_room {
            tokio::select! {
                biased;
                () = &mut over => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        } else if begun > 0 {
            yield_now().await;
        }
    }
    for connection in taken {
        begin(connection, &live, &context);
    }
    take_last(listener, &live, &context);
}

/// What the socket says. Nothing is waited for while there are connections in `taken`, which are to be begun.
fn poll_next(
    listener: &Acceptor,
    context: &Context,
    taken: &VecDeque<TakenConnection>,
    cx: &mut TaskContext<'_>,
) -> Poll<AcceptStep> {
    // The place is taken first, so that `max_connections` is never exceeded.
    let next = match context.tasks.permit() {
        None => Poll::Ready(AcceptStep::Full),
        Some(permit) => listener.poll_accept(cx).map(|accepted| match accepted {
            Ok((socket, peer)) => {
                let task = permit.take();
                AcceptStep::Accepted(TakenConnection { socket, peer, task })
            }
            Err(error) if is_about_one_connection(&error) => AcceptStep::Gone,
            Err(error) => AcceptStep::Refused(error),
        }),
    };
    match next {
        Poll::Ready(AcceptStep::Full) | Poll::Pending if !taken.is_empty() => {
            Poll::Ready(AcceptStep::Nothing)
        }
        next => next,
    }
}

/// Serves what the system has accepted already, as far as there is room, and closes the socket.
fn take_last(listener: Acceptor, live: &Rc<LiveListener>, context: &Rc<Context>) {
    // Closing the socket would reset those that wait in it.
    let Ok(last) = listener.into_last() else {
        return;
    };
    while let Some(permit) = context.tasks.permit() {
        match last.accept() {
            Ok((socket, peer)) => {
                let task = permit.take();
                begin(TakenConnection { socket, peer, task }, live, context);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// Serves one connection.
fn begin(taken: TakenConnection, live: &Rc<LiveListener>, context: &Rc<Context>) {
    let TakenConnection { socket, peer, task } = taken;
    let sweep = Rc::clone(&context.sweep);
    let serving = connection::serve(socket, peer, Rc::clone(live), Rc::clone(context));
    let serving = Box::pin(serving);
    tokio::task::spawn_local(async move {
        if let Some(PromisedTunnel { client, switch }) = serving.await {
            // In a task of its own, which is no larger than a tunnel.
            tokio::task::spawn_local(switch.begin(client, &sweep, task));
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
