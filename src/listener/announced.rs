//! The PROXY header with which a proxy in front begins each connection: who its client is.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::listener::Context;
use crate::listener::phase::drain_settles;
use crate::observe::ConnectionFailure;
use crate::observe::ProxyHeaderFailure;
use crate::proxy_protocol::ConnectionSource;
use crate::proxy_protocol::ProxyHeaderError;
use crate::proxy_protocol::proxy_header;
use crate::stream::ClientAddr;
use crate::stream::Look;

/// How much is looked at to find where a header ends; most are shorter.
const LOOK: usize = 256;

/// Why a connection is ended before anything of its client was read.
#[derive(Debug)]
enum AnnounceError {
    /// The other end is none of `trusted_proxies`.
    NotTrusted,
    /// It begins otherwise.
    Header(ProxyHeaderError),
    /// It does not begin in time.
    Timeout(Duration),
    /// It ended in the middle of a header.
    BrokenOff,
    /// It ended before it began: port scans and health checks do that.
    Closed,
    /// The socket's error.
    Io(io::Error),
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTrusted => f.write_str("`proxy_protocol` is for `trusted_proxies` only"),
            Self::Header(error) => write!(f, "{error} (`proxy_protocol`)"),
            Self::Timeout(limit) => {
                write!(
                    f,
                    "no whole PROXY header within {limit:?} (`header_timeout`)"
                )
            }
            Self::BrokenOff => f.write_str("it breaks off within its PROXY header"),
            Self::Closed => f.write_str("it is closed"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for AnnounceError {}

impl AnnounceError {
    /// What an observer counts it as.
    fn kind(&self) -> ProxyHeaderFailure {
        match self {
            Self::NotTrusted => ProxyHeaderFailure::NotTrusted,
            Self::Header(_) => ProxyHeaderFailure::Header,
            Self::Timeout(_) => ProxyHeaderFailure::Timeout,
            Self::BrokenOff => ProxyHeaderFailure::BrokenOff,
            Self::Closed => ProxyHeaderFailure::Closed,
            Self::Io(_) => ProxyHeaderFailure::Io,
        }
    }
}

/// Whose connection the `proxy` says that it passes on. If it may not, or does not say it well, the observer hears of it.
/// `None` also if the process drains before anything was said.
pub(super) async fn client_of(
    socket: &mut impl Look,
    proxy: ClientAddr,
    context: &Context,
) -> Option<ClientAddr> {
    let announced = async {
        if !context.current_proxy.load().trusted.contain(proxy.ip()) {
            return Some(Err(AnnounceError::NotTrusted));
        }
        tokio::select! {
            biased;
            client = announced(socket, proxy, context.timeouts.get().header) => Some(client),
            () = drain_settles(context.phase.clone()) => None,
        }
    };
    match announced.await? {
        Ok(client) => Some(client),
        Err(error) => {
            let failure = ConnectionFailure::ProxyHeader {
                kind: error.kind(),
                reason: &error,
            };
            context.observer.connection_failed(proxy, failure);
            None
        }
    }
}

/// Reads the header, and no byte behind it. The client's address, or the proxy's where that speaks for itself.
///
/// # Errors
/// The connection is to be ended.
///
/// # Cancel safety
/// Part of the header is lost.
async fn announced(
    socket: &mut impl Look,
    proxy: ClientAddr,
    limit: Duration,
) -> Result<ClientAddr, AnnounceError> {
    match timeout(limit, read(socket)).await {
        Ok(Ok(ConnectionSource::Client(client))) => Ok(client.into()),
        Ok(Ok(ConnectionSource::Proxy)) => Ok(proxy),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(AnnounceError::Timeout(limit)),
    }
}

async fn read(socket: &mut impl Look) -> Result<ConnectionSource, AnnounceError> {
    let mut header = Vec::new();
    let mut look = [0; LOOK];
    loop {
        let seen = socket.look(&mut look).await.map_err(AnnounceError::Io)?;
        let before = header.len();
        if seen == 0 {
            return Err(match before {
                0 => AnnounceError::Closed,
                _ => AnnounceError::BrokenOff,
            });
        }
        header.extend_from_slice(&look[..seen]);
        let whole = proxy_header(&header).map_err(AnnounceError::Header)?;
        let own = whole.map_or(header.len(), |(_, length)| length) - before;
        // They are there, so this waits for nothing.
        let taken = socket.read_exact(&mut look[..own]).await;
        taken.map_err(AnnounceError::Io)?;
        if let Some((source, _)) = whole {
            return Ok(source);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use crate::listener::announced::AnnounceError;
    use crate::listener::announced::announced;
    use crate::stream::ClientAddr;

    const LONG: Duration = Duration::from_secs(10);

    /// Both ends of a socket, the client's first.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    fn proxy() -> ClientAddr {
        ClientAddr::Ip("10.0.0.1:5".parse().unwrap())
    }

    #[tokio::test]
    async fn a_header_in_pieces_is_taken_and_not_a_byte_behind_it() {
        let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n";
        for cut in [1, 6, header.len() - 1] {
            let (mut client, mut near) = pair().await;
            client.set_nodelay(true).unwrap();
            let sending = async {
                client.write_all(&header[..cut]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                client.write_all(&header[cut..]).await.unwrap();
                client.write_all(b"behind").await.unwrap();
                client.shutdown().await.unwrap();
            };
            let (_, found) = tokio::join!(sending, announced(&mut near, proxy(), LONG));
            assert_eq!(found.unwrap().to_string(), "192.0.2.7:4711");
            let mut behind = String::new();
            near.read_to_string(&mut behind).await.unwrap();
            assert_eq!(behind, "behind");
        }
    }

    #[tokio::test]
    async fn one_that_is_slow_or_breaks_off_is_none() {
        let (mut client, mut near) = pair().await;
        client.write_all(b"PROXY TCP4 ").await.unwrap();
        let limit = Duration::from_millis(50);
        let found = announced(&mut near, proxy(), limit).await;
        assert!(matches!(found, Err(AnnounceError::Timeout(is)) if is == limit));

        let (mut client, mut near) = pair().await;
        client.write_all(b"PROXY TCP4 ").await.unwrap();
        client.shutdown().await.unwrap();
        let found = announced(&mut near, proxy(), LONG).await;
        assert!(matches!(found, Err(AnnounceError::BrokenOff)));

        let (client, mut near) = pair().await;
        drop(client);
        let found = announced(&mut near, proxy(), LONG).await;
        assert!(matches!(found, Err(AnnounceError::Closed)));
    }
}
