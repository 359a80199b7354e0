//! What a `proxy_pass` says: the address of a server and, maybe, the path that replaces the location.
//!
//! A `ProxyPass` is proof: the host is an address or can be a name in DNS, the port is one, and the path can stand in a
//! request line. Whether the name exists and the server answers is for `connect` to find out, anew each time.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

mod authority;
mod error;

use crate::upstream::proxy_pass::error::Problem;
pub use crate::upstream::proxy_pass::error::ProxyPassError;

/// Where requests are sent: `http://host:port`, or `http://host:port/path` for nginx's replacement rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyPass {
    host: Host,
    port: u16,
    uri: Option<String>,
}

/// The host of a `proxy_pass`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name, in lower case, to be resolved for each new connection.
    Name(String),
}

impl ProxyPass {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 80 if only an address was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What replaces the location, such as `/x` or `/x?y`; `None` if the request's target goes on as it came.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// Host and port for people: `127.0.0.1:5002`, `[::1]:80`, `chat.internal:3000`.
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Host::Name(name) => format!("{name}:{}", self.port),
        }
    }
}

impl fmt::Display for ProxyPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "http://{}{}",
            self.authority(),
            self.uri().unwrap_or_default()
        )
    }
}

impl FromStr for ProxyPass {
    type Err = ProxyPassError;

    /// Reads `http://`, a host, a port (which may be missing after an IP address) and maybe a path with a query.
    ///
    /// # Errors
    /// With the part of `text` that is wrong; see [`ProxyPassError`].
    fn from_str(text: &str) -> Result<Self, ProxyPassError> {
        let wrong = |problem, span| Err(ProxyPassError { problem, span });
        if text.is_empty() {
            return wrong(Problem::Empty, 0..0);
        }
        if let Some(at) = text.find('$') {
            return wrong(Problem::Variable, at..end_of_variable(text, at));
        }
        let start = after_scheme(text)?;
        let end = text[start..]
            .find(['/', '?', '#'])
            .map_or(text.len(), |at| start + at);
        let authority = &text[start..end];
        if authority == "unix:" {
            return wrong(Problem::Unix, start..text.len());
        }
        if let Some(at) = authority.rfind('@') {
            return wrong(Problem::UserInfo, start..start + at + 1);
        }
        let (host, port) = authority::read(authority, start)?;
        Ok(Self {
            host,
            port,
            uri: read_uri(text, end)?,
        })
    }
}

/// Where the authority begins.
fn after_scheme(text: &str) -> Result<usize, ProxyPassError> {
    let wrong = |problem, end| {
        Err(ProxyPassError {
            problem,
            span: 0..end,
        })
    };
    let Some(at) = text.find("://") else {
        let rest = text.trim_start_matches('/');
        let rest = rest
            .strip_prefix("http:")
            .unwrap_or(rest)
            .trim_start_matches('/');
        let port = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let instead = format!("http://{}{rest}", if port { "127.0.0.1:" } else { "" });
        return if text.starts_with("unix:") {
            wrong(Problem::Unix, text.len())
        } else {
            wrong(Problem::NoScheme { instead }, text.len())
        };
    };
    let end = at + "://".len();
    match text[..at].to_ascii_lowercase().as_str() {
        "http" => Ok(end),
        "https" => wrong(Problem::Https, end),
        "ws" | "wss" => wrong(
            Problem::WebSocketScheme {
                instead: format!("http://{}", &text[end..]),
            },
            end,
        ),
        _ => wrong(Problem::OtherScheme, end),
    }
}

/// What stands in `text` from `start` on: nothing, or a path with or without a query.
fn read_uri(text: &str, start: usize) -> Result<Option<String>, ProxyPassError> {
    let uri = &text[start..];
    if uri.is_empty() {
        return Ok(None);
    }
    if uri.starts_with('?') {
        return Err(ProxyPassError {
            problem: Problem::QueryWithoutPath,
            span: start..text.len(),
        });
    }
    for (at, found) in uri.char_indices() {
        let problem = match found {
            '#' => Problem::Fragment,
            '%' if uri
                .as_bytes()
                .get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                continue;
            }
            // RFC 3986 §3.3 and §3.4.
            'a'..='z' | 'A'..='Z' | '0'..='9' => continue,
            '-' | '.' | '_' | '~' | '!' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '='
            | ':' | '@' | '/' | '?' => {
                continue;
            }
            _ => Problem::BadPath { found },
        };
        let end = if problem == Problem::Fragment {
            text.len()
        } else {
            start + at + found.len_utf8()
        };
        return Err(ProxyPassError {
            problem,
            span: start + at..end,
        });
    }
    Ok(Some(uri.to_owned()))
}

