//! One search for a server of a group, for one request.

use std::cell::Cell;
use std::cell::OnceCell;
use std::cmp::Ordering;

use crate::upstream::Balance;
use crate::upstream::ChoiceInput;
use crate::upstream::Group;
use crate::upstream::Member;
use crate::upstream::balance::rendezvous::Draw;
use crate::upstream::balance::rendezvous::Key;
use crate::upstream::balance::rendezvous::mix;
use crate::upstream::balance::tier::Place;
use crate::upstream::balance::tier::Tier;
use crate::upstream::balance::tier::Turn;
use crate::upstream::member_state::Health;
use crate::upstream::member_state::OpenGuard;
use crate::upstream::member_state::Part;

/// Up to so many servers are all compared by what is open. Of more, two are drawn: to look at all would take longer than it is worth,
/// and the better of two is nearly as good (Mitzenmacher, "The Power of Two Choices", 2001).
const ALL_COMPARED: usize = 16;

/// How often a server is drawn to find two that can be chosen. If most cannot be, all are compared.
const DRAWS: u64 = 8;

/// How often a server is looked for anew after another thread took the last place of the one that was found.
const ATTEMPTS: usize = 64;

/// A server that was found, and is counted already.
#[derive(Debug)]
pub(in crate::upstream) struct Found {
    /// Its place among the group's members.
    pub(in crate::upstream) at: usize,
    pub(in crate::upstream) open: OpenGuard,
}

/// A search for a server.
#[derive(Debug)]
pub(in crate::upstream) struct Search<'a> {
    group: &'a Group,
    input: &'a ChoiceInput<'a>,
    /// The places of the servers that the request was sent to already.
    tried: &'a [usize],
    /// The turn of this search, once it took one. It takes one only if it needs one.
    turn: Cell<Option<usize>>,
}

/// Whether servers that are down are left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdicts {
    Heeded,
    Ignored,
}

/// Whether a server can be chosen now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    /// It cannot: it was tried, is full, or down.
    Out,
    /// It has recovered of late, and can in this part of its turns.
    InTurn(Part),
    /// It can.
    In,
}

impl<'a> Search<'a> {
    pub(in crate::upstream) fn new(
        group: &'a Group,
        input: &'a ChoiceInput<'a>,
        tried: &'a [usize],
    ) -> Self {
        Self {
            group,
            input,
            tried,
            turn: Cell::new(None),
        }
    }

    /// Finds a server by the group's `balance`. `None` if all that could be chosen are full, or were tried.
    pub(in crate::upstream) fn by_balance(&self) -> Option<Found> {
        for _ in 0..ATTEMPTS {
            let at = self.find()?;
            let member = self.member(at);
            let open = match member.settings().max_conns {
                None => Some(member.state().raise()),
                Some(most) => member.state().raise_up_to(most),
            };
            if let Some(open) = open {
                return Some(Found { at, open });
            }
        }
        None
    }

    /// Finds the next server that may have a session of which nothing is known: any that was not tried, is not marked `down`, and not
    /// down, unless all of the group are; also one that is full or drained. Where a key decides, the one that the key leads to comes first, since the session was
    /// most likely opened there; else the next one in the order of the file. A backup comes after all others.
    pub(in crate::upstream) fn for_session(&self) -> Option<Found> {
        let members = self.group.members();
        let last = self.tried.last().copied().unwrap_or(members.len() - 1);
        let behind = |at: usize| (at + members.len() - last - 1) % members.len();
        let mut best: Option<usize> = None;
        let key = self.key();
        let is_better = |at: usize, than: usize| {
            let (one, other) = (self.member(at), self.member(than));
            let by_backup = one.settings().backup.cmp(&other.settings().backup);
            let by_order = match key {
                Some(key) => (other.entrant().draw(key)).compare(&one.entrant().draw(key)),
                None => behind(at).cmp(&behind(than)),
            };
            by_backup.then(by_order).is_lt()
        };
        for (at, member) in members.iter().enumerate() {
            let is_up = || !member.state().is_down() || self.group.is_all_down();
            let may_have_it = !member.settings().down && is_up();
            if may_have_it
                && !self.tried.contains(&at)
                && best.is_none_or(|best| is_better(at, best))
            {
                best = Some(at);
            }
        }
        best.map(|at| Found {
            at,
            open: self.member(at).state().raise(),
        })
    }

