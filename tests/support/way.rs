//! The two ways that a request may go: without hyper, for as long as each comes whole, and through it.

use crate::support::peer::Peer;
use crate::support::server::TestServer;

/// Which one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Short,
    Hyper,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Short, Self::Hyper];

    /// A new connection to `gate` whose next request goes this way; asks there for `/other`.
    pub(crate) async fn client(self, gate: &TestServer) -> Peer {
        let mut client = gate.connect().await;
        assert_eq!(client.get("/other").await.text(), "other");
        if let Self::Hyper = self {
            client
                .send("HEAD /other HTTP/1.1\r\nHost: chat.test\r\n\r\n")
                .await;
            assert_eq!(client.head().await.status(), 200);
        }
        client
    }
}
