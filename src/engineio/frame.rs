//! Reads a WebSocket frame of a server, as far as judging its first message needs that (RFC 6455 §5.2).

/// FIN and the opcode of a text frame.
const TEXT: u8 = 0x81;

/// FIN and the opcode of a binary frame.
const BINARY: u8 = 0x82;

/// The frame with which some bytes begin.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Frame<'a> {
    /// A whole text message that is not compressed.
    Text {
        payload: &'a [u8],
        /// The bytes behind the frame.
        rest: &'a [u8],
    },
    /// A whole binary message that is not compressed.
    Binary,
    /// A part of a message, a compressed one, a control frame, a frame that is too long to be kept, or no frame of a
    /// server.
    Other,
}

impl<'a> Frame<'a> {
    /// Reads the frame with which `bytes` begin. `None` if more bytes are needed.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        match *first {
            TEXT => {}
            BINARY => return Some(Self::Binary),
            _ => return Some(Self::Other),
        }
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=125 => (usize::from(*length), rest),
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return Some(Self::Other),
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        Some(Self::Text { payload, rest })
    }
}
