//! What the import says about directives that become nothing: those that wsgate cannot carry over, and those that it
//! makes unnecessary.

use crate::nginx::tree::Directive;
use crate::nginx::tree::Files;
use crate::nginx::tree::SourceLine;

/// What was noted so far.
#[derive(Debug)]
pub(super) struct Notes<'t> {
    files: &'t Files,
    left: Vec<(SourceLine, String, String)>,
    needless: Vec<Needless>,
}

/// Directives of one name that became nothing for one reason.
#[derive(Debug)]
struct Needless {
    what: String,
    why: String,
    places: Vec<SourceLine>,
}

/// Places that a comment names at most.
const PLACES: usize = 8;

impl<'t> Notes<'t> {
    pub(super) fn new(files: &'t Files) -> Self {
        Self {
            files,
            left: Vec::new(),
            needless: Vec::new(),
        }
    }

    /// A place as messages name it.
    pub(super) fn show(&self, place: SourceLine) -> String {
        self.files.show(place)
    }

    /// A directive that is not carried over; returns the comment that says so. One that is met again, since several
    /// blocks include it, counts once.
    pub(super) fn left(&mut self, directive: &Directive, why: impl Into<String>) -> String {
        let (what, why) = (directive.what(), why.into());
        let place = directive.place;
        let comment = format!("not carried over, {}: `{what}`: {why}", self.show(place));
        let one = (place, what, why);
        if !self.left.contains(&one) {
            self.left.push(one);
        }
        comment
    }

    /// A directive that wsgate makes unnecessary.
    pub(super) fn needless(&mut self, directive: &Directive, why: impl Into<String>) {
        let (what, why, place) = (directive.what(), why.into(), directive.place);
        let known = self
            .needless
            .iter_mut()
            .find(|one| one.what == what && one.why == why);
        match known {
            Some(known) if known.places.contains(&place) => {}
            Some(known) => known.places.push(place),
            None => self.needless.push(Needless {
                what,
                why,
                places: vec![place],
            }),
        }
    }

    /// What is not carried over, in file order: place, what and why.
    pub(super) fn all_left(&self) -> Vec<(String, String, String)> {
        let mut left = self.left.clone();
        left.sort();
        let shown = left
            .into_iter()
            .map(|(place, what, why)| (self.show(place), what, why));
        shown.collect()
    }

    /// How many directives are unnecessary.
    pub(super) fn needless_count(&self) -> usize {
        self.needless.iter().map(|one| one.places.len()).sum()
    }

    /// A comment for each kind of unnecessary directive, in file order.
    pub(super) fn all_needless(&self) -> Vec<String> {
        let mut all: Vec<&Needless> = self.needless.iter().collect();
        all.sort_by_key(|one| one.places.iter().min());
        let shown = all.into_iter().map(|one| {
            let places = self.places(&one.places);
            format!("{places}: `{}`: {}", one.what, one.why)
        });
        shown.collect()
    }

    /// `nginx.conf:3, 9, site.conf:4`
    fn places(&self, places: &[SourceLine]) -> String {
        let mut sorted = places.to_vec();
        sorted.sort();
        let mut text = String::new();
        let mut last = None;
        for place in sorted.iter().take(PLACES) {
            if last.is_some() {
                text += ", ";
            }
            if last == Some(place.file) {
                text += &place.line.to_string();
            } else {
                text += &self.show(*place);
            }
            last = Some(place.file);
        }
        if let Some(more) = sorted.len().checked_sub(PLACES).filter(|more| *more > 0) {
            text += &format!(" and {more} more");
        }
        text
    }
}
