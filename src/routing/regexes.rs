//! All regex locations of a table, matched together.
//!
//! However many there are, a path is read once for those that mind case and once for those that do not, not once for
//! each regex.

use std::iter;

use regex::bytes::Regex;
use regex::bytes::RegexSet;

use crate::routing::location::Location;
use crate::routing::location_kind::LocationKind;
use crate::routing::pattern;

/// The regexes of a table, each known by its location's index.
#[derive(Debug)]
pub(super) struct Regexes {
    groups: Vec<Group>,
}

/// Regexes that are matched in one pass, with the indices of their locations.
#[derive(Debug)]
enum Group {
    One(Regex, usize),
    Set(RegexSet, Vec<usize>),
}

impl Regexes {
    /// The regexes among `locations`.
    pub(super) fn new<'l>(locations: impl Iterator<Item = &'l Location>) -> Self {
        let all: Vec<(usize, &Location, &Regex)> = locations
            .enumerate()
            .filter_map(|(index, location)| Some((index, location, location.regex()?)))
            .collect();
        let mut groups = Vec::new();
        for kind in [LocationKind::Regex, LocationKind::RegexIgnoreCase] {
            let of_kind: Vec<_> = all
                .iter()
                .copied()
                .filter(|(_, location, _)| location.kind() == kind)
                .collect();
            group(&of_kind, kind, &mut groups);
        }
        Self { groups }
    }

    /// How many times a path is read at most.
    #[cfg(test)]
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// What `choose` returns for the first location, by index, whose regex matches `path` and for which it returns
    /// something.
    pub(super) fn first_match<E>(
        &self,
        path: &[u8],
        choose: impl Fn(&usize) -> Option<E>,
    ) -> Option<E> {
        let chosen = |index: &usize| Some((*index, choose(index)?));
        let in_group = |group: &Group| match group {
            Group::One(regex, index) => iter::once(index)
                .filter(|_| regex.is_match(path))
                .find_map(chosen),
            Group::Set(set, indices) => set
                .matches(path)
                .iter()
                .map(|at| &indices[at])
                .find_map(chosen),
        };
        self.groups
            .iter()
            .filter_map(in_group)
            .min_by_key(|(index, _)| *index)
            .map(|(_, entry)| entry)
    }
}

/// Puts `regexes` into one set, or, if that is too big for the `regex` crate's limit, into as few as halving gives.
/// Each by itself is within the limit, since it is compiled.
fn group(regexes: &[(usize, &Location, &Regex)], kind: LocationKind, groups: &mut Vec<Group>) {
    match regexes {
        [] => {}
        [(index, _, regex)] => groups.push(Group::One((*regex).clone(), *index)),
        several => {
            let patterns: Vec<&str> = several
                .iter()
                .map(|(_, location, _)| location.pattern())
                .collect();
            if let Some(set) = pattern::compile_set(&patterns, kind) {
                groups.push(Group::Set(
                    set,
                    several.iter().map(|(index, ..)| *index).collect(),
                ));
            } else {
                let (front, back) = several.split_at(several.len() / 2);
                group(front, kind, groups);
                group(back, kind, groups);
            }
        }
    }
}
