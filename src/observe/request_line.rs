//! What of a request may stand in a log.

use std::fmt;
use std::fmt::Write;

use http::Method;
use http::Uri;
use http::Version;
use http::uri::PathAndQuery;

/// How much of an Engine.IO session id is shown: enough to tell sessions apart, too little to take one over.
const SID_SHOWN: usize = 6;

/// A request line for a log: `GET /socket.io/?EIO=4&transport=polling&sid=kkRumm.. HTTP/1.1`.
///
/// A query can hold tokens, so only `EIO`, `transport` and the beginning of `sid` are shown; `..` stands for the rest.
/// Characters outside of printable ASCII are percent-encoded. It becomes text when somebody shows it, since most are
/// never shown where the access log is off.
#[derive(Clone, Debug)]
pub struct RequestLine(Form);

#[derive(Clone, Debug)]
enum Form {
    /// None could be read.
    Unreadable,
    /// Parts of the request, whose target shares the memory of the whole head. Boxed, since a tunnel has none.
    Parts(Box<RequestParts>),
    /// What is shown.
    Text(Box<str>),
}

#[derive(Clone, Debug)]
struct RequestParts {
    method: Method,
    target: Option<PathAndQuery>,
    version: Version,
}

impl RequestLine {
    /// Of a request with this target.
    pub fn new(method: &Method, target: &Uri, version: Version) -> Self {
        Self(Form::Parts(Box::new(RequestParts {
            method: method.clone(),
            target: target.path_and_query().cloned(),
            version,
        })))
    }

    /// Of a request whose head could not be read, and which began so: its first line, as far as that is there. What looks like no
    /// request is shown in part only.
    pub fn unread(beginning: &[u8]) -> Self {
        let end = beginning.iter().position(|byte| b"\r\n".contains(byte));
        let line = &beginning[..end.unwrap_or(beginning.len())];
        if line.is_empty() {
            return Self(Form::Unreadable);
        }
        let mut text = String::new();
        // Writing to a String cannot go wrong.
        let _ = write_unread(&mut text, line);
        Self(Form::Text(text.into()))
    }

    /// A request line that shows the same and does not hold the memory of the request's head, for what outlives the request.
    pub fn detached(&self) -> Self {
        match &self.0 {
            Form::Parts(_) => {
                let mut text = String::with_capacity(self.target().len().min(256) + 16);
                // Writing to a String cannot go wrong.
                let _ = self.write_to(&mut text);
                Self(Form::Text(text.into()))
            }
            form => Self(form.clone()),
        }
    }

    /// Its method; empty if none could be read.
    pub fn method(&self) -> &str {
        match &self.0 {
            Form::Unreadable => "",
            Form::Parts(parts) => parts.method.as_str(),
            Form::Text(text) => text.split(' ').next().unwrap_or_default(),
        }
    }

