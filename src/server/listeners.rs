//! The listeners of a configuration, as they are or shall be open on every thread.
//!
//! A listener is its address. One that is in the old configuration and in the new one keeps its sockets, whatever else is
//! different about it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use time::OffsetDateTime;

use crate::config;
use crate::config::Config;
use crate::config::Tls;
use crate::decision::Redirect;
use crate::listener;
use crate::listener::ListenerSettings;
use crate::server::Listening;
use crate::server::Shown;
use crate::server::StartError;
use crate::tls;
use crate::tls::Certificate;

/// Tells the listeners of a process apart; none is used twice.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ListenerId(usize);

/// A listener whose sockets are open.
#[derive(Clone, Debug)]
pub(super) struct OpenListener {
    pub(super) id: ListenerId,
    /// As the file has it: port 0 stays 0.
    written: SocketAddr,
    /// The address that its sockets have.
    pub(super) address: SocketAddr,
    /// In the order of the file; none without TLS.
    pub(super) pairs: Vec<Certificate>,
    tls: Option<Arc<ServerConfig>>,
    redirect: Option<Redirect>,
    proxy_protocol: bool,
}

impl OpenListener {
    /// What threads serve by on it.
    pub(super) fn settings(&self) -> ListenerSettings {
        ListenerSettings {
            tls: self.tls.clone(),
            proxy_protocol: self.proxy_protocol,
            port: self.address.port(),
            redirect: self.redirect,
        }
    }

    /// What a person wants to know of it.
    pub(super) fn listening(&self) -> Listening {
        let certificates = self.pairs.iter().map(|pair| {
            (
                pair.path().to_owned(),
                pair.names().to_vec(),
                pair.not_after(),
            )
        });
        Listening {
            address: self.address,
            tls: self.tls.is_some().then(|| Shown {
                certificates: certificates.collect(),
            }),
        }
    }

    /// Shows these from the next TLS handshake on.
    pub(super) fn show(&mut self, pairs: Vec<Certificate>, shared: &tls::Shared) {
        self.tls = Some(tls::server_config(pairs.clone(), shared));
        self.pairs = pairs;
    }
}

/// All of a configuration, in its order.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) all: Vec<OpenListener>,
    /// The number for the next one.
    next: usize,
}

/// What opening listeners needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpeningContext<'a> {
    pub(super) shared: &'a tls::Shared,
    pub(super) threads: usize,
    pub(super) now: OffsetDateTime,
}

/// The sockets of listeners, one for each thread.
pub(super) type Sockets = Vec<(ListenerId, Vec<std::net::TcpListener>)>;

impl Listeners {
    /// Those of `config`, and sockets for those that are not open yet. Either all of this works or nothing has changed:
    /// no address listens before everything else is done.
    ///
    /// # Errors
    /// An address cannot be listened on, or what `self_signed` needs cannot be written.
    pub(super) fn prepare(
        &self,
        config: &Config,
        opening: OpeningContext<'_>,
    ) -> Result<(Self, Sockets), StartError> {
        let open = self.those_open(config);
        for (listener, open) in config.listeners.iter().zip(&open) {
            if open.is_none() {
                self.claim(config, listener)?;
            }
        }
        let mut secured = Vec::new();
        for (listener, open) in config.listeners.iter().zip(&open) {
            secured.push(secure(config, listener, *open, opening)?);
        }
        let mut next = self.next;
        let mut bound = Vec::new();
        let mut all = Vec::new();
        for ((listener, open), (pairs, tls)) in config.listeners.iter().zip(open).zip(secured) {
            let (id, address) = match open {
                Some(open) => (open.id, open.address),
                None => {
                    let sockets = listener::bind(listener.address, opening.threads)
                        .map_err(|source| refused(config, listener, source))?;
                    let (id, address) = (ListenerId(next), sockets.address());
                    next += 1;
                    bound.push((id, listener, sockets));
                    (id, address)
                }
            };
            all.push(OpenListener {
                id,
                written: listener.address,
                address,
                pairs,
                tls,
                redirect: None,
                proxy_protocol: listener.proxy_protocol,
            });
        }
        // A port 0 is known only now.
        for (at, listener) in config.listeners.iter().enumerate() {
            all[at].redirect = listener.redirect.map(|to| Redirect {
                port: all[to].address.port(),
            });
        }
        let sockets = bound.into_iter().map(|(id, listener, bound)| {
            let sockets = bound
                .listen()
                .map_err(|source| refused(config, listener, source))?;
            Ok((id, sockets))
        });
        let sockets = sockets.collect::<Result<_, _>>()?;
        Ok((Self { all, next }, sockets))
    }

    /// For each listener of `config` the open one that it is: the one that has this very port, though the file may have left
    /// that to the system before. For a port 0 it is the next that was written so, first among those that have TLS as it
    /// does.
    fn those_open(&self, config: &Config) -> Vec<Option<&OpenListener>> {
        let mut left: Vec<&OpenListener> = self.all.iter().collect();
        let mut found = vec![None; config.listeners.len()];
        for is in [has_address, is_written_alike, is_written] {
            for (found, listener) in found.iter_mut().zip(&config.listeners) {
                if found.is_none()
                    && let Some(at) = left.iter().position(|open| is(open, listener))
                {
                    *found = Some(left.remove(at));
                }
            }
        }
        found
    }

    /// Tries an address that is to be opened. Where one of ours overlaps it, that one would be in the way of the trial; it was
    /// tried itself, and whoever listens beside it without SO_REUSEPORT is still found when the address is bound.
    fn claim(&self, config: &Config, listener: &config::Listener) -> Result<(), StartError> {
        let address = listener.address;
        let ours = |open: &OpenListener| listener::overlap(open.address, address);
        if listener.reuseport || address.port() == 0 || self.all.iter().any(ours) {
            return Ok(());
        }
        listener::claim(address).map_err(|source| refused(config, listener, source))
    }
}

fn has_address(open: &OpenListener, listener: &config::Listener) -> bool {
    open.address == listener.address
}

fn is_written(open: &OpenListener, listener: &config::Listener) -> bool {
    open.written == listener.address
}

fn is_written_alike(open: &OpenListener, listener: &config::Listener) -> bool {
    is_written(open, listener) && open.tls.is_some() == listener.tls.is_some()
}

type Secured = (Vec<Certificate>, Option<Arc<ServerConfig>>);

/// The certificates of a listener and how it speaks TLS: as before, if it shows the same.
fn secure(
    config: &Config,
    listener: &config::Listener,
    open: Option<&OpenListener>,
    opening: OpeningContext<'_>,
) -> Result<Secured, StartError> {
    let pairs = match &listener.tls {
        None => return Ok((Vec::new(), None)),
        Some(Tls::Pairs(pairs)) => pairs.clone(),
        Some(Tls::SelfSigned { dir }) => {
            let made = tls::self_signed::ensure(dir, opening.now);
            vec![made.map_err(|source| StartError::SelfSigned {
                place: config.place(listener.line),
                source,
            })?]
        }
    };
    let same = |open: &&OpenListener| {
        open.pairs.len() == pairs.len()
            && open
                .pairs
                .iter()
                .zip(&pairs)
                .all(|(open, pair)| open.shows_the_same_as(pair))
    };
    let tls = match open.filter(same).and_then(|open| open.tls.clone()) {
        Some(tls) => tls,
        None => tls::server_config(pairs.clone(), opening.shared),
    };
    Ok((pairs, Some(tls)))
}

fn refused(
    config: &Config,
    listener: &config::Listener,
    source: listener::ListenError,
) -> StartError {
    StartError::Listen {
        place: config.place(listener.line),
        source,
    }
}
