//! HTTP/1.1 messages as bytes: read where they are complete in a buffer, and written with every field name as its sender
//! spelled it.
//!
//! Hyper reads and writes all other messages: what is not taken here is no error, but a matter for hyper. That includes a request
//! of which a part is missing; of an answer, [`AnswerState`] says what is missing, so that its reader can wait for it. The syntax is judged by hyper's own parser, so that both take the same heads. [`Respelled`] stands
//! between hyper and a socket, for the names that hyper would not write as they are to be written.

mod answer;
mod request;
mod respelled;

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::headers::spelling::Spelling;
pub use crate::http1::answer::AnswerState;
pub use crate::http1::answer::BufferedAnswer;
pub use crate::http1::answer::LineBecomes;
pub use crate::http1::answer::Persistence;
pub use crate::http1::answer::read_answer;
pub use crate::http1::answer::read_switching;
pub use crate::http1::answer::write_switching;
pub use crate::http1::request::RequestPurpose;
pub use crate::http1::request::read_request;
pub use crate::http1::request::write_request;
pub use crate::http1::respelled::NextHead;
pub use crate::http1::respelled::Respelled;

/// Lines of a head; hyper is told the same number, and answers one more with a 431.
pub const MAX_LINES: usize = 100;

/// A head, how its names were spelled, and how many bytes it had.
#[derive(Debug)]
pub struct Head<P> {
    /// The parsed head.
    pub parts: P,
    /// Its names as they were spelled.
    pub names: FieldNames,
    /// Its length in bytes.
    pub length: usize,
}

/// The names of a head's fields as they were written, in the order of its lines.
#[derive(Debug)]
pub struct FieldNames {
    head: Bytes,
    /// Where in `head` each stands.
    places: Vec<Range<usize>>,
    /// The lengths that names have, as one bit each: names that wsgate adds are rarely as long as one of the client's.
    lengths: u64,
    /// Whether one of them stands on several lines.
    repeated: bool,
}

impl FieldNames {
    /// How this name was spelled on the line that had it for the `nth` time, if there was one. `hint` is the line that is
    /// looked at first, and moves on.
    fn spelling(&self, name: &HeaderName, nth: usize, hint: &mut usize) -> Option<&[u8]> {
        let name = name.as_str().as_bytes();
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        let is_it = |place: &Range<usize>| {
            place.len() == name.len() && self.head[place.clone()].eq_ignore_ascii_case(name)
        };
        let line = if self.repeated {
            let mut lines = self.places.iter().enumerate();
            let (line, _) = lines.by_ref().filter(|(_, place)| is_it(place)).nth(nth)?;
            line
        } else {
            let from = (*hint).min(self.places.len());
            let behind = self.places[from..].iter().position(is_it);
            match behind {
                Some(at) => from + at,
                None => self.places[..from].iter().position(is_it)?,
            }
        };
        *hint = line + 1;
        Some(&self.head[self.places[line].clone()])
    }
}

/// The bit of [`FieldNames::lengths`] for names of this length; all long ones share one.
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// `None` where a name or a value has a byte that `http` does not take.
fn fields(bytes: &Bytes, lines: &[httparse::Header<'_>]) -> Option<(HeaderMap, FieldNames)> {
    // Room for our own lines too.
    let mut headers = HeaderMap::with_capacity(lines.len() + 4);
    let mut names = FieldNames {
        head: bytes.clone(),
        places: Vec::with_capacity(lines.len()),
        lengths: 0,
        repeated: false,
    };
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        names.repeated |= headers.append(name, value);
        let start = line.name.as_ptr().addr() - bytes.as_ptr().addr();
        names.places.push(start..start + line.name.len());
        names.lengths |= length_bit(line.name.len());
    }
    Some((headers, names))
}

/// What Content-Length says: nothing, or one number of plain digits on one line. `None` if it says anything else.
fn one_length(headers: &HeaderMap) -> Option<Option<usize>> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Some(None),
        (Some(length), None) => digits(length.as_bytes()).map(Some),
        (Some(_), Some(_)) => None,
    }
}

/// A number of plain digits.
fn digits(bytes: &[u8]) -> Option<usize> {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(bytes).ok()?.parse().ok()
}

/// How the names of a head are spelled when it goes on.
struct Names<'n> {
    /// As their sender spelled them.
    sent: &'n FieldNames,
    /// As the route writes them, which goes first.
    written: &'n Spelling,
}

/// Writes the fields and the empty line; `nothing` stands between a name and an empty value.
fn write_fields(head: &mut Vec<u8>, headers: &HeaderMap, names: &Names<'_>, nothing: &[u8]) {
    let mut last = None;
    let mut nth = 0;
    let mut hint = 0;
    // Lines of one name stand together.
    for (name, value) in headers {
        if names.sent.repeated {
            nth = if last == Some(name) { nth + 1 } else { 0 };
            last = Some(name);
        }
        // Once for the line, so that its parts find room.
        head.reserve(name.as_str().len() + value.len() + ": \r\n\r\n".len());
        let written = names.written.of(name);
        match written.or_else(|| names.sent.spelling(name, nth, &mut hint)) {
            Some(spelling) => head.extend_from_slice(spelling),
            None => push_title_case(head, name),
        }
        head.extend_from_slice(if value.is_empty() { nothing } else { b": " });
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

/// `x-forwarded-for` as `X-Forwarded-For`, as hyper does it.
fn push_title_case(head: &mut Vec<u8>, name: &HeaderName) {
    let start = head.len();
    head.extend_from_slice(name.as_str().as_bytes());
    let mut begins = true;
    for byte in &mut head[start..] {
        if begins {
            byte.make_ascii_uppercase();
        }
        begins = *byte == b'-';
    }
}
