//! Which server a session belongs to, so that the requests of one session go to one server of a group.
//!
//! What a session is, the protocol of the sessions knows: it implements [`Sessions`], and here nothing is known of it but that. An
//! [`Affinity`] is what a group remembers. It is learned from the answers that open sessions; where it says nothing, the servers
//! themselves are asked, and whoever answers with success has it. So all that is remembered may be lost or forgotten:
//! **a miss costs a question, and a session only where the request cannot be sent twice**.
//!
//! All is values and atomics: no clock is read, no socket is reached, and nothing waits for another thread. The tables have a fixed
//! size, so that nothing which clients send makes them grow.

mod dead_sessions;
mod keyed_hash;
mod lifetime;
mod question_budget;
mod server_id;
mod session_key;
mod session_table;
mod sessions;

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Instant;

use crate::affinity::dead_sessions::DeadSessions;
pub use crate::affinity::lifetime::Lifetime;
use crate::affinity::question_budget::QuestionBudget;
pub use crate::affinity::server_id::ServerId;
pub use crate::affinity::session_key::SessionKey;
use crate::affinity::session_table::SessionTable;
pub use crate::affinity::sessions::LONGEST_REFUSAL;
pub use crate::affinity::sessions::OpenedSession;
pub use crate::affinity::sessions::SessionNeed;
pub use crate::affinity::sessions::Sessions;

/// What a group remembers of sessions. It outlives reloads and changes of the group's servers.
///
/// A request of a session goes to the server that [`find`](Self::find) says. Where that says none, or one that refuses the session as
/// unknown, the servers are asked one after the other, if the request [`may_ask`](Self::may_ask). [`accepted`](Self::accepted) is told
/// who has it, or [`refused_by_all`](Self::refused_by_all) that nobody does.
#[derive(Debug, Default)]
pub struct Affinity {
    /// Made when the first session is learned: it takes 1 MiB.
    sessions: OnceLock<SessionTable>,
    /// Made when the first question was in vain: they take 96 KiB.
    in_vain: OnceLock<InVain>,
}

/// What is remembered of questions that no server answered for.
#[derive(Debug)]
struct InVain {
    dead: DeadSessions,
    budget: QuestionBudget,
}

impl Affinity {
    /// The server of a session, if it is known. Reads one cache line, or two.
    pub fn find(&self, session: SessionKey, now: Instant) -> Option<ServerId> {
        self.sessions.get()?.find(session, now)
    }

    /// A server has opened a session. If one of the same id is known, of whichever server, it is over: ids may come again.
    pub fn learned(&self, opened: OpenedSession, server: ServerId, now: Instant) {
        self.sessions(now).learned(opened, server, now);
        if let Some(in_vain) = self.in_vain.get() {
            in_vain.dead.remove(opened.key);
        }
    }

    /// A server has answered for a session with success, as one that knows it: the session is renewed, or its server is learned. Nothing
    /// is written for a session that is known and has more than half of its lifetime left.
    ///
    /// A 101 to an upgrade is no such answer: socketioxide agrees to every one, and closes those of sessions that it does not know.
    pub fn accepted(&self, session: SessionKey, server: ServerId, now: Instant) {
        self.sessions(now).accepted(session, server, now);
    }

    /// Whether the servers may be asked for a client's session of which no server is known: not if all of them have refused it lately,
    /// or if too much was asked in vain.
    pub fn may_ask(&self, session: SessionKey, client: Option<IpAddr>, now: Instant) -> bool {
        let Some(in_vain) = self.in_vain.get() else {
            return true;
        };
        !in_vain.dead.has(session, now) && in_vain.budget.allows(client, now)
    }

    /// All servers of the group have said, in words, that they do not know this session of a client. Nobody asks about it for the next
    /// 30 s. Where a server could not be asked, or refused without saying why, that is [`asked_in_vain`](Self::asked_in_vain).
    pub fn refused_by_all(&self, session: SessionKey, client: Option<IpAddr>, now: Instant) {
        let in_vain = self.in_vain(now);
        in_vain.dead.add(session, now);
        in_vain.budget.spend(client, now);
    }

    /// The servers have been asked for a client, and none was found that knows its session. One of them may know it all the same.
    pub fn asked_in_vain(&self, client: Option<IpAddr>, now: Instant) {
        self.in_vain(now).budget.spend(client, now);
    }

    /// How many sessions of a server have not been silent for longer than they may, those among them that have become a tunnel
    /// meanwhile. This looks through all sessions, and is for threads that serve nobody.
    pub fn sessions_of(&self, server: ServerId, now: Instant) -> usize {
        let sessions = self.sessions.get();
        sessions.map_or(0, |sessions| sessions.sessions_of(server, now))
    }

    fn sessions(&self, now: Instant) -> &SessionTable {
        made(&self.sessions, || SessionTable::new(now))
    }

    fn in_vain(&self, now: Instant) -> &InVain {
        made(&self.in_vain, || InVain {
            dead: DeadSessions::new(now),
            budget: QuestionBudget::new(now),
        })
    }
}

/// What the cell holds, made at the first time. It is made outside of the cell: threads that need it at the same time each make one, and
/// none waits for another to do so.
fn made<T>(cell: &OnceLock<T>, make: impl Fn() -> T) -> &T {
    if cell.get().is_none() {
        // Another thread's may be there meanwhile.
        let _ = cell.set(make());
    }
    cell.get_or_init(make)
}

#[cfg(test)]
mod tests;
