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
    Parts(Box<(Method, Uri, Version)>),
    /// What is shown.
    Text(Box<str>),
}

impl RequestLine {
    /// Of a request with this target.
    pub fn new(method: &Method, target: &Uri, version: Version) -> Self {
        Self(Form::Parts(Box::new((
            method.clone(),
            target.clone(),
            version,
        ))))
    }

    /// Of a request whose head could not be read: nothing.
    pub fn unreadable() -> Self {
        Self(Form::Unreadable)
    }

    /// The same, without the memory of the request's head. For what outlives the request.
    pub fn detached(&self) -> Self {
        match &self.0 {
            Form::Parts(_) => Self(Form::Text(self.to_string().into())),
            form => Self(form.clone()),
        }
    }

    /// Its method; empty if none could be read.
    pub fn method(&self) -> &str {
        match &self.0 {
            Form::Unreadable => "",
            Form::Parts(parts) => parts.0.as_str(),
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

    fn target(&self) -> &str {
        match &self.0 {
            Form::Unreadable => "",
            Form::Parts(parts) => parts.1.path_and_query().map_or("", PathAndQuery::as_str),
            Form::Text(text) => text.split(' ').nth(1).unwrap_or_default(),
        }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Unreadable => Ok(()),
            Form::Parts(parts) => {
                let (method, _, version) = &**parts;
                f.write_str(&shown(method, self.target(), *version))
            }
            Form::Text(text) => f.write_str(text),
        }
    }
}

fn shown(method: &Method, target: &str, version: Version) -> String {
    let mut shown = String::with_capacity(target.len().min(256) + 16);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    shown.push_str(method.as_str());
    shown.push(' ');
    push_printable(&mut shown, path);
    if let Some(query) = query {
        shown.push('?');
        push_query(&mut shown, query);
    }
    // Writing to a String cannot go wrong.
    let _ = write!(shown, " {version:?}");
    shown
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn push_query(shown: &mut String, query: &str) {
    let mut hidden = false;
    let mut first = true;
    for (name, value) in pairs(query) {
        if !matches!(name, "EIO" | "transport" | "sid") {
            hidden = true;
            continue;
        }
        if !first {
            shown.push('&');
        }
        first = false;
        shown.push_str(name);
        shown.push('=');
        // No real value of EIO or transport is longer than `websocket`, so what is longer is none of them.
        let most = if name == "sid" { SID_SHOWN } else { 12 };
        let cut = value
            .char_indices()
            .nth(most)
            .map_or(value.len(), |(at, _)| at);
        push_printable(shown, &value[..cut]);
        if cut < value.len() {
            shown.push_str("..");
        }
    }
    if hidden {
        shown.push_str(if first { ".." } else { "&.." });
    }
}

fn push_printable(shown: &mut String, text: &str) {
    for byte in text.bytes() {
        if (0x21..0x7f).contains(&byte) {
            shown.push(char::from(byte));
        } else {
            let _ = write!(shown, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::Uri;
    use http::Version;

    use crate::observe::request_line;
    use crate::observe::request_line::RequestLine;

    fn shown(target: &str) -> String {
        request_line::shown(&Method::GET, target, Version::HTTP_11)
    }

    #[test]
    fn a_line_reads_the_same_without_the_memory_of_its_request() {
        let target = Uri::from_static("http://a.test/é?EIO=4&x=1#y");
        let line = RequestLine::new(&Method::POST, &target, Version::HTTP_10);
        assert_eq!(line.to_string(), "POST /%C3%A9?EIO=4&.. HTTP/1.0");
        assert_eq!(line.detached().to_string(), line.to_string());
        assert_eq!(RequestLine::unreadable().detached().to_string(), "");
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
        let line = RequestLine::unreadable();
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
    fn odd_characters_are_encoded() {
        assert_eq!(shown("/a\u{1b}[31m/é"), "GET /a%1B[31m/%C3%A9 HTTP/1.1");
    }
}
