//! What is to be said of an `upstream` block, once it is known that a location asks it.

use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;

/// Something to be said of a directive of an `upstream` block.
#[derive(Clone, Debug)]
pub(super) enum GroupNote<'t> {
    /// The directive is not carried over, for this reason.
    Left(&'t Directive, String),
    /// Nothing is missed without the directive, or a part of it, for this reason.
    Needless(&'t Directive, &'static str),
    /// The directive is carried over, and this is different.
    Differs(&'t Directive, &'static str),
}

impl GroupNote<'_> {
    /// Says it: in the lists of `notes`, and as a comment, if one is to stand above the group.
    pub(super) fn say(&self, notes: &mut Notes<'_>) -> Option<String> {
        match self {
            Self::Left(directive, why) => Some(notes.left(directive, why.clone())),
            Self::Needless(directive, why) => {
                notes.needless(directive, *why);
                None
            }
            Self::Differs(directive, why) => {
                let place = notes.show(directive.place);
                Some(format!("{place}: `{}`: {why}", directive.name))
            }
        }
    }
}
