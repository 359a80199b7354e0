//! TLS records in memory: decrypts ciphertext, and encrypts plaintext.
//!
//! [`RecordLayer`] is the only type that knows rustls' unbuffered interface. It does no I/O and keeps no bytes: it
//! works on buffers that it is lent, and says how many bytes of them are used up.

use std::io;

use rustls::CommonState;
use rustls::Error;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::UnbufferedStatus;
use tokio::io::ReadBuf;

use crate::stream::byte_queue::ByteQueue;

/// The longest record that a peer may send: a header of 5 bytes, and 2048 bytes more than a record may carry (RFC 5246
/// §6.2.3; RFC 8446 §5.2 has fewer).
pub(super) const RECORD: usize = 5 + 16 * 1024 + 2048;

/// The most plaintext that is encrypted at once: four records, and what the tunnel reads at once.
pub(super) const PLAIN: usize = 64 * 1024;

/// How many bytes encryption adds to [`PLAIN`] at most: 29 a record with the suites that there are, and a key update.
pub(super) const ADDED: usize = 512;

/// The state of one TLS connection in rustls: its keys, and how far it is.
pub(super) struct RecordLayer(pub(super) UnbufferedServerConnection);

/// What one turn is asked to do beside processing the records that came in.
#[derive(Clone, Copy)]
pub(super) enum Wish<'a> {
    /// Nothing.
    Nothing,
    /// Encrypt these bytes, which are no more than [`PLAIN`].
    Encrypt(&'a [u8]),
    /// Encrypt a close_notify. Nothing may be encrypted after it.
    Close,
}

/// The result of one turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// How many of the incoming bytes are used up. The others must be given again, with more behind them.
    pub(super) used: usize,
    /// Whether the wish was granted.
    pub(super) granted: bool,
    /// Whether the peer has sent a close_notify.
    pub(super) peer_closed: bool,
    /// The error that ends the connection. The alert for it is among the bytes to be sent.
    pub(super) failed: Option<Error>,
}

impl RecordLayer {
    /// The state of the connection, as rustls tells it.
    pub(super) fn state(&self) -> &CommonState {
        &self.0
    }

    /// Processes every whole record of `incoming`, which is decrypted in place, then does what is wished.
    ///
    /// There must be no other turn after one that failed.
    pub(super) fn turn(
        &mut self,
        incoming: &mut [u8],
        wish: Wish<'_>,
        outputs: &mut Outputs<'_, '_>,
    ) -> Turn {
        let mut turn = Turn::default();
        loop {
            match self.step(incoming, wish, outputs, &mut turn) {
                Ok(Step::Again) => {}
                Ok(Step::Done) => return turn,
                Err(error) => {
                    turn.failed = Some(error);
                    break;
                }
            }
        }
        // The alert is encoded. rustls looks at no record before that, so none is given.
        while self.state().wants_write() {
            let last = self.step(&mut [], Wish::Nothing, outputs, &mut Turn::default());
            if !matches!(last, Ok(Step::Again)) {
                break;
            }
        }
        turn
    }

    fn step(
        &mut self,
        incoming: &mut [u8],
        wish: Wish<'_>,
        outputs: &mut Outputs<'_, '_>,
        turn: &mut Turn,
    ) -> Result<Step, Error> {
        let unread = incoming.get_mut(turn.used..).unwrap_or_default();
        let status = self.0.process_tls_records(unread);
        step(status, wish, outputs, turn)
    }
}

/// Whether a turn goes on behind one step.
enum Step {
    /// There may be more to do.
    Again,
    /// Nothing more can be done until more bytes come from the peer.
    Done,
}

/// Does the one thing that rustls asks for.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    wish: Wish<'_>,
    outputs: &mut Outputs<'_, '_>,
    turn: &mut Turn,
) -> Result<Step, Error> {
    let Outputs { plain, sealed } = outputs;
    turn.used += status.discard;
    match status.state? {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                turn.used += record.discard;
                plain.put(record.payload);
            }
            Ok(Step::Again)
        }
        // This never comes, since early data is not offered.
        ConnectionState::ReadEarlyData(_) => Err(Error::General("early data".to_owned())),
        ConnectionState::EncodeTlsData(mut data) => {
            let encoded = data.encode(sealed.room(RECORD));
            sealed.filled += encoded.map_err(|error| Error::General(error.to_string()))?;
            Ok(Step::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::PeerClosed => {
            turn.peer_closed = true;
            Ok(Step::Again)
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let encrypted = match wish {
                Wish::Nothing => Ok(0),
                Wish::Encrypt(bytes) => traffic.encrypt(bytes, sealed.room(bytes.len() + ADDED)),
                Wish::Close => traffic.queue_close_notify(sealed.room(ADDED)),
            };
            sealed.filled += encrypted.map_err(|_| Error::EncryptError)?;
            turn.granted = true;
            Ok(Step::Done)
        }
        // `Closed`, `BlockedHandshake`, and states that a later rustls may add.
        _ => Ok(Step::Done),
    }
}

/// Where the bytes of one turn go.
pub(super) struct Outputs<'a, 'b> {
    pub(super) plain: Plain<'a, 'b>,
    pub(super) sealed: Sealed<'a>,
}

/// Where decrypted bytes go: to the reader as far as it has room, and the others into a queue.
pub(super) struct Plain<'a, 'b> {
    pub(super) reader: Option<&'a mut ReadBuf<'b>>,
    pub(super) rest: &'a mut ByteQueue,
}

impl Plain<'_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        let fits = match &mut self.reader {
            Some(reader) if self.rest.is_empty() => {
                let fits = bytes.len().min(reader.remaining());
                reader.put_slice(&bytes[..fits]);
                fits
            }
            _ => 0,
        };
        if fits < bytes.len() {
            self.rest.append(&bytes[fits..]);
        }
    }
}

/// Where encrypted bytes go: into a buffer for one write, and into a queue if they are too many for it.
pub(super) struct Sealed<'a> {
    buffer: &'a mut [u8],
    filled: usize,
    owed: &'a mut ByteQueue,
}

impl<'a> Sealed<'a> {
    pub(super) fn new(buffer: &'a mut [u8], owed: &'a mut ByteQueue) -> Self {
        Self {
            buffer,
            filled: 0,
            owed,
        }
    }

    /// Room for `size` bytes in the buffer, which is emptied into the queue if it has too little.
    fn room(&mut self, size: usize) -> &mut [u8] {
        if self.buffer.len() - self.filled < size {
            self.owed.append(&self.buffer[..self.filled]);
            self.filled = 0;
        }
        &mut self.buffer[self.filled..]
    }

    /// Empties the buffer: `write` takes as many bytes as it can, and the others go into the queue. All of them do if
    /// some were there before, which must go first.
    pub(super) fn send(self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let bytes = &self.buffer[..self.filled];
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = if self.owed.is_empty() {
            write(bytes)?
        } else {
            0
        };
        if taken < bytes.len() {
            self.owed.append(&bytes[taken..]);
        }
        Ok(())
    }
}
