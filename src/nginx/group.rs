//! Reads an `upstream` block as a group of `routes.yaml`.
//!
//! What is to be said of it waits until a route that is written asks the group: nobody misses anything of a block that
//! nothing asks.

use std::time::Duration;

use crate::nginx::group_balance;
use crate::nginx::group_check;
use crate::nginx::group_note::GroupNote;
use crate::nginx::group_server::GroupServer;
use crate::nginx::group_sticky;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::own_listeners::OwnListeners;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::upstream::Address;
use crate::upstream::MOST_TURNS;

/// Why nothing is missed without connections that several clients share.
const OWN_CONNECTIONS: &str =
    "a client's connection keeps its own upstream connection; none is shared between clients";
/// Why nothing is missed of what concerns several servers, where there is one.
const ONE_SERVER: &str = "one server is asked, over connections of each client's own";

/// The largest sum of weights, which is that of the turns that `balance: round_robin` keeps.
const MOST_WEIGHT: u32 = MOST_TURNS;

/// An `upstream` block, as a group of `routes.yaml`.
#[derive(Debug)]
pub(super) struct Group<'t> {
    /// The block that it comes from.
    pub(super) block: &'t Directive,
    /// Its name in `routes.yaml`.
    pub(super) name: String,
    /// The servers that can be carried over.
    pub(super) servers: Vec<GroupServer<'t>>,
    /// The value of `balance`.
    pub(super) balance: String,
    /// The value of `sticky`, if it is not the one that a group has by itself.
    pub(super) sticky: Option<String>,
    /// How a server that comes back is given its share, if it can be said for all servers.
    pub(super) slow_start: Option<Duration>,
    /// The value of `health_check`.
    pub(super) health_check: Option<String>,
    /// Whether it is written as a group whatever it says, since its one server cannot stand in a `proxy_pass`.
    pub(super) is_kept: bool,
    /// Why no request can go there.
    dead: Option<String>,
    /// What is to be said of the block.
    said: Vec<GroupNote<'t>>,
}

impl<'t> Group<'t> {
    /// Reads a block, which has this name in `routes.yaml`; `checks` are the `health_check`s of the locations that ask it.
    pub(super) fn read(
        block: &'t Directive,
        name: String,
        checks: &[&'t Directive],
        own: OwnListeners<'_, '_>,
    ) -> Self {
        let mut said = Vec::new();
        let (servers, dead) = servers(block, own, &mut said);
        let balance = group_balance::balance(block.inside(), &mut said);
        let sticky = group_sticky::sticky(block.inside(), &mut said);
        let slow_start = slow_start(&balance, &servers, &mut said);
        Self {
            block,
            name,
            health_check: group_check::health_check(checks, &mut said),
            servers,
            balance,
            sticky,
            slow_start,
            is_kept: false,
            dead,
            said,
        }
    }

    /// The one server of the block, if a `proxy_pass` that names it does what nginx does.
    ///
    /// nginx ignores `weight`, `max_fails` and `fail_timeout` of a server that has no other beside it, and never marks it
    /// down. So a group would say no more than the address.
    pub(super) fn alone(&self) -> Option<&GroupServer<'t>> {
        let is_one = all(self.block.inside(), "server").count() == 1;
        let mut servers = self.servers.iter();
        servers
            .next()
            .filter(|server| is_one && !self.is_kept && server.is_plain())
    }

    /// Whether one of its servers is a Unix socket, which is asked without TLS.
    pub(super) fn has_socket(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|server| matches!(server.address, Address::Unix(_)))
    }

    /// The reason why no request can go there, if there is one.
    pub(super) fn dead(&self) -> Option<&str> {
        self.dead.as_deref()
    }

    /// Says what becomes of the block, which is written as a group. Returns the comments for it.
    pub(super) fn say(&self, notes: &mut Notes<'_>) -> Vec<String> {
        let mut comments: Vec<String> = Vec::new();
        comments.extend(self.said.iter().filter_map(|one| one.say(notes)));
        for directive in self.block.inside() {
            match directive.name.as_str() {
                "server" | "sticky" => {}
                name if name.starts_with("keepalive") => notes.needless(directive, OWN_CONNECTIONS),
                _ if group_balance::is_method(directive) => {}
                _ => note_other(directive, notes, &mut comments),
            }
        }
        comments
    }

    /// Says what becomes of the block, of which only the one server is written. Returns the comments for the route.
    pub(super) fn say_alone(&self, notes: &mut Notes<'_>) -> Vec<String> {
        let mut comments = Vec::new();
        for directive in self.block.inside() {
            match directive.name.as_str() {
                "server" => {}
                "sticky" | "zone" => notes.needless(directive, ONE_SERVER),
                name if name.starts_with("keepalive") => notes.needless(directive, ONE_SERVER),
                _ if group_balance::is_method(directive) => notes.needless(directive, ONE_SERVER),
                _ => note_other(directive, notes, &mut comments),
            }
        }
        comments
    }
}

/// Notes a directive of a block that says neither who answers nor how one is chosen.
fn note_other(directive: &Directive, notes: &mut Notes<'_>, comments: &mut Vec<String>) {
    let one = std::slice::from_ref(directive);
    note_rest(one, &Scope::default(), notes, comments);
}

