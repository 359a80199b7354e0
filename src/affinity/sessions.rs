//! What the path of a request asks the protocol of the sessions.

use std::fmt::Debug;

use http::StatusCode;

use crate::affinity::lifetime::Lifetime;
use crate::affinity::session_key::SessionKey;

/// How many bytes a body may have at most that says that a session is unknown; one that is longer says something else.
pub const LONGEST_REFUSAL: usize = 512;

/// A protocol with sessions of several requests, of which each belongs to the server that opened it.
pub trait Sessions: Debug + Send + Sync {
    /// What a request with this target has to do with sessions. Asked once for every request, so it looks no further than the query and
    /// allocates nothing.
    fn need(&self, target: &str) -> SessionNeed;

    /// The session that a server opens with this body, or with a body that begins so. Whether the answer means success, its status
    /// says, which must be asked first.
    fn opened(&self, body: &[u8]) -> Option<OpenedSession>;

    /// Whether a server says by this answer, whose body is here as a whole, that it does not know the session of the request. It has
    /// done nothing then, so that the request may be sent to another one, whatever its method is.
    fn is_unknown(&self, status: StatusCode, body: &[u8]) -> bool;
}

/// A session that a server has just opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenedSession {
    /// Which one it is.
    pub key: SessionKey,
    /// How long it may be silent until it is over.
    pub lifetime: Lifetime,
}

/// What a request has to do with sessions.
#[derive(Clone, Copy, Debug)]
pub enum SessionNeed {
    /// Nothing: any server will do, and any connection to it.
    Nothing,
    /// It asks for a new session, which these find in the beginning of its answer's body. Any server will do, and any connection.
    New(&'static dyn Sessions),
    /// It belongs to this session, and so do the server to which it goes and the connection over which it goes there.
    Of(SessionKey),
    /// It names a session by what is hardly an id: too short, too long, or with characters that no client writes. It has a connection
    /// of its own as every session has, but no server is remembered for it, and the servers are not asked about it.
    OfOdd(SessionKey),
}

impl SessionNeed {
    /// The session that the request names, however it names it.
    pub fn named(self) -> Option<SessionKey> {
        match self {
            Self::Nothing | Self::New(_) => None,
            Self::Of(session) | Self::OfOdd(session) => Some(session),
        }
    }
}
