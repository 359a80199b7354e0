//! A new connection for a request, on either way: with hyper or without.

use crate::proxy::error::ProxyError;
use crate::proxy::report::Report;
use crate::proxy::route::Hop;
use crate::upstream;
use crate::upstream::Connected;

/// Connects to the hop's server, and tells the report which address took the connection or refused it; see [`upstream::connect`] for
/// `first`.
pub(super) async fn connect(
    hop: &Hop,
    first: &[u8],
    report: &mut Report,
) -> Result<Connected, ProxyError> {
    let connected = upstream::connect(&hop.server, hop.route.timeouts.connect, first).await;
    match connected {
        Ok(connected) => {
            report.sent_to(Some(connected.address.clone()));
            Ok(connected)
        }
        Err(error) => {
            report.sent_to(error.address().cloned());
            Err(ProxyError::Connect(error))
        }
    }
}
