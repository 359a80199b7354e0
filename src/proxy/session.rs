//! Over which kept connection a request may go, by the session that it belongs to.
//!
//! A cluster that sends each connection to one of its workers, by the session of the first request on it (`@socket.io/sticky` before
//! 1.0.4), finds a session on no other connection than one that began with it.

use crate::affinity::SessionKey;
use crate::affinity::SessionNeed;
use crate::proxy::group_request::NewSessions;

/// Whether a request may go over a connection that is kept for this session, or for none.
pub(super) fn admits(need: SessionNeed, kept_for: Option<SessionKey>) -> bool {
    let named = need.named();
    named.is_none() || named == kept_for
}

/// For which session a connection is kept that a request was answered over, with a body that begins so; before, it was kept for
/// `kept_for`. A session that the answer opens is remembered by `new_sessions`.
pub(super) fn keeps(
    need: SessionNeed,
    kept_for: Option<SessionKey>,
    body: &[u8],
    new_sessions: Option<&NewSessions>,
) -> Option<SessionKey> {
    match need {
        SessionNeed::Nothing => kept_for,
        SessionNeed::New(sessions) => match sessions.opened(body) {
            Some(opened) => {
                if let Some(new_sessions) = new_sessions {
                    new_sessions.remember(opened);
                }
                Some(opened.key)
            }
            None => kept_for,
        },
        SessionNeed::Of(session) | SessionNeed::OfOdd(session) => Some(session),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use crate::affinity::Lifetime;
    use crate::affinity::OpenedSession;
    use crate::affinity::SessionKey;
    use crate::affinity::SessionNeed;
    use crate::affinity::Sessions;
    use crate::proxy::session::admits;
    use crate::proxy::session::keeps;

    /// Of which the body `one` opens one.
    #[derive(Debug)]
    struct One;

    impl Sessions for One {
        fn need(&self, _: &str) -> SessionNeed {
            SessionNeed::New(&One)
        }

        fn opened(&self, body: &[u8]) -> Option<OpenedSession> {
            (body == b"one").then(|| OpenedSession {
                key: SessionKey::of("one"),
                lifetime: Lifetime::UNKNOWN,
            })
        }

        fn is_unknown(&self, _: StatusCode, _: &[u8]) -> bool {
            false
        }
    }

    #[test]
    fn a_connection_is_for_the_session_that_it_began_with_or_that_was_opened_over_it() {
        let (one, other) = (SessionKey::of("one"), SessionKey::of("other"));
        let new = One.need("");
        for of in [SessionNeed::Of(one), SessionNeed::OfOdd(one)] {
            assert!(!admits(of, None));
            assert!(!admits(of, Some(other)));
            assert!(admits(of, Some(one)));
            assert_eq!(keeps(of, None, b"", None), Some(one));
        }
        assert!(admits(SessionNeed::Nothing, Some(one)) && admits(new, Some(one)));
        assert!(admits(SessionNeed::Nothing, None) && admits(new, None));
        assert_eq!(
            keeps(SessionNeed::Nothing, Some(one), b"one", None),
            Some(one)
        );
        assert_eq!(keeps(SessionNeed::Nothing, None, b"one", None), None);
        assert_eq!(keeps(new, None, b"one", None), Some(one));
        assert_eq!(keeps(new, Some(other), b"one", None), Some(one));
        assert_eq!(keeps(new, Some(other), b"no", None), Some(other));
    }
}