fn end_of_variable(text: &str, at: usize) -> usize {
    let name = &text[at + 1..];
    let length = name
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    at + 1 + length
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::upstream::proxy_pass::Host;
    use crate::upstream::proxy_pass::ProxyPass;

    fn read(text: &str) -> (String, Option<String>) {
        let read: ProxyPass = text.parse().unwrap();
        (read.authority(), read.uri().map(str::to_owned))
    }

    #[test]
    fn addresses_names_ports_and_paths_are_read() {
        for (text, authority, uri) in [
            ("http://127.0.0.1:5002", "127.0.0.1:5002", None),
            ("http://127.0.0.1", "127.0.0.1:80", None),
            ("http://[::1]", "[::1]:80", None),
            ("http://[2001:DB8::1]:8080", "[2001:db8::1]:8080", None),
            ("HTTP://Chat_1.Internal:3000", "chat_1.internal:3000", None),
            ("http://localhost:3000/", "localhost:3000", Some("/")),
            ("http://a.:1/x/y?z=%2F&w", "a.:1", Some("/x/y?z=%2F&w")),
            ("http://a:1//x", "a:1", Some("//x")),
        ] {
            assert_eq!(
                read(text),
                (authority.to_owned(), uri.map(str::to_owned)),
                "{text}"
            );
        }
        let name: ProxyPass = "http://LOCALHOST:1".parse().unwrap();
        assert_eq!(name.host(), &Host::Name("localhost".to_owned()));
    }

    #[test]
    fn errors_name_the_bytes_that_are_wrong() {
        for (text, marked, message) in [
            ("", "", "`proxy_pass` is empty"),
            ("http://$host:1", "$host", "`proxy_pass` has no variables"),
            (
                "localhost:3000",
                "localhost:3000",
                "`proxy_pass` does not begin with `http://`",
            ),
            (
                "http:/a:1",
                "http:/a:1",
                "`proxy_pass` does not begin with `http://`",
            ),
            (
                "https://a:1",
                "https://",
                "`https://` upstreams are not in this version of wsgate yet",
            ),
            (
                "wss://a:1",
                "wss://",
                "`proxy_pass` begins with `http://`, also for WebSockets",
            ),
            ("ftp://a:1", "ftp://", "`proxy_pass` has an unknown scheme"),
            (
                "unix:/run/x",
                "unix:/run/x",
                "Unix sockets are not in this version of wsgate",
            ),
            (
                "http://unix:/run/x",
                "unix:/run/x",
                "Unix sockets are not in this version of wsgate",
            ),
            (
                "http://u:p@a:1",
                "u:p@",
                "`proxy_pass` has a user name or a password in it",
            ),
            ("http://", "", "`proxy_pass` has no host"),
            ("http://:80", ":80", "`proxy_pass` has no host"),
            (
                "http://a b:1",
                "a b",
                "`proxy_pass` has a host that cannot exist",
            ),
            (
                "http://a..b:1",
                "a..b",
                "`proxy_pass` has a host that cannot exist",
            ),
            (
                "http://é:1",
                "é",
                "`proxy_pass` has a host that cannot exist",
            ),
            (
                "http://256.0.0.1:1",
                "256.0.0.1",
                "`proxy_pass` has a host that is no IPv4 address",
            ),
            (
                "http://127.1:1",
                "127.1",
                "`proxy_pass` has a host that is no IPv4 address",
            ),
            (
                "http://[::g]:1",
                "[::g]",
                "`proxy_pass` has a host that is no IPv6 address",
            ),
            (
                "http://[::1",
                "[::1",
                "`proxy_pass` has a host that is no IPv6 address",
            ),
            (
                "http://::1:80",
                "::1:80",
                "`proxy_pass` has an IPv6 address without brackets",
            ),
            (
                "http://chat",
                "chat",
                "`proxy_pass` has a name without a port",
            ),
            (
                "http://chat/x",
                "chat",
                "`proxy_pass` has a name without a port",
            ),
            ("http://a:0", ":0", "no such port: `0`"),
            ("http://a:+1", ":+1", "no such port: `+1`"),
            ("http://a:", ":", "`proxy_pass` has no port after the colon"),
            (
                "http://[::1]80",
                "80",
                "`proxy_pass` has something after the brackets that is no port",
            ),
            ("http://a:65536/x", ":65536", "no such port: `65536`"),
            (
                "http://a:1?x",
                "?x",
                "`proxy_pass` has a query without a path",
            ),
            ("http://a:1/x#y", "#y", "`proxy_pass` has a fragment"),
            (
                "http://a:1/é",
                "é",
                "`proxy_pass` has a character that no path may have",
            ),
            (
                "http://a:1/x y",
                " ",
                "`proxy_pass` has a character that no path may have",
            ),
            (
                "http://a:1/%2",
                "%",
                "`proxy_pass` has a percent sign that encodes nothing",
            ),
        ] {
            let error = text.parse::<ProxyPass>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
            assert_eq!(&text[error.span()], marked, "{text}");
            assert!(!error.help().is_empty());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_reads_again_and_what_is_not_is_marked_inside(text in "(http://)?[a-c0-9:/?#%@$.é \\[\\]]{0,16}") {
            match text.parse::<ProxyPass>() {
                Ok(read) => prop_assert_eq!(read.to_string().parse::<ProxyPass>(), Ok(read)),
                Err(error) => prop_assert!(text.get(error.span()).is_some()),
            }
        }
    }
}
