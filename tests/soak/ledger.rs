//! What both ends of each tunnel and session say that they sent and got, and whether that agrees.
//!
//! A loss is a message that one end sent, on a tunnel that then ended in order, and that the other did not get as it was. Where an
//! end was deliberate and abrupt, what was under way is gone with it: that is counted apart, by its cause.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::children::Ended;
use crate::children::Heard;
use crate::children::Origin;
use crate::message::Account;

/// Findings that are kept as text.
const SHOWN: usize = 100;

/// How a tunnel or a session ended, as its client has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    /// Both said their last, and nothing may be missing.
    InOrder(&'static str),
    /// The soak wanted it so.
    Fault(&'static str),
    /// Its upstream was killed.
    Killed,
}

/// A client's word.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) origin: Origin,
    pub(crate) account: Account,
    /// Messages that the upstream has not acknowledged.
    pub(crate) unacknowledged: u64,
    pub(crate) how: How,
}

/// Counts of the ends of one cause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) count: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Messages that were under way when it ended.
    pub(crate) destroyed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    clients: HashMap<u64, Client>,
    upstreams: HashMap<u64, Ended>,
    /// Of these the other end's word is not asked for.
    abandoned: HashSet<u64>,
    /// Of these it is wanted as evidence.
    suspects: HashSet<u64>,
    gone: HashSet<Origin>,
    pub(crate) in_order: BTreeMap<&'static str, Ends>,
    pub(crate) abrupt: BTreeMap<&'static str, Ends>,
    /// Messages that are missing, or too many.
    pub(crate) lost: u64,
    pub(crate) findings: Vec<String>,
    pub(crate) found: u64,
}

impl Ledger {
    pub(crate) fn client(&mut self, id: u64, client: Client) {
        match self.upstreams.remove(&id) {
            Some(ended) => self.judge(id, &client, &ended),
            None if self.gone.contains(&client.origin) => self.alone(&client),
            None => {
                self.clients.insert(id, client);
            }
        }
    }

    /// A client that knows nothing of what its upstream may say.
    pub(crate) fn abandon(&mut self, id: u64) {
        if self.upstreams.remove(&id).is_none() {
            self.abandoned.insert(id);
        }
    }

    /// A client that has seen what it should not: what its upstream says of it belongs to the finding.
    pub(crate) fn suspect(&mut self, id: u64) {
        match self.upstreams.remove(&id) {
            Some(ended) => self.remark(format!("{id}: the upstream {ended:?}")),
            None => {
                self.suspects.insert(id);
            }
        }
    }

    pub(crate) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Ended(ended) if ended.how == "wrong" => {
                self.lost += 1;
                self.find(format!("{}: the upstream got {}", ended.id, ended.why));
                self.clients.remove(&ended.id);
                self.abandoned.insert(ended.id);
            }
            Heard::Ended(ended) if self.abandoned.remove(&ended.id) => {}
            Heard::Ended(ended) if self.suspects.remove(&ended.id) => {
                self.remark(format!("{}: the upstream {ended:?}", ended.id));
            }
            Heard::Ended(ended) => match self.clients.remove(&ended.id) {
                Some(client) => self.judge(ended.id, &client, &ended),
                None => {
                    self.upstreams.insert(ended.id, ended);
                }
            },
            Heard::Silent(origin) => {
                self.gone.insert(origin);
                let widows = self.clients.extract_if(|_, client| client.origin == origin);
                for (_, client) in widows.collect::<Vec<_>>() {
                    self.alone(&client);
                }
            }
        }
    }

    /// Tunnels and sessions of which one end has said how it ended, and the other has not.
    pub(crate) fn open(&self) -> usize {
        self.clients.len() + self.upstreams.len()
    }

    /// What is still open at the very end is a finding.
    pub(crate) fn finish(&mut self) {
        for (id, client) in std::mem::take(&mut self.clients) {
            self.find(format!(
                "{id}: the upstream never said how it ended, the client {client:?}"
            ));
        }
        for (id, ended) in std::mem::take(&mut self.upstreams) {
            self.find(format!(
                "{id}: the client never said how it ended, the upstream {ended:?}"
            ));
        }
    }

    pub(crate) fn find(&mut self, finding: String) {
        self.found += 1;
        self.remark(finding);
    }

    /// More about a finding.
    pub(crate) fn remark(&mut self, finding: String) {
        if self.findings.len() < SHOWN {
            eprintln!("finding: {finding}");
            self.findings.push(finding);
        }
    }

    fn judge(&mut self, id: u64, client: &Client, ended: &Ended) {
        let (one, other) = (client.account, ended.account);
        let pairs = [(one.sent, other.got), (other.sent, one.got)];
        let bytes = [
            (one.sent_bytes, other.got_bytes),
            (other.sent_bytes, one.got_bytes),
        ];
        let all = Ends {
            count: 1,
            messages: one.got + other.got,
            bytes: one.got_bytes + other.got_bytes,
            destroyed: pairs
                .iter()
                .map(|(sent, got)| sent.saturating_sub(*got))
                .sum(),
        };
        match client.how {
            How::InOrder(name) if ended.how == "fin" => {
                if pairs
                    .into_iter()
                    .chain(bytes)
                    .any(|(sent, got)| sent != got)
                {
                    self.lost += all.destroyed.max(1);
                    self.find(format!(
                        "{id}: ended in order, but client {one:?}, upstream {other:?}"
                    ));
                }
                add(
                    &mut self.in_order,
                    name,
                    Ends {
                        destroyed: 0,
                        ..all
                    },
                );
            }
            // The upstream's word came before it was killed, the client learned of that first.
            How::Killed => add(&mut self.abrupt, "the upstream was killed", all),
            How::InOrder(name) => self.find(format!(
                "{id}: the client ended in order ({name}), the upstream {ended:?}"
            )),
            How::Fault(name) => {
                if pairs.into_iter().any(|(sent, got)| got > sent) {
                    self.lost += 1;
                    self.find(format!(
                        "{id}: more came than was sent: client {one:?}, upstream {other:?}"
                    ));
                }
                add(&mut self.abrupt, name, all);
            }
        }
    }

    /// The upstream was killed before it said how it ended.
    fn alone(&mut self, client: &Client) {
        let name = match client.how {
            How::InOrder(_) => "the upstream was killed behind an end in order",
            How::Fault(_) => "the upstream was killed behind an abrupt end",
            How::Killed => "the upstream was killed",
        };
        let destroyed = match client.how {
            How::InOrder(_) => 0,
            How::Fault(_) | How::Killed => client.unacknowledged,
        };
        let all = Ends {
            count: 1,
            messages: client.account.got + client.account.sent - client.unacknowledged,
            bytes: client.account.got_bytes + client.account.sent_bytes,
            destroyed,
        };
        add(&mut self.abrupt, name, all);
    }
}

fn add(to: &mut BTreeMap<&'static str, Ends>, name: &'static str, ends: Ends) {
    let all = to.entry(name).or_default();
    all.count += ends.count;
    all.messages += ends.messages;
    all.bytes += ends.bytes;
    all.destroyed += ends.destroyed;
}
