//! Errors of TLS with an upstream, in words for the person who can change it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::AlertDescription;
use rustls::CertificateError as Refusal;
use rustls::Error;
use rustls::InvalidMessage;
use rustls::PeerIncompatible;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

use crate::stream::NO_CLIENT_CERTIFICATE;
use crate::tls::certificate_error::day;
use crate::tls::reason;
use crate::tls::upstream_name::UpstreamName;

/// Why a TLS handshake with an upstream failed. Its text goes on where `upstream 127.0.0.1:5003: ` ends.
#[derive(Debug)]
pub struct UpstreamTlsError {
    pub(super) name: UpstreamName,
    pub(super) ca: Option<Arc<Path>>,
    pub(super) failure: UpstreamTlsFailure,
}

/// How a TLS handshake with an upstream failed.
#[derive(Debug)]
pub(super) enum UpstreamTlsFailure {
    /// The upstream closed the connection.
    Closed,
    /// The two could not agree, or the upstream's certificate is refused.
    Tls(Error),
    /// The system ended the connection.
    Io(io::Error),
}

impl From<io::Error> for UpstreamTlsFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // tokio-rustls wraps the errors of rustls.
            _ => match error.downcast::<Error>() {
                Ok(error) => Self::Tls(error),
                Err(error) => Self::Io(error),
            },
        }
    }
}

impl UpstreamTlsError {
    /// The name that was asked for, with its key if that is not `proxy_pass`.
    fn asked_for(&self) -> String {
        if self.name.is_given() {
            format!("{} (`tls_name`)", self.name)
        } else {
            self.name.to_string()
        }
    }

    /// Writes what is wrong with the upstream's certificate.
    fn refusal(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.asked_for();
        match refusal {
            Refusal::NotValidForNameContext { presented, .. } if presented.is_empty() => write!(
                f,
                "its certificate names no host (`subjectAltName`), and so is not for {name}"
            ),
            Refusal::NotValidForNameContext { presented, .. } => {
                let names = presented.join(", ");
                write!(f, "its certificate is for {names}, not for {name}")?;
                match presented.as_slice() {
                    _ if self.name.is_given() => Ok(()),
                    [one] if !one.starts_with('*') => {
                        write!(f, "; if that is its name, set `tls_name: {one}`")
                    }
                    _ => f.write_str("; if it has such a name, set `tls_name` to it"),
                }
            }
            Refusal::NotValidForName => write!(f, "its certificate is not for {name}"),
            Refusal::ExpiredContext { not_after, .. } => {
                write!(f, "its certificate expired{}", on(*not_after))
            }
            Refusal::NotValidYetContext { not_before, .. } => write!(
                f,
                "its certificate is not valid yet, it begins{}; is this machine's clock right?",
                on(*not_before)
            ),
            Refusal::UnknownIssuer | Refusal::BadSignature => match &self.ca {
                Some(ca) => write!(
                    f,
                    "its certificate is not trusted: none in {} has issued it (`ca`)",
                    ca.display()
                ),
                None => f.write_str(
                    "its certificate is not trusted: no authority that this system knows has issued it; set `ca`",
                ),
            },
            Refusal::InvalidPurpose | Refusal::InvalidPurposeContext { .. } => {
                f.write_str("its certificate is not one for servers (`extendedKeyUsage`)")
            }
            // Above all this is an authority's own certificate, with which nothing else is wrong.
            Refusal::Other(other) => write!(
                f,
                "its certificate is not trusted: {other}; set `ca` to a file that holds it"
            ),
            _ => write!(f, "its certificate is not accepted: {refusal}"),
        }
    }
}

/// The day of a moment in UTC with ` on ` before it, as in ` on 2026-03-01`; empty for a moment beyond the calendar.
fn on(moment: UnixTime) -> String {
    i64::try_from(moment.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map(|moment| format!(" on {}", day(moment)))
        .unwrap_or_default()
}

impl fmt::Display for UpstreamTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            UpstreamTlsFailure::Closed => f.write_str(
                "it closed the connection during the TLS handshake; if it speaks no TLS, use `http://`",
            ),
            UpstreamTlsFailure::Tls(Error::InvalidCertificate(refusal)) => self.refusal(refusal, f),
            // A plain HTTP server answers a TLS handshake with a 400 in plain text.
            UpstreamTlsFailure::Tls(Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            )) => f.write_str("it speaks no TLS: use `http://`"),
            UpstreamTlsFailure::Tls(
                Error::AlertReceived(AlertDescription::ProtocolVersion)
                | Error::PeerIncompatible(
                    PeerIncompatible::ServerDoesNotSupportTls12Or13
                    | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
                ),
            ) => f.write_str("it is too old: it does not speak TLS 1.2 or 1.3"),
            UpstreamTlsFailure::Tls(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                f.write_str("it does not speak HTTP/1.1 (ALPN)")
            }
            UpstreamTlsFailure::Tls(Error::AlertReceived(AlertDescription::UnrecognisedName)) => write!(
                f,
                "it has no certificate for {} (alert UnrecognisedName): set `tls_name` to a name that it knows",
                self.name
            ),
            UpstreamTlsFailure::Tls(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
                f.write_str(NO_CLIENT_CERTIFICATE)
            }
            UpstreamTlsFailure::Tls(Error::AlertReceived(alert)) => {
                write!(f, "it broke off the TLS handshake: alert {alert:?}")
            }
            UpstreamTlsFailure::Tls(Error::PeerIncompatible(why)) => {
                write!(f, "it and wsgate have no way of TLS in common: {why:?}")
            }
            UpstreamTlsFailure::Tls(error) => write!(f, "its TLS handshake was not understood: {error}"),
            UpstreamTlsFailure::Io(error) => write!(
                f,
                "the connection broke during the TLS handshake: {}",
                reason(error)
            ),
        }
    }
}

impl std::error::Error for UpstreamTlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            UpstreamTlsFailure::Closed => None,
            UpstreamTlsFailure::Tls(error) => Some(error),
            UpstreamTlsFailure::Io(error) => Some(error),
        }
    }
}
