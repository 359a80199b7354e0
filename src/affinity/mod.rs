//! Which server a session belongs to, so that the requests of one session go to one server of a group.
//!
//! What a session is, the protocol of the sessions knows: it implements [`Sessions`], and here nothing is known of it but that. All
//! is values and atomics: no clock is read, no socket is reached, and nothing waits for another thread.

mod keyed_hash;
mod lifetime;
mod server_id;
mod session_key;
mod sessions;

pub use crate::affinity::lifetime::Lifetime;
pub use crate::affinity::server_id::ServerId;
pub use crate::affinity::session_key::SessionKey;
pub use crate::affinity::sessions::LONGEST_REFUSAL;
pub use crate::affinity::sessions::OpenedSession;
pub use crate::affinity::sessions::SessionNeed;
pub use crate::affinity::sessions::Sessions;
