//! A session's id, short enough to be kept and compared at once.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::num::NonZeroU64;
use std::sync::LazyLock;

/// The random key of the process, without which clients could choose ids that are taken for one another, or that all fall into one
/// place of a table.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A session, to be told apart from others: 64 bits of its id. Two that are taken for one are harmless, since a server then says that
/// it does not know the session. It means nothing outside of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionKey(NonZeroU64);

impl SessionKey {
    /// The session with this id, as the client's query has it.
    pub fn of(id: &str) -> Self {
        Self(NonZeroU64::new(HASHER.hash_one(id)).unwrap_or(NonZeroU64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;
    use std::hash::Hash;
    use std::hash::Hasher;

    use crate::affinity::SessionKey;

    #[test]
    fn an_id_has_one_key_and_nobody_outside_can_tell_which() {
        assert_eq!(SessionKey::of("one"), SessionKey::of("one"));
        assert_ne!(SessionKey::of("one"), SessionKey::of("other"));
        let mut known = DefaultHasher::new();
        "one".hash(&mut known);
        assert_ne!(SessionKey::of("one").0.get(), known.finish());
    }
}
