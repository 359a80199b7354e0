//! One request and one answer, for tests that are about what lies between.

use crate::support::message::Answer;
use crate::support::peer::Peer;
use crate::support::server::TestServer;
use crate::support::upstream::Upstream;

/// A whole request for `/`.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n";

/// A client whose request has arrived: the gate, its end and the upstream's.
pub(crate) async fn asked(request: &str) -> (TestServer, Peer, Peer) {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(request).await;
    let mut server = upstream.accept().await;
    server.request().await;
    (gate, client, server)
}

/// What a client gets when the upstream says this and closes.
pub(crate) async fn passed_on(answer: impl AsRef<[u8]>) -> Answer {
    let (_gate, mut client, mut server) = asked(GET).await;
    server.send(answer).await;
    server.vanish();
    client.answer().await
}
