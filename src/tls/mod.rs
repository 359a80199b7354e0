//! TLS with clients (certificates from files, the choice among them, the TLS handshake) and with upstreams.
//!
//! It promises TLS 1.2 and 1.3 and nothing older, `http/1.1` as the only protocol in ALPN, and certificates that were
//! checked before the first client came. When files are read, and what happens to a connection before and after its
//! TLS handshake, is left to other modules.

mod certificate;
mod certificate_error;
mod chain;
mod contents;
mod file_fault;
mod given_file;
mod handshake;
mod inspection;
mod known_roots;
mod names;
mod other_form;
mod passed_over;
mod pem;
mod remark;
mod resolver;
mod roots;
pub mod self_signed;
mod signature;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod test_support;
mod upstream_name;
mod upstream_tls;
mod upstream_tls_error;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ConfigBuilder;
use rustls::ServerConfig;
use rustls::WantsVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::server::ProducesTickets;
use rustls::version::TLS12;
use rustls::version::TLS13;

use crate::tls::resolver::Resolver;

pub use crate::tls::certificate::Certificate;
pub use crate::tls::certificate_error::CertificateError;
pub use crate::tls::file_fault::FileFault;
pub use crate::tls::file_fault::PemFault;
pub use crate::tls::given_file::Concerns;
pub use crate::tls::given_file::GivenFile;
pub use crate::tls::handshake::HandshakeError;
pub use crate::tls::handshake::accept;
pub use crate::tls::inspection::NOTICE;
pub use crate::tls::known_roots::KnownRoots;
pub use crate::tls::other_form::OtherForm;
pub use crate::tls::passed_over::PassedOver;
pub use crate::tls::remark::Remark;
pub use crate::tls::roots::NoSystemRoots;
pub use crate::tls::roots::Roots;
pub use crate::tls::upstream_name::UpstreamName;
pub use crate::tls::upstream_tls::UpstreamTls;
pub use crate::tls::upstream_tls_error::UpstreamTlsError;

/// The one protocol offered in ALPN (RFC 7301): WebSocket over HTTP/2 (RFC 8441) is not spoken, and a browser that
/// was given `h2` would try it.
const ALPN: &[u8] = b"http/1.1";

/// How many TLS 1.3 tickets a client is given after its TLS handshake.
///
/// A ticket should be used once (RFC 8446 appendix C.4), and an Engine.IO client that comes back opens two
/// connections, one for polling and one for its upgrade. It is also OpenSSL's default.
const TICKETS: usize = 2;

/// What all TLS listeners of a process share: the ticket keys above all.
///
/// It is made once and outlives every configuration, so that a client resumes its session on another listener or
/// thread and after a reload brought a new certificate. The keys exist in memory only, change every 6 hours and are
/// good for 12, the times of rustls' own ticketer; a restart makes new ones.
///
/// Sharing them is sound because no listener asks clients for certificates, so that a session proves nothing about
/// the client, and because rustls resumes a session only under the server name it began with (RFC 6066 §3).
pub struct Shared {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl Shared {
    /// Makes the ticket keys.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> Result<Self, rustls::Error> {
        // The provider is given here instead of installed for the process, which only one library in it could do.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        Ok(Self {
            builder,
            ticketer: aws_lc_rs::Ticketer::new()?,
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The TLS configuration of a listener: versions 1.2 and 1.3, ALPN `http/1.1`, and of `pairs` the certificate that fits
/// the server name (SNI): an exact name before `*.` and one label, else the first.
///
/// A client without ALPN is served. One whose ALPN lacks `http/1.1` is refused with `no_application_protocol`, as
/// RFC 7301 §3.2 demands. Sessions are kept in tickets, never in memory. There is no early data, since it could be
/// replayed (RFC 8446 §8). Without any pair every TLS handshake ends with an alert.
pub fn server_config(pairs: Vec<Certificate>, shared: &Shared) -> Arc<ServerConfig> {
    let resolver = Arc::new(Resolver::new(pairs));
    let mut config = shared
        .builder
        .clone()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = Arc::clone(&shared.ticketer);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    config.max_early_data_size = 0;
    // All suites offered are sound, so the client chooses: a phone without AES instructions prefers ChaCha20, and a
    // browser with them AES-128, which costs less here than the AES-256 that would be our first.
    config.ignore_client_order = false;
    Arc::new(config)
}

/// The system's text for an error, as the end of a message: in lower case and without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rustls::AlertDescription;
    use rustls::ClientConfig;
    use rustls::HandshakeKind;
    use rustls::NamedGroup;
    use rustls::ProtocolVersion;
    use rustls::ServerConfig;
    use rustls::version::TLS12;
    use rustls::version::TLS13;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use crate::tls::ALPN;
    use crate::tls::Shared;
    use crate::tls::reason;
    use crate::tls::server_config;
    use crate::tls::test_support::client;
    use crate::tls::test_support::pair;
    use crate::tls::test_support::shake;

    fn config(names: &[&str]) -> Arc<ServerConfig> {
        server_config(vec![pair(names)], &Shared::new().unwrap())
    }

