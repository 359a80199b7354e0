//! The opening handshake of RFC 6455, as bytes.

use crate::support::peer::Peer;
use crate::support::server::Over;
use crate::support::server::TestServer;
use crate::support::upstream::Upstream;

/// The RFC's own example.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A whole upgrade request for `/socket.io/`.
pub(crate) const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: chat.test\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    \r\n";

/// The answer that agrees to it.
pub(crate) const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n";

/// An upgrade request for `target`, with further lines (each ended by CRLF).
pub(crate) fn upgrade_to(target: &str, lines: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// Opens a tunnel: the client's end and the upstream's.
pub(crate) async fn tunnel(gate: &TestServer, upstream: &mut Upstream, over: Over) -> (Peer, Peer) {
    let client = gate.connect_over(over).await;
    tunnel_of(client, upstream).await
}

/// Opens a tunnel for a client that is connected.
pub(crate) async fn tunnel_of(mut client: Peer, upstream: &mut Upstream) -> (Peer, Peer) {
    client.send(UPGRADE).await;
    let server = upstream.accept().await;
    agree(client, server).await
}

/// Agrees to the upgrade request that a client has sent.
pub(crate) async fn agree(mut client: Peer, mut server: Peer) -> (Peer, Peer) {
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}
