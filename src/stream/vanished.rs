//! Finds a peer that vanished without a word, such as a phone out of reach: TCP keepalive and TCP_USER_TIMEOUT.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use socket2::Socket;
use socket2::TcpKeepalive;

/// How long a peer is silent before the system probes it, the time between two probes, and how many there are.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long a peer that is [doubted](Doubt) may leave unacknowledged what it was sent: as long as keepalive takes to
/// find a peer to which nothing is sent. The system alone would go on for a quarter of an hour (`tcp_retries2`).
#[cfg(target_os = "linux")]
const LIMIT: Duration = Duration::from_secs(120);

/// Whether a peer may have vanished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// The peer has been silent for long.
    Begins,
    /// The peer has spoken.
    Over,
}

/// Has the system end a socket whose peer has been gone for about two minutes, whether bytes are on their way to it or
/// not. A new peer is [doubted](Doubt) until it has spoken in a tunnel.
///
/// # Errors
/// The system refuses an option.
pub fn find(socket: &Socket) -> io::Result<()> {
    let (time, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new()
        .with_time(time)
        .with_interval(interval)
        .with_retries(retries);
    socket.set_tcp_keepalive(&keepalive)?;
    doubt(SockRef::from(socket), Doubt::Begins)
}

/// While the doubt lasts, has the system end the socket also when bytes that it sent stay unacknowledged for about two
/// minutes (TCP_USER_TIMEOUT).
///
/// TCP_USER_TIMEOUT could stay for a tunnel's whole life, but Linux (6.18 too) counts wrongly: when a reader's window
/// was shut and has opened by less than the next segment, the moment of the first probe stays noted, and the next time
/// that its window is shut, perhaps for a fraction of a second and minutes later, the time since then is taken for time
/// without an answer, and the socket is reset. A soak with slow readers saw three tunnels reset in twenty minutes. A
/// peer that speaks every now and then is not doubted, and so not in danger.
///
/// # Errors
/// The system refuses the option.
pub(super) fn doubt(socket: SockRef<'_>, doubt: Doubt) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return socket.set_tcp_user_timeout(match doubt {
        Doubt::Begins => Some(LIMIT),
        Doubt::Over => None,
    });
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, doubt);
        Ok(())
    }
}

/// Whether a socket has the options that [`find`] sets, of which it has all or none.
///
/// # Errors
/// The system does not say.
#[cfg(all(test, target_os = "linux"))]
pub fn is_found(socket: &Socket) -> io::Result<bool> {
    if !socket.keepalive()? {
        assert_eq!(socket.tcp_user_timeout()?, None);
        return Ok(false);
    }
    let (time, interval) = (
        socket.tcp_keepalive_time()?,
        socket.tcp_keepalive_interval()?,
    );
    assert_eq!(time + interval * socket.tcp_keepalive_retries()?, LIMIT);
    assert_eq!(socket.tcp_user_timeout()?, Some(LIMIT));
    Ok(true)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use socket2::Domain;
    use socket2::SockRef;
    use socket2::Socket;
    use socket2::Type;

    use crate::stream::vanished::Doubt;
    use crate::stream::vanished::LIMIT;
    use crate::stream::vanished::doubt;

    #[test]
    fn a_doubt_begins_and_is_over() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        for (says, limit) in [(Doubt::Begins, Some(LIMIT)), (Doubt::Over, None)] {
            doubt(SockRef::from(&socket), says).expect("an option");
            assert_eq!(socket.tcp_user_timeout().expect("an option"), limit);
        }
    }
}
