//! A queue of bytes that costs nothing while it is empty.

/// A queue of bytes, which owns memory only while there is a byte in it.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    bytes: Vec<u8>,
    taken: usize,
}

impl ByteQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes in the queue, in their order.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn append(&mut self, more: &[u8]) {
        // No more room than needed: most is taken before more comes.
        self.bytes.reserve_exact(more.len());
        self.bytes.extend_from_slice(more);
    }

    /// Takes the first `count` of [`ByteQueue::bytes`] out.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// How many bytes of the heap it owns.
    #[cfg(test)]
    pub(super) fn owned(&self) -> usize {
        self.bytes.capacity()
    }
}
