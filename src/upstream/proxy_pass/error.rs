//! What can be wrong with a `proxy_pass`, told to the person who wrote it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use crate::upstream::proxy_pass::Scheme;

/// Why a text is no `proxy_pass`: which of its bytes, and what is wrong with them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyPassError {
    pub(super) problem: Problem,
    pub(super) span: Range<usize>,
}

/// What can be wrong with a `proxy_pass`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// There is nothing.
    Empty,
    /// It has a variable such as `$host`.
    Variable,
    /// It begins with no scheme.
    NoScheme {
        /// The whole text with `http://` before it.
        instead: String,
    },
    /// It begins with `ws://` or `wss://`.
    WebSocketScheme {
        /// What to write: `http://` or `https://`, and the rest.
        instead: String,
    },
    /// It begins with another scheme.
    OtherScheme,
    /// A Unix socket behind `https://`.
    UnixUnderTls {
        /// What to write: `http://` and the rest.
        instead: String,
    },
    /// Nothing follows `unix:`.
    NoSocket,
    /// The path of a Unix socket does not begin with a slash.
    RelativeSocket,
    /// The path of a Unix socket is longer than the system takes.
    LongSocket {
        /// In bytes.
        length: usize,
    },
    /// The path of a Unix socket has a control character in it.
    ControlInSocket,
    /// What follows the colon behind a Unix socket does not begin with a slash.
    NoUriBehindSocket,
    /// There is a user name or a password in it.
    UserInfo,
    /// There is no host.
    NoHost,
    /// The host is neither an address nor a possible name.
    BadHost,
    /// The host looks like an IPv4 address and is none.
    BadIpv4,
    /// The host is in brackets, or should be, and is no IPv6 address.
    BadIpv6,
    /// The host is an IPv6 address without brackets.
    BareIpv6,
    /// The host is a name and no port follows.
    NameWithoutPort {
        /// The scheme before it.
        scheme: Scheme,
        /// The name.
        name: String,
    },
    /// The port is no number from 1 to 65535.
    BadPort {
        /// What stands after the colon.
        port: String,
    },
    /// Something follows the brackets that does not begin with a colon.
    NoColon,
    /// The path does not begin with a slash.
    QueryWithoutPath,
    /// There is a `#` part.
    Fragment,
    /// A character of the path cannot stand in a request line.
    BadPath {
        /// The character.
        found: char,
    },
}

impl ProxyPassError {
    /// The bytes of the written text to point at; empty if the text is.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What to write instead, in a sentence. A table: one row a problem.
    pub fn help(&self) -> String {
        match &self.problem {
            Problem::Empty | Problem::NoHost => {
                "write scheme, host and port, as in `http://127.0.0.1:3000`".to_owned()
            }
            Problem::Variable => {
                "write one fixed address; requests are told apart by `location`".to_owned()
            }
            Problem::NoScheme { instead } => format!("write `{instead}`"),
            Problem::WebSocketScheme { instead } => {
                format!("write `{instead}`: upgrades to WebSocket come by themselves")
            }
            Problem::OtherScheme => {
                "the schemes are `http://` and `https://`, also for WebSockets".to_owned()
            }
            Problem::UnixUnderTls { instead } => format!("write `{instead}`"),
            Problem::NoSocket | Problem::RelativeSocket => {
                "write the socket's absolute path, as in `http://unix:/run/app.sock`".to_owned()
            }
            Problem::LongSocket { .. } => {
                "the system takes 107 bytes: let the server make it at a shorter path".to_owned()
            }
            Problem::ControlInSocket => "let the server make it at a path without it".to_owned(),
            Problem::NoUriBehindSocket => {
                "what follows the colon is the path that replaces the location, as in \
                 `http://unix:/run/app.sock:/path/`; without one, take the colon out"
                    .to_owned()
            }
            Problem::UserInfo => {
                "take it out: clients send their own `Authorization`, and it reaches the upstream"
                    .to_owned()
            }
            Problem::BadHost => {
                "a host is an IP address or a name of letters, digits, `-`, `_` and dots".to_owned()
            }
            Problem::BadIpv4 => "an IPv4 address has four numbers from 0 to 255".to_owned(),
            Problem::BadIpv6 => {
                "write an IPv6 address in brackets, as in `http://[::1]:3000`".to_owned()
            }
            Problem::BareIpv6 => {
                "put the address in brackets, as in `http://[::1]:3000`".to_owned()
            }
            Problem::NameWithoutPort { scheme, name } => format!(
                "add the port, as in `{scheme}{name}:{}`; only a group of servers, described under `upstreams`, has none",
                match scheme {
                    Scheme::Http => 3000,
                    Scheme::Https => 443,
                }
            ),
            Problem::BadPort { .. } => "a port is a number from 1 to 65535".to_owned(),
            Problem::NoColon => "write a colon between address and port".to_owned(),
            Problem::QueryWithoutPath => "put a `/` before the `?`".to_owned(),
            Problem::Fragment => "take it out: a fragment never leaves the browser".to_owned(),
            Problem::BadPath { found: '%' } => {
                "two hexadecimal digits belong after it; a percent sign itself is `%25`".to_owned()
            }
            Problem::BadPath { found } => {
                format!("write it percent-encoded: `{}`", percent_encoded(*found))
            }
        }
    }
}

