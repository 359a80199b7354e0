//! Finds the location that answers a request, by nginx's rules.
//!
//! It is pure: it has no socket and no clock, and does not know what a location leads to. A [`Router`] takes the path
//! of a [`Target`]; [`rewritten`], [`replace()`] and [`add_slash`] write what is asked of an upstream when the raw target
//! cannot go on.

mod host_pattern;
mod location;
mod location_doubt;
mod location_error;
mod location_kind;
mod pattern;
mod regexes;
mod replace;
mod rewrite;
mod rewrite_error;
mod sites;
mod target;
mod when;

use crate::routing::regexes::Regexes;

pub use crate::routing::host_pattern::HostError;
pub use crate::routing::host_pattern::HostPattern;
pub use crate::routing::location::Location;
pub use crate::routing::location_doubt::LocationDoubt;
pub use crate::routing::location_error::LocationError;
pub use crate::routing::location_kind::LocationKind;
pub use crate::routing::pattern::RegexProblem;
pub use crate::routing::replace::add_slash;
pub use crate::routing::replace::replace;
pub use crate::routing::rewrite::NoPathLeft;
pub use crate::routing::rewrite::Rewrite;
pub use crate::routing::rewrite::rewritten;
pub use crate::routing::rewrite_error::RewriteError;
pub use crate::routing::sites::Sites;
pub use crate::routing::target::Target;
pub use crate::routing::target::TargetError;
pub use crate::routing::when::RequestFacts;
pub use crate::routing::when::Unmet;
pub use crate::routing::when::When;

/// One location and what it leads to.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Which paths it answers.
    pub location: Location,
    /// Whether a location whose name ends in a slash is also found, as [`Found::AddsSlash`], by the path without it. It
    /// is where the entry proxies: nginx's `auto_redirect`.
    pub adds_slash: bool,
    /// What it leads to.
    pub to: T,
}

/// Which entry a path leads to.
#[derive(Debug)]
pub enum Found<'r, T> {
    /// This entry answers.
    Answers(&'r Entry<T>),
    /// No location is named for this very path, but this one for the path and a slash. An ordinary request gets
    /// nginx's 301 to what [`add_slash`] returns; an upgrade, whose client follows no redirect, can go on with that.
    AddsSlash(&'r Entry<T>),
}

/// A table of locations, of which `find` chooses one.
///
/// A search costs one binary search over the names, a step for each location nested in another on the way back to the
/// one that matches, and one pass of all regexes over the path; it allocates only if there are several regexes.
#[derive(Debug)]
pub struct Router<T> {
    entries: Vec<Entry<T>>,
    names: Vec<Name>, // sorted
    regexes: Regexes,
}

/// A path that a location is named for, or that lacks only the slash at the end of such a name.
#[derive(Debug, Default)]
struct Name {
    path: Box<[u8]>,
    /// Entries with `= path`, in order.
    exact: Vec<usize>,
    /// Entries with `path` or `^~ path`, in order.
    prefix: Vec<usize>,
    /// The longest other name that begins this one and has a prefix entry.
    parent: Option<usize>,
    /// The name that is this one and a slash, if an entry there adds it.
    with_slash: Option<usize>,
}

impl<T> Router<T> {
    /// A table of `entries`; their order decides between regexes and between equal locations.
    pub fn new(entries: Vec<Entry<T>>) -> Self {
        let names = names(&entries);
        let regexes = Regexes::new(entries.iter().map(|entry| &entry.location));
        Self {
            entries,
            names,
            regexes,
        }
    }

    /// The entry that answers `path`, chosen as nginx does, or `None` if none matches.
    ///
    /// An exact location ends the search. Then a path for which no location is named, but which lacks only the slash of
    /// one, leads to that one, as [`Found::AddsSlash`]. Then the longest prefix answers if it says `^~`; else the first
    /// regex that matches; else that prefix. Entries whose `to` is not admitted are as if absent; of several entries with
    /// one location the first admitted counts.
    pub fn find(&self, path: &[u8], admits: impl Fn(&T) -> bool) -> Option<Found<'_, T>> {
        let admitted =
            |index: &usize| Some(&self.entries[*index]).filter(|entry| admits(&entry.to));
        let first = |indices: &[usize]| indices.iter().find_map(admitted);

        let (here, mut next) = match self.names.binary_search_by(|name| (*name.path).cmp(path)) {
            Ok(index) => (Some(&self.names[index]), Some(index)),
            Err(index) => (None, index.checked_sub(1)),
        };
        if let Some(name) = here {
            if let Some(exact) = first(&name.exact) {
                return Some(Found::Answers(exact));
            }
            if first(&name.prefix).is_none()
                && let Some(slashed) = name.with_slash.map(|index| &self.names[index])
            {
                let (exact, prefix) = (first(&slashed.exact), first(&slashed.prefix));
                if [exact, prefix]
                    .into_iter()
                    .flatten()
                    .any(|entry| entry.adds_slash)
                {
                    return exact.or(prefix).map(Found::AddsSlash);
                }
            }
        }

        // Every name that begins `path` also begins the last name not after `path`, so it is that one or above it.
        let mut remembered = None;
        while let Some(name) = next.map(|index| &self.names[index]) {
            if path.starts_with(&name.path) {
                remembered = first(&name.prefix);
                if remembered.is_some() {
                    break;
                }
            }
            next = name.parent;
        }
        if remembered.is_some_and(|entry| entry.location.kind() == LocationKind::PrefixNoRegex) {
            return remembered.map(Found::Answers);
        }
        let by_regex = self.regexes.first_match(path, admitted);
        by_regex.or(remembered).map(Found::Answers)
    }
}

/// The names of all exact and prefix locations, sorted, each with the names to which [`Router::find`] goes from it.
fn names<T>(entries: &[Entry<T>]) -> Vec<Name> {
    let mut paths: Vec<&[u8]> = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| !entry.location.kind().is_regex())
    {
        let path = entry.location.pattern().as_bytes();
        paths.push(path);
        paths.extend(path.strip_suffix(b"/").filter(|_| entry.adds_slash));
    }
    paths.sort_unstable();
    paths.dedup();
    let index_of = |path: &[u8]| paths.binary_search(&path).ok();
    let mut names: Vec<Name> = paths
        .iter()
        .map(|path| Name {
            path: (*path).into(),
            ..Name::default()
        })
        .collect();
    for (entry_index, entry) in entries.iter().enumerate() {
        let path = entry.location.pattern().as_bytes();
        let Some(index) = index_of(path).filter(|_| !entry.location.kind().is_regex()) else {
            continue;
        };
        match entry.location.kind() {
            LocationKind::Exact => names[index].exact.push(entry_index),
            _ => names[index].prefix.push(entry_index),
        }
        if let Some(bare) = path
            .strip_suffix(b"/")
            .filter(|_| entry.adds_slash)
            .and_then(index_of)
        {
            names[bare].with_slash = Some(index);
        }
    }
    let mut above: Vec<usize> = Vec::new(); // the prefixes that begin the current name, each beginning the next
    for index in 0..names.len() {
        while above
            .last()
            .is_some_and(|parent| !names[index].path.starts_with(&names[*parent].path))
        {
            above.pop();
        }
        names[index].parent = above.last().copied();
        if !names[index].prefix.is_empty() {
            above.push(index);
        }
    }
    names
}

#[cfg(test)]
mod tests;
