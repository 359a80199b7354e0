//! Finds servers that lead back to a listener of the same file: `routes.yaml` has none of them, since a request would never
//! come to an end.

use crate::config;
use crate::nginx::listen::Listen;
use crate::nginx::notes::Notes;
use crate::stream::ListenAddr;
use crate::upstream::Address;

/// The listeners of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnListeners<'a, 'n> {
    /// The addresses of all servers.
    pub(super) listens: &'a [Listen],
    /// Where the places of the file are shown.
    pub(super) notes: &'a Notes<'n>,
}

impl OwnListeners<'_, '_> {
    /// Why no request may be sent to `address`, if it leads back.
    pub(super) fn leads_back(&self, address: &Address) -> Option<String> {
        let own = self.listens.iter().find(|listen| is_at(address, listen))?;
        Some(format!(
            "it leads back to the listener of {}; name the server behind that",
            self.notes.show(own.place)
        ))
    }
}

/// Whether who connects to `address` meets this listener.
fn is_at(address: &Address, listen: &Listen) -> bool {
    match (address, &listen.address) {
        (Address::Port { host, port, .. }, ListenAddr::Ip(address)) => {
            config::leads_to(host, *port, *address)
        }
        (Address::Unix(to), ListenAddr::Unix(path)) => to == path,
        (Address::Port { .. }, ListenAddr::Unix(_)) | (Address::Unix(_), ListenAddr::Ip(_)) => {
            false
        }
    }
}
