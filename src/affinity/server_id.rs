//! A server of a group, short enough to be kept with each session.

use crate::affinity::keyed_hash::keyed_hash;

/// A server of a group, to be told apart from the others: 24 bits of the group's name and the server's address, so that it means the
/// same after a reload. It means nothing outside of this process.
///
/// In a group of a hundred servers, two of them have the same id once in 3,400 starts. A session of the second is then looked for at
/// the first, which says that it does not know it, and the others are asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ServerId(u32);

impl ServerId {
    /// How many bits it has.
    pub(super) const BITS: u32 = 24;

    /// The server at this address (`host:port` or `unix:/path`) in the group of this name.
    pub fn of(group: &str, address: &str) -> Self {
        Self::from_bits(keyed_hash((group, address)))
    }

    /// The server whose id are the lowest of these bits.
    pub(super) fn from_bits(bits: u64) -> Self {
        const MASK: u64 = (1 << ServerId::BITS) - 1;
        // No more than 24 of them are left.
        Self((bits & MASK) as u32)
    }

    /// Its bits, the lowest ones.
    pub(super) fn bits(self) -> u64 {
        u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::affinity::ServerId;

    #[test]
    fn a_server_is_told_by_its_group_and_its_address() {
        let of = ServerId::of("chat", "10.0.0.1:3000");
        assert_eq!(of, ServerId::of("chat", "10.0.0.1:3000"));
        assert_eq!(of, ServerId::from_bits(of.bits()));
        assert_ne!(of, ServerId::of("chat", "10.0.0.2:3000"));
        assert_ne!(of, ServerId::of("chat1", "0.0.0.1:3000"));
    }
}
