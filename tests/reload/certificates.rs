//! Certificates that change while they are shown.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::reload::Edited;
use crate::support::Authority;
use crate::support::Identity;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel_of;
use crate::support::within;

/// Two certificates of one authority behind one listener, and a client that believes it.
struct Shop {
    authority: Authority,
    client: Arc<ClientConfig>,
    edited: Edited,
    upstream: Upstream,
}

impl Shop {
    async fn open() -> Self {
        let authority = Authority::new();
        let upstream = Upstream::scripted().await;
        let [a, b] = ["a.test", "b.test"].map(|name| authority.issue(&[name]));
        let setup = setup(&upstream, "")
            .file("a.pem", a.pem())
            .file("a.key", a.key_pem())
            .file("b.pem", b.pem())
            .file("b.key", b.key_pem());
        let mut edited = Edited::start(setup).await;
        for key in ["a.key", "b.key"] {
            private(&edited.gate.path(key));
        }
        edited
            .gate
            .log()
            .next(&mut edited.read, "upstream answers")
            .await;
        Self {
            client: believing(&authority),
            authority,
            edited,
            upstream,
        }
    }

    /// Puts another pair in the place of one; first the certificate, then the key.
    fn write(&self, name: &str, identity: &Identity) {
        fs::write(self.path(name, "pem"), identity.pem()).unwrap();
        fs::write(self.path(name, "key"), identity.key_pem()).unwrap();
    }

    fn path(&self, name: &str, ending: &str) -> std::path::PathBuf {
        self.edited.gate.path(&format!("{name}.{ending}"))
    }

    async fn connect(&self, name: &str) -> Peer {
        connect(self.edited.gate.address(), name, &self.client).await
    }

    /// The certificate that a new client is shown.
    async fn shown(&self, name: &str) -> CertificateDer<'static> {
        let name = format!("{name}.test");
        // One without a session, which would only be resumed.
        let stranger = believing(&self.authority);
        let client = connect(self.edited.gate.address(), &name, &stranger).await;
        let certificates = client.tls_session().peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    }

    /// The next time that certificates are taken over by themselves: which.
    async fn renewed(&mut self) -> Vec<String> {
        let log = self.edited.gate.log();
        let lines = log
            .next(&mut self.edited.read, "certificates renewed")
            .await;
        let lines = lines.iter().filter_map(super::change);
        lines
            .map(|line| {
                let (name, place) = (line.split(',').next(), line.rsplit(' ').next());
                format!("{} {}", name.unwrap(), place.unwrap())
            })
            .collect()
    }

    /// The next time that a pair is not taken over: why.
    async fn kept(&mut self) -> String {
        const KEPT: &str = "certificate not renewed: the one of before goes on";
        let lines = self
            .edited
            .gate
            .log()
            .next(&mut self.edited.read, KEPT)
            .await;
        let line = lines.last().unwrap();
        assert_eq!(line["level"], "ERROR");
        line["reason"].as_str().unwrap().to_owned()
    }
}

fn setup(upstream: &Upstream, more: &str) -> Setup {
    let to = upstream.address();
    TestServer::setup().whole(format!(
        "listen:
  - address: 127.0.0.1:0
    tls:
      - {{ cert: a.pem, key: a.key }}
      - {{ cert: b.pem, key: b.key }}
routes:
  - location: /
    proxy_pass: http://{to}
{more}"
    ))
}

