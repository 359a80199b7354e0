//! One client connection: what comes before its first request, its requests, and then perhaps a tunnel.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::decision::Client;
use crate::headers::forwarded::Scheme;
use crate::limits::AddressPermit;
use crate::listener::ConnectionTimeouts;
use crate::listener::Context;
use crate::listener::LiveListener;
use crate::listener::admitted::admitted;
use crate::listener::announced::client_of;
use crate::listener::buffered::BufferedEnd;
use crate::listener::buffered::BufferedRequests;
use crate::listener::closing::close;
use crate::listener::head_deadline::HeadDeadline;
use crate::listener::hyper_driver;
use crate::listener::phase::drain_settles;
use crate::listener::promised::PromisedTunnel;
use crate::listener::tls_failure;
use crate::observe::ConnectionFailure;
use crate::proxy::ClientConnection;
use crate::stream::Stream;
use crate::tls;
use crate::tunnel::End;

/// Serves one connection until it ends or becomes a tunnel.
pub(super) async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    live: Rc<LiveListener>,
    context: Rc<Context>,
) -> Option<PromisedTunnel> {
    let phase = context.phase.clone();
    let Opened {
        client,
        permit,
        stream,
        timeouts,
    } = open(tcp, peer, &live, &context).await?;
    let (client_end, deadline) = first_bytes(stream, timeouts, &client, &context).await?;
    if client_end.early.is_empty() {
        Box::pin(close(client_end.stream, phase)).await;
        return None;
    }
    let current_proxy = context.current_proxy.clone();
    let connection =
        ClientConnection::new(current_proxy, client, Rc::clone(live.redirect()), permit);
    let buffered = BufferedRequests::new(&connection, &phase, client_end, deadline);
    // Boxed, like all that begins with the first byte: a connection pays for the step that it is in.
    match Box::pin(buffered.serve()).await {
        BufferedEnd::Tunnel(tunnel) => Some(tunnel),
        BufferedEnd::Http(handover) => {
            Box::pin(hyper_driver::drive(handover, connection, phase)).await
        }
        BufferedEnd::Closing(stream) => {
            // The upstream connection that was kept goes now, not when the client has read its answer.
            // The client is counted until it has.
            connection.end_lease();
            Box::pin(close(stream, phase)).await;
            None
        }
        BufferedEnd::Over => None,
    }
}

/// A connection on which bytes of a request may come.
struct Opened {
    client: Client,
    /// Counts the connection for its address.
    permit: Option<Box<AddressPermit>>,
    stream: Stream,
    /// As it was when the connection came: a reload is for the next one.
    timeouts: ConnectionTimeouts,
}

/// What comes before the first byte of a request: the PROXY header, where the listener has one; whether the client is one too many
/// of its address; and the TLS handshake.
async fn open(
    mut tcp: TcpStream,
    peer: SocketAddr,
    live: &LiveListener,
    context: &Context,
) -> Option<Opened> {
    let mut address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let tls = live.tls();
    let timeouts = context.timeouts.get();
    if live.proxy_protocol() {
        address = Box::pin(client_of(&mut tcp, address, context)).await?;
    }
    let permit = admitted(address, context).ok()?;
    let client = Client {
        address,
        scheme: if tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        },
        port: live.port(),
        redirect: live.redirect().get(),
    };
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            // Boxed, so that a plain connection does not carry the room for it.
            match Box::pin(tls::accept(tcp, config, timeouts.tls_handshake)).await {
                Ok(tls) => Stream::Tls(tls),
                Err(error) => {
                    let failure = tls_failure::of(&error);
                    context.observer.connection_failed(client.address, failure);
                    return None;
                }
            }
        }
    };
    Some(Opened {
        client,
        permit,
        stream,
        timeouts,
    })
}

/// Waits for the first bytes, and says until when a head must be there. A silent connection owns no buffer. The runtime takes what was
/// just accepted for readable, so it is the bytes that are waited for.
async fn first_bytes(
    mut stream: Stream,
    timeouts: ConnectionTimeouts,
    client: &Client,
    context: &Context,
) -> Option<(End<Stream>, HeadDeadline)> {
    let deadline = HeadDeadline::begin(timeouts);
    let taken = poll_fn(|cx| stream.poll_take(cx));
    let first = tokio::select! {
        biased;
        first = timeout_at(deadline.until(), taken) => first,
        () = drain_settles(context.phase.clone()) => return None,
    };
    let Ok(first) = first else {
        let failure = ConnectionFailure::NoRequest {
            header_timeout: timeouts.header,
        };
        context.observer.connection_failed(client.address, failure);
        return None;
    };
    let early = first.ok()?;
    Some((End { stream, early }, deadline))
}
