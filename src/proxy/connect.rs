//! A new connection for a request, on either way: with hyper or without.

use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::error::ProxyError;
use crate::proxy::group_request::Next;
use crate::proxy::report::Report;
use crate::proxy::route::Hop;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::upstream;
use crate::upstream::ConnectAttempt;
use crate::upstream::ConnectError;
use crate::upstream::Connected;

/// Connects to the hop's server, and tells the report which address took the connection or refused it; see [`upstream::connect`] for
/// `first`. Where the server is one of a group, and cannot be connected to, the hop leads to another one afterwards.
///
/// # Errors
/// There is no connection to that server, nor to any other one that may take the request.
pub(super) async fn connect(
    to: &mut UpstreamRequest,
    first: &[u8],
    report: &mut Report,
) -> Result<Connected, ProxyError> {
    if to.in_group.is_some() {
        // Boxed, so that a request to one server does not carry the room for it.
        return Box::pin(connect_in_group(to, first, report)).await;
    }
    let connected = connect_to(&to.hop, to.hop.route.timeouts.connect, first, report).await;
    connected.map_err(ProxyError::Connect)
}

/// Connects to one server after the other. All of them share `connect_timeout`.
async fn connect_in_group(
    to: &mut UpstreamRequest,
    first: &[u8],
    report: &mut Report,
) -> Result<Connected, ProxyError> {
    let whole = to.hop.route.timeouts.connect;
    let deadline = Instant::now() + whole;
    loop {
        let began = Instant::now();
        let left = deadline.saturating_duration_since(began);
        let shares = to
            .in_group
            .as_ref()
            .map_or(1, |group| group.connects_left());
        let limit = left / u32::try_from(shares).unwrap_or(1).max(1);
        let error = match connect_to(&to.hop, limit, first, report).await {
            Ok(connected) => {
                if let Some(in_group) = &to.in_group {
                    in_group.choice.connected(Instant::now().into_std());
                }
                return Ok(connected);
            }
            Err(error) => error,
        };
        if error.address().is_none() {
            report.sent_to(to.hop.server.peer_addr());
        }
        let now = Instant::now();
        let attempt = ConnectAttempt {
            began: began.into_std(),
            ended: now.into_std(),
        };
        let in_group = to.in_group.as_mut();
        let next = in_group.map_or(Next::Done, |in_group| {
            in_group.not_connected(attempt, error.blame(whole))
        });
        if next == Next::Done || now >= deadline {
            return Err(ProxyError::Connect(error));
        }
        to.follow_choice();
    }
}

async fn connect_to(
    hop: &Hop,
    limit: Duration,
    first: &[u8],
    report: &mut Report,
) -> Result<Connected, ConnectError> {
    match upstream::connect(&hop.server, limit, first).await {
        Ok(connected) => {
            report.sent_to(Some(connected.address.clone()));
            Ok(connected)
        }
        Err(error) => {
            report.sent_to(error.address().cloned());
            Err(error)
        }
    }
}
