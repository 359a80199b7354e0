//! How a server of a group is chosen: in turn, by what is open, by a hash.
//!
//! [`turns`] and [`rendezvous`] are pure. [`search`] puts them together for one request, with what is known of the servers at that
//! moment. Nothing here waits for another thread: what threads share are relaxed atomics, of which a choice changes at most two.

pub(super) mod cursor;
pub(super) mod rendezvous;
pub(super) mod search;
pub(super) mod tier;
pub(super) mod turns;
