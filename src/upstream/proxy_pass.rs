//! What a `proxy_pass` says: the address of a server and, maybe, the path that replaces the location.
//!
//! A `ProxyPass` is proof: the host is an address or can be a name in DNS, the port is one, a Unix socket's path fits
//! into the system's calls, and the path can stand in a request line. Whether the name exists and the server answers is
//! for `connect` to find out, anew each time.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

mod authority;
mod error;
mod unix;

use crate::upstream::proxy_pass::error::Problem;
pub use crate::upstream::proxy_pass::error::ProxyPassError;

/// Where requests are sent: `http://host:port`, `https://host:port` or `http://unix:/socket`, each maybe with a path for
/// nginx's replacement rule, which a colon divides from a socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyPass {
    address: Address,
    uri: Option<String>,
}

/// What a `proxy_pass` names: a server by its address, or a group of servers by its name, which has no port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WrittenProxyPass {
    /// A server.
    Server(ProxyPass),
    /// A group.
    Group(GroupUrl),
}

/// A group of servers as a `proxy_pass` names it: `http://chat`, `https://chat/path`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupUrl {
    scheme: Scheme,
    name: String,
    uri: Option<String>,
}

/// Where a server is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A port of a host.
    Port {
        /// Whether it speaks TLS.
        scheme: Scheme,
        /// The host.
        host: Host,
        /// The port; 80 or 443 if only an address was written.
        port: u16,
    },
    /// A Unix socket, which is always asked without TLS.
    Unix(Arc<Path>),
}

/// The scheme of a `proxy_pass`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Under TLS.
    Https,
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
    /// Where it is answered.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What replaces the location, such as `/x` or `/x?y`; `None` if the request's target goes on as it came.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// Who answers, for people: `127.0.0.1:5002`, `[::1]:80`, `chat.internal:3000`, `unix:/run/app.sock`.
    pub fn authority(&self) -> String {
        match &self.address {
            Address::Port { host, port, .. } => format!("{host}:{port}"),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The server as `Host` names it, which is nginx's `$proxy_host`: without the port that its scheme has by itself, and `localhost`
    /// for a Unix socket.
    pub fn proxy_host(&self) -> String {
        match &self.address {
            Address::Port { scheme, host, port } if *port == scheme.port() => host.to_string(),
            Address::Port { .. } => self.authority(),
            Address::Unix(_) => "localhost".to_owned(),
        }
    }

    /// This `proxy_pass` without its path.
    pub fn without_uri(&self) -> Self {
        Self {
            address: self.address.clone(),
            uri: None,
        }
    }

    /// `http://` or `https://`; a Unix socket is always asked without TLS.
    pub fn scheme(&self) -> Scheme {
        match &self.address {
            Address::Port { scheme, .. } => *scheme,
            Address::Unix(_) => Scheme::Http,
        }
    }

    /// The same server asked by this scheme, and without a path. `None` for a Unix socket under TLS.
    pub fn by(&self, scheme: Scheme) -> Option<Self> {
        let address = match &self.address {
            Address::Port { host, port, .. } => Address::Port {
                scheme,
                host: host.clone(),
                port: *port,
            },
            Address::Unix(path) if scheme == Scheme::Http => Address::Unix(Arc::clone(path)),
            Address::Unix(_) => return None,
        };
        Some(Self { address, uri: None })
    }
}

impl GroupUrl {
    /// `http://` or `https://`, by which all servers of the group are asked.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The name of the group, in lower case: as in nginx, case does not tell two groups apart.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What replaces the location, as [`ProxyPass::uri`] says.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// The same without a path.
    pub fn without_uri(&self) -> Self {
        Self {
            uri: None,
            ..self.clone()
        }
    }
}

impl fmt::Display for GroupUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.uri.as_deref().unwrap_or_default();
        write!(f, "{}{}{uri}", self.scheme, self.name)
    }
}

impl fmt::Display for ProxyPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme(), self.authority())?;
        match (&self.address, &self.uri) {
            (_, None) => Ok(()),
            (Address::Port { .. }, Some(uri)) => f.write_str(uri),
            (Address::Unix(_), Some(uri)) => write!(f, ":{uri}"),
        }
    }
}

impl fmt::Display for Host {
    /// As it stands before a port: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Scheme {
    /// The port that is meant where none is written.
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    /// With what divides it from the host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http://",
            Self::Https => "https://",
        })
    }
}

impl FromStr for ProxyPass {
    type Err = ProxyPassError;

    /// Reads `http://` or `https://`, a host, a port (which may be missing after an IP address) and maybe a path with a
    /// query; or `http://unix:`, an absolute path, and maybe a colon and such a path.
    ///
    /// # Errors
    /// With the part of `text` that is wrong; see [`ProxyPassError`]. A name without a port is that of a group, and wrong here.
    fn from_str(text: &str) -> Result<Self, ProxyPassError> {
        match text.parse()? {
            WrittenProxyPass::Server(server) => Ok(server),
            WrittenProxyPass::Group(GroupUrl { scheme, name, .. }) => {
                let start = scheme.to_string().len();
                Err(ProxyPassError {
                    span: start..start + name.len(),
                    problem: Problem::NameWithoutPort { scheme, name },
                })
            }
        }
    }
}

