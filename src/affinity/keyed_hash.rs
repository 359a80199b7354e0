//! Hashes that nobody outside of this process can foretell.

use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::RandomState;
use std::sync::LazyLock;

/// The random key of the process, without which clients could choose ids that are taken for one another, or that all fall into one
/// place of a table.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of `value` in this process.
pub(super) fn keyed_hash(value: impl Hash) -> u64 {
    HASHER.hash_one(value)
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;
    use std::hash::Hash;
    use std::hash::Hasher;

    use crate::affinity::keyed_hash::keyed_hash;

    #[test]
    fn a_hash_is_the_same_in_this_process_and_in_no_other() {
        assert_eq!(keyed_hash("one"), keyed_hash("one"));
        assert_ne!(keyed_hash("one"), keyed_hash("other"));
        let mut known = DefaultHasher::new();
        "one".hash(&mut known);
        assert_ne!(keyed_hash("one"), known.finish());
    }
}