    fn find(&self) -> Option<usize> {
        let tiers = self.group.tiers();
        let find = |verdicts| {
            let mut both = [&tiers.first, &tiers.backup].into_iter();
            both.find_map(|tier| self.find_in(tier, verdicts))
        };
        find(Verdicts::Heeded).or_else(|| {
            let mut left = tiers.candidates().filter(|at| !self.tried.contains(at));
            let is_one_up = left.any(|at| !self.member(at).state().is_down());
            if is_one_up {
                // It is full, and that is no reason to ask those that are down.
                return None;
            }
            find(Verdicts::Ignored)
        })
    }

    fn find_in(&self, tier: &Tier, verdicts: Verdicts) -> Option<usize> {
        let among = Among {
            search: self,
            tier,
            verdicts,
        };
        match (&self.group.settings().balance, self.key()) {
            (Balance::RoundRobin, _) => among.in_turn(),
            (_, Some(key)) => among.by_key(key),
            (_, None) => among.least_open(),
        }
    }

    /// The key that decides, if the group's `balance` is by one and the request has it.
    fn key(&self) -> Option<Key> {
        let settings = self.group.settings();
        match settings.balance {
            Balance::LeastConn | Balance::RoundRobin => None,
            Balance::IpHash => {
                let client = self.input.client?;
                Some(Key::of_client(&settings.name, client))
            }
            Balance::Hash(_) => {
                let text = self.input.hash_key.filter(|text| !text.is_empty())?;
                Some(Key::of_text(text))
            }
        }
    }

    /// The turn of this search. It stays the same, so that tiers that have no server to give cost no turns of those that have.
    fn turn(&self) -> usize {
        self.turn.get().unwrap_or_else(|| {
            let turn = self.group.state().cursor().take();
            self.turn.set(Some(turn));
            turn
        })
    }

    fn member(&self, at: usize) -> &Member {
        &self.group.members()[at]
    }
}

/// A search among the servers of one tier.
#[derive(Clone, Copy, Debug)]
struct Among<'a> {
    search: &'a Search<'a>,
    tier: &'a Tier,
    verdicts: Verdicts,
}

