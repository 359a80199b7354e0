//! Whose sessions the path of a request tells apart: Engine.IO's.

use crate::engineio;
use crate::engineio::RequestedSession;
use crate::proxy::SessionKey;
use crate::proxy::SessionNeed;

/// What a request with this target has to do with sessions.
pub(super) fn session_need(target: &str) -> SessionNeed {
    match engineio::requested_session(target) {
        RequestedSession::None => SessionNeed::Nothing,
        RequestedSession::New => SessionNeed::New(opened),
        RequestedSession::Known(sid) => SessionNeed::Of(SessionKey::of(sid)),
    }
}

fn opened(body: &[u8]) -> Option<SessionKey> {
    engineio::opened_session(body).map(|sid| SessionKey::of(&sid))
}
