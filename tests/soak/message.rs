//! Messages that are numbered and checksummed: a lost, changed, doubled or displaced one is seen where it arrives.
//!
//! A message is a binary frame of RFC 6455. A client's mask is zero, which the RFC allows, so that both ends write alike.
//! Inside are a kind, a number, how many the sender has got itself, a checksum over all of it and the tunnel's own number, and a body.

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use crate::dice::Dice;

/// What a message wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An answer, as long as itself.
    Ask = b'e',
    /// What answers it; the body begins with its number.
    Answer = b'a',
    /// Many messages at once: the body says how many, and how long.
    Burst = b'b',
    /// Nothing.
    Push = b'p',
    /// That the upstream says its last, half-closes, and listens on.
    YouFirst = b'f',
    /// That the upstream resets the connection.
    Reset = b'r',
    /// The last one.
    Close = b'c',
}

const KINDS: [Kind; 7] = [
    Kind::Ask,
    Kind::Answer,
    Kind::Burst,
    Kind::Push,
    Kind::YouFirst,
    Kind::Reset,
    Kind::Close,
];

/// Who writes: frames of clients have a mask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Client,
    Upstream,
}

/// What one end has sent and got.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Account {
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) got: u64,
    pub(crate) got_bytes: u64,
}

/// What came, as it should not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// One is missing, came twice, or came out of order.
    Number { expected: u64, came: u64 },
    /// It was changed, or belongs to another tunnel.
    Checksum { number: u64 },
    /// These bytes begin no frame.
    Frame(Vec<u8>),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { expected, came } => {
                write!(f, "message {came} where {expected} was next")
            }
            Self::Checksum { number } => write!(f, "message {number} with another checksum"),
            Self::Frame(bytes) => write!(f, "no frame: {bytes:02x?}"),
        }
    }
}

/// A message that arrived whole.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

/// Kind, number, what was got, checksum.
const FIELDS: usize = 1 + 8 + 8 + 8;

const BINARY: u8 = 0x82;

/// One end of a tunnel or of a polling session: what it sends and gets is numbered here.
#[derive(Debug)]
pub(crate) struct End {
    id: u64,
    side: Side,
    account: Account,
    /// How many of its own the other end says that it has got.
    acknowledged: u64,
    read: Vec<u8>,
}

impl End {
    pub(crate) fn new(id: u64, side: Side) -> Self {
        Self {
            id,
            side,
            account: Account::default(),
            acknowledged: 0,
            read: Vec::new(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Messages of which the other end has not said that it has got them.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.account.sent - self.acknowledged
    }

    /// The frame of the next message, which counts as sent.
    pub(crate) fn frame(&mut self, kind: Kind, body: &[u8]) -> Vec<u8> {
        self.account.sent += 1;
        let frame = self.encode(kind, body);
        self.account.sent_bytes += frame.len() as u64;
        frame
    }

    /// Bytes of a frame that will never be whole.
    pub(crate) fn part(&mut self, body: &[u8], dice: &mut Dice) -> Vec<u8> {
        self.account.sent += 1;
        let mut frame = self.encode(Kind::Push, body);
        self.account.sent -= 1;
        frame.truncate(dice.size(1, frame.len()));
        self.account.sent_bytes += frame.len() as u64;
        frame
    }

    fn encode(&self, kind: Kind, body: &[u8]) -> Vec<u8> {
        let length = FIELDS + body.len();
        let mask = match self.side {
            Side::Client => 0x80,
            Side::Upstream => 0,
        };
        let mut frame = Vec::with_capacity(length + 14);
        frame.push(BINARY);
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if self.side == Side::Client {
            frame.extend([0; 4]);
        }
        let (number, got) = (self.account.sent, self.account.got);
        frame.push(kind as u8);
        frame.extend(number.to_be_bytes());
        frame.extend(got.to_be_bytes());
        frame.extend(sum(self.id, kind as u8, [number, got], body).to_be_bytes());
        frame.extend(body);
        frame
    }

    /// What was read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.account.got_bytes += bytes.len() as u64;
        self.read.extend(bytes);
    }

    /// The next message that is there whole.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Wrong> {
        let Some((payload, end)) = self.payload()? else {
            return Ok(None);
        };
        let payload = &self.read[payload];
        let field = |at: usize| -> u64 {
            let bytes = payload[at..at + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        let (number, got, checksum) = (field(1), field(9), field(17));
        let body = payload[FIELDS..].to_vec();
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == payload[0]);
        let Some(kind) =
            kind.filter(|kind| sum(self.id, *kind as u8, [number, got], &body) == checksum)
        else {
            return Err(Wrong::Checksum { number });
        };
        let expected = self.account.got + 1;
        if number != expected {
            return Err(Wrong::Number {
                expected,
                came: number,
            });
        }
        self.account.got = number;
        self.acknowledged = self.acknowledged.max(got);
        self.read.drain(..end);
        if self.read.is_empty() {
            self.read = Vec::new();
        }
        Ok(Some(Message { kind, body }))
    }

    /// Where the payload of the next frame is, and where the frame ends.
    fn payload(&self) -> Result<Option<(Range<usize>, usize)>, Wrong> {
        let read = &self.read;
        if read.len() < 2 {
            return Ok(None);
        }
        let masked = self.side == Side::Upstream;
        let (extended, short) = (
            match read[1] & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            },
            usize::from(read[1] & 0x7f),
        );
        let begin = 2 + extended + if masked { 4 } else { 0 };
        if read.len() < begin {
            return Ok(None);
        }
        let length = match extended {
            0 => short,
            _ => read[2..2 + extended]
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte)),
        };
        let is_frame = read[0] == BINARY
            && (read[1] & 0x80 != 0) == masked
            && (!masked || read[begin - 4..begin] == [0; 4]);
        if !is_frame || !(FIELDS..1 << 20).contains(&length) {
            return Err(Wrong::Frame(read[..read.len().min(32)].to_vec()));
        }
        let end = begin + length;
        Ok((read.len() >= end).then_some((begin..end, end)))
    }
}

