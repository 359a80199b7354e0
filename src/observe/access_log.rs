//! The access log: one line when an exchange ends, for a tunnel one when it opens and one when it ends.
//!
//! What an upstream did wrong is a warning and is written even when the access log is off: somebody has to act on it. So is
//! what a rule or a limit of the configuration refused, since its key must be found, and what a panic ended, as an error.

use std::time::Duration;

use tracing::Level;

use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::PANIC;
use crate::observe::Reason;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::observe::line_sink::LineSink;
use crate::observe::log_line::LogLine;

/// Writes the access log.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessLog {
    /// Whether ordinary lines are written.
    pub ordinary: OrdinaryLines,
    /// What takes lines as bytes. Without one they go through `tracing`, which costs three times as much: to the subscriber of
    /// a program that embeds wsgate.
    pub sink: Option<LineSink>,
}

/// Whether the access log has its ordinary lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OrdinaryLines {
    /// Every exchange and tunnel is written.
    #[default]
    Written,
    /// Only what an upstream did wrong is written, what a rule or a limit refused, and what a panic ended.
    LeftOut,
}

impl Observer for AccessLog {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        let is_ordinary = matches!(end.reason, None | Some(Reason::Client(_)));
        if !is_ordinary || self.ordinary == OrdinaryLines::Written {
            of_exchange(exchange, end).write(self.sink);
        }
    }

    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange) {
        if self.ordinary == OrdinaryLines::Written {
            of_opened(id, exchange).write(self.sink);
        }
    }

    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        if end.ended_by == EndedBy::Panic || self.ordinary == OrdinaryLines::Written {
            of_ended(id, exchange, end).write(self.sink);
        }
    }
}

fn of_exchange<'a>(exchange: &'a Exchange, end: &'a ExchangeEnd) -> LogLine<'a> {
    let (level, reason) = match &end.reason {
        None => (Level::INFO, None),
        Some(Reason::Client(reason) | Reason::Rule(reason)) => (Level::INFO, Some(reason.as_str())),
        Some(Reason::Upstream(reason) | Reason::Unanswered(reason)) => {
            (Level::WARN, Some(reason.as_str()))
        }
        Some(Reason::Panic) => (Level::ERROR, Some(PANIC)),
    };
    LogLine {
        // 499 is nginx's word for a client that left before its answer.
        status: Some(end.status.map_or(499, |status| status.as_u16())),
        body_bytes_sent: Some(end.body_bytes_sent),
        duration_ms: Some(millis(end.duration)),
        reason,
        ..LogLine::of(level, "request", exchange)
    }
}

fn of_opened(id: TunnelId, exchange: &Exchange) -> LogLine<'_> {
    LogLine {
        tunnel: Some(id.number()),
        status: Some(101),
        ..LogLine::of(Level::INFO, "tunnel opened", exchange)
    }
}

fn of_ended<'a>(id: TunnelId, exchange: &'a Exchange, end: &'a TunnelEnd) -> LogLine<'a> {
    let (level, reason) = match end.ended_by {
        EndedBy::Panic => (Level::ERROR, Some(PANIC)),
        _ => (Level::INFO, end.reason.as_deref()),
    };
    LogLine {
        tunnel: Some(id.number()),
        bytes_to_upstream: Some(end.bytes_to_upstream),
        bytes_to_client: Some(end.bytes_to_client),
        duration_ms: Some(millis(end.duration)),
        ended_by: Some(end.ended_by),
        reason,
        ..LogLine::of(level, "tunnel ended", exchange)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
