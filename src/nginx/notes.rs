//! Collects the directives that are not translated: those that cannot be carried over, and those that wsgate makes
//! unnecessary.

use crate::nginx::tree::Directive;
use crate::nginx::tree::Files;
use crate::nginx::tree::SourceLine;

/// The directives that were noted so far.
#[derive(Clone, Debug)]
pub(super) struct Notes<'t> {
    files: &'t Files,
    /// Directives that are not carried over: where each stands, its name, and the reason.
    left: Vec<(SourceLine, String, String)>,
    needless: Vec<Needless>,
}

/// The directives of one name that are unnecessary for one reason.
#[derive(Clone, Debug)]
struct Needless {
    what: String,
    why: String,
    places: Vec<SourceLine>,
}

/// The most places that one comment names.
const PLACES: usize = 8;

impl<'t> Notes<'t> {
    /// No notes yet, about directives of these files.
    pub(super) fn new(files: &'t Files) -> Self {
        Self {
            files,
            left: Vec::new(),
            needless: Vec::new(),
        }
    }

    /// A place as messages name it: `nginx.conf:12`.
    pub(super) fn show(&self, place: SourceLine) -> String {
        self.files.show(place)
    }

    /// Notes a directive that is not carried over, and returns the comment that says so. One that is met several times,
    /// since several blocks include its file, counts once.
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

    /// Notes a directive that is not carried over. Returns the comment that says so the first time, and nothing where the
    /// same was said before.
    pub(super) fn left_once(
        &mut self,
        directive: &Directive,
        why: impl Into<String>,
    ) -> Option<String> {
        let before = self.left.len();
        let comment = self.left(directive, why);
        (self.left.len() > before).then_some(comment)
    }

    /// Notes a directive that wsgate makes unnecessary.
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

    /// The directives that are not carried over, in file order: place, name and reason.
    pub(super) fn all_left(&self) -> Vec<(String, String, String)> {
        let mut left = self.left.clone();
        left.sort();
        let shown = left
            .into_iter()
            .map(|(place, what, why)| (self.show(place), what, why));
        shown.collect()
    }

    /// How many directives were noted as unnecessary.
    pub(super) fn needless_count(&self) -> usize {
        self.needless.iter().map(|one| one.places.len()).sum()
    }

    /// A comment for each name and reason of unnecessary directives, in file order.
    pub(super) fn all_needless(&self) -> Vec<String> {
        let mut all: Vec<&Needless> = self.needless.iter().collect();
        all.sort_by_key(|one| one.places.iter().min());
        let shown = all.into_iter().map(|one| {
            let places = self.places(&one.places);
            format!("{places}: `{}`: {}", one.what, one.why)
        });
        shown.collect()
    }

    /// Places in one text, each file named once: `nginx.conf:3, 9, site.conf:4`.
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
