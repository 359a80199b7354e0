//! What every measure is taken with: the running proxies, the upstream, the clients, and rounds in turns.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use rcgen::CertificateParams;
use rcgen::KeyPair;
use rcgen::PKCS_RSA_SHA256;
use rcgen::RsaKeySize;
use rustls_pki_types::CertificateDer;

use crate::client::Clients;
use crate::contenders::AccessLog;
use crate::contenders::Kind;
use crate::contenders::Proxy;
use crate::measures::growth::Others;
use crate::upstream::Upstream;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds of what takes a moment.
    pub(crate) rounds: usize,
    /// Rounds of what takes long and repeats well: memory, storms.
    pub(crate) few_rounds: usize,
    /// How long one proxy is looked at in a round.
    pub(crate) window: Duration,
    /// Idle tunnels beside the active ones.
    pub(crate) idle: usize,
    /// Tunnels that memory is measured with.
    pub(crate) tunnels: usize,
    /// Clients that reconnect at the same time.
    pub(crate) storm: usize,
}

/// The core of the load and of the upstream.
pub(crate) const LOAD_CORE: usize = 1;

/// All that runs.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) upstream: Upstream,
    pub(crate) clients: Clients,
    certificates: Vec<(&'static str, String)>,
}

impl Bench {
    pub(crate) fn start(plan: Plan, kinds: Vec<Kind>) -> Self {
        let ecdsa = KeyPair::generate().expect("a key");
        let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let mut certificates = Vec::new();
        let mut trusted: Vec<CertificateDer<'static>> = Vec::new();
        for (key, [pem, secret, both]) in [
            (&ecdsa, ["ecdsa.pem", "ecdsa.key", "ecdsa.both"]),
            (&rsa, ["rsa.pem", "rsa.key", "rsa.both"]),
        ] {
            let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            let certificate = params.self_signed(key).expect("a certificate");
            certificates.push((both, certificate.pem() + &key.serialize_pem()));
            certificates.push((pem, certificate.pem()));
            certificates.push((secret, key.serialize_pem()));
            trusted.push(certificate.der().clone());
        }
        Self {
            plan,
            kinds,
            upstream: Upstream::start(LOAD_CORE),
            clients: Clients::new(&trusted),
            certificates,
        }
    }

    pub(crate) fn upstream(&self) -> SocketAddr {
        self.upstream.address
    }

    /// One of each, freshly started.
    pub(crate) fn proxies(&self) -> Vec<Proxy> {
        self.kinds.iter().map(|kind| self.proxy(*kind)).collect()
    }

    pub(crate) fn proxy(&self, kind: Kind) -> Proxy {
        self.start_proxy(kind, &[], AccessLog::Off)
    }

    /// One that writes its access log.
    pub(crate) fn logging_proxy(&self, kind: Kind) -> Proxy {
        self.start_proxy(kind, &[], AccessLog::On)
    }

    /// One with so many other locations.
    pub(crate) fn proxy_with(&self, kind: Kind, others: Others, count: usize) -> Proxy {
        let others: Vec<_> = (0..count).map(|number| (others, number)).collect();
        self.start_proxy(kind, &others, AccessLog::Off)
    }

    /// One of each, before a group of servers.
    pub(crate) fn proxies_of_group(&self, servers: &[Upstream]) -> Vec<Proxy> {
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        let start =
            |kind: &Kind| Proxy::start(*kind, &addresses, &self.certificates, &[], AccessLog::Off);
        self.kinds.iter().map(start).collect()
    }

    fn start_proxy(&self, kind: Kind, others: &[(Others, usize)], access_log: AccessLog) -> Proxy {
        Proxy::start(
            kind,
            &[self.upstream()],
            &self.certificates,
            others,
            access_log,
        )
    }
}

/// `count` rounds in which `one` gives a figure of every proxy; another begins each round.
pub(crate) async fn rounds<T>(
    count: usize,
    proxies: &[Proxy],
    mut one: impl AsyncFnMut(usize, &Proxy) -> T,
) -> Vec<Vec<Option<T>>> {
    let mut all = Vec::new();
    for round in 0..count {
        let mut figures: Vec<Option<T>> = proxies.iter().map(|_| None).collect();
        for turn in 0..proxies.len() {
            let index = (round + turn) % proxies.len();
            figures[index] = Some(one(index, &proxies[index]).await);
        }
        all.push(figures);
    }
    all
}

/// Waits until a proxy has nothing more to do.
pub(crate) async fn quiet(proxy: &Proxy) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut calm = 0;
    while calm < 3 && Instant::now() < until {
        let before = proxy.process.cpu();
        tokio::time::sleep(Duration::from_millis(30)).await;
        let busy = proxy.process.cpu().saturating_sub(before) > Duration::from_micros(500);
        calm = if busy { 0 } else { calm + 1 };
    }
}

/// Waits until a proxy's memory stays the same for as long as an allocator takes to give some back; in KiB.
pub(crate) async fn settled(proxy: &Proxy) -> f64 {
    quiet(proxy).await;
    let until = Instant::now() + Duration::from_secs(8);
    let mut memory = proxy.process.memory();
    let mut same = 0;
    while same < 6 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = proxy.process.memory();
        same = if (now - memory).abs() <= memory * 0.002 {
            same + 1
        } else {
            0
        };
        memory = now;
    }
    memory
}

/// Microseconds of CPU that each of `count` things took.
pub(crate) fn micros_each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}