impl fmt::Display for ProxyPassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.problem {
            Problem::BadPort { port } if !port.is_empty() => {
                return write!(f, "no such port: `{port}`");
            }
            Problem::BadPort { .. } => "`proxy_pass` has no port after the colon",
            Problem::NoColon => "`proxy_pass` has something after the brackets that is no port",
            Problem::Empty => "`proxy_pass` is empty",
            Problem::Variable => "`proxy_pass` has no variables",
            Problem::NoScheme { .. } => "`proxy_pass` does not begin with `http://` or `https://`",
            Problem::WebSocketScheme { .. } => {
                "`proxy_pass` begins with `http://` or `https://`, also for WebSockets"
            }
            Problem::OtherScheme => "`proxy_pass` has an unknown scheme",
            Problem::UnixUnderTls { .. } => "a Unix socket is asked without TLS",
            Problem::NoSocket => "`proxy_pass` has no path behind `unix:`",
            Problem::RelativeSocket => "`proxy_pass` has a relative path behind `unix:`",
            Problem::LongSocket { length } => {
                return write!(f, "the path of a Unix socket cannot have {length} bytes");
            }
            Problem::ControlInSocket => {
                "`proxy_pass` has a control character in the path of a Unix socket"
            }
            Problem::NoUriBehindSocket => {
                "`proxy_pass` has something behind the socket that is no path"
            }
            Problem::UserInfo => "`proxy_pass` has a user name or a password in it",
            Problem::NoHost => "`proxy_pass` has no host",
            Problem::BadHost => "`proxy_pass` has a host that cannot exist",
            Problem::BadIpv4 => "`proxy_pass` has a host that is no IPv4 address",
            Problem::BadIpv6 => "`proxy_pass` has a host that is no IPv6 address",
            Problem::BareIpv6 => "`proxy_pass` has an IPv6 address without brackets",
            Problem::NameWithoutPort { .. } => "`proxy_pass` has a name without a port",
            Problem::QueryWithoutPath => "`proxy_pass` has a query without a path",
            Problem::Fragment => "`proxy_pass` has a fragment",
            Problem::BadPath { found: '%' } => {
                "`proxy_pass` has a percent sign that encodes nothing"
            }
            Problem::BadPath { .. } => "`proxy_pass` has a character that no path may have",
        })
    }
}

impl Error for ProxyPassError {}

fn percent_encoded(character: char) -> String {
    let mut buffer = [0; 4];
    character
        .encode_utf8(&mut buffer)
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}