    #[tokio::test]
    async fn both_versions_are_served_and_1_3_is_preferred() {
        let config = config(&["chat.example"]);
        for (versions, expected) in [
            (&[&TLS12][..], ProtocolVersion::TLSv1_2),
            (&[&TLS13][..], ProtocolVersion::TLSv1_3),
            (&[&TLS12, &TLS13][..], ProtocolVersion::TLSv1_3),
        ] {
            let client = Arc::new(client(versions, &[]));
            let (server, client) = shake(&config, &client, "chat.example").await;
            assert_eq!(server.unwrap().session().protocol_version(), Some(expected));
            assert_eq!(
                client.unwrap().get_ref().1.protocol_version(),
                Some(expected)
            );
        }
    }

    #[tokio::test]
    async fn a_client_that_can_gets_the_post_quantum_key_exchange() {
        let config = config(&["chat.example"]);
        let client = Arc::new(client(&[&TLS13], &[]));
        let (server, _client) = shake(&config, &client, "chat.example").await;
        let server = server.unwrap();
        let group = server.session().negotiated_key_exchange_group();
        assert_eq!(
            group.map(|group| group.name()),
            Some(NamedGroup::X25519MLKEM768)
        );
    }

    #[tokio::test]
    async fn http_1_1_is_chosen_even_when_h2_is_offered_first() {
        let config = config(&["chat.example"]);
        for version in [&TLS12, &TLS13] {
            for (offered, chosen) in [
                (&["h2", "http/1.1"][..], Some(ALPN)),
                (&["http/1.1"][..], Some(ALPN)),
                (&[][..], None),
            ] {
                let client = Arc::new(client(&[version], offered));
                let (server, client) = shake(&config, &client, "chat.example").await;
                assert_eq!(server.unwrap().session().alpn_protocol(), chosen);
                assert_eq!(client.unwrap().get_ref().1.alpn_protocol(), chosen);
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_offers_only_h2_is_refused_with_the_alert_for_it() {
        let config = config(&["chat.example"]);
        let (server, client) = shake(
            &config,
            &Arc::new(client(&[&TLS13], &["h2"])),
            "chat.example",
        )
        .await;
        assert_eq!(
            server.unwrap_err().to_string(),
            "the client wants another protocol than HTTP/1.1 (ALPN)"
        );
        let error = client.unwrap_err().downcast::<rustls::Error>().unwrap();
        assert_eq!(
            error,
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        );
    }

    #[tokio::test]
    async fn the_server_name_decides_which_certificate_is_sent() {
        let pairs = vec![
            pair(&["first.example"]),
            pair(&["*.chat.example"]),
            pair(&["chat.example", "127.0.0.1"]),
        ];
        let sent: Vec<_> = pairs
            .iter()
            .map(|pair| pair.certified().cert[0].clone())
            .collect();
        let config = server_config(pairs, &Shared::new().unwrap());
        for (asked, expected) in [
            ("first.example", 0),
            ("a.chat.example", 1),
            ("A.Chat.Example", 1),
            ("chat.example", 2),
            ("a.b.chat.example", 0),
            ("unknown.example", 0),
            // No client sends a name for an address.
            ("127.0.0.1", 0),
        ] {
            for version in [&TLS12, &TLS13] {
                let (server, client) =
                    shake(&config, &Arc::new(client(&[version], &[])), asked).await;
                server.unwrap();
                assert_eq!(
                    client.unwrap().get_ref().1.peer_certificates().unwrap(),
                    [sent[expected].clone()],
                    "{asked}"
                );
            }
        }
    }

    /// Connects once, so that the tickets arrive. Returns the kind of TLS handshake and how many tickets came.
    async fn visit(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
    ) -> (Option<HandshakeKind>, u32) {
        let (server, client) = shake(server, client, "chat.example").await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        server.write_all(b"!").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'!');
        let connection = client.get_ref().1;
        (
            connection.handshake_kind(),
            connection.tls13_tickets_received(),
        )
    }

    #[tokio::test]
    async fn a_session_goes_on_under_another_configuration_that_shares_the_ticket_keys() {
        for (version, tickets) in [(&TLS12, 0), (&TLS13, 2)] {
            let shared = Shared::new().unwrap();
            let before = server_config(vec![pair(&["chat.example"])], &shared);
            let after = server_config(vec![pair(&["chat.example"])], &shared);
            let client = Arc::new(client(&[version], &["http/1.1"]));
            assert_eq!(
                visit(&before, &client).await,
                (Some(HandshakeKind::Full), tickets)
            );
            assert_eq!(visit(&after, &client).await.0, Some(HandshakeKind::Resumed));
            let stranger = config(&["chat.example"]);
            assert_eq!(visit(&stranger, &client).await.0, Some(HandshakeKind::Full));
        }
    }

    #[tokio::test]
    async fn one_visit_brings_tickets_for_two_connections() {
        let config = config(&["chat.example"]);
        let client = Arc::new(client(&[&TLS13], &["http/1.1"]));
        visit(&config, &client).await;
        // Neither reads, so that no newer ticket arrives.
        for _ in 0..2 {
            let (server, client) = shake(&config, &client, "chat.example").await;
            server.unwrap();
            assert_eq!(
                client.unwrap().get_ref().1.handshake_kind(),
                Some(HandshakeKind::Resumed)
            );
        }
    }

    #[test]
    fn there_is_no_early_data_and_no_session_in_memory() {
        let config = config(&["chat.example"]);
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.session_storage.can_cache());
        assert!(config.ticketer.enabled());
    }

    #[test]
    fn the_system_is_quoted_in_lower_case_and_without_its_number() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(error.to_string(), "Permission denied (os error 13)");
        assert_eq!(reason(&error), "permission denied");
    }
}
