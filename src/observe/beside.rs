//! Observers made of others: two that hear the same, and one that is shared.

use std::sync::Arc;

use http::StatusCode;

use crate::observe::AcceptPause;
use crate::observe::ConnectionFailure;
use crate::observe::Exchange;
use crate::observe::ExchangeEnd;
use crate::observe::GroupEvent;
use crate::observe::Observer;
use crate::observe::TunnelEnd;
use crate::observe::TunnelId;
use crate::stream::ClientAddr;

/// Each hears all that one of them wants to listen to.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn connection_accepted(&self) {
        self.0.connection_accepted();
        self.1.connection_accepted();
    }

    fn connection_ended(&self) {
        self.0.connection_ended();
        self.1.connection_ended();
    }

    fn connection_failed(&self, client: ClientAddr, failure: ConnectionFailure<'_>) {
        self.0.connection_failed(client, failure);
        self.1.connection_failed(client, failure);
    }

    fn accepting_paused(&self, pause: AcceptPause<'_>) {
        self.0.accepting_paused(pause);
        self.1.accepting_paused(pause);
    }

    fn reloaded(&self) {
        self.0.reloaded();
        self.1.reloaded();
    }

    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        self.0.group_changed(upstream, event);
        self.1.group_changed(upstream, event);
    }

    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        self.0.exchange_ended(exchange, end);
        self.1.exchange_ended(exchange, end);
    }

    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange) {
        self.0.tunnel_opened(id, exchange);
        self.1.tunnel_opened(id, exchange);
    }

    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        self.0.tunnel_ended(id, exchange, end);
        self.1.tunnel_ended(id, exchange, end);
    }

    fn listens(&self, exchange: &Exchange, status: StatusCode) -> bool {
        self.0.listens(exchange, status) || self.1.listens(exchange, status)
    }

    fn is_enough(&self, exchange: &Exchange, said: &[u8]) -> bool {
        self.0.is_enough(exchange, said) && self.1.is_enough(exchange, said)
    }

    fn tunnel_said(&self, id: TunnelId, exchange: &Exchange, said: &[u8]) {
        self.0.tunnel_said(id, exchange, said);
        self.1.tunnel_said(id, exchange, said);
    }
}

