//! The access log: one line when an exchange ends, for a tunnel one when it opens and one when it ends.
//!
//! Field names are nginx's where nginx has one. What an upstream did wrong is a warning and is written even when the
//! access log is off: somebody has to act on it. So is what a rule or a limit of the configuration refused,
//! since its key must be found, and what a panic ended, as an error.

use std::fmt::Display;

use tracing::Level;

use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::PANIC;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;

/// Whether ordinary lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccessLog {
    /// Every exchange and tunnel.
    On,
    /// Only what an upstream did wrong, and what a rule or a limit refused.
    Off,
}

/// `tracing` leaves a field out when it is `None`; strings are recorded as strings, so that JSON has them unquoted.
macro_rules! line {
    ($level:expr, $message:literal, $exchange:expr, $($rest:tt)*) => {
        tracing::event!(
            $level,
            remote_addr = $exchange.shown_addr().as_str(),
            request = $exchange.request.to_string().as_str(),
            upstream_addr = text($exchange.upstream_addr.as_ref()).as_deref(),
            location = $exchange.location.as_deref(),
            route = $exchange.route.as_deref(),
            $($rest)*
            $message
        )
    };
}

impl Observer for AccessLog {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        // 499 is nginx's word for a client that left before its answer.
        let status = end.status.map_or(499, |status| status.as_u16());
        let duration_ms = millis(end.duration);
        match &end.reason {
            Some(Reason::Upstream(reason) | Reason::Unanswered(reason)) => line!(
                Level::WARN,
                "request",
                exchange,
                status,
                body_bytes_sent = end.body_bytes_sent,
                duration_ms,
                reason = reason.as_str(),
            ),
            Some(Reason::Panic) => line!(
                Level::ERROR,
                "request",
                exchange,
                status,
                body_bytes_sent = end.body_bytes_sent,
                duration_ms,
                reason = PANIC,
            ),
            None | Some(Reason::Client(_)) if *self == Self::Off => {}
            Some(Reason::Client(reason) | Reason::Rule(reason)) => line!(
                Level::INFO,
                "request",
                exchange,
                status,
                body_bytes_sent = end.body_bytes_sent,
                duration_ms,
                reason = reason.as_str(),
            ),
            None => line!(
                Level::INFO,
                "request",
                exchange,
                status,
                body_bytes_sent = end.body_bytes_sent,
                duration_ms,
            ),
        }
    }

    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange) {
        if *self == Self::On {
            line!(
                Level::INFO,
                "tunnel opened",
                exchange,
                tunnel = id.number(),
                status = 101,
            );
        }
    }

    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        macro_rules! ended {
            ($level:expr, $reason:expr) => {
                line!(
                    $level,
                    "tunnel ended",
                    exchange,
                    tunnel = id.number(),
                    bytes_to_upstream = end.bytes_to_upstream,
                    bytes_to_client = end.bytes_to_client,
                    duration_ms = millis(end.duration),
                    ended_by = end.ended_by.to_string().as_str(),
                    reason = $reason,
                )
            };
        }
        if end.ended_by == EndedBy::Panic {
            ended!(Level::ERROR, PANIC);
        } else if *self == Self::On {
            ended!(Level::INFO, end.reason.as_deref());
        }
    }
}

fn text(address: Option<impl Display>) -> Option<String> {
    address.map(|address| address.to_string())
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