/// FNV-1a, eight bytes at a time, over all that must not be another.
fn sum(id: u64, kind: u8, numbers: [u64; 2], body: &[u8]) -> u64 {
    let mut sum = checksum(body);
    for value in [id, u64::from(kind), numbers[0], numbers[1]] {
        sum = (sum ^ value).wrapping_mul(PRIME).rotate_left(29);
    }
    sum
}

const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Of any bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        sum = (sum ^ word).wrapping_mul(PRIME).rotate_left(29);
    }
    for byte in words.remainder() {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(PRIME).rotate_left(29);
    }
    sum
}

/// Looks random.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dice = Dice::of(0, 0);
    (0..512 * 1024 / 8)
        .flat_map(|_| dice.next().to_le_bytes())
        .collect()
});

/// The longest body.
pub(crate) const LONGEST: usize = 256 * 1024;

/// A body of that length; another each time.
pub(crate) fn body(dice: &mut Dice, length: usize) -> &'static [u8] {
    let at = dice.size(0, PATTERN.len() - LONGEST);
    &PATTERN[at..at + length.min(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::End;
    use super::Kind;
    use super::Side;
    use super::Wrong;

    /// What the upstream makes of these bytes of tunnel 7: how many messages it takes, and what is wrong then.
    fn taken(bytes: &[u8]) -> (u64, Option<Wrong>) {
        let mut upstream = End::new(7, Side::Upstream);
        upstream.feed(bytes);
        loop {
            match upstream.next() {
                Ok(Some(_)) => {}
                Ok(None) => return (upstream.account().got, None),
                Err(wrong) => return (upstream.account().got, Some(wrong)),
            }
        }
    }

    fn frames(lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut client = End::new(7, Side::Client);
        let bodies = lengths.iter().map(|length| vec![b'x'; *length]);
        bodies.map(|body| client.frame(Kind::Ask, &body)).collect()
    }

    #[test]
    fn messages_of_every_length_arrive_in_pieces_too() {
        let all = frames(&[0, 1, 99, 100, 101, 65_510, 65_511, 200_000]).concat();
        assert_eq!(taken(&all), (8, None));
        let mut upstream = End::new(7, Side::Upstream);
        for piece in all.chunks(1000) {
            upstream.feed(piece);
            while upstream.next().expect("nothing is wrong").is_some() {}
        }
        assert_eq!(upstream.account().got_bytes, all.len() as u64);
    }

    #[test]
    fn one_that_is_missing_or_comes_twice_or_too_early_is_noticed() {
        let three = frames(&[5, 500, 5]);
        let [one, two, three] = &three[..] else {
            panic!("three frames");
        };
        let number = |expected, came| Some(Wrong::Number { expected, came });
        assert_eq!(taken(&[&one[..], three].concat()), (1, number(2, 3)));
        assert_eq!(taken(&[&one[..], two, two].concat()), (2, number(3, 2)));
        assert_eq!(taken(&[&two[..], one].concat()), (0, number(1, 2)));
    }

    #[test]
    fn every_byte_that_is_changed_is_noticed() {
        let frame = &frames(&[40])[0];
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            let other = frames(&[40, 40])[1].clone();
            let (got, wrong) = taken(&[changed, other].concat());
            assert!(got == 0 && wrong.is_some(), "byte {at}: {got} {wrong:?}");
        }
    }

    #[test]
    fn one_of_another_tunnel_is_noticed() {
        let frame = End::new(8, Side::Client).frame(Kind::Ask, b"x");
        assert_eq!(taken(&frame), (0, Some(Wrong::Checksum { number: 1 })));
    }
}
