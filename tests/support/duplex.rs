//! Many bytes: written and compared without ever holding them.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::split;
use tokio::time::timeout;

use crate::support::peer::Peer;
use crate::support::wire::Wire;
use crate::support::within;

/// Repeated without end. Its length is a prime, so that no buffer's size is in step with it.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..1_048_573)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
});

/// Where in the endless pattern a reader or a writer is.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    passed: usize,
}

impl Flood {
    fn next(&self, most: usize) -> &'static [u8] {
        let at = self.passed % PATTERN.len();
        &PATTERN[at..PATTERN.len().min(at + most)]
    }

    /// Writes until nothing was taken for a moment; returns how much was.
    pub(crate) async fn write_until_refused(&mut self, peer: &mut Peer) -> usize {
        let wire = peer.wire();
        let refused = Duration::from_millis(400);
        while let Ok(written) = timeout(refused, wire.write(self.next(64 * 1024))).await {
            self.passed += written.unwrap();
            // A flush that is refused is one that has nothing to lose: it goes on with the next write.
            if timeout(refused, wire.flush()).await.is_err() {
                break;
            }
        }
        self.passed
    }

    /// Writes up to a total.
    pub(crate) async fn write_up_to(&mut self, total: usize, to: &mut (impl AsyncWrite + Unpin)) {
        while self.passed < total {
            let bytes = self.next(total - self.passed);
            let written = within("writing", to.write(bytes)).await.unwrap();
            assert!(written > 0);
            self.passed += written;
        }
        within("flushing", to.flush()).await.unwrap();
    }

    /// Reads up to a total, byte for byte as it was written.
    pub(crate) async fn read_up_to(&mut self, total: usize, from: &mut (impl AsyncRead + Unpin)) {
        let mut buffer = vec![0; 128 * 1024];
        while self.passed < total {
            let most = buffer.len().min(total - self.passed);
            let read = within("reading", from.read(&mut buffer[..most]))
                .await
                .unwrap();
            assert!(read > 0, "the end after {} bytes", self.passed);
            let mut compared = 0;
            while compared < read {
                let wanted = self.next(read - compared);
                let came = &buffer[compared..compared + wanted.len()];
                assert!(came == wanted, "other bytes behind {}", self.passed);
                compared += wanted.len();
                self.passed += wanted.len();
            }
        }
    }
}

/// Moves so many bytes from one to the other and as many back, at the same time.
pub(crate) async fn move_both_ways(total: usize, one: Peer, other: Peer) -> (Wire, Wire) {
    async fn of(total: usize, wire: Wire) -> Wire {
        let (mut from, mut to) = split(wire);
        let (mut written, mut read) = (Flood::default(), Flood::default());
        tokio::join!(
            written.write_up_to(total, &mut to),
            read.read_up_to(total, &mut from)
        );
        from.unsplit(to)
    }
    tokio::join!(of(total, one.into_wire()), of(total, other.into_wire()))
}
