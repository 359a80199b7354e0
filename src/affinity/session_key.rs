//! A session's id, short enough to be kept and compared at once.

use std::num::NonZeroU64;

use crate::affinity::keyed_hash::keyed_hash;

/// A session, to be told apart from others: 64 bits of its id. Two that are taken for one are harmless, since a server then says that
/// it does not know the session. It means nothing outside of this process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionKey(NonZeroU64);

impl SessionKey {
    /// The session with this id, as the client's query has it.
    pub fn of(id: &str) -> Self {
        Self(NonZeroU64::new(keyed_hash(id)).unwrap_or(NonZeroU64::MAX))
    }

    /// All of its bits, of which one at least is set.
    pub(super) fn bits(self) -> u64 {
        self.0.get()
    }
}
