//! What the choice of a server depends on, beside the group.

use std::net::IpAddr;
use std::time::Instant;

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct ChoiceInput<'a> {
    /// The client's address, as far as trusted proxies name it; none at a Unix socket.
    pub client: Option<IpAddr>,
    /// The value of the variables of `balance: { hash: .. }`.
    pub hash_key: Option<&'a str>,
    /// The moment of the choice.
    pub now: Instant,
}
