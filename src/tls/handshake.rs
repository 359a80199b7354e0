//! The TLS handshake with a client, under a time limit.
//!
//! It ends with a TLS stream, or with an error that names the cause; the client has then been told by an alert, or in
//! plain HTTP if it spoke that. Which errors are worth a log line is left to other modules.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::AlertDescription;
use rustls::PeerIncompatible;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use tokio::io::AsyncWriteExt;

use crate::stream::Look;
use crate::stream::Tls;
use crate::tls::reason;

/// The first byte of a TLS handshake: the record type `handshake` (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// The answer to a client that speaks plain HTTP, to which nginx gives its own status 497.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 52\r\n\
    connection: close\r\n\
    \r\n\
    wsgate: this is a TLS port: use https:// or wss://\r\n";

/// How many reads of 4 KiB there are from a client that spoke plain HTTP: 1 MiB, more than any head.
const LINGERING_READS: usize = 256;

/// Why a TLS handshake with a client failed.
#[derive(Debug)]
pub enum HandshakeError {
    /// The client was too slow.
    Timeout {
        /// The time it had.
        limit: Duration,
    },
    /// The client closed the connection, perhaps before it said anything, as health checks do.
    Closed,
    /// The client spoke plain HTTP, and was answered with 400.
    PlainHttp,
    /// The client spoke neither TLS nor HTTP.
    NotTls,
    /// The two could not agree, or the client sent nonsense.
    Tls(rustls::Error),
    /// The system ended the connection.
    Io(io::Error),
}

/// Does the server's part of the TLS handshake on a new connection, all of it within `limit`.
///
/// # Errors
/// The TLS handshake failed; nothing is left to do on the connection but to drop it.
///
/// # Cancel safety
/// Dropped before it is ready, it closes the connection.
pub async fn accept<S: Look>(
    socket: S,
    config: Arc<ServerConfig>,
    limit: Duration,
) -> Result<Box<Tls<S>>, HandshakeError> {
    let mut plain_http = false;
    let handshake = async {
        match first_byte(&socket).await? {
            TLS_HANDSHAKE => {
                let session =
                    UnbufferedServerConnection::new(config).map_err(HandshakeError::Tls)?;
                Ok(Tls::handshake(socket, session).await?)
            }
            // Every method of HTTP begins with a capital letter.
            b'A'..=b'Z' => {
                plain_http = true;
                // The answer is a courtesy: whether it arrives changes nothing.
                let _ = refuse_plain_http(socket).await;
                Err(HandshakeError::PlainHttp)
            }
            _ => {
                // Bytes left unread would turn the close into a reset.
                let _ = socket.try_read(&mut [0; 4096]);
                Err(HandshakeError::NotTls)
            }
        }
    };
    match tokio::time::timeout(limit, handshake).await {
        Ok(result) => result,
        Err(_) if plain_http => Err(HandshakeError::PlainHttp),
        Err(_) => Err(HandshakeError::Timeout { limit }),
    }
}

/// Waits for the first byte, and leaves it in the socket. rustls does not see it before, so that a byte that is not TLS
/// gets no alert and a silent connection has no buffer.
async fn first_byte(socket: &impl Look) -> Result<u8, HandshakeError> {
    let mut first = [0];
    match socket.look(&mut first).await? {
        0 => Err(HandshakeError::Closed),
        _ => Ok(first[0]),
    }
}

