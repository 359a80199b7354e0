//! What of a request decides which server of a group it goes to, read from the client's head.

use std::net::IpAddr;
use std::time::Instant;

use http::HeaderValue;
use http::Method;
use http::request::Parts;

use crate::affinity::SessionKey;
use crate::affinity::SessionNeed;
use crate::affinity::Sessions;
use crate::decision::Checked;
use crate::decision::Client;
use crate::decision::Framing;
use crate::headers::cookies;
use crate::headers::upgrade::Asked;
use crate::upstream::Balance;
use crate::upstream::ChoiceInput;
use crate::upstream::Group;

/// What of a request decides which server of a group it goes to.
#[derive(Debug)]
pub(super) struct GroupFacts {
    /// The client, as far as trusted proxies name it; none at a Unix socket.
    client: Option<IpAddr>,
    /// The value of the variables by which the group chooses.
    hash_key: Option<String>,
    /// The session to which the request belongs, in a group whose sessions are remembered.
    pub(super) session: Option<SessionKey>,
    /// Who knows what a session is.
    pub(super) sessions: &'static dyn Sessions,
    /// What the client's cookie says, in a group that has one.
    pub(super) cookie: Option<HeaderValue>,
    /// Whether another server may do it.
    pub(super) kind: RepeatKind,
}

/// What a request is, as far as that decides whether another server may do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RepeatKind {
    /// The first request of a client: an upgrade request, or a GET for a new session.
    Opening,
    /// Any other GET that belongs to no session.
    Get,
    /// OPTIONS, as browsers ask before a request to another origin. It goes where its session is, and every server answers it alike,
    /// so that nothing is learned from that.
    Options,
    /// Any other request.
    Other,
}

/// A request that is in order, and who sends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientRequest<'a> {
    pub(super) client: &'a Client,
    /// The client's head.
    pub(super) head: &'a Parts,
    pub(super) framing: Framing,
    pub(super) checked: &'a Checked,
    /// What it has to do with the sessions of `sessions`.
    pub(super) need: SessionNeed,
    pub(super) sessions: &'static dyn Sessions,
}

impl GroupFacts {
    /// What decides about this request in this group.
    pub(super) fn of(group: &Group, request: &ClientRequest<'_>) -> Self {
        let sticky = &group.settings().sticky;
        let session = match request.need {
            SessionNeed::Of(session) => Some(session),
            SessionNeed::Nothing | SessionNeed::New(_) | SessionNeed::OfOdd(_) => None,
        };
        let cookie = sticky.cookie.as_ref();
        let hash_key = match &group.settings().balance {
            Balance::Hash(key) => {
                let variables = request.checked.variables(request.client);
                Some(key.fill(&variables, &request.head.headers))
            }
            Balance::LeastConn | Balance::RoundRobin | Balance::IpHash => None,
        };
        Self {
            client: request.client.address.ip(),
            hash_key,
            session: session.filter(|_| sticky.sid),
            sessions: request.sessions,
            cookie: cookie.and_then(|cookie| {
                // A browser sends two of one name where two paths or domains have one; any of them may be this group's.
                let mut sent = cookies::all_named(&request.head.headers, &cookie.name);
                let first = sent.next()?;
                let is_known = |value: &HeaderValue| group.member_of_cookie(value).is_some();
                if is_known(&first) {
                    return Some(first);
                }
                Some(sent.find(is_known).unwrap_or(first))
            }),
            kind: RepeatKind::of(request),
        }
    }

    pub(super) fn input(&self, now: Instant) -> ChoiceInput<'_> {
        ChoiceInput {
            client: self.client,
            hash_key: self.hash_key.as_deref(),
            now,
        }
    }

    pub(super) fn client(&self) -> Option<IpAddr> {
        self.client
    }
}

impl RepeatKind {
    fn of(request: &ClientRequest<'_>) -> Self {
        let is_get = request.head.method == Method::GET && request.framing == Framing::None;
        if request.head.method == Method::OPTIONS {
            return Self::Options;
        }
        match (request.need, &request.checked.asked) {
            (SessionNeed::Of(_) | SessionNeed::OfOdd(_), _) => Self::Other,
            (_, Asked::WebSocket(_)) => Self::Opening,
            (SessionNeed::New(_), Asked::Nothing) if is_get => Self::Opening,
            (_, Asked::Nothing) if is_get => Self::Get,
            _ => Self::Other,
        }
    }
}
