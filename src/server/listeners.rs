//! The listeners of a configuration, as they are or shall be open on every thread.
//!
//! A listener is its address. One that is in the old configuration and in the new one keeps its sockets, whatever else is
//! different about it. A Unix socket whose file somebody has removed is opened anew.

use std::sync::Arc;

use rustls::ServerConfig;
use time::OffsetDateTime;

use crate::config;
use crate::config::Config;
use crate::config::Tls;
use crate::decision::Redirect;
use crate::listener;
use crate::listener::BindTarget;
use crate::listener::Bound;
use crate::listener::ListenerSettings;
use crate::listener::ListeningSocket;
use crate::listener::SocketFile;
use crate::server::Listening;
use crate::server::Shown;
use crate::server::StartError;
use crate::stream::ListenAddr;
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
    written: ListenAddr,
    /// The address that its sockets have.
    pub(super) address: ListenAddr,
    /// Who may connect to a Unix socket.
    pub(super) mode: u32,
    /// The file of a Unix socket.
    file: Option<Arc<SocketFile>>,
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
            // A Unix socket has none, and 0 is nobody's.
            port: self.address.port().unwrap_or(0),
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
            address: self.address.clone(),
            mode: self.mode,
            tls: self.tls.is_some().then(|| Shown {
                certificates: certificates.collect(),
            }),
        }
    }

    /// Removes the file of a Unix socket, so that nobody connects any more. Who has connected is still accepted.
    pub(super) fn remove_file(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }

    /// Whether the file of its Unix socket is gone, so that nobody can connect.
    fn is_lost(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_lost())
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
pub(super) type Sockets = Vec<(ListenerId, Vec<ListeningSocket>)>;

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
            let (id, address, file) = match open {
                Some(open) => (open.id, open.address.clone(), open.file.clone()),
                None => {
                    let sockets = bind(config, listener, opening.threads)?;
                    let (id, address) = (ListenerId(next), sockets.address());
                    next += 1;
                    bound.push((id, listener, sockets));
                    (id, address, None)
                }
            };
            all.push(OpenListener {
                id,
                written: listener.address.clone(),
                address,
                mode: listener.mode,
                file,
                pairs,
                tls,
                redirect: None,
                proxy_protocol: listener.proxy_protocol,
            });
        }
        // A port 0 is known only now.
        for (at, listener) in config.listeners.iter().enumerate() {
            all[at].redirect = listener.redirect.map(|to| Redirect {
                // The rules send nobody to a Unix socket.
                port: all[to].address.port().unwrap_or(0),
            });
        }
        let mut listening = Vec::new();
        for (id, listener, bound) in bound {
            let listens = bound.listen();
            let (sockets, file) = listens.map_err(|source| refused(config, listener, source))?;
            listening.push((id, sockets));
            if let Some(open) = all.iter_mut().find(|open| open.id == id) {
                open.file = file.map(Arc::new);
            }
        }
        set_modes(config, &all)?;
        Ok((Self { all, next }, listening))
    }

    /// Removes the files of those Unix sockets that are not among `others`.
    pub(super) fn remove_files_but_of(&self, others: &Self) {
        for open in &self.all {
            if !others.all.iter().any(|other| other.id == open.id) {
                open.remove_file();
            }
        }
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
        let address = &listener.address;
        let ours = |open: &OpenListener| listener::overlap(&open.address, address);
        if listener.reuseport || address.is_any_port() || self.all.iter().any(ours) {
            return Ok(());
        }
        listener::claim(address).map_err(|source| refused(config, listener, source))
    }
}

fn has_address(open: &OpenListener, listener: &config::Listener) -> bool {
    open.address == listener.address && !open.is_lost()
}

fn is_written(open: &OpenListener, listener: &config::Listener) -> bool {
    open.written == listener.address && !open.is_lost()
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

/// Binds a socket of `listener` for each thread. Nobody can connect to them yet.
fn bind(config: &Config, listener: &config::Listener, threads: usize) -> Result<Bound, StartError> {
    let target = BindTarget {
        address: &listener.address,
        mode: listener.mode,
        is_shared: listener.reuseport,
    };
    listener::bind(target, threads).map_err(|source| refused(config, listener, source))
}

/// Gives the files of Unix sockets the permissions that `config` says.
fn set_modes(config: &Config, open: &[OpenListener]) -> Result<(), StartError> {
    for (listener, open) in config.listeners.iter().zip(open) {
        if let Some(file) = &open.file {
            let changed = file.set_mode(listener.mode);
            changed.map_err(|source| StartError::Mode {
                place: config.place(listener.line),
                address: open.address.clone(),
                source,
            })?;
        }
    }
    Ok(())
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
