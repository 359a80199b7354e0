//! A certificate that expires while it is shown.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::faults::row::Seen;
use crate::faults::words;
use crate::support::Authority;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel_of;
use crate::support::within;

/// Long enough to open a tunnel on a busy machine. Certificates count in seconds.
const VALID: Duration = Duration::from_secs(4);

struct Shop {
    gate: TestServer,
    client: Arc<ClientConfig>,
}

impl Shop {
    async fn connect(&self) -> Result<Peer, std::io::Error> {
        let tcp = TcpStream::connect(self.gate.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let connecting = connector.connect(name, tcp);
        within("a TLS handshake", connecting).await.map(Peer::tls)
    }
}

fn setup(upstream: &Upstream, authority: &Authority, until: SystemTime) -> Setup {
    let identity = authority.issue_with(&["localhost"], |params| {
        params.not_after = until.into();
    });
    TestServer::setup()
        .address("127.0.0.1:0")
        .of_listener("tls: { cert: short.pem, key: short.key }")
        .route("/", upstream)
        .file("short.pem", identity.pem())
        .file("short.key", identity.key_pem())
}

pub(super) async fn expires() -> Seen {
    let mut upstream = Upstream::scripted().await;
    let authority = Authority::new();
    let until = SystemTime::now() + VALID;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A session would only be resumed.
    client.resumption = rustls::client::Resumption::disabled();
    let shop = Shop {
        gate: setup(&upstream, &authority, until).start().await,
        client: Arc::new(client),
    };
    let client = shop.connect().await.unwrap();
    let (mut client, mut server) = tunnel_of(client, &mut upstream).await;
    // That it expires is what this is about.
    let left = until.duration_since(SystemTime::now()).unwrap();
    tokio::time::sleep(left + Duration::from_secs(1)).await;
    let refused = shop.connect().await.unwrap_err().to_string();
    assert!(refused.contains("certificate expired"), "{refused}");
    let line = shop.gate.log().first("no TLS handshake").await;
    client.send("still here").await;
    let heard = server.take(10).await;

    // A start refuses it.
    let failed = setup(&upstream, &authority, until).fail().await;
    assert_eq!(failed.status.code(), Some(2));
    assert!(failed.stderr.contains(" expired on "), "{}", failed.stderr);
    Seen {
        client: "its tunnel goes on; a new one that verifies refuses it".to_owned(),
        upstream: format!("`{}`", heard.escape_ascii()),
        log: words::line(&line),
    }
}
