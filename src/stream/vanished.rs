//! How a peer is found that vanished without a word, such as a phone out of reach.

use std::io;
use std::time::Duration;

use socket2::Socket;
use socket2::TcpKeepalive;

/// Silence before the system asks whether a peer is there, how often it asks, and how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long a peer may take nothing of what it is sent; what keepalive takes to find one to which nothing is sent. The system
/// alone would go on for a quarter of an hour (`tcp_retries2`).
#[cfg(target_os = "linux")]
const LIMIT: Duration = Duration::from_secs(120);

/// Has the system end a socket whose peer is gone for about two minutes, whether it is owed something or not.
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
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(LIMIT))?;
    Ok(())
}

/// Whether a socket has what [`find`] gives it; all of it or nothing.
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
