//! Readers of what an upstream got: one that takes nothing but clear HTTP/1.1, and some that take what they should not.
//!
//! Where they differ about where a request ends, a second one can be hidden in the first.

use std::fmt;

use crate::hostile::clear::is_clear_field;
use crate::hostile::clear::is_clear_request_line;
use crate::hostile::clear::is_framed_clearly;

/// How one reader reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) name: &'static str,
    lines: Lines,
    lengths: Lengths,
    /// Refuses whatever is not clear.
    strict: bool,
    /// Takes a name with blanks or control bytes around it.
    trims: bool,
    /// Takes a line that begins with a blank for the end of the one before.
    folds: bool,
    /// Takes any coding that has `chunked` in it, and an underscore for a hyphen.
    any_coding: bool,
    /// A length counts more than a coding.
    prefers_length: bool,
    /// A line is over at a NUL.
    stops_at_nul: bool,
}

/// Where a line ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lines {
    CrLf,
    Lf,
    Either,
}

/// Which of several lengths counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lengths {
    First,
    Last,
}

const STRICT: Reader = Reader {
    name: "strict",
    lines: Lines::CrLf,
    lengths: Lengths::First,
    strict: true,
    trims: false,
    folds: false,
    any_coding: false,
    prefers_length: false,
    stops_at_nul: false,
};

const LENIENT: Reader = Reader {
    name: "lenient",
    strict: false,
    ..STRICT
};

/// The readers that take more; each must find the same requests as the strict one.
pub(super) const LENIENT_ONES: [Reader; 10] = [
    Reader {
        name: "a line ends at a bare LF",
        lines: Lines::Lf,
        ..LENIENT
    },
    Reader {
        name: "a line ends at a bare CR",
        lines: Lines::Either,
        ..LENIENT
    },
    Reader {
        name: "the first Content-Length counts",
        prefers_length: true,
        ..LENIENT
    },
    Reader {
        name: "the last Content-Length counts",
        lengths: Lengths::Last,
        prefers_length: true,
        ..LENIENT
    },
    Reader {
        name: "Transfer-Encoding in any spelling counts",
        any_coding: true,
        ..LENIENT
    },
    Reader {
        name: "Transfer-Encoding in any spelling, with blanks and bare LF",
        any_coding: true,
        trims: true,
        lines: Lines::Lf,
        ..LENIENT
    },
    Reader {
        name: "lines are folded",
        folds: true,
        ..LENIENT
    },
    Reader {
        name: "blanks before the colon are dropped",
        trims: true,
        lines: Lines::Lf,
        ..LENIENT
    },
    Reader {
        name: "blanks before the colon are dropped, the last length counts",
        trims: true,
        lengths: Lengths::Last,
        prefers_length: true,
        ..LENIENT
    },
    Reader {
        name: "a line is over at a NUL",
        stops_at_nul: true,
        lines: Lines::Lf,
        ..LENIENT
    },
];

/// A whole request.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) first: Vec<u8>,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Where the next one begins.
    pub(super) length: usize,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} … {}", shown(&self.first), shown(&self.body))
    }
}

/// What a reader makes of bytes.
#[derive(Clone, Debug)]
pub(super) enum Next {
    Whole(Message),
    /// A head, if there is a whole one; more has to come.
    Partial(Option<Message>),
    Garbage(String),
}

/// The strict reader's next request.
pub(super) fn next(bytes: &[u8]) -> Next {
    STRICT.next(bytes)
}

/// Whether all readers find the same requests with the same ends.
pub(super) fn agree(bytes: &[u8]) -> Result<(), String> {
    let strict = STRICT.ends(bytes);
    for reader in &LENIENT_ONES {
        let ends = reader.ends(bytes);
        if ends != strict {
            return Err(format!(
                "where {}, requests end at {ends:?} and not at {strict:?}",
                reader.name
            ));
        }
    }
    Ok(())
}

impl Reader {
    /// Where each whole request ends.
    fn ends(&self, bytes: &[u8]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while at < bytes.len()
            && let Next::Whole(message) = self.next(&bytes[at..])
        {
            at += message.length;
            ends.push(at);
        }
        ends
    }