fn private(key: &Path) {
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

fn believing(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

async fn connect(address: SocketAddr, name: &str, client: &Arc<ClientConfig>) -> Peer {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    Peer::tls(
        within("a TLS handshake", connector.connect(name, tcp))
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn new_clients_are_shown_the_new_one_and_tunnels_go_on() {
    let mut shop = Shop::open().await;
    let client = shop.connect("a.test").await;
    let (mut client, mut server) = tunnel_of(client, &mut shop.upstream).await;
    let new = shop.authority.issue(&["a.test"]);
    shop.write("a", &new);
    assert_eq!(shop.renewed().await, ["~ tls a.test a.pem"]);
    assert_eq!(shop.shown("a").await, *new.der());
    client.send(b"still").await;
    assert_eq!(server.take(5).await, b"still");
    server.send(b"here").await;
    assert_eq!(client.take(4).await, b"here");
}

#[tokio::test]
async fn a_session_is_resumed_across_a_new_certificate() {
    async fn kind(shop: &mut Shop) -> Option<HandshakeKind> {
        let client = shop.connect("a.test").await;
        // With its first answer come the tickets.
        let (client, _) = tunnel_of(client, &mut shop.upstream).await;
        client.tls_session().handshake_kind()
    }
    let mut shop = Shop::open().await;
    assert_eq!(kind(&mut shop).await, Some(HandshakeKind::Full));
    let new = shop.authority.issue(&["a.test"]);
    shop.write("a", &new);
    shop.renewed().await;
    assert_eq!(kind(&mut shop).await, Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_pair_that_does_not_fit_keeps_the_one_of_before_and_says_so() {
    let mut shop = Shop::open().await;
    let old = shop.shown("a").await;
    let [a, b] = ["a.test", "b.test"].map(|name| shop.authority.issue(&[name]));
    // Only the certificate; at the same time the other pair is in order, and is taken.
    fs::write(shop.path("a", "pem"), a.pem()).unwrap();
    shop.write("b", &b);
    assert_eq!(
        shop.kept().await,
        "key a.key does not belong to certificate a.pem"
    );
    assert_eq!(shop.renewed().await, ["~ tls b.test b.pem"]);
    assert_eq!(shop.shown("a").await, old);
    assert_eq!(shop.shown("b").await, *b.der());
    // Half of the key, then all of it.
    let key = a.key_pem();
    fs::write(shop.path("a", "key"), &key[..key.len() / 2]).unwrap();
    assert_eq!(
        shop.kept().await,
        "key a.key is damaged: the line `-----END …-----` is missing for the block on line 1"
    );
    assert_eq!(shop.shown("a").await, old);
    fs::write(shop.path("a", "key"), &key).unwrap();
    assert_eq!(shop.renewed().await, ["~ tls a.test a.pem"]);
    assert_eq!(shop.shown("a").await, *a.der());
    // One that is out of date, and one that is gone.
    let past = shop.authority.issue_with(&["a.test"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    shop.write("a", &past);
    assert_eq!(shop.kept().await, "certificate a.pem expired on 2002-01-01");
    fs::remove_file(shop.path("a", "pem")).unwrap();
    assert_eq!(shop.kept().await, "certificate a.pem does not exist");
    assert_eq!(shop.shown("a").await, *a.der());
}

#[tokio::test]
async fn one_is_renewed_also_while_the_file_is_wrong() {
    let mut shop = Shop::open().await;
    let broken = setup(&shop.upstream, "nonsense: 1\n");
    shop.edited.gate.save(&broken);
    shop.edited.refused().await;
    let new = shop.authority.issue(&["a.test"]);
    shop.write("a", &new);
    // The file might have been waiting for it, so it is read again, and is still wrong.
    shop.edited.refused().await;
    assert_eq!(shop.renewed().await, ["~ tls a.test a.pem"]);
    assert_eq!(shop.shown("a").await, *new.der());
}

#[tokio::test]
async fn a_file_that_names_what_is_not_there_yet_takes_effect_when_it_is() {
    let mut shop = Shop::open().await;
    let yaml = setup(&shop.upstream, "")
        .yaml()
        .replace("a.pem", "new/a.pem");
    shop.edited.gate.save(&Setup::default().whole(yaml));
    let place = "routes.yaml:4:17".to_owned();
    let missing = "certificate new/a.pem does not exist".to_owned();
    assert_eq!(shop.edited.refused().await, [(place, missing)]);
    let old = shop.edited.gate.path("a.pem");
    fs::create_dir(shop.edited.gate.path("new")).unwrap();
    fs::copy(&old, shop.edited.gate.path("new/copy")).unwrap();
    fs::rename(
        shop.edited.gate.path("new/copy"),
        shop.edited.gate.path("new/a.pem"),
    )
    .unwrap();
    let (changes, _) = shop.edited.reloaded().await;
    let day = changes[0]
        .split("until ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert_eq!(
        changes,
        [
            format!("+ tls a.test, valid until {day} new/a.pem"),
            format!("- tls a.test, valid until {day} a.pem"),
        ]
    );
    // From here on it is watched there, and no more where it was.
    let new = shop.authority.issue(&["a.test"]);
    fs::write(old, "").unwrap();
    shop.write("new/a", &new);
    fs::write(shop.edited.gate.path("a.key"), new.key_pem()).unwrap();
    assert_eq!(shop.renewed().await, ["~ tls a.test new/a.pem"]);
    assert_eq!(shop.shown("a").await, *new.der());
}
