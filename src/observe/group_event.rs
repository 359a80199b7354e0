//! What happens to the servers of a group, as values.

use std::time::Duration;

/// What has happened to a server of a group, or to all of them. A server is named by its address, as it is connected to.
#[derive(Clone, Copy, Debug)]
pub enum GroupEvent<'a> {
    /// It gets no new requests until it is up again.
    Down {
        /// The server.
        server: &'a str,
        /// Why it cannot be reached, or how it failed its check.
        reason: &'a str,
        /// How many requests and tunnels it has.
        open: u32,
    },
    /// It could be reached again, or passed its checks again.
    Up {
        /// The server.
        server: &'a str,
        /// For how long it was down.
        after: Duration,
    },
    /// It gets nothing new, and has no open request, no tunnel and no session any more: it may be taken away.
    Drained {
        /// The server.
        server: &'a str,
    },
    /// All servers are down, so that their verdicts mean nothing any more.
    AllDown,
    /// A name of the group leads to other addresses than before.
    Resolved {
        /// The name with its port, as it is written.
        name: &'a str,
        /// How many addresses it has now.
        addresses: usize,
        /// How many of its addresses of before are none any more, and drain.
        draining: usize,
    },
    /// A name of the group cannot be looked up, or has no address. Its servers stay what they were.
    Unresolved {
        /// The name with its port, as it is written.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
}