impl FromStr for WrittenProxyPass {
    type Err = ProxyPassError;

    /// Reads what a [`ProxyPass`] may be, or `http://` or `https://`, the name of a group, and maybe a path with a query.
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
        let (scheme, start) = read_scheme(text)?;
        if text[start..].starts_with(unix::PREFIX) {
            let (socket, end) = unix::read(text, scheme, start)?;
            return Ok(Self::Server(ProxyPass {
                address: Address::Unix(socket),
                uri: read_uri(text, end)?,
            }));
        }
        let end = text[start..]
            .find(['/', '?', '#'])
            .map_or(text.len(), |at| start + at);
        let authority = &text[start..end];
        if let Some(at) = authority.rfind('@') {
            return wrong(Problem::UserInfo, start..start + at + 1);
        }
        let (host, port) = authority::read(authority, scheme, start)?;
        let uri = read_uri(text, end)?;
        Ok(match (host, port) {
            (Host::Name(name), None) => Self::Group(GroupUrl { scheme, name, uri }),
            (host, port) => {
                let port = port.unwrap_or(scheme.port());
                let address = Address::Port { scheme, host, port };
                Self::Server(ProxyPass { address, uri })
            }
        })
    }
}

/// The scheme, and where the authority begins.
fn read_scheme(text: &str) -> Result<(Scheme, usize), ProxyPassError> {
    let wrong = |problem, end| {
        Err(ProxyPassError {
            problem,
            span: 0..end,
        })
    };
    let Some(at) = text.find("://") else {
        let rest = text.trim_start_matches('/');
        let (scheme, rest) = match (rest.strip_prefix("https:"), rest.strip_prefix("http:")) {
            (Some(rest), _) => (Scheme::Https, rest),
            (None, Some(rest)) => (Scheme::Http, rest),
            (None, None) => (Scheme::Http, rest),
        };
        let rest = rest.trim_start_matches('/');
        let port = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let instead = format!("{scheme}{}{rest}", if port { "127.0.0.1:" } else { "" });
        return wrong(Problem::NoScheme { instead }, text.len());
    };
    let end = at + "://".len();
    let instead = |scheme| Problem::WebSocketScheme {
        instead: format!("{scheme}{}", &text[end..]),
    };
    match text[..at].to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::Http, end)),
        "https" => Ok((Scheme::Https, end)),
        "ws" => wrong(instead(Scheme::Http), end),
        "wss" => wrong(instead(Scheme::Https), end),
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
    use std::path::Path;

    use proptest::prelude::*;

    use crate::upstream::proxy_pass::Address;
    use crate::upstream::proxy_pass::Host;
    use crate::upstream::proxy_pass::ProxyPass;
    use crate::upstream::proxy_pass::Scheme;
    use crate::upstream::proxy_pass::WrittenProxyPass;

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
            ("https://127.0.0.1", "127.0.0.1:443", None),
            ("https://[::1]/x", "[::1]:443", Some("/x")),
            ("https://a:1/", "a:1", Some("/")),
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
        assert_eq!(
            name.address(),
            &Address::Port {
                scheme: Scheme::Http,
                host: Host::Name("localhost".to_owned()),
                port: 1
            }
        );
    }

    #[test]
    fn its_own_host_is_what_nginx_sends() {
        for (text, host) in [
            ("http://127.0.0.1:80/x", "127.0.0.1"),
            ("http://127.0.0.1:443", "127.0.0.1:443"),
            ("https://[::1]:443", "[::1]"),
            ("https://a.test:5003/x", "a.test:5003"),
            ("http://unix:/run/app.sock", "localhost"),
        ] {
            let read: ProxyPass = text.parse().unwrap();
            assert_eq!(read.proxy_host(), host, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_what_is_written() {
        for text in [
            "http://127.0.0.1:80",
            "https://[::1]:443/x?y",
            "https://a.test:5003",
            "http://unix:/run/app.sock",
            "http://unix:/run/a b/app.sock:/path/?x",
        ] {
            let read: ProxyPass = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn without_its_path_it_is_the_same_server() {
        for (text, without) in [
            ("https://a.test:5003/x?y", "https://a.test:5003"),
            ("http://unix:/run/app.sock:/x", "http://unix:/run/app.sock"),
        ] {
            let read: ProxyPass = text.parse().unwrap();
            assert_eq!(read.without_uri().to_string(), without);
        }
    }

    #[test]
    fn a_name_without_a_port_is_that_of_a_group() {
        for (text, scheme, name, uri) in [
            ("http://chat", Scheme::Http, "chat", None),
            ("https://Chat_1", Scheme::Https, "chat_1", None),
            (
                "http://chat.example.com/x?y",
                Scheme::Http,
                "chat.example.com",
                Some("/x?y"),
            ),
        ] {
            let WrittenProxyPass::Group(group) = text.parse().unwrap() else {
                panic!("{text} names a group");
            };
            assert_eq!((group.scheme(), group.name()), (scheme, name), "{text}");
            assert_eq!(group.uri(), uri, "{text}");
            assert_eq!(group.to_string(), text.to_ascii_lowercase());
        }
        for text in ["http://chat:80", "http://127.0.0.1", "http://[::1]/x"] {
            let server: ProxyPass = text.parse().unwrap();
            assert_eq!(text.parse(), Ok(WrittenProxyPass::Server(server)));
        }
    }

    #[test]
    fn the_same_server_is_asked_by_another_scheme() {
        let server: ProxyPass = "http://a.test:1/x".parse().unwrap();
        let by = |scheme| server.by(scheme).map(|server| server.to_string());
        assert_eq!(by(Scheme::Https).as_deref(), Some("https://a.test:1"));
        assert_eq!(by(Scheme::Http).as_deref(), Some("http://a.test:1"));
        let socket: ProxyPass = "http://unix:/run/x:/y".parse().unwrap();
        assert_eq!(socket.by(Scheme::Https), None);
        let plain = socket.by(Scheme::Http).map(|server| server.to_string());
        assert_eq!(plain.as_deref(), Some("http://unix:/run/x"));
    }

    #[test]
    fn a_unix_socket_ends_at_its_first_colon() {
        for (text, path, uri) in [
            ("http://unix:/run/app.sock", "/run/app.sock", None),
            ("http://unix:/run/app.sock:/", "/run/app.sock", Some("/")),
            (
                "HTTP://unix:/run/%20?#@:/a:b?c",
                "/run/%20?#@",
                Some("/a:b?c"),
            ),
        ] {
            let read: ProxyPass = text.parse().unwrap();
            assert_eq!(read.address(), &Address::Unix(Path::new(path).into()));
            assert_eq!(read.uri(), uri);
            assert_eq!(read.authority(), format!("unix:{path}"));
        }
        let longest = format!("http://unix:/{}", "x".repeat(106));
        assert_eq!(longest.parse::<ProxyPass>().unwrap().to_string(), longest);
    }

    #[test]
    fn errors_name_the_bytes_that_are_wrong() {
        for (text, marked, message) in [
            ("", "", "`proxy_pass` is empty"),
            ("http://$host:1", "$host", "`proxy_pass` has no variables"),
            (
                "localhost:3000",
                "localhost:3000",
                "`proxy_pass` does not begin with `http://` or `https://`",
            ),
            (
                "http:/a:1",
                "http:/a:1",
                "`proxy_pass` does not begin with `http://` or `https://`",
            ),
            (
                "wss://a:1",
                "wss://",
                "`proxy_pass` begins with `http://` or `https://`, also for WebSockets",
            ),
            ("ftp://a:1", "ftp://", "`proxy_pass` has an unknown scheme"),
            (
                "unix:/run/x",
                "unix:/run/x",
                "`proxy_pass` does not begin with `http://` or `https://`",
            ),
            (
                "https://unix:/run/x",
                "https://unix:",
                "a Unix socket is asked without TLS",
            ),
            (
                "http://unix:",
                "unix:",
                "`proxy_pass` has no path behind `unix:`",
            ),
            (
                "http://unix::/x",
                "unix:",
                "`proxy_pass` has no path behind `unix:`",
            ),
            (
                "http://unix:run/x:/y",
                "run/x",
                "`proxy_pass` has a relative path behind `unix:`",
            ),
            (
                "http://unix:/run/\u{85}x",
                "\u{85}",
                "`proxy_pass` has a control character in the path of a Unix socket",
            ),
            (
                "http://unix:/run/x:y",
                ":y",
                "`proxy_pass` has something behind the socket that is no path",
            ),
            (
                "http://unix:/run/x:",
                ":",
                "`proxy_pass` has something behind the socket that is no path",
            ),
            (
                "http://unix:/run/x:/a b",
                " ",
                "`proxy_pass` has a character that no path may have",
            ),
            (
                "https://chat",
                "chat",
                "`proxy_pass` has a name without a port",
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
        fn what_is_read_reads_again_and_what_is_not_is_marked_inside(text in "(https?://(unix:/?)?)?[a-c0-9:/?#%@$.é \\[\\]]{0,16}") {
            match text.parse::<ProxyPass>() {
                Ok(read) => prop_assert_eq!(read.to_string().parse::<ProxyPass>(), Ok(read)),
                Err(error) => prop_assert!(text.get(error.span()).is_some()),
            }
            if let Ok(WrittenProxyPass::Group(group)) = text.parse() {
                let again = group.to_string().parse();
                prop_assert_eq!(again, Ok(WrittenProxyPass::Group(group)));
            }
        }
    }
}
