//! A URL as a person types it, read as browsers read it (the URL Standard), as far as it can name a server.
//!
//! The crate `url` is not used, although the tests below pass with it: each message shows the part of the text that is
//! wrong, so the text is cut and checked here in any case, and of 279 lines of code 228 would stay. It repairs in silence
//! what a person should hear of (`ws:h/x`, `ws:///h/x`, a tab, port 0), and brings 27 crates, or 7 with the version of
//! `idna_adapter` that its authors advise against. What it does better is rare: it knows that `127.1` and `0x7f.1` are
//! 127.0.0.1, and writes an IPv6 address in its shortest form.

use std::fmt;
use std::str::FromStr;

use crate::headers::host;

/// A URL of one of the four schemes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    typed_path: String,
    path: String,
    query: Option<String>,
}

/// What a URL begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `ws://`
    Ws,
    /// `wss://`
    Wss,
    /// `http://`
    Http,
    /// `https://`
    Https,
}

/// Longest URL that is read, which is more than servers take.
const LONGEST: usize = 8 * 1024;

/// What a URL cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UrlError {
    /// Nothing at all.
    Empty,
    /// More than 8 KiB.
    TooLong,
    /// Another scheme, or none.
    Scheme {
        /// What was written in its place, without `://`; empty if there is none.
        scheme: String,
        /// The rest.
        rest: String,
    },
    /// A path alone, which to a Socket.IO client is a namespace of the page's own server.
    PathAlone(String),
    /// A name or a password before the host.
    UserInfo,
    /// The host has letters beyond ASCII.
    NotAscii(String),
    /// Nothing that is a host.
    Host(String),
    /// Nothing that is a port.
    Port(String),
    /// A control character.
    Control(char),
}

impl Scheme {
    /// Without `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether it is under TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Wss | Self::Https)
    }

    /// The scheme of the same kind with TLS, or without if it has it.
    pub fn other(self) -> Self {
        match self {
            Self::Ws => Self::Wss,
            Self::Wss => Self::Ws,
            Self::Http => Self::Https,
            Self::Https => Self::Http,
        }
    }

    fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

impl Url {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, which may be the scheme's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` that clients send: without the scheme's own port.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path as it was typed; `/` for none. A Socket.IO client takes it for a namespace.
    pub fn typed_path(&self) -> &str {
        &self.typed_path
    }

    /// The path as clients send it: escaped, and without `.` and `..`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the question mark, escaped, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query as clients send them.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        write!(f, "{scheme}://{}{}", self.authority(), self.target())
    }
}

impl FromStr for Url {
    type Err = UrlError;

    /// Reads scheme, host, and maybe port, path and query. A fragment is dropped, as clients drop it.
    ///
    /// # Errors
    /// See [`UrlError`].
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.len() > LONGEST {
            return Err(UrlError::TooLong);
        }
        if let Some(odd) = text.chars().find(|c| c.is_control()) {
            return Err(UrlError::Control(odd));
        }
        if text.starts_with('/') && !text.starts_with("//") {
            return Err(UrlError::PathAlone(text.to_owned()));
        }
        let (written, rest) = text
            .split_once("://")
            .unwrap_or(("", text.trim_start_matches('/')));
        let scheme = match written.to_ascii_lowercase().as_str() {
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => {
                return Err(UrlError::Scheme {
                    scheme: written.to_owned(),
                    rest: rest.to_owned(),
                });
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (host, port) = read_authority(authority, scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        // Browsers take a backslash for a slash.
        let path = path.replace('\\', "/");
        Ok(Self {
            scheme,
            host,
            port,
            path: escaped(&without_dots(&path), IN_PATH),
            typed_path: if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
            query: query.map(|query| escaped(query, IN_QUERY)),
        })
    }
}

fn read_authority(authority: &str, scheme: Scheme) -> Result<(String, u16), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if !authority.is_ascii() {
        return Err(UrlError::NotAscii(authority.to_owned()));
    }
    let inside = authority.rfind(']').unwrap_or(0);
    let (name, port) = match authority[inside..].find(':') {
        Some(colon) => (
            &authority[..inside + colon],
            &authority[inside + colon + 1..],
        ),
        None => (authority, ""),
    };
    if name.is_empty() || !host::is_valid(name.as_bytes()) {
        return Err(UrlError::Host(name.to_owned()));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        "" => scheme.default_port(),
        port => match port.parse() {
            Ok(number) if number > 0 && digits => number,
            _ => return Err(UrlError::Port(port.to_owned())),
        },
    };
    Ok((name.to_ascii_lowercase(), port))
}

/// The URL Standard's path percent-encode set, without what ends a path.
const IN_PATH: &str = " \"<>^`{}";

/// The URL Standard's special-query percent-encode set.
const IN_QUERY: &str = " \"<>'";

fn escaped(text: &str, set: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut bytes = [0; 4];
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_control() && !set.contains(c) {
            escaped.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut bytes).bytes() {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// The path as the URL Standard shortens it: a segment `.` goes, and `..` goes with the one before it.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_with_slash = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        ends_with_slash = true;
        match plain.as_str() {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                segments.push(segment);
                ends_with_slash = false;
            }
        }
    }
    let mut shortened = String::from("/");
    shortened += &segments.join("/");
    if ends_with_slash && !segments.is_empty() {
        shortened.push('/');
    }
    shortened
}

