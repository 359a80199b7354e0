//! Reads a `server` line of an `upstream` block: an address, and its parameters as the keys of a member of a group.

use std::time::Duration;

use crate::nginx::group_note::GroupNote;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::ProxyPass;

/// The `max_fails` of a server that names none, in nginx and here.
const MAX_FAILS: u32 = 1;

/// The `fail_timeout` of a server that names none, in nginx and here.
const FAIL_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest number that `routes.yaml` takes for failures, which is beyond any weight or number of connections too.
const MOST: u32 = 1_000_000;

/// Why it is of no account how long nginx leaves a server alone.
const FAIL_TIMEOUT_ONCE: &str = "`fail_timeout` is only the time within which failures count: a server that is down is tried each second, and \
                                 is asked again as soon as it takes connections";

/// A server of an `upstream` block, as `routes.yaml` has it.
#[derive(Clone, Debug)]
pub(super) struct GroupServer<'t> {
    /// The line that it comes from.
    pub(super) line: &'t Directive,
    /// Where it is reached.
    pub(super) address: Address,
    /// Its share beside those of the others.
    pub(super) weight: u32,
    /// The number of failures after which it is left alone; 0 for never.
    max_fails: u32,
    /// The time within which failures count.
    fail_timeout: Duration,
    /// The most connections that it gets; 0 for no limit.
    max_conns: u32,
    /// nginx's `slow_start`, which belongs to the group in `routes.yaml`.
    pub(super) slow_start: Option<Duration>,
    /// The parameters that are words alone, of `backup`, `down`, `drain` and `resolve`.
    pub(super) words: Vec<&'static str>,
}

impl<'t> GroupServer<'t> {
    /// Reads a line. What is to be said of it is added to `said`.
    ///
    /// # Errors
    /// The reason why a group of `routes.yaml` cannot have this server.
    pub(super) fn read(line: &'t Directive, said: &mut Vec<GroupNote<'t>>) -> Result<Self, String> {
        let mut server = Self {
            line,
            address: address(line.arg(0))?,
            weight: 1,
            max_fails: MAX_FAILS,
            fail_timeout: FAIL_TIMEOUT,
            max_conns: 0,
            slow_start: None,
            words: Vec::new(),
        };
        for parameter in line.args.iter().skip(1) {
            server.obey(parameter, said)?;
        }
        server.words.sort_unstable();
        server.words.dedup();
        Ok(server)
    }

    /// Obeys a parameter of the line.
    fn obey(&mut self, parameter: &'t str, said: &mut Vec<GroupNote<'t>>) -> Result<(), String> {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number = value.parse::<u32>().ok().filter(|number| *number <= MOST);
        match (name, number) {
            ("weight", Some(weight @ 1..)) => self.weight = weight,
            ("max_fails", Some(most)) => self.max_fails = most,
            ("max_conns", Some(most)) => self.max_conns = most,
            ("fail_timeout" | "slow_start", _) => {
                let Some(time) = time::read(value) else {
                    said.push(GroupNote::Left(
                        self.line,
                        format!("`{parameter}` is no time"),
                    ));
                    return Ok(());
                };
                if name == "slow_start" {
                    self.slow_start = Some(time);
                } else {
                    self.fail_timeout = time;
                    said.push(GroupNote::Needless(self.line, FAIL_TIMEOUT_ONCE));
                }
            }
            ("backup", _) => self.words.push("backup"),
            ("down", _) => self.words.push("down"),
            ("drain" | "draining", _) => self.words.push("drain"),
            // An address is looked up by nobody.
            ("resolve", _) if self.host_name().is_some() => self.words.push("resolve"),
            ("resolve", _) => {}
            ("service", _) => {
                return Err("its port is to be looked up too (SRV), which wsgate does not".into());
            }
            ("route", _) => {
                let why = "`route` is what `sticky` says of this server to clients: wsgate's cookie is made of its address";
                said.push(GroupNote::Needless(self.line, why));
            }
            _ => {
                let why = format!("`{parameter}` is nothing that a server can have here");
                said.push(GroupNote::Left(self.line, why));
            }
        }
        Ok(())
    }