    /// The path of its target.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Names and values in its query, as they were written. What is not shown may not be known any more.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.target().split_once('?').map(|(_, query)| query);
        query.into_iter().flat_map(pairs)
    }

    /// Whether the query has this parameter, written as `name=value` or as `name=`, for a value that begins so. Cheaper than to go
    /// through all [`parameters`](Self::parameters).
    pub fn has_in_query(&self, parameter: &str) -> bool {
        let mut rest = split_once(self.target(), b'?').map(|(_, query)| query);
        while let Some(query) = rest {
            if query.starts_with(parameter) {
                return true;
            }
            rest = split_once(query, b'&').map(|(_, rest)| rest);
        }
        false
    }

    /// Writes what is shown.
    pub(super) fn write_to(&self, to: &mut impl Write) -> fmt::Result {
        match &self.0 {
            Form::Unreadable => Ok(()),
            Form::Parts(parts) => write_shown(to, &parts.method, self.target(), parts.version),
            Form::Text(text) => to.write_str(text),
        }
    }

    fn target(&self) -> &str {
        match &self.0 {
            Form::Unreadable => "",
            Form::Parts(parts) => parts.target.as_ref().map_or("", PathAndQuery::as_str),
            Form::Text(text) => text.split(' ').nth(1).unwrap_or_default(),
        }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

fn write_shown(
    to: &mut impl Write,
    method: &Method,
    target: &str,
    version: Version,
) -> fmt::Result {
    let (path, query) = match split_once(target, b'?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    to.write_str(method.as_str())?;
    to.write_str(" ")?;
    write_printable(to, path)?;
    if let Some(query) = query {
        to.write_str("?")?;
        write_query(to, query)?;
    }
    match version {
        Version::HTTP_11 => to.write_str(" HTTP/1.1"),
        version => write!(to, " {version:?}"),
    }
}

/// Most that is shown of a line that cannot be read.
const UNREAD_SHOWN: usize = 100;

/// Most that is shown of a line that looks like no request: the first bytes of another protocol, or what may be anybody's secret.
const RUBBISH_SHOWN: usize = 16;

fn write_unread(to: &mut impl Write, line: &[u8]) -> fmt::Result {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (method, target) = (words.next(), words.next());
    let is_request = method.is_some_and(|word| word.iter().all(u8::is_ascii_uppercase))
        && target.is_some_and(|word| word.starts_with(b"/") || word.starts_with(b"http"));
    let query = line.iter().position(|byte| *byte == b'?');
    let most = if is_request {
        UNREAD_SHOWN
    } else {
        RUBBISH_SHOWN
    };
    let shown = query.unwrap_or(line.len()).min(most);
    for byte in &line[..shown] {
        if byte.is_ascii_graphic() || *byte == b' ' {
            to.write_char(char::from(*byte))?;
        } else {
            write!(to, "%{byte:02X}")?;
        }
    }
    if shown < line.len() {
        to.write_str(if query == Some(shown) { "?.." } else { ".." })?;
    }
    Ok(())
}

/// As [`str::split_once`] at an ASCII character, and faster where texts are short.
fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == at)?;
    Some((&text[..at], &text[at + 1..]))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(query);
    let pairs = std::iter::from_fn(move || {
        let (pair, behind) = match split_once(rest?, b'&') {
            Some((pair, behind)) => (pair, Some(behind)),
            None => (rest?, None),
        };
        rest = behind;
        Some(pair)
    });
    pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| split_once(pair, b'=').unwrap_or((pair, "")))
}

fn write_query(to: &mut impl Write, query: &str) -> fmt::Result {
    let mut hidden = false;
    let mut first = true;
    for (name, value) in pairs(query) {
        if !matches!(name, "EIO" | "transport" | "sid") {
            hidden = true;
            continue;
        }
        if !first {
            to.write_str("&")?;
        }
        first = false;
        to.write_str(name)?;
        to.write_str("=")?;
        // No real value of EIO or transport is longer than `websocket`, so what is longer is none of them.
        let most = if name == "sid" { SID_SHOWN } else { 12 };
        let cut = value
            .char_indices()
            .nth(most)
            .map_or(value.len(), |(at, _)| at);
        write_printable(to, &value[..cut])?;
        if cut < value.len() {
            to.write_str("..")?;
        }
    }
    match (hidden, first) {
        (false, _) => Ok(()),
        (true, true) => to.write_str(".."),
        (true, false) => to.write_str("&.."),
    }
}