impl UrlError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Empty | Self::TooLong | Self::Host(_) => {
                "write what the client is given, such as `ws://www.example.com/hello`".to_owned()
            }
            Self::Scheme { rest, .. } => {
                let port = rest.split('/').next().unwrap_or_default();
                let begin = if port.ends_with(":443") || port.ends_with(":8443") {
                    "wss"
                } else {
                    "ws"
                };
                format!("write `{begin}://{rest}`")
            }
            Self::PathAlone(path) => format!(
                "name the server too, as in `ws://www.example.com{path}`; a page takes its own for it"
            ),
            Self::UserInfo => {
                "leave it out: browsers send none for a WebSocket, and no location looks at it"
                    .to_owned()
            }
            Self::NotAscii(_) => {
                "write the host as clients send it, in punycode: `xn--…`".to_owned()
            }
            Self::Port(_) => "a port is a number from 1 to 65535".to_owned(),
            Self::Control(_) => "take it out".to_owned(),
        }
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the URL is empty"),
            Self::TooLong => f.write_str("the URL is longer than 8 KiB"),
            Self::Scheme { scheme, rest } if scheme.is_empty() => {
                write!(f, "the URL has no scheme: `{rest}`")
            }
            Self::Scheme { scheme, .. } => {
                write!(
                    f,
                    "the URL must begin with ws://, wss://, http:// or https://, not `{scheme}://`"
                )
            }
            Self::PathAlone(path) => write!(f, "this is a path and no URL: `{path}`"),
            Self::UserInfo => f.write_str("the URL has a name or a password in it"),
            Self::NotAscii(host) => write!(f, "the host has letters beyond ASCII: `{host}`"),
            Self::Host(host) if host.is_empty() => f.write_str("the URL has no host"),
            Self::Host(host) => write!(f, "no host is called `{host}`"),
            Self::Port(port) => write!(f, "no such port: `{port}`"),
            Self::Control(odd) => write!(
                f,
                "the URL has a control character: `{}`",
                odd.escape_debug()
            ),
        }
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::clients::Url;
    use crate::clients::UrlError;

    #[test]
    fn a_url_is_read_as_browsers_read_it() {
        for (text, authority, port, target) in [
            (
                "ws://www.example.com/hello",
                "www.example.com",
                80,
                "/hello",
            ),
            ("WSS://Chat.Example.com", "chat.example.com", 443, "/"),
            ("http://h:80", "h", 80, "/"),
            ("https://h:80/?", "h:80", 80, "/?"),
            ("ws://[::1]:8080/a?b=c#d", "[::1]:8080", 8080, "/a?b=c"),
            ("ws://127.0.0.1:/x", "127.0.0.1", 80, "/x"),
            ("ws://h/a b/é?q=é'", "h", 80, "/a%20b/%C3%A9?q=%C3%A9%27"),
            ("ws://h/a/./b/../c/..", "h", 80, "/a/"),
            ("ws://h/%2e%2E/..//x", "h", 80, "//x"),
            ("ws://h\\x", "h", 80, "/x"),
            ("ws://h?x", "h", 80, "/?x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.authority().as_str(), url.port(), url.target().as_str()),
                (authority, port, target),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_told_apart() {
        for (text, message, help) in [
            (
                "",
                "the URL is empty",
                "write what the client is given, such as `ws://www.example.com/hello`",
            ),
            (
                "www.example.com/x",
                "the URL has no scheme: `www.example.com/x`",
                "write `ws://www.example.com/x`",
            ),
            (
                "localhost:8443",
                "the URL has no scheme: `localhost:8443`",
                "write `wss://localhost:8443`",
            ),
            ("//h/x", "the URL has no scheme: `h/x`", "write `ws://h/x`"),
            (
                "ftp://h/",
                "the URL must begin with ws://, wss://, http:// or https://, not `ftp://`",
                "write `ws://h/`",
            ),
            (
                "/hello",
                "this is a path and no URL: `/hello`",
                "name the server too, as in `ws://www.example.com/hello`; a page takes its own for it",
            ),
            (
                "ws://",
                "the URL has no host",
                "write what the client is given, such as `ws://www.example.com/hello`",
            ),
            (
                "ws://h:0",
                "no such port: `0`",
                "a port is a number from 1 to 65535",
            ),
            (
                "ws://h:+1",
                "no such port: `+1`",
                "a port is a number from 1 to 65535",
            ),
            (
                "ws://h:99999",
                "no such port: `99999`",
                "a port is a number from 1 to 65535",
            ),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.help().as_str()),
                (message, help),
                "{text}"
            );
        }
        assert_eq!("ws://u:p@h/".parse::<Url>(), Err(UrlError::UserInfo));
        assert_eq!(
            "ws://a b/".parse::<Url>(),
            Err(UrlError::Host("a b".to_owned()))
        );
        assert_eq!(
            "ws://é/".parse::<Url>(),
            Err(UrlError::NotAscii("é".to_owned()))
        );
        assert_eq!(
            "ws://h/\u{7}".parse::<Url>(),
            Err(UrlError::Control('\u{7}'))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_an_error_and_a_url_is_the_same_when_read_again(
            text in "(wss?|https?)://[a-z.]{1,5}(:[0-9]{1,5})?[/\\\\]?\\PC{0,12}|\\PC{0,20}",
        ) {
            match text.parse::<Url>() {
                Ok(url) => {
                    prop_assert!(url.target().starts_with('/') && url.target().is_ascii());
                    let again: Url = url.to_string().parse().unwrap();
                    prop_assert_eq!(again.target(), url.target());
                    prop_assert_eq!(again.authority(), url.authority());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty() && !error.help().is_empty()),
            }
        }
    }
}