/// An observer that others keep hold of hears all that it is told through them.
impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn connection_accepted(&self) {
        self.as_ref().connection_accepted();
    }

    fn connection_ended(&self) {
        self.as_ref().connection_ended();
    }

    fn connection_failed(&self, client: ClientAddr, failure: ConnectionFailure<'_>) {
        self.as_ref().connection_failed(client, failure);
    }

    fn accepting_paused(&self, pause: AcceptPause<'_>) {
        self.as_ref().accepting_paused(pause);
    }

    fn reloaded(&self) {
        self.as_ref().reloaded();
    }

    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        self.as_ref().group_changed(upstream, event);
    }

    fn exchange_ended(&self, exchange: &Exchange, end: &ExchangeEnd) {
        self.as_ref().exchange_ended(exchange, end);
    }

    fn tunnel_opened(&self, id: TunnelId, exchange: &Exchange) {
        self.as_ref().tunnel_opened(id, exchange);
    }

    fn tunnel_ended(&self, id: TunnelId, exchange: &Exchange, end: &TunnelEnd) {
        self.as_ref().tunnel_ended(id, exchange, end);
    }

    fn listens(&self, exchange: &Exchange, status: StatusCode) -> bool {
        self.as_ref().listens(exchange, status)
    }

    fn is_enough(&self, exchange: &Exchange, said: &[u8]) -> bool {
        self.as_ref().is_enough(exchange, said)
    }

    fn tunnel_said(&self, id: TunnelId, exchange: &Exchange, said: &[u8]) {
        self.as_ref().tunnel_said(id, exchange, said);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::time::Duration;

    use http::Method;
    use http::StatusCode;
    use http::Uri;
    use http::Version;

    use crate::observe::AcceptPause;
    use crate::observe::AccessLog;
    use crate::observe::ConnectionFailure;
    use crate::observe::EndedBy;
    use crate::observe::Exchange;
    use crate::observe::ExchangeEnd;
    use crate::observe::GroupEvent;
    use crate::observe::Observer;
    use crate::observe::Opening;
    use crate::observe::RequestLine;
    use crate::observe::TunnelEnd;
    use crate::observe::TunnelId;
    use crate::stream::ClientAddr;

    /// Listens to one status, and until it has heard so many bytes.
    #[derive(Debug)]
    struct Curious(u16, usize);

    impl Observer for Curious {
        fn listens(&self, _: &Exchange, status: StatusCode) -> bool {
            status == self.0
        }

        fn is_enough(&self, _: &Exchange, said: &[u8]) -> bool {
            said.len() >= self.1
        }
    }

    #[test]
    fn what_one_of_two_wants_to_hear_is_listened_to() {
        let exchange = exchange();
        let two = (Curious(200, 2), (Curious(404, 4), AccessLog::default()));
        let heard = |status| two.listens(&exchange, StatusCode::from_u16(status).unwrap());
        assert_eq!([200, 404, 500].map(heard), [true, true, false]);
        let enough = |said: &[u8]| two.is_enough(&exchange, said);
        assert_eq!(
            [enough(b"a"), enough(b"abc"), enough(b"abcd")],
            [false, false, true]
        );
    }

    fn exchange() -> Exchange {
        Exchange {
            remote_addr: ClientAddr::Ip("192.0.2.7:50000".parse().unwrap()),
            request: RequestLine::new(&Method::GET, &Uri::from_static("/"), Version::HTTP_11),
            opening: Opening::Nothing,
            upstream_addr: None,
            tried_before: None,
            chosen_by: None,
            rule: None,
        }
    }

    /// Notes the name of each method that is called. It listens to nothing and has always heard enough, so that the other one of a
    /// pair is asked too.
    #[derive(Debug, Default)]
    struct Recorder(Mutex<Vec<&'static str>>);

    impl Recorder {
        fn note(&self, method: &'static str) {
            self.0.lock().unwrap().push(method);
        }
    }

    impl Observer for Recorder {
        fn connection_accepted(&self) {
            self.note("connection_accepted");
        }

        fn connection_ended(&self) {
            self.note("connection_ended");
        }

        fn connection_failed(&self, _: ClientAddr, _: ConnectionFailure<'_>) {
            self.note("connection_failed");
        }

        fn accepting_paused(&self, _: AcceptPause<'_>) {
            self.note("accepting_paused");
        }

        fn reloaded(&self) {
            self.note("reloaded");
        }

        fn group_changed(&self, _: &str, _: GroupEvent<'_>) {
            self.note("group_changed");
        }

        fn exchange_ended(&self, _: &Exchange, _: &ExchangeEnd) {
            self.note("exchange_ended");
        }

        fn tunnel_opened(&self, _: TunnelId, _: &Exchange) {
            self.note("tunnel_opened");
        }

        fn tunnel_ended(&self, _: TunnelId, _: &Exchange, _: &TunnelEnd) {
            self.note("tunnel_ended");
        }

        fn listens(&self, _: &Exchange, _: StatusCode) -> bool {
            self.note("listens");
            false
        }

        fn is_enough(&self, _: &Exchange, _: &[u8]) -> bool {
            self.note("is_enough");
            true
        }

        fn tunnel_said(&self, _: TunnelId, _: &Exchange, _: &[u8]) {
            self.note("tunnel_said");
        }
    }

    /// Calls each method once, in the order of the trait.
    fn tell_everything(observer: &impl Observer) {
        let (id, exchange) = (TunnelId::next(), exchange());
        let failure = ConnectionFailure::NoRequest {
            header_timeout: Duration::ZERO,
        };
        let exchange_end = ExchangeEnd {
            status: None,
            body_bytes_sent: 0,
            duration: Duration::ZERO,
            reason: None,
            said: None,
        };
        let tunnel_end = TunnelEnd {
            bytes_to_upstream: 0,
            bytes_to_client: 0,
            duration: Duration::ZERO,
            ended_by: EndedBy::Client,
            reason: None,
            said: None,
        };
        observer.connection_accepted();
        observer.connection_ended();
        observer.connection_failed(exchange.remote_addr, failure);
        observer.accepting_paused(AcceptPause::Full { max_connections: 1 });
        observer.reloaded();
        observer.group_changed("chat", GroupEvent::AllDown);
        observer.exchange_ended(&exchange, &exchange_end);
        observer.tunnel_opened(id, &exchange);
        observer.tunnel_ended(id, &exchange, &tunnel_end);
        observer.listens(&exchange, StatusCode::OK);
        observer.is_enough(&exchange, b"");
        observer.tunnel_said(id, &exchange, b"");
    }

    /// The names come from the trait's own text, since a method that nobody forwards compiles: its default does nothing.
    #[test]
    fn both_of_a_pair_hear_every_method_of_the_trait() {
        let (_, of_trait) = include_str!("mod.rs")
            .split_once("pub trait Observer")
            .unwrap();
        let (of_trait, _) = of_trait.split_once("\n}\n").unwrap();
        let signatures = of_trait
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("fn "));
        let methods: Vec<&str> = signatures
            .map(|signature| signature.split_once('(').unwrap().0)
            .collect();
        let recorders = [(); 2].map(|()| Arc::new(Recorder::default()));
        let [one, other] = recorders.clone();
        let observer: Arc<dyn Observer> = Arc::new((one, other));
        tell_everything(&observer);
        for recorder in recorders {
            assert_eq!(*recorder.0.lock().unwrap(), methods);
        }
    }
}
