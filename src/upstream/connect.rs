//! One socket to an upstream.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::upstream::ConnectError;
use crate::upstream::Host;
use crate::upstream::Limits;
use crate::upstream::ProxyPass;

/// Connects to the server of a `proxy_pass`. A name is looked up anew for each connection, and its addresses are tried
/// in the resolver's order, each for its share of what is left of the time.
///
/// # Errors
/// The name has no address, every address refused, or time was up.
///
/// # Cancel safety
/// Dropping the future closes what was being opened.
pub async fn connect(
    to: &ProxyPass,
    limits: Limits,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    match to.host() {
        Host::Ip(ip) => {
            first_of(
                to,
                &[SocketAddr::new(*ip, to.port())],
                limits,
                Instant::now() + limits.connect,
            )
            .await
        }
        Host::Name(name) => {
            let deadline = Instant::now() + limits.connect;
            let found = match timeout_at(
                deadline,
                tokio::net::lookup_host((name.as_str(), to.port())),
            )
            .await
            {
                Err(_) => {
                    return Err(ConnectError::Timeout {
                        upstream: to.authority(),
                        limit: limits.connect,
                    });
                }
                Ok(Err(source)) => {
                    return Err(ConnectError::Resolve {
                        upstream: to.authority(),
                        source,
                    });
                }
                Ok(Ok(found)) => found.collect::<Vec<_>>(),
            };
            first_of(to, &found, limits, deadline).await
        }
    }
}

async fn first_of(
    to: &ProxyPass,
    addresses: &[SocketAddr],
    limits: Limits,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut refused = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let still_to_try = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(left / still_to_try, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                prepare(&tcp);
                return Ok((tcp, *address));
            }
            Ok(Err(error)) => refused = Some((*address, error)),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some((address, source)) => ConnectError::Refused {
            address,
            upstream: to.authority(),
            source,
        },
        None => ConnectError::Timeout {
            upstream: to.authority(),
            limit: limits.connect,
        },
    })
}

/// Messages leave at once, and a peer that vanished is found in about two minutes (60 s + 4 × 15 s).
///
/// A socket that refuses an option still carries bytes, so nothing is made of it.
fn prepare(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}