impl Among<'_> {
    /// The server whose turn it is. A turn of one that cannot be chosen is drawn again, so that its share goes to all others by their
    /// weights, and not to its neighbour.
    fn in_turn(self) -> Option<usize> {
        let well = OnceCell::new();
        let is_one_in = || *well.get_or_init(|| self.standings().any(|one| one == Standing::In));
        let may_have = |turn: usize| {
            let Turn { place, own_turn } = self.tier.turn(turn)?;
            let has_it = match self.standing(place) {
                Standing::Out => false,
                Standing::InTurn(part) => part.has(own_turn) || !is_one_in(),
                Standing::In => true,
            };
            has_it.then_some(place.at)
        };
        may_have(self.search.turn()).or_else(|| {
            let cursor = self.search.group.state().cursor();
            let is_wanted = |turn| may_have(turn).is_some();
            let turn = cursor.take_first(self.tier.round(), is_wanted)?;
            self.tier.turn(turn).map(|turn| turn.place.at)
        })
    }

    /// The server that the key leads to, of those that can be chosen. What is left of a turn is not asked for: a key would have to go
    /// elsewhere and come back for that.
    fn by_key(self, key: Key) -> Option<usize> {
        let draw = |place: &Place| match self.tier.are_alike() {
            true => place.entrant.draw_alike(key),
            false => place.entrant.draw(key),
        };
        let mut best: Option<(usize, Draw)> = None;
        for place in self.tier.places() {
            let drawn = draw(place);
            let is_better = best.is_none_or(|(_, best)| drawn.compare(&best).is_gt());
            if is_better && self.standing(place) != Standing::Out {
                best = Some((place.at, drawn));
            }
        }
        best.map(|(at, _)| at)
    }

    /// The server with the fewest open requests and tunnels by its weight.
    fn least_open(self) -> Option<usize> {
        if self.tier.places().len() <= ALL_COMPARED {
            self.least_of_all()
        } else {
            self.better_of_two().or_else(|| self.least_of_all())
        }
    }

    /// The one with the fewest of all; of several, each in turn.
    fn least_of_all(self) -> Option<usize> {
        let mut least = Least::default();
        let mut is_one_in_turn = false;
        for place in self.places_from_turn() {
            match self.standing(place) {
                Standing::Out => {}
                Standing::InTurn(_) => is_one_in_turn = true,
                Standing::In => least.add(self.load(place)),
            }
        }
        if is_one_in_turn {
            if least.is_none() {
                // All have recovered of late: no other could have what is kept from them.
                for place in self.tier.places() {
                    if self.standing(place) != Standing::Out {
                        least.add(self.load(place));
                    }
                }
            } else if let Some(at) = self.recovered_in_turn() {
                return Some(at);
            }
        }
        least.one_of(|| self.search.turn())
    }

    /// The better one of two that are drawn, each as often as its weight says. `None` if no two are found that can be chosen.
    fn better_of_two(self) -> Option<usize> {
        if let Some(at) = self.recovered_in_turn() {
            return Some(at);
        }
        let first_draw = (self.search.turn() as u64).wrapping_mul(DRAWS);
        let mut first: Option<Load> = None;
        for draw in 0..DRAWS {
            let drawn = mix(first_draw.wrapping_add(draw));
            let place = self.tier.turn(drawn as usize)?.place;
            if first.is_some_and(|first| first.at == place.at)
                || self.standing(place) != Standing::In
            {
                continue;
            }
            let load = self.load(place);
            match first {
                None => first = Some(load),
                Some(first) if load.compare(first).is_lt() => return Some(load.at),
                Some(first) => return Some(first.at),
            }
        }
        None
    }

    /// The server whose turn it is, if it has recovered of late and the turn is one that is left to it. What it has open says nothing
    /// yet: by that, it would be given all that comes, as the emptiest of all.
    fn recovered_in_turn(self) -> Option<usize> {
        let Turn { place, own_turn } = self.tier.turn(self.search.turn())?;
        match self.standing(place) {
            Standing::InTurn(part) if part.has(own_turn) => Some(place.at),
            Standing::InTurn(_) | Standing::In | Standing::Out => None,
        }
    }

    /// All servers; of many, from another one on each time, since of those that are alike only the first few are remembered.
    fn places_from_turn(&self) -> impl Iterator<Item = &Place> {
        let places = self.tier.places();
        let first = match places.len() {
            0..=ALL_COMPARED => 0,
            many => self.search.turn() % many,
        };
        let (before, from) = places.split_at(first);
        from.iter().chain(before)
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.tier.places().iter().map(|place| self.standing(place))
    }

    fn standing(&self, place: &Place) -> Standing {
        let (group, now) = (self.search.group, self.search.input.now);
        let member = self.search.member(place.at);
        let is_full = || {
            let most = member.settings().max_conns;
            most.is_some_and(|most| member.state().open() >= most)
        };
        if self.search.tried.contains(&place.at) || is_full() {
            return Standing::Out;
        }
        match member.state().health(now, group.settings().slow_start) {
            Health::Down if self.verdicts == Verdicts::Heeded => Standing::Out,
            Health::Down | Health::Well => Standing::In,
            Health::Recovered(part) => Standing::InTurn(part),
        }
    }

    fn load(&self, place: &Place) -> Load {
        Load {
            at: place.at,
            weight: place.weight,
            open: self.search.member(place.at).state().open(),
        }
    }
}

/// What a server has open, if it is chosen.
#[derive(Clone, Copy, Debug)]
struct Load {
    at: usize,
    weight: u16,
    open: u32,
}

impl Load {
    /// Which of both would have less by its weight, with one more.
    fn compare(self, other: Self) -> Ordering {
        let by = |one: Self, other: Self| (u64::from(one.open) + 1) * u64::from(other.weight);
        by(self, other).cmp(&by(other, self))
    }
}

/// The servers that have least, up to as many as are compared.
#[derive(Debug, Default)]
struct Least {
    least: Option<Load>,
    alike: [usize; ALL_COMPARED],
    count: usize,
}

impl Least {
    fn is_none(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, load: Load) {
        let order = self
            .least
            .map_or(Ordering::Less, |least| load.compare(least));
        if order.is_lt() {
            self.least = Some(load);
            self.count = 0;
        }
        if order.is_le() && self.count < ALL_COMPARED {
            self.alike[self.count] = load.at;
            self.count += 1;
        }
    }

    /// One of those that are alike, which is asked for a turn only if there are several.
    fn one_of(&self, turn: impl FnOnce() -> usize) -> Option<usize> {
        match self.count {
            0 => None,
            1 => Some(self.alike[0]),
            count => Some(self.alike[turn() % count]),
        }
    }
}
