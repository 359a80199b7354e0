//! Finds the listener that accepts a client's connection, by port, by address, and by whether it speaks TLS.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::clients::Url;
use crate::config::Config;
use crate::config::Listener;

/// Why no listener accepts a client's connection. The numbers are indices of [`Config::listeners`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoListener {
    /// No listener has this port.
    Port,
    /// This listener has the port, but another address.
    Address(usize),
    /// This listener has the port and speaks TLS, and the client does not.
    SpeaksTls(usize),
    /// This listener has the port and does not speak TLS, and the client does.
    IsPlain(usize),
}

impl NoListener {
    /// The name of the reason, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Port => "no_port",
            Self::Address(_) => "other_address",
            Self::SpeaksTls(_) => "speaks_tls",
            Self::IsPlain(_) => "is_plain",
        }
    }

    /// The reason as the rest of a sentence about the URL.
    pub fn in_words(self, config: &Config, url: &Url) -> String {
        let place = |at: usize| config.place(config.listeners[at].line);
        match self {
            Self::Port => format!("reaches no listener: none has port {}", url.port()),
            Self::Address(at) => format!(
                "reaches no listener: the one with port {} is on another address ({})",
                url.port(),
                place(at)
            ),
            Self::SpeaksTls(at) => {
                format!("is plain, and the listener speaks TLS ({})", place(at))
            }
            Self::IsPlain(at) => format!("is for TLS, and the listener is plain ({})", place(at)),
        }
    }
}

/// What the host of a URL says about the address that it leads to.
enum Leads {
    /// The host is this address.
    To(IpAddr),
    /// The host is `localhost` or a name below it.
    ToThisMachine,
    /// The host is a name, which can lead to any address.
    Anywhere,
}

impl Leads {
    /// Reads the host of a URL.
    fn new(host: &str) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => Self::To(ip.to_canonical()),
            Err(_) if host == "localhost" || host.ends_with(".localhost") => Self::ToThisMachine,
            Err(_) => Self::Anywhere,
        }
    }

    /// Whether such a host can lead to a listener at this address.
    fn reaches(&self, listener: IpAddr) -> bool {
        match self {
            Self::To(ip) => {
                let same_family = ip.is_ipv4() == listener.is_ipv4();
                same_family && (*ip == listener || listener.is_unspecified())
            }
            Self::ToThisMachine => listener.is_loopback() || listener.is_unspecified(),
            Self::Anywhere => true,
        }
    }
}

/// The listener that a URL leads to. One with port 0 may have any port, since the system chooses. Where none has the port, a
/// proxy in front may, which passes everything on through a Unix socket.
pub(super) fn find(config: &Config, url: &Url) -> Result<usize, NoListener> {
    let of_port = |port: u16| {
        let all = config.listeners.iter().enumerate();
        let with_ip = all.filter_map(|(at, listener)| Some((at, listener, listener.address.ip()?)));
        with_ip.filter(move |(_, _, address)| address.port() == port)
    };
    let mut candidates: Vec<(usize, &Listener, SocketAddr)> = of_port(url.port()).collect();
    if candidates.is_empty() {
        candidates = of_port(0).collect();
    }
    let Some((first, ..)) = candidates.first().copied() else {
        // Whatever a proxy in front listens on, it can pass on through a Unix socket.
        let mut all = config.listeners.iter();
        let unix = all.position(|listener| listener.address.path().is_some());
        return unix.ok_or(NoListener::Port);
    };
    let leads = Leads::new(url.host());
    candidates.retain(|(_, _, address)| leads.reaches(address.ip()));
    // The system prefers a listener at the very address to one at every address. A name can lead to any of them, so
    // TLS tells them apart.
    let fits = |listener: &Listener| listener.tls.is_some() == url.scheme().is_tls();
    let chosen = candidates.iter().min_by_key(|(_, listener, address)| {
        let by_name = matches!(leads, Leads::Anywhere) || address.port() == 0;
        (by_name && !fits(listener), address.ip().is_unspecified())
    });
    match chosen {
        None => Err(NoListener::Address(first)),
        Some((at, listener, _)) if fits(listener) => Ok(*at),
        Some((at, listener, _)) if listener.tls.is_some() => Err(NoListener::SpeaksTls(*at)),
        Some((at, ..)) => Err(NoListener::IsPlain(*at)),
    }
}

/// Whether a listener is on the loopback, so that only this machine reaches it, and the URL does not show that.
pub(super) fn is_hidden(listener: &Listener, url: &Url) -> bool {
    let is_loopback = |address: SocketAddr| address.ip().is_loopback();
    matches!(Leads::new(url.host()), Leads::Anywhere)
        && listener.address.ip().is_some_and(is_loopback)
}

/// Whether a URL leads to the client's own machine, whose pages browsers trust without TLS.
pub(super) fn is_local(url: &Url) -> bool {
    match Leads::new(url.host()) {
        Leads::To(ip) => ip.is_loopback(),
        Leads::ToThisMachine => true,
        Leads::Anywhere => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::explain::listener::NoListener;
    use crate::explain::listener::find;
    use crate::explain::verdict::test_support::config;

    #[test]
    fn a_listener_is_found_by_port_address_and_tls() {
        let listeners = [
            "0.0.0.0:80",
            "tls 0.0.0.0:443",
            "127.0.0.1:8080",
            "[::]:8080",
            "tls 10.0.0.1:8080",
        ];
        let config = config(&listeners, &[("", "/", "http://127.0.0.1:1", "")]);
        for (url, listener) in [
            ("ws://a.test", Ok(0)),
            ("wss://a.test", Ok(1)),
            ("wss://a.test:80", Err(NoListener::IsPlain(0))),
            ("ws://a.test:443", Err(NoListener::SpeaksTls(1))),
            ("ws://a.test:81", Err(NoListener::Port)),
            ("ws://127.0.0.1:8080", Ok(2)),
            ("ws://localhost:8080", Ok(2)),
            ("ws://[::1]:8080", Ok(3)),
            ("wss://a.test:8080", Ok(4)),
            ("ws://10.0.0.1:8080", Err(NoListener::SpeaksTls(4))),
            ("ws://10.0.0.2:8080", Err(NoListener::Address(2))),
            ("ws://[::1]", Err(NoListener::Address(0))),
        ] {
            assert_eq!(find(&config, &url.parse().unwrap()), listener, "{url}");
        }
    }

    #[test]
    fn a_port_that_the_system_chooses_may_be_any() {
        let listeners = ["127.0.0.1:0", "tls 127.0.0.1:0"];
        let config = config(&listeners, &[("", "/", "http://127.0.0.1:1", "")]);
        assert_eq!(find(&config, &"ws://a.test".parse().unwrap()), Ok(0));
        assert_eq!(find(&config, &"wss://127.0.0.1:9".parse().unwrap()), Ok(1));
    }
}
