//! Bytes that wait for someone to take them.

/// A queue of bytes. It owns memory only while there is a byte in it.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    bytes: Vec<u8>,
    taken: usize,
}

impl ByteQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All of them, the first to be taken at the front.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn append(&mut self, more: &[u8]) {
        // Not more room than needed: most is taken before more comes.
        self.bytes.reserve_exact(more.len());
        self.bytes.extend_from_slice(more);
    }

    /// The first `count` of [`ByteQueue::bytes`] have been taken.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// What it owns of the heap.
    #[cfg(test)]
    pub(super) fn owned(&self) -> usize {
        self.bytes.capacity()
    }
}
