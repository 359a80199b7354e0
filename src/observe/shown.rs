//! What of a request may stand in a log.

use std::fmt::Write;

use http::Method;
use http::Version;

/// How much of an Engine.IO session id is shown: enough to tell sessions apart, too little to take one over.
const SID_SHOWN: usize = 6;

/// A request line for a log: `GET /socket.io/?EIO=4&transport=polling&sid=kkRumm.. HTTP/1.1`.
///
/// A query can hold tokens, so only `EIO`, `transport` and the beginning of `sid` are shown; `..` stands for the rest.
/// Characters outside of printable ASCII are percent-encoded.
pub fn shown_request(method: &Method, target: &str, version: Version) -> String {
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

fn push_query(shown: &mut String, query: &str) {
    let mut hidden = false;
    let mut first = true;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
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
    use http::Version;

    use crate::observe::shown::shown_request;

    fn shown(target: &str) -> String {
        shown_request(&Method::GET, target, Version::HTTP_11)
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
