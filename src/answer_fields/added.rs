//! A field that a route adds to answers: nginx's `add_header`.

use http::StatusCode;
use http::header;

use crate::headers::spelling::WrittenName;
use crate::template::Template;

/// The statuses of answers that get an added field without `always`: those of nginx's `add_header`.
pub const SUCCESSES: [StatusCode; 10] = [
    StatusCode::OK,
    StatusCode::CREATED,
    StatusCode::NO_CONTENT,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::NOT_MODIFIED,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

/// A field that answers get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddedField {
    /// Its name.
    pub name: WrittenName,
    /// Its value; where that comes to nothing, no field is added.
    pub value: Template,
    /// Which answers get it.
    pub to: AddedTo,
}

/// Which answers get an added field. A 101 never does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddedTo {
    /// Those of [`SUCCESSES`].
    Successes,
    /// Every answer: nginx's `always`.
    Every,
}

impl AddedField {
    /// Whether an answer of this status gets the field.
    pub fn is_for(&self, status: StatusCode) -> bool {
        match self.to {
            AddedTo::Successes => SUCCESSES.contains(&status),
            AddedTo::Every => true,
        }
    }

    /// Whether the field takes the place of the upstream's, even where its value comes to nothing: so in nginx for these two, of
    /// which an answer has one. Any other field is one more line.
    pub(super) fn replaces(&self) -> bool {
        [header::LAST_MODIFIED, header::ETAG].contains(self.name.name())
    }
}
