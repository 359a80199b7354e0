//! A listening socket in a thread's runtime, be it of TCP or a Unix socket, and what it accepts.
//!
//! With TCP every thread has a queue of its own (SO_REUSEPORT), which Unix sockets do not have: all threads accept from one,
//! and each is woken by every connection. What a thread takes at a time is little there, so that the others take their part.

use std::io;
use std::task::Context;
use std::task::Poll;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;

use crate::listener::socket::ListeningSocket;
use crate::stream::ClientAddr;

/// Connections that are taken from the system before they are begun. Its queue is short, and whoever finds it full is turned
/// away and tries again after a second; here there is room for twice as many.
const TAKEN_AHEAD: usize = 8192;

/// Connections that are taken in a row from a queue that all threads share. Whoever finds it full waits in `connect`.
const TAKEN_AHEAD_OF_SHARED: usize = 8;

/// A listening socket of one thread.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A socket that was accepted.
#[derive(Debug)]
pub(super) enum AcceptedSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Acceptor {
    /// Gives the socket to the runtime of this thread.
    ///
    /// # Errors
    /// The runtime refuses it.
    pub fn new(socket: ListeningSocket) -> io::Result<Self> {
        Ok(match socket {
            ListeningSocket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            ListeningSocket::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    /// How many connections are taken before they are begun.
    pub(super) fn taken_ahead(&self) -> usize {
        match self {
            Self::Tcp(_) => TAKEN_AHEAD,
            Self::Unix(_) => TAKEN_AHEAD_OF_SHARED,
        }
    }

    /// Takes the next connection.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(AcceptedSocket, ClientAddr)>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(tcp, peer)| (AcceptedSocket::Tcp(tcp), peer.into())),
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(unix, _)| (AcceptedSocket::Unix(unix), ClientAddr::Unix)),
        }
    }

    /// Takes the socket back from the runtime, to ask the system for what it has accepted: the runtime may not know of it yet.
    pub(super) fn into_last(self) -> io::Result<LastConnections> {
        Ok(LastConnections(match self {
            Self::Tcp(listener) => ListeningSocket::Tcp(listener.into_std()?),
            Self::Unix(listener) => ListeningSocket::Unix(listener.into_std()?),
        }))
    }
}

/// The connections that wait in a socket which is about to be closed.
pub(super) struct LastConnections(ListeningSocket);

impl LastConnections {
    /// Takes the next one; `WouldBlock` if there is none.
    pub(super) fn accept(&self) -> io::Result<(AcceptedSocket, ClientAddr)> {
        match &self.0 {
            ListeningSocket::Tcp(listener) => {
                let (tcp, peer) = listener.accept()?;
                tcp.set_nonblocking(true)?;
                let tcp = TcpStream::from_std(tcp)?;
                Ok((AcceptedSocket::Tcp(tcp), peer.into()))
            }
            ListeningSocket::Unix(listener) => {
                let (unix, _) = listener.accept()?;
                unix.set_nonblocking(true)?;
                let unix = UnixStream::from_std(unix)?;
                Ok((AcceptedSocket::Unix(unix), ClientAddr::Unix))
            }
        }
    }
}
