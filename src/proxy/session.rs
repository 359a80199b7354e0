//! Which session a request belongs to, as far as that decides over which kept connection it may go.
//!
//! What a session is, the protocol of the sessions knows, and who that is `server` says: here they are told apart and nothing more.
//! A cluster that sends each connection to one of its workers, by the session of the first request on it (`@socket.io/sticky` before
//! 1.0.4), finds a session on no other connection than one that began with it.

use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

/// A session, to be told apart from others: 64 bits of its id. Two that are taken for one are harmless, since a server then says that
/// it does not know the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionKey(u64);

impl SessionKey {
    /// The session with this id.
    pub fn of(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What a request has to do with sessions.
#[derive(Clone, Copy, Debug)]
pub enum SessionNeed {
    /// Nothing: any connection to its server will do.
    Nothing,
    /// It asks for a new session, which this finds in the beginning of its answer's body. Any connection will do.
    New(fn(&[u8]) -> Option<SessionKey>),
    /// It belongs to this one, and so does the connection over which it goes.
    Of(SessionKey),
}

impl SessionNeed {
    /// Whether the request may go over a connection that is kept for this session, or for none.
    pub(super) fn admits(self, kept_for: Option<SessionKey>) -> bool {
        match self {
            Self::Nothing | Self::New(_) => true,
            Self::Of(session) => kept_for == Some(session),
        }
    }

    /// For which session a connection is kept that this request was answered over, with a body that begins so; before, it was kept
    /// for `kept_for`.
    pub(super) fn keeps(self, kept_for: Option<SessionKey>, body: &[u8]) -> Option<SessionKey> {
        match self {
            Self::Nothing => kept_for,
            Self::New(opened) => opened(body).or(kept_for),
            Self::Of(session) => Some(session),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::proxy::session::SessionKey;
    use crate::proxy::session::SessionNeed;

    #[test]
    fn a_connection_is_for_the_session_that_it_began_with_or_that_was_opened_over_it() {
        let (one, other) = (SessionKey::of("one"), SessionKey::of("other"));
        let new = SessionNeed::New(|body| (body == b"one").then(|| SessionKey::of("one")));
        assert!(!SessionNeed::Of(one).admits(None));
        assert!(!SessionNeed::Of(one).admits(Some(other)));
        assert!(SessionNeed::Of(one).admits(Some(one)));
        assert!(SessionNeed::Nothing.admits(Some(one)) && new.admits(Some(one)));
        assert_eq!(SessionNeed::Of(one).keeps(None, b""), Some(one));
        assert_eq!(SessionNeed::Nothing.keeps(Some(one), b"one"), Some(one));
        assert_eq!(SessionNeed::Nothing.keeps(None, b"one"), None);
        assert_eq!(new.keeps(None, b"one"), Some(one));
        assert_eq!(new.keeps(Some(other), b"one"), Some(one));
        assert_eq!(new.keeps(Some(other), b"no"), Some(other));
    }
}
