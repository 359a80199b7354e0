//! One client connection: what comes before its first request, its requests, and then perhaps a tunnel.

use std::future::poll_fn;
use std::rc::Rc;

use tokio::time::timeout_at;

use crate::decision::Client;
use crate::headers::forwarded::Scheme;
use crate::limits::AddressPermit;
use crate::listener::ConnectionTimeouts;
use crate::listener::Context;
use crate::listener::LiveListener;
use crate::listener::acceptor::AcceptedSocket;
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
use crate::stream::ClientAddr;
use crate::stream::Stream;
use crate::tls;
use crate::tls::HandshakeError;
use crate::tunnel::End;

/// Serves one connection until it ends or becomes a tunnel.
pub(super) async fn serve(
    socket: AcceptedSocket,
    peer: ClientAddr,
    live: Rc<LiveListener>,
    context: Rc<Context>,
) -> Option<PromisedTunnel> {
    let phase = context.phase.clone();
    let Opened {
        client,
        permit,
        stream,
        timeouts,
    } = open(socket, peer, &live, &context).await?;
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
    mut socket: AcceptedSocket,
    peer: ClientAddr,
    live: &LiveListener,
    context: &Context,
) -> Option<Opened> {
    let mut address = peer.canonical();
    let tls = live.tls();
    let timeouts = context.timeouts.get();
    if live.proxy_protocol() {
        address = match &mut socket {
            AcceptedSocket::Tcp(tcp) => Box::pin(client_of(tcp, address, context)).await?,
            AcceptedSocket::Unix(unix) => Box::pin(client_of(unix, address, context)).await?,
        };
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
    let limit = timeouts.tls_handshake;
    // Boxed, so that a plain connection does not carry the room for a TLS handshake.
    let stream = match (socket, tls) {
        (AcceptedSocket::Tcp(tcp), None) => Stream::Plain(tcp),
        (AcceptedSocket::Unix(unix), None) => Stream::Unix(unix),
        (AcceptedSocket::Tcp(tcp), Some(config)) => {
            let secured = Box::pin(tls::accept(tcp, config, limit)).await;
            Stream::Tls(told(secured, &client, context)?)
        }
        (AcceptedSocket::Unix(unix), Some(config)) => {
            let secured = Box::pin(tls::accept(unix, config, limit)).await;
            Stream::UnixTls(told(secured, &client, context)?)
        }
    };
    Some(Opened {
        client,
        permit,
        stream,
        timeouts,
    })
}

/// What a TLS handshake has led to. The observer hears of one that failed.
fn told<T>(secured: Result<T, HandshakeError>, client: &Client, context: &Context) -> Option<T> {
    secured
        .inspect_err(|error| {
            let failure = tls_failure::of(error);
            context.observer.connection_failed(client.address, failure);
        })
        .ok()
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
