//! The readers and the cases of `tests/hostile`, as they stand there.

#[allow(dead_code)]
#[path = "../../hostile/case.rs"]
mod case;
#[path = "../../hostile/clear.rs"]
mod clear;
#[allow(dead_code)]
#[path = "../../hostile/reader.rs"]
mod reader;
#[path = "../../hostile/text.rs"]
mod text;

/// A request as the strict reader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) first: Vec<u8>,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the next one begins.
    pub(crate) length: usize,
    pub(crate) is_upgrade: bool,
}

/// What the strict reader makes of bytes.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Whole(Request),
    /// A head, if there is a whole one; more has to come.
    Partial(Option<Request>),
    Garbage(String),
}

/// What a case sends, and what its upstream says to each request.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) sends: Vec<u8>,
    pub(crate) sends_then: Vec<u8>,
    pub(crate) says: Vec<(Vec<u8>, bool)>,
}

/// The strict reader's next request.
pub(crate) fn next(bytes: &[u8]) -> Next {
    match reader::next(bytes) {
        reader::Next::Whole(message) => Next::Whole(message.into()),
        reader::Next::Partial(message) => Next::Partial(message.map(Request::from)),
        reader::Next::Garbage(why) => Next::Garbage(why),
    }
}

/// Whether all readers find the same requests with the same ends.
pub(crate) fn agree(bytes: &[u8]) -> Result<(), String> {
    reader::agree(bytes)
}

/// The cases of a file.
pub(crate) fn cases(file: &str, content: &str) -> Vec<Exchange> {
    let cases = case::read(file, content).into_iter();
    cases
        .map(|case| Exchange {
            name: case.place.replace([':', '.'], "_"),
            sends: case.sends,
            sends_then: case.sends_then,
            says: case
                .script
                .into_iter()
                .map(|reply| (reply.bytes, reply.closes || reply.resets))
                .collect(),
        })
        .collect()
}

impl From<reader::Message> for Request {
    fn from(message: reader::Message) -> Self {
        Self {
            is_upgrade: message.is_upgrade(),
            first: message.first,
            fields: message.fields,
            length: message.length,
        }
    }
}
