//! What wsgate knows of Engine.IO, the protocol below Socket.IO: the path and the query that its clients ask for, what the
//! answer to a handshake means, and why a client is refused.
//!
//! On the path of a request are [`EngineIoSessions`] alone; nothing is on that of a byte. [`Diagnosis`] hears what happened and writes
//! a line where it sees what is wrong; it alone reads a clock and writes, all else is pure.

mod answer;
mod diagnose;
mod diagnosis;
mod finding;
mod frame;
pub mod hints;
mod limiter;
mod session;

use std::fmt;
use std::str::FromStr;

pub use crate::engineio::answer::HandshakeAnswer;
pub use crate::engineio::answer::Open;
pub use crate::engineio::answer::RefusedCode;
pub use crate::engineio::answer::read_polling;
pub use crate::engineio::answer::read_stream;
pub use crate::engineio::diagnosis::Diagnosis;
pub use crate::engineio::finding::Evidence;
pub use crate::engineio::finding::FailedRequest;
pub use crate::engineio::finding::Finding;
pub use crate::engineio::finding::RedirectedBy;
pub use crate::engineio::finding::RefusedRequestKind;
pub use crate::engineio::finding::ServerFamily;
pub use crate::engineio::finding::SessionPlace;
pub use crate::engineio::session::EngineIoSessions;

/// The protocol's version, which a client names in its query as `EIO`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// `EIO=3`: Socket.IO 1 and 2, and weapp.socket.io 2.
    V3,
    /// `EIO=4`: Socket.IO 3 and 4, and weapp.socket.io 3.
    V4,
}

/// How packets travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Requests, one after the other, each held until there is something to say.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Protocol {
    /// What stands behind `EIO=`.
    pub fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EIO={}", self.number())
    }
}

impl Transport {
    /// What stands behind `transport=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// The path at which a server is asked: the option `path` of a client and of its server.
///
/// Begins and ends with a slash, as clients write it whether or not the option has the last one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path(String);

impl Default for Path {
    /// What both sides take without the option.
    fn default() -> Self {
        Self("/socket.io/".to_owned())
    }
}

impl Path {
    /// With both slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a client asks for first: its own query, if the URL had one, then the protocol and the transport.
    ///
    /// Left out is `t`, a stamp against caches that changes with every polling request, and `b64=1`, which clients
    /// of version 3 add in Node.
    pub fn handshake(&self, query: &str, protocol: Protocol, transport: Transport) -> String {
        let own = match query {
            "" => String::new(),
            query => format!("{query}&"),
        };
        format!("{}?{own}{protocol}&transport={}", self.0, transport.name())
    }
}

/// What the option `path` cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathError {
    /// It would be written right behind the port.
    NoLeadingSlash(String),
    /// A character that ends a path, or that no URL has.
    Character(char),
}

impl PathError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::NoLeadingSlash(text) => match text.split_once("://") {
                Some(_) => "write the path alone, as in `/socket.io`".to_owned(),
                None => format!("write `/{text}`"),
            },
            Self::Character(_) => {
                "write a path such as `/socket.io` or `/hello/socket.io`".to_owned()
            }
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash(text) => {
                write!(f, "a client's `path` begins with a slash: `{text}`")
            }
            Self::Character(letter) => write!(
                f,
                "a client's `path` has a character that no path has: `{}`",
                letter.escape_debug()
            ),
        }
    }
}

impl std::error::Error for PathError {}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let text = text.trim();
        if !text.starts_with('/') {
            return Err(PathError::NoLeadingSlash(text.to_owned()));
        }
        let odd = |c: &char| !c.is_ascii_graphic() || "?#\"<>\\^`{|}".contains(*c);
        if let Some(letter) = text.chars().find(odd) {
            return Err(PathError::Character(letter));
        }
        Ok(Self(format!("{}/", text.strip_suffix('/').unwrap_or(text))))
    }
}

#[cfg(test)]
mod tests {
    use crate::engineio::Path;
    use crate::engineio::PathError;
    use crate::engineio::Protocol;
    use crate::engineio::Transport;

    #[test]
    fn a_handshake_is_what_the_clients_write() {
        let path = Path::default();
        assert_eq!(
            path.handshake("", Protocol::V4, Transport::Polling),
            "/socket.io/?EIO=4&transport=polling"
        );
        assert_eq!(
            path.handshake("token=x", Protocol::V3, Transport::WebSocket),
            "/socket.io/?token=x&EIO=3&transport=websocket"
        );
    }

    #[test]
    fn a_path_has_one_slash_at_its_end_whatever_was_written() {
        for (text, path) in [
            ("/hello", "/hello/"),
            ("/hello/", "/hello/"),
            ("/", "/"),
            ("/a/b.io", "/a/b.io/"),
        ] {
            assert_eq!(text.parse(), Ok(Path(path.to_owned())), "{text}");
        }
        assert_eq!(
            "hello".parse::<Path>(),
            Err(PathError::NoLeadingSlash("hello".to_owned()))
        );
        assert_eq!("/a?b".parse::<Path>(), Err(PathError::Character('?')));
        assert_eq!("/a b".parse::<Path>(), Err(PathError::Character(' ')));
    }
}