/// Answers in plain HTTP, then reads on until the client closes: bytes left unread would reset the connection, and the
/// client would never see the answer. A client that sends on and on is cut off.
async fn refuse_plain_http(mut socket: impl Look) -> io::Result<()> {
    socket.write_all(PLAIN_HTTP).await?;
    socket.shutdown().await?;
    for _ in 0..LINGERING_READS {
        socket.readable().await?;
        // This buffer lives between two waits only, so that it is no part of the future.
        let mut ignored = [0; 4096];
        match socket.try_read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // `stream` wraps the errors of rustls.
            _ => match error.downcast::<rustls::Error>() {
                Ok(error) => Self::Tls(error),
                Err(error) => Self::Io(error),
            },
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { limit } => write!(
                f,
                "the TLS handshake took longer than {limit:?} (`tls_handshake_timeout`)"
            ),
            Self::Closed => f.write_str("the client left during the TLS handshake"),
            Self::PlainHttp => {
                f.write_str("the client speaks plain HTTP to a TLS port: use https:// or wss://")
            }
            Self::NotTls => f.write_str("the client does not speak TLS"),
            Self::Tls(rustls::Error::NoApplicationProtocol) => {
                f.write_str("the client wants another protocol than HTTP/1.1 (ALPN)")
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) => match alert {
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown => {
                    write!(
                        f,
                        "the client does not trust the certificate: alert {alert:?}"
                    )
                }
                AlertDescription::CertificateExpired => f.write_str(
                    "the client takes the certificate for expired: compare its clock and ours",
                ),
                _ => write!(f, "the client broke off the TLS handshake: alert {alert:?}"),
            },
            Self::Tls(rustls::Error::PeerIncompatible(why)) => match why {
                // The last is checked before the version, and came with TLS 1.2.
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
                    f.write_str("the client is too old: it does not speak TLS 1.2 or 1.3")
                }
                PeerIncompatible::NoSignatureSchemesInCommon => f.write_str(
                    "the client cannot use the certificate's kind of key (RSA, ECDSA, Ed25519)",
                ),
                _ => write!(
                    f,
                    "the client and wsgate have no way of TLS in common: {why:?}"
                ),
            },
            Self::Tls(error) => write!(f, "the TLS handshake was not understood: {error}"),
            Self::Io(error) => write!(
                f,
                "the connection broke during the TLS handshake: {}",
                reason(error)
            ),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Timeout { .. } | Self::Closed | Self::PlainHttp | Self::NotTls => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;
    use std::time::Instant;

    use rustls::AlertDescription;
    use rustls::PeerIncompatible;
    use rustls::ServerConfig;
    use rustls::version::TLS13;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use crate::tls::Shared;
    use crate::tls::handshake::HandshakeError;
    use crate::tls::handshake::TLS_HANDSHAKE;
    use crate::tls::handshake::accept;
    use crate::tls::server_config;
    use crate::tls::test_support::DEADLINE;
    use crate::tls::test_support::client;
    use crate::tls::test_support::pair;
    use crate::tls::test_support::shake;
    use crate::tls::test_support::tcp;

    fn config() -> Arc<ServerConfig> {
        server_config(vec![pair(&["chat.example"])], &Shared::new().unwrap())
    }

    /// What becomes of a client that sends `bytes`, then reads to the end: the error, and what it read.
    async fn sent(bytes: &[u8]) -> (HandshakeError, Vec<u8>) {
        let (to_client, mut to_server) = tcp().await;
        let talk = async {
            to_server.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            to_server.read_to_end(&mut answer).await.unwrap();
            drop(to_server);
            answer
        };
        let (result, answer) = tokio::join!(accept(to_client, config(), DEADLINE), talk);
        (result.unwrap_err(), answer)
    }

    #[tokio::test]
    async fn plain_http_is_answered_in_plain_http() {
        // More than is read at first: the rest must not reset the connection before the answer is read.
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: {}\r\n\r\n",
            "c".repeat(60_000)
        );
        let (error, answer) = sent(request.as_bytes()).await;
        assert_eq!(
            error.to_string(),
            "the client speaks plain HTTP to a TLS port: use https:// or wss://"
        );
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 52\r\nconnection: close"
        );
        assert_eq!(
            body,
            "wsgate: this is a TLS port: use https:// or wss://\r\n"
        );
        assert_eq!(body.len(), 52);
    }

    #[tokio::test]
    async fn a_plain_http_client_that_never_closes_is_let_go_at_the_limit() {
        let (to_client, mut to_server) = tcp().await;
        to_server.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let result = accept(to_client, config(), Duration::from_millis(50)).await;
        assert!(
            matches!(result, Err(HandshakeError::PlainHttp)),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn a_plain_http_client_that_sends_on_and_on_is_cut_off() {
        let (to_client, mut to_server) = tcp().await;
        let flood = async { while to_server.write_all(&[b'A'; 65_536]).await.is_ok() {} };
        let (result, ()) = tokio::join!(accept(to_client, config(), DEADLINE), flood);
        assert!(
            matches!(result, Err(HandshakeError::PlainHttp)),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn other_bytes_are_not_tls() {
        for bytes in [&b"\r\n"[..], b"\x80\x2e\x01\x00\x02", b"{}"] {
            let (error, answer) = sent(bytes).await;
            assert_eq!(error.to_string(), "the client does not speak TLS");
            assert_eq!(answer, b"");
        }
    }

    #[tokio::test]
    async fn bytes_that_only_begin_like_tls_are_told_so_by_an_alert() {
        let (error, answer) = sent(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00").await;
        assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
        // The record type `alert`, and a fatal one.
        assert_eq!((answer[0], answer[5]), (21, 2), "{answer:?}");
    }

    #[tokio::test]
    async fn tls_1_1_is_refused_with_an_alert() {
        // Each a ClientHello of TLS 1.1 with one cipher suite, TLS_RSA_WITH_AES_128_CBC_SHA; as it was in its day,
        // and as it is sent by later clients, with signature_algorithms.
        let plain = (&b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29"[..], &b""[..]);
        let later = (
            &b"\x16\x03\x01\x00\x37\x01\x00\x00\x33"[..],
            &b"\x00\x08\x00\x0d\x00\x04\x00\x02\x04\x03"[..],
        );
        // Fatal handshake_failure and protocol_version (RFC 8446 §6).
        for ((head, extensions), alert) in [(plain, [2, 40]), (later, [2, 70])] {
            let hello = [
                head,
                b"\x03\x02",
                &[7; 32],
                b"\x00\x00\x02\x00\x2f\x01\x00",
                extensions,
            ]
            .concat();
            let (error, answer) = sent(&hello).await;
            assert_eq!(
                error.to_string(),
                "the client is too old: it does not speak TLS 1.2 or 1.3",
                "{error:?}"
            );
            assert_eq!((answer[0], &answer[5..]), (21, &alert[..]));
        }
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_meets_the_limit() {
        let (to_client, _to_server) = tcp().await;
        let limit = Duration::from_millis(50);
        let begun = Instant::now();
        let error = accept(to_client, config(), limit).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the TLS handshake took longer than 50ms (`tls_handshake_timeout`)"
        );
        assert!(begun.elapsed() >= limit);
    }

    #[tokio::test]
    async fn a_client_that_stops_in_the_middle_meets_the_same_limit() {
        // The first byte alone, and a whole ClientHello after which nothing comes.
        let (to_client, mut to_server) = tcp().await;
        to_server.write_all(&[TLS_HANDSHAKE]).await.unwrap();
        let error = accept(to_client, config(), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, HandshakeError::Timeout { .. }), "{error:?}");

        let (to_client, mut to_server) = tcp().await;
        let name = "chat.example".try_into().unwrap();
        let mut hello = Vec::new();
        let mut silent =
            rustls::ClientConnection::new(Arc::new(client(&[&TLS13], &[])), name).unwrap();
        silent.write_tls(&mut hello).unwrap();
        to_server.write_all(&hello).await.unwrap();
        let error = accept(to_client, config(), Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(matches!(error, HandshakeError::Timeout { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_first_message_in_single_bytes_is_understood() {
        let (to_client, mut to_server) = tcp().await;
        to_server.set_nodelay(true).unwrap();
        let name = "chat.example".try_into().unwrap();
        let mut hello = Vec::new();
        let mut slow =
            rustls::ClientConnection::new(Arc::new(client(&[&TLS13], &[])), name).unwrap();
        slow.write_tls(&mut hello).unwrap();
        let talk = async {
            for byte in hello {
                to_server.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            // The record type `handshake`: a ServerHello.
            assert_eq!(to_server.read_u8().await.unwrap(), TLS_HANDSHAKE);
        };
        tokio::select! {
            result = accept(to_client, config(), DEADLINE) => panic!("{result:?}"),
            () = talk => {}
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_has_left() {
        for bytes in [&b""[..], b"\x16", b"\x16\x03\x01"] {
            let (to_client, mut to_server) = tcp().await;
            to_server.write_all(bytes).await.unwrap();
            drop(to_server);
            let error = accept(to_client, config(), DEADLINE).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the client left during the TLS handshake"
            );
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_trust_the_certificate_is_reported_so() {
        let client = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let (server, _client) = shake(&config(), &Arc::new(client), "chat.example").await;
        assert_eq!(
            server.unwrap_err().to_string(),
            "the client does not trust the certificate: alert UnknownCA"
        );
    }

    #[test]
    fn what_else_can_go_wrong_is_said_in_words() {
        for (error, message) in [
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateExpired),
                "the client takes the certificate for expired: compare its clock and ours",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::InternalError),
                "the client broke off the TLS handshake: alert InternalError",
            ),
            (
                PeerIncompatible::NoSignatureSchemesInCommon.into(),
                "the client cannot use the certificate's kind of key (RSA, ECDSA, Ed25519)",
            ),
            (
                PeerIncompatible::NoCipherSuitesInCommon.into(),
                "the client and wsgate have no way of TLS in common: NoCipherSuitesInCommon",
            ),
            (
                rustls::Error::DecryptError,
                "the TLS handshake was not understood: cannot decrypt peer's message",
            ),
        ] {
            // As `stream` hands it on.
            let error = HandshakeError::from(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(error.to_string(), message);
        }
        let error = HandshakeError::from(io::Error::from_raw_os_error(110));
        assert_eq!(
            error.to_string(),
            "the connection broke during the TLS handshake: connection timed out"
        );
    }
}
