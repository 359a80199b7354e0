//! The servers of a group among which it is chosen: those that are asked first, and those that are asked while none of these can be.

use crate::upstream::Member;
use crate::upstream::balance::rendezvous::Entrant;
use crate::upstream::balance::turns::Turns;

/// The two tiers of a group. A server that is marked `down` or `drain` is in none.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Tiers {
    /// Those without `backup`.
    pub(super) first: Tier,
    /// Those with `backup`.
    pub(super) backup: Tier,
}

/// Servers that may be chosen instead of one another.
#[derive(Clone, Debug)]
pub(super) struct Tier {
    /// By their places among the group's members.
    places: Box<[Place]>,
    turns: Turns,
    /// Whether all have the same weight.
    are_alike: bool,
}

/// One server of a tier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its place among the group's members.
    pub(super) at: usize,
    /// Its share among the others, at least 1.
    pub(super) weight: u16,
    /// Its address, for draws by a key.
    pub(super) entrant: Entrant,
}

/// A turn of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) place: &'a Place,
    /// Which of its own turns it is.
    pub(super) own_turn: usize,
}

impl Tiers {
    /// The tiers of these members.
    pub(in crate::upstream) fn of(members: &[Member]) -> Self {
        let tier = |backup| {
            let members = members.iter().enumerate();
            let places = members.filter_map(|(at, member)| {
                let settings = member.settings();
                let is_in = settings.backup == backup && !settings.down && !settings.drain;
                is_in.then(|| Place::new(at, member))
            });
            Tier::new(places.collect())
        };
        Self {
            first: tier(false),
            backup: tier(true),
        }
    }

    /// The places of all servers among which it is chosen.
    pub(in crate::upstream) fn candidates(&self) -> impl Iterator<Item = usize> {
        let both = self.first.places.iter().chain(&self.backup.places);
        both.map(|place| place.at)
    }
}

impl Place {
    /// The member at this place.
    fn new(at: usize, member: &Member) -> Self {
        Self {
            at,
            weight: member.settings().weight.max(1),
            entrant: member.entrant(),
        }
    }
}

impl Tier {
    fn new(places: Box<[Place]>) -> Self {
        let weights: Vec<_> = places.iter().map(|place| place.weight).collect();
        Self {
            turns: Turns::of(&weights),
            are_alike: weights.windows(2).all(|pair| pair[0] == pair[1]),
            places,
        }
    }

    /// Its servers, in the order of the file.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whose turn it is. `None` if it has no server.
    pub(super) fn turn(&self, turn: usize) -> Option<Turn<'_>> {
        let owner = self.turns.owner(turn)?;
        let place = self.places.get(owner.at)?;
        Some(Turn {
            place,
            own_turn: owner.own_turn,
        })
    }

    /// After how many turns all begins anew.
    pub(super) fn round(&self) -> usize {
        self.turns.round()
    }

    /// Whether all have the same weight.
    pub(super) fn are_alike(&self) -> bool {
        self.are_alike
    }
}
