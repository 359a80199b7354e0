//! A WebSocket frame of a server, as far as its first words need it (RFC 6455 §5.2).

/// FIN and the opcode of a text frame.
const TEXT: u8 = 0x81;

/// FIN and the opcode of a binary frame.
const BINARY: u8 = 0x82;

/// What bytes begin with.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Frame<'a> {
    /// A text, whole and as it is.
    Text {
        payload: &'a [u8],
        /// What follows it.
        rest: &'a [u8],
    },
    /// Bytes as they are.
    Binary,
    /// A part of a message, a compressed one, a control frame, one that is too long to be kept, or no frame of a server.
    Other,
}

impl<'a> Frame<'a> {
    /// `None`: more is needed.
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