/// The servers of a block that can be carried over, and the reason why no request can go there, if there is one.
fn servers<'t>(
    block: &'t Directive,
    own: OwnListeners<'_, '_>,
    said: &mut Vec<GroupNote<'t>>,
) -> (Vec<GroupServer<'t>>, Option<String>) {
    let mut servers: Vec<GroupServer<'t>> = Vec::new();
    let mut first_why = None;
    for line in all(block.inside(), "server") {
        let read = GroupServer::read(line, said);
        let read = read.and_then(|server| match own.leads_back(&server.address) {
            Some(why) => Err(why),
            None => Ok(server),
        });
        match read {
            Ok(server) => add(server, &mut servers, said),
            Err(why) => {
                let place = own.notes.show(line.place);
                first_why.get_or_insert_with(|| format!("{place}: `{}`: {why}", line.arg(0)));
                let why = format!("`{}`: {why}", line.arg(0));
                said.push(GroupNote::Left(line, why));
            }
        }
    }
    scale(block, &mut servers, said);
    // nginx refuses such a block, and so does `routes.yaml`.
    if servers.iter().all(|server| server.has("backup")) {
        for server in &mut servers {
            server.words.retain(|word| *word != "backup");
        }
    }
    let dead = why_dead(block, &servers, first_why);
    (servers, dead.map(|why| why + &unread(block, own)))
}

/// Why no request can go to the servers of a block; `first_why` is the reason why the first of its lines is not among them.
fn why_dead(
    block: &Directive,
    servers: &[GroupServer<'_>],
    first_why: Option<String>,
) -> Option<String> {
    let name = block.arg(0);
    let mut inside = block.inside().iter();
    let program = inside.find(|one| one.name.starts_with("balancer_by_lua"));
    if program.is_some() {
        Some(format!("a program chooses the servers of `{name}`"))
    } else if let Some(why) = first_why.filter(|_| servers.is_empty()) {
        Some(why)
    } else if servers.is_empty() {
        Some(format!("the upstream `{name}` has no `server`"))
    } else if servers.iter().all(|server| server.has("down")) {
        Some(format!("every `server` of `{name}` is down"))
    } else {
        None
    }
}

/// What of a block could not be read, to stand behind the reason why no request can go there.
fn unread(block: &Directive, own: OwnListeners<'_, '_>) -> String {
    let problems = block.inside().iter().filter_map(|one| {
        let problem = one.problem.as_ref()?;
        let place = own.notes.show(one.place);
        Some(format!("; its `{}` in {place}: {problem}", one.name))
    });
    problems.collect()
}

/// Makes weights smaller that `routes.yaml` does not take: by what divides all of them, or else in nearly the same
/// proportion.
fn scale<'t>(block: &'t Directive, servers: &mut [GroupServer<'t>], said: &mut Vec<GroupNote<'t>>) {
    let most = u64::from(MOST_WEIGHT);
    let sum_of = |servers: &[GroupServer<'t>]| -> u64 {
        servers.iter().map(|server| u64::from(server.weight)).sum()
    };
    if sum_of(servers) <= most {
        return;
    }
    let weights = servers.iter().map(|server| server.weight);
    let divisor = weights.fold(0, greatest_common_divisor).max(1);
    for server in servers.iter_mut() {
        server.weight /= divisor;
    }
    let sum = sum_of(servers);
    if sum <= most {
        return;
    }
    for server in servers.iter_mut() {
        let scaled = u64::from(server.weight) * most / sum;
        server.weight = u32::try_from(scaled).unwrap_or(1).max(1);
    }
    // The heaviest gives what those took that would have had less than a turn.
    let beyond = sum_of(servers).saturating_sub(most);
    if let Some(heaviest) = servers.iter_mut().max_by_key(|server| server.weight) {
        let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
        heaviest.weight = heaviest.weight.saturating_sub(beyond).max(1);
    }
    let why = format!(
        "the weights of a group have a sum of {MOST_WEIGHT} at most: these are made smaller in nearly the same proportion"
    );
    said.push(GroupNote::Left(block, why));
}

/// The greatest number that divides both; the other one if one is 0.
fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        other => greatest_common_divisor(other, one % other),
    }
}

/// Adds a server to those of a group, in which an address stands once.
fn add<'t>(
    server: GroupServer<'t>,
    servers: &mut Vec<GroupServer<'t>>,
    said: &mut Vec<GroupNote<'t>>,
) {
    let mut known = servers.iter_mut();
    let Some(known) = known.find(|known| known.address == server.address) else {
        servers.push(server);
        return;
    };
    if let Err(why) = known.merge(&server) {
        said.push(GroupNote::Left(server.line, why));
    }
}

/// The `slow_start` of a group, where nginx has one for each server, and none by itself.
fn slow_start<'t>(
    balance: &str,
    servers: &[GroupServer<'t>],
    said: &mut Vec<GroupNote<'t>>,
) -> Option<Duration> {
    if !group_balance::has_slow_start(balance) {
        return None;
    }
    let of = |server: &GroupServer<'_>| server.slow_start.unwrap_or_default();
    let longest = servers.iter().map(of).max().unwrap_or_default();
    if let Some(other) = servers.iter().find(|server| of(server) != longest) {
        let why = "`slow_start` is one for a group: this server has the longest of all too";
        said.push(GroupNote::Left(other.line, why.to_owned()));
    }
    Some(longest)
}
