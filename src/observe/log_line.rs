//! What a line of the access log says.

use std::fmt::Write;
use std::time::SystemTime;

use tracing::Level;

use crate::observe::EndedBy;
use crate::observe::Exchange;
use crate::observe::line_encoder::Heading;
use crate::observe::line_encoder::LineEncoder;
use crate::observe::line_encoder::field_name;
use crate::observe::line_sink::LineSink;
use crate::stream::ClientAddr;
use crate::stream::PeerAddr;

/// The fields of one line in the order in which they are written; one that is `None` is left out.
///
/// Names are nginx's where nginx has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLine<'a> {
    pub(super) level: Level,
    pub(super) message: &'static str,
    /// `remote_addr`, `request`, `upstream`, `chosen_by`, `upstream_addr`, `location` and `route`.
    pub(super) exchange: &'a Exchange,
    pub(super) tunnel: Option<u64>,
    pub(super) status: Option<u16>,
    pub(super) body_bytes_sent: Option<u64>,
    pub(super) bytes_to_upstream: Option<u64>,
    pub(super) bytes_to_client: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) ended_by: Option<EndedBy>,
    pub(super) reason: Option<&'a str>,
}

impl<'a> LogLine<'a> {
    /// A line with what is known of the exchange, and nothing more.
    pub(super) fn of(level: Level, message: &'static str, exchange: &'a Exchange) -> Self {
        Self {
            level,
            message,
            exchange,
            tunnel: None,
            status: None,
            body_bytes_sent: None,
            bytes_to_upstream: None,
            bytes_to_client: None,
            duration_ms: None,
            ended_by: None,
            reason: None,
        }
    }

    /// Writes it as bytes to the sink, and through `tracing` where there is none: to the subscriber of a program that embeds
    /// wsgate, or of a test.
    pub(super) fn write(&self, sink: Option<LineSink>) {
        match sink {
            Some(sink) => {
                let heading = Heading {
                    now: SystemTime::now(),
                    level: self.level,
                    message: self.message,
                };
                sink.write_line(|line| {
                    let begun = LineEncoder::begin(line, sink.format, heading);
                    self.encode(begun);
                });
            }
            None => self.trace(),
        }
    }

    fn encode(&self, mut line: LineEncoder<'_>) {
        let exchange = self.exchange;
        match exchange.remote_addr {
            ClientAddr::Ip(address) if address.port() == 0 => {
                line.ip_addr(field_name!("remote_addr"), address.ip());
            }
            ClientAddr::Ip(address) => line.socket_addr(field_name!("remote_addr"), address),
            ClientAddr::Unix => {
                line.written(field_name!("remote_addr"), |to| {
                    write!(to, "{}", ClientAddr::Unix)
                });
            }
        }
        line.written(field_name!("request"), |to| exchange.request.write_to(to));
        if let Some(group) = exchange.group() {
            line.text(field_name!("upstream"), &group.name);
        }
        if let Some(chosen_by) = exchange.chosen_by {
            line.text(field_name!("chosen_by"), chosen_by);
        }
        match (&exchange.tried_before, &exchange.upstream_addr) {
            (None, None) => {}
            (None, Some(PeerAddr::Ip(address))) => {
                line.socket_addr(field_name!("upstream_addr"), *address);
            }
            _ => line.written(field_name!("upstream_addr"), |to| exchange.write_tried(to)),
        }
        if let Some(rule) = &exchange.rule {
            line.text(field_name!("location"), &rule.location);
            line.text(field_name!("route"), &rule.route);
        }
        for (name, value) in [
            (field_name!("tunnel"), self.tunnel),
            (field_name!("status"), self.status.map(u64::from)),
            (field_name!("body_bytes_sent"), self.body_bytes_sent),
            (field_name!("bytes_to_upstream"), self.bytes_to_upstream),
            (field_name!("bytes_to_client"), self.bytes_to_client),
            (field_name!("duration_ms"), self.duration_ms),
        ] {
            if let Some(value) = value {
                line.number(name, value);
            }
        }
        if let Some(ended_by) = self.ended_by {
            line.written(field_name!("ended_by"), |to| write!(to, "{ended_by}"));
        }
        if let Some(reason) = self.reason {
            line.text(field_name!("reason"), reason);
        }
        line.end();
    }

    fn trace(&self) {
        let exchange = self.exchange;
        let upstream_addr = exchange.shown_upstream_addr();
        let ended_by = self.ended_by.map(|ended_by| ended_by.to_string());
        // `tracing` wants the level in the event's static part. It leaves a field out when it is `None`; strings are
        // recorded as strings, so that JSON has them unquoted.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    remote_addr = exchange.shown_addr().as_str(),
                    request = exchange.request.to_string().as_str(),
                    upstream = exchange.group().map(|group| &*group.name),
                    chosen_by = exchange.chosen_by,
                    upstream_addr = upstream_addr.as_deref(),
                    location = exchange.location(),
                    route = exchange.route().map(|route| &**route),
                    tunnel = self.tunnel,
                    status = self.status,
                    body_bytes_sent = self.body_bytes_sent,
                    bytes_to_upstream = self.bytes_to_upstream,
                    bytes_to_client = self.bytes_to_client,
                    duration_ms = self.duration_ms,
                    ended_by = ended_by.as_deref(),
                    reason = self.reason,
                    "{}",
                    self.message
                )
            };
        }
        match self.level {
            Level::ERROR => event!(Level::ERROR),
            Level::WARN => event!(Level::WARN),
            _ => event!(Level::INFO),
        }
    }
}
