//! A TLS handshake that failed, as observers hear of it.

use crate::observe::ConnectionFailure;
use crate::observe::TlsFailure;
use crate::tls::HandshakeError;

/// What an observer is told of a connection whose TLS handshake came to nothing.
pub(super) fn of(error: &HandshakeError) -> ConnectionFailure<'_> {
    let kind = match error {
        HandshakeError::Timeout { .. } => TlsFailure::Timeout,
        HandshakeError::Closed => TlsFailure::Closed,
        HandshakeError::PlainHttp => TlsFailure::PlainHttp,
        HandshakeError::NotTls => TlsFailure::NotTls,
        HandshakeError::Tls(_) => TlsFailure::Protocol,
        HandshakeError::Io(_) => TlsFailure::Io,
    };
    ConnectionFailure::TlsHandshake {
        kind,
        reason: error,
    }
}
