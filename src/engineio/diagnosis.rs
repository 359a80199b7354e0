//! The observer that says why a client is refused: one line in the log, with what to do about it.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use http::StatusCode;
use tracing::Level;

use crate::engineio::diagnose;
use crate::engineio::finding;
use crate::engineio::finding::Finding;
use crate::engineio::limiter::Limiter;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::Observer;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;

/// Says what is wrong, of each kind and route once a minute, with how often it was left out since. It belongs to the routes of one
/// configuration, which it knows by their lines. All threads share it; they wait for one another only where something is wrong.
#[derive(Debug, Default)]
pub struct Diagnosis(Mutex<Limiter>);

/// `tracing` leaves a field out when it is `None`; strings are recorded as strings, so that JSON has them unquoted.
macro_rules! line {
    ($level:expr, $finding:expr, $exchange:expr, $left_out:expr) => {
        tracing::event!(
            $level,
            kind = $finding.kind(),
            remote_addr = $exchange.shown_addr().as_str(),
            request = $exchange.request.to_string().as_str(),
            upstream = $exchange.group().map(|group| &*group.name),
            upstream_addr = $exchange.shown_upstream_addr().as_deref(),
            location = $exchange.location(),
            route = $exchange.route().map(|route| &**route),
            why = $finding.to_string().as_str(),
            help = $finding.help().as_str(),
            left_out = $left_out,
            "diagnosis"
        )
    };
}

impl Diagnosis {
    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        // A panic while it was held leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, exchange: &Exchange, finding: Option<Finding>) {
        if let Some(finding) = finding {
            self.say_at(exchange, &finding, Instant::now());
        }
    }

    fn say_at(&self, exchange: &Exchange, finding: &Finding, now: Instant) {
        let route = exchange.route();
        let admitted = self.limiter().admit(finding.kind(), route, now);
        let Some(left_out) = admitted else {
            return;
        };
        let left_out = (left_out > 0).then_some(left_out);
        match finding.severity() {
            finding::FindingLevel::Warn => line!(Level::WARN, finding, exchange, left_out),
            finding::FindingLevel::Info => line!(Level::INFO, finding, exchange, left_out),
        }
    }
}

impl Observer for Diagnosis {
    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        self.say(exchange, diagnose::exchange(exchange, end));
    }

    fn tunnel_ended(&self, _: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        self.say(exchange, diagnose::tunnel(exchange, end));
    }

    fn listens(&self, exchange: &Exchange, status: StatusCode) -> bool {
        diagnose::listens(exchange, status)
    }

    fn is_enough(&self, exchange: &Exchange, said: &[u8]) -> bool {
        diagnose::first_words(exchange, said).is_some()
    }

    fn tunnel_said(&self, _: TunnelId, exchange: &Exchange, said: &[u8]) {
        self.say(exchange, diagnose::first_words(exchange, said).flatten());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::time::Duration;
    use std::time::Instant;

    use http::Method;
    use http::Uri;
    use http::Version;

    use crate::engineio::Diagnosis;
    use crate::engineio::Finding;
    use crate::engineio::limiter::INTERVAL;
    use crate::observe::Exchange;
    use crate::observe::Opening;
    use crate::observe::RequestLine;
    use crate::observe::RuleLabel;
    use crate::stream::ClientAddr;
    use crate::stream::PeerAddr;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn exchange(route: Option<&str>) -> Exchange {
        let target = Uri::from_static("/chat?token=x");
        Exchange {
            remote_addr: ClientAddr::Ip("192.0.2.7:50000".parse().unwrap()),
            request: RequestLine::new(&Method::GET, &target, Version::HTTP_11),
            opening: Opening::Whole,
            upstream_addr: Some(PeerAddr::Ip("127.0.0.1:3000".parse().unwrap())),
            tried_before: None,
            chosen_by: None,
            rule: route.map(|route| Arc::new(RuleLabel::new("/chat", route))),
        }
    }

    #[test]
    fn a_line_says_how_often_it_was_left_out() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .finish();
        let diagnosis = Diagnosis::default();
        let finding = Finding::TunnelTimeout(Duration::from_secs(60));
        let begin = Instant::now();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..4 {
                diagnosis.say_at(&exchange(Some("routes.yaml:9")), &finding, begin);
            }
            diagnosis.say_at(&exchange(Some("routes.yaml:9")), &finding, begin + INTERVAL);
            diagnosis.say_at(&exchange(None), &Finding::NoLocation, begin);
            diagnosis.say_at(&exchange(None), &Finding::NoLocation, begin);
        });
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        let first = " INFO diagnosis kind=\"tunnel_timeout\" remote_addr=\"192.0.2.7:50000\" request=\"GET /chat?.. HTTP/1.1\" \
                     upstream_addr=\"127.0.0.1:3000\" location=\"/chat\" route=\"routes.yaml:9\" \
                     why=\"a tunnel was ended: no byte within 60s (`tunnel_timeout`)\" help=\"let the application send \
                     something more often, such as pings, or raise `tunnel_timeout`, at the top or in the route\"";
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert_eq!(lines[0], first);
        assert_eq!(lines[1], format!("{first} left_out=3"));
        assert!(
            lines[2].starts_with(" INFO diagnosis kind=\"no_location\""),
            "{}",
            lines[2]
        );
        assert!(!lines[2].contains("route="), "{}", lines[2]);
    }
}