    /// Its host, if that is a name that is to be looked up, in lower case.
    pub(super) fn host_name(&self) -> Option<&str> {
        match &self.address {
            Address::Port {
                host: Host::Name(name),
                ..
            } => Some(name),
            Address::Port { .. } | Address::Unix(_) => None,
        }
    }

    /// Whether the line has this word.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// Whether it means no more than its address does where it is the only server.
    pub(super) fn is_plain(&self) -> bool {
        // nginx never marks the only server of a group down.
        self.max_conns == 0 && self.words.iter().all(|word| *word == "backup")
    }

    /// Takes over the share of another line for the same address, which nginx takes for one more server.
    ///
    /// # Errors
    /// The reason why something of the other line is lost.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), String> {
        let authority = self.authority();
        if self.words != other.words {
            return Err(format!("`{authority}` is a server of this group already"));
        }
        self.weight = self.weight.saturating_add(other.weight);
        let is_limited = self.max_conns != 0 && other.max_conns != 0;
        let has_a_limit = self.max_conns != 0 || other.max_conns != 0;
        self.max_conns = match is_limited {
            true => self.max_conns.saturating_add(other.max_conns).min(MOST),
            false => 0,
        };
        let differing = [
            ("max_fails", self.max_fails != other.max_fails),
            ("fail_timeout", self.fail_timeout != other.fail_timeout),
            ("slow_start", self.slow_start != other.slow_start),
        ];
        let differing = differing.iter().filter(|(_, differs)| *differs);
        let differing: Vec<String> = differing.map(|(key, _)| format!("`{key}`")).collect();
        match (differing.is_empty(), has_a_limit && !is_limited) {
            (true, false) => Ok(()),
            (true, true) => Err(format!(
                "`{authority}` has no limit together with its other line: `max_conns` is lost"
            )),
            (false, _) => Err(format!(
                "the first line of `{authority}` says another {}, which holds for both",
                differing.join(", ")
            )),
        }
    }

    /// The address as `routes.yaml` has it.
    pub(super) fn authority(&self) -> String {
        match &self.address {
            Address::Port { host, port, .. } => format!("{host}:{port}"),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The keys beside the address that differ from what a server has by itself, with their values.
    pub(super) fn keys(&self) -> Vec<(&'static str, String)> {
        let mut keys = Vec::new();
        // Within less than a second nothing is marked down.
        let max_fails = match self.fail_timeout.is_zero() {
            true => 0,
            false => self.max_fails,
        };
        if self.weight != 1 {
            keys.push(("weight", self.weight.to_string()));
        }
        if max_fails != MAX_FAILS {
            keys.push(("max_fails", max_fails.to_string()));
        }
        if max_fails != 0 && self.fail_timeout != FAIL_TIMEOUT {
            keys.push(("fail_timeout", time::write(self.fail_timeout)));
        }
        if self.max_conns != 0 {
            keys.push(("max_conns", self.max_conns.to_string()));
        }
        let words = self.words.iter();
        keys.extend(words.map(|word| (*word, "true".to_owned())));
        keys
    }
}

/// The address of a server line, in which nginx takes port 80 where none is written, whatever the scheme.
fn address(text: &str) -> Result<Address, String> {
    if text.contains('$') {
        return Err("nothing in this file says what its variable stands for".to_owned());
    }
    let whole = match text.starts_with("unix:") {
        true => text.to_owned(),
        false => with_port(text, 80),
    };
    let read: ProxyPass = format!("http://{whole}")
        .parse()
        .map_err(|_| "this is no address of a server".to_owned())?;
    match read.uri() {
        None => Ok(read.address().clone()),
        Some(_) => Err("a server has no path".to_owned()),
    }
}

/// An address with `port` behind it, if it has no port of its own.
pub(super) fn with_port(authority: &str, port: u16) -> String {
    let behind = authority.rfind(']').unwrap_or(0);
    if authority[behind..].contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    }
}