fn write_printable(to: &mut impl Write, text: &str) -> fmt::Result {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return to.write_str(text);
    }
    for c in text.chars() {
        if c.is_ascii_graphic() {
            to.write_char(c)?;
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(to, "%{byte:02X}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Method;
    use http::Uri;
    use http::Version;

    use crate::observe::request_line;
    use crate::observe::request_line::RequestLine;

    fn shown(target: &str) -> String {
        let mut text = String::new();
        request_line::write_shown(&mut text, &Method::GET, target, Version::HTTP_11).unwrap();
        text
    }

    #[test]
    fn a_line_reads_the_same_without_the_memory_of_its_request() {
        let target = Uri::from_static("http://a.test/é?EIO=4&x=1#y");
        let line = RequestLine::new(&Method::POST, &target, Version::HTTP_10);
        assert_eq!(line.to_string(), "POST /%C3%A9?EIO=4&.. HTTP/1.0");
        assert_eq!(line.detached().to_string(), line.to_string());
        assert_eq!(RequestLine::unread(b"").detached().to_string(), "");
    }

    #[test]
    fn what_is_shown_can_be_asked_for_in_both_forms() {
        let target = Uri::from_static("http://a.test/b?x=1&EIO=4&transport=websocket&EIO=3");
        let line = RequestLine::new(&Method::GET, &target, Version::HTTP_11);
        for line in [line.detached(), line] {
            assert_eq!((line.method(), line.path()), ("GET", "/b"));
            let parameters = line.parameters().filter(|(name, _)| *name != "x");
            assert_eq!(
                parameters
                    .filter(|(name, _)| *name != "..")
                    .collect::<Vec<_>>(),
                [("EIO", "4"), ("transport", "websocket"), ("EIO", "3")]
            );
        }
        let line = RequestLine::unread(b"\r\nGET");
        assert_eq!((line.method(), line.path()), ("", ""));
        assert_eq!(line.parameters().count(), 0);
    }

    #[test]
    fn tokens_of_the_query_are_not_shown() {
        assert_eq!(
            shown("/socket.io/?token=secret&EIO=4&transport=polling&sid=kkRumerAWARXZW80AAAA&t=1"),
            "GET /socket.io/?EIO=4&transport=polling&sid=kkRume..&.. HTTP/1.1"
        );
        assert_eq!(shown("/chat?token=secret"), "GET /chat?.. HTTP/1.1");
        assert_eq!(
            shown("/chat?EIO=secretsecretsecret"),
            "GET /chat?EIO=secretsecret.. HTTP/1.1"
        );
        assert_eq!(shown("/chat?"), "GET /chat? HTTP/1.1");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_shown_escaped_and_in_part() {
        let long = format!("GET /{}", "x".repeat(200));
        for (line, shown) in [
            (
                &b"GET /\"a\" HTTP/1.1\r\nHost: a\r\n"[..],
                "GET /\"a\" HTTP/1.1",
            ),
            (
                b"GET /\xff\x1b[31m HTTP/1.1\r\n",
                "GET /%FF%1B[31m HTTP/1.1",
            ),
            (b"GET /\"?token=secret HTTP/1.1", "GET /\"?.."),
            (b"\x16\x03\x01\x02\x00", "%16%03%01%02%00"),
            (b"Cookie: session=secret", "Cookie: session=.."),
            (b"PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0"),
            (long.as_bytes(), &format!("{}..", &long[..100])),
        ] {
            assert_eq!(RequestLine::unread(line).to_string(), shown);
        }
    }

    #[test]
    fn odd_characters_are_encoded() {
        assert_eq!(shown("/a\u{1b}[31m/é"), "GET /a%1B[31m/%C3%A9 HTTP/1.1");
    }

    #[test]
    fn a_parameter_is_found_where_one_begins_and_in_the_query_only() {
        for (target, is_there) in [
            ("/x?sid=1", true),
            ("/x?EIO=4&sid=", true),
            ("/x?EIO=4&xsid=1&sid=1", true),
            ("/x?xsid=1", false),
            ("/x&sid=1?EIO=4", false),
            ("/sid=1", false),
            ("/x?sid", false),
        ] {
            let target = target.parse::<Uri>().unwrap();
            let line = RequestLine::new(&Method::GET, &target, Version::HTTP_11);
            assert_eq!(line.has_in_query("sid="), is_there, "{target}");
        }
    }
}