    fn next(&self, bytes: &[u8]) -> Next {
        match self.read(bytes) {
            Ok(next) => next,
            Err(why) => Next::Garbage(why),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Next, String> {
        let Some((first, mut at)) = self.line(bytes, 0)? else {
            return Ok(Next::Partial(None));
        };
        let mut message = Message {
            first: first.to_vec(),
            fields: Vec::new(),
            body: Vec::new(),
            length: 0,
        };
        if self.strict {
            is_clear_request_line(first)?;
        }
        loop {
            let Some((line, behind)) = self.line(bytes, at)? else {
                return Ok(Next::Partial(None));
            };
            at = behind;
            if line.is_empty() {
                break;
            }
            if self.folds
                && matches!(line[0], b' ' | b'\t')
                && let Some((_, value)) = message.fields.last_mut()
            {
                value.extend(line);
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = match colon {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None if self.strict => return Err(format!("no colon: {:?}", shown(line))),
                None => (line, &b""[..]),
            };
            let name = if self.trims { trim_oddly(name) } else { name };
            if self.strict {
                is_clear_field(name, value)?;
            }
            message.fields.push((name.to_vec(), trim(value).to_vec()));
        }
        if self.strict {
            is_framed_clearly(&message)?;
        }
        message.length = at;
        let whole = match self.framing(&message) {
            Framing::None => true,
            Framing::Length(length) => {
                let end = at.saturating_add(length);
                let there = bytes.len().min(end);
                message.body.extend(&bytes[at..there]);
                message.length = there;
                there == end
            }
            Framing::Chunked => self.chunks(bytes, &mut message)?,
        };
        Ok(if whole {
            Next::Whole(message)
        } else {
            Next::Partial(Some(message))
        })
    }

    /// The line at `at` without its end, and where the next one begins.
    fn line<'b>(&self, bytes: &'b [u8], at: usize) -> Result<Option<(&'b [u8], usize)>, String> {
        let rest = &bytes[at..];
        let end = match self.lines {
            Lines::Either => rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')),
            Lines::Lf => position(rest, 0),
            Lines::CrLf if self.strict => position(rest, 0),
            Lines::CrLf => {
                let mut end = position(rest, 0);
                while let Some(at) = end
                    && !rest[..at].ends_with(b"\r")
                {
                    end = position(rest, at + 1);
                }
                end
            }
        };
        let Some(end) = end else {
            return Ok(None);
        };
        let mut behind = end + 1;
        if rest[end] == b'\r' {
            match rest.get(behind) {
                None => return Ok(None),
                Some(b'\n') => behind += 1,
                Some(_) => {}
            }
        }
        let mut line = &rest[..end];
        match line.strip_suffix(b"\r") {
            Some(whole) => line = whole,
            None if self.strict => return Err(format!("a bare LF: {:?}", shown(line))),
            None => {}
        }
        if self.strict && line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            return Err(format!("a bare CR or a NUL: {:?}", shown(line)));
        }
        if self.stops_at_nul
            && let Some(nul) = line.iter().position(|byte| *byte == 0)
        {
            line = &line[..nul];
        }
        Ok(Some((line, at + behind)))
    }

    fn framing(&self, message: &Message) -> Framing {
        let is = |name: &[u8], known: &str| {
            let same = |(one, other): (&u8, u8)| {
                one.eq_ignore_ascii_case(&other)
                    || (self.any_coding && *one == b'_' && other == b'-')
            };
            name.len() == known.len() && name.iter().zip(known.bytes()).all(same)
        };
        let is_chunked = message.fields.iter().any(|(name, value)| {
            is(name, "transfer-encoding")
                && if self.any_coding {
                    let value = value.to_ascii_lowercase();
                    value.windows(7).any(|part| part == b"chunked")
                } else {
                    value.eq_ignore_ascii_case(b"chunked")
                }
        });
        let mut lengths = message
            .fields
            .iter()
            .filter(|(name, _)| is(name, "content-length"))
            .filter_map(|(_, value)| leading(value, 10));
        let length = match self.lengths {
            Lengths::First => lengths.next(),
            Lengths::Last => lengths.next_back(),
        };
        match length {
            Some(length) if self.prefers_length || !is_chunked => Framing::Length(length),
            _ if is_chunked => Framing::Chunked,
            _ => Framing::None,
        }
    }

    /// Whether the last chunk is there.
    fn chunks(&self, bytes: &[u8], message: &mut Message) -> Result<bool, String> {
        loop {
            let Some((line, at)) = self.line(bytes, message.length)? else {
                return Ok(false);
            };
            if self.strict && !line.iter().all(u8::is_ascii_hexdigit) {
                return Err(format!("no chunk size: {:?}", shown(line)));
            }
            let size =
                leading(line, 16).ok_or_else(|| format!("no chunk size: {:?}", shown(line)))?;
            if size == 0 {
                message.length = at;
                break;
            }
            let end = at.saturating_add(size);
            if bytes.len() < end {
                message.body.extend(&bytes[at..]);
                message.length = bytes.len();
                return Ok(false);
            }
            let Some((nothing, behind)) = self.line(bytes, end)? else {
                return Ok(false);
            };
            if !nothing.is_empty() {
                return Err(format!("behind a chunk: {:?}", shown(nothing)));
            }
            message.body.extend(&bytes[at..end]);
            message.length = behind;
        }
        loop {
            let Some((line, at)) = self.line(bytes, message.length)? else {
                return Ok(false);
            };
            message.length = at;
            if line.is_empty() {
                return Ok(true);
            }
            if self.strict {
                return Err(format!("a trailer: {:?}", shown(line)));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// Where the next LF is.
fn position(bytes: &[u8], from: usize) -> Option<usize> {
    let next = bytes[from..].iter().position(|byte| *byte == b'\n');
    next.map(|at| from + at)
}

/// The number at the beginning, as `strtoul` reads it.
pub(super) fn leading(text: &[u8], radix: u32) -> Option<usize> {
    let text = trim_oddly(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text
        .iter()
        .take_while(|byte| char::from(**byte).is_digit(radix))
        .count();
    usize::from_str_radix(str::from_utf8(&text[..digits]).ok()?, radix).ok()
}

impl Message {
    /// Whether it asks for a WebSocket, in the one form that wsgate sends.
    pub(super) fn is_upgrade(&self) -> bool {
        let only = |name: &str, value: &str| {
            let mut lines = self
                .fields
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            lines
                .next()
                .is_some_and(|(_, found)| found == value.as_bytes())
                && lines.next().is_none()
        };
        self.first.starts_with(b"GET ")
            && only("connection", "Upgrade")
            && only("upgrade", "websocket")
            && !self.fields.iter().any(|(name, _)| {
                name.eq_ignore_ascii_case(b"content-length")
                    || name.eq_ignore_ascii_case(b"transfer-encoding")
            })
    }
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Without blanks and control bytes, also those of other alphabets.
fn trim_oddly(mut text: &[u8]) -> &[u8] {
    let is_odd = |byte: u8| byte <= b' ' || matches!(byte, 0x7f | 0x85 | 0xa0);
    while let [first, rest @ ..] = text
        && is_odd(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_odd(*last)
    {
        text = rest;
    }
    text
}

/// Bytes for a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    let beginning = &bytes[..bytes.len().min(300)];
    let more = if bytes.len() > 300 { "…" } else { "" };
    format!("{}{more}", beginning.escape_ascii())
}

#[cfg(test)]
mod tests {
    use crate::hostile::reader::LENIENT_ONES;
    use crate::hostile::reader::Next;
    use crate::hostile::reader::STRICT;
    use crate::hostile::reader::agree;

    const WHO: &str = "X-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n";

    fn post(lines: &str, body: &str) -> Vec<u8> {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{WHO}{lines}\r\n{body}").into_bytes()
    }

    #[test]
    fn clear_requests_end_at_the_same_place_for_all() {
        for clear in [
            post("", ""),
            post("Content-Length: 5\r\n", "hello"),
            post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let three = clear.repeat(3);
            assert_eq!(agree(&three), Ok(()));
            let ends = [1, 2, 3].map(|times| times * clear.len());
            assert_eq!(STRICT.ends(&three), ends);
        }
    }

    /// A reader that agrees to everything would judge nothing.
    #[test]
    fn each_lenient_reader_is_misled_by_something() {
        let next = "POST /2 HTTP/1.1\r\nHost: a\r\n\r\n";
        let cases = [
            post("X: a\nContent-Length: 5\r\n", "hello"),
            post("X: a\rContent-Length: 5\r\n", "hello"),
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            post("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"),
            post(
                "Content-Length: 5\r\nTransfer_Encoding: xchunked\r\n",
                "0\r\n\r\n",
            ),
            post("Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            post(
                "X: a\r\n Content-Length: 5\r\nContent-Length : 5\r\n",
                "hello",
            ),
            post("Content-Length : 5\r\n", "hello"),
            post("Content-Length: 5\r\nX: y\0Content-Length: 2\r\n", "hello"),
        ];
        for reader in &LENIENT_ONES {
            let misled = cases.iter().any(|case| {
                let all = [case, next.as_bytes()].concat();
                matches!(STRICT.next(&all), Next::Garbage(_)) && !reader.ends(&all).is_empty()
            });
            assert!(misled, "{}", reader.name);
        }
    }
}
