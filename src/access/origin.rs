//! Origins of pages (RFC 6454), as browsers write them in `Origin`, and which of them may open a WebSocket.
//!
//! The crate `url` is not used, since it repairs what is written and this must not: of the 28 texts that the tests below
//! refuse it takes 15, and it takes 7 spellings of an origin that no browser sends, such as `https:chat.example.com` and
//! `https://u@chat.example.com`, for the origin itself. To the schemes of apps, such as `capacitor://localhost`, it gives
//! an origin that equals no other one, not even its own.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::access::Forbidden;

/// One entry of `allowed_origins`: `https://chat.example.com`, `https://*.example.com`, or `null`.
///
/// In lower case, and without a port that is its scheme's own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Origin {
    /// What browsers say of pages that have none, such as sandboxed ones.
    Null,
    /// Pages of this scheme, host and port.
    Of {
        /// Without its colon.
        scheme: String,
        /// Which hosts.
        host: OriginHost,
        /// `None` for the scheme's own.
        port: Option<u16>,
    },
}

/// The host of an origin.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum OriginHost {
    /// This one; IPv6 addresses in brackets. Empty for `file://`.
    Exact(String),
    /// Every name that ends in a dot and this one, but not this one itself.
    Below(String),
}

/// What an entry of `allowed_origins` cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OriginError {
    /// Nothing, or `*` alone.
    Any,
    /// There is no scheme; with what stands in its place.
    NoScheme(String),
    /// The scheme of a WebSocket; with the same under the page's.
    WebSocket(String),
    /// Something stands behind the host; with what stands before that.
    Path(String),
    /// A star elsewhere than in front of a dot, at the beginning of the host.
    Star,
    /// There is no host.
    NoHost,
    /// The port is none.
    Port,
    /// A character that stands in no scheme or host; letters beyond ASCII are written in punycode.
    Character(char),
}

impl OriginError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Any => {
                "leave `allowed_origins` out, and the pages of every origin may open a WebSocket".to_owned()
            }
            Self::NoScheme(rest) => format!("begin with the page's scheme: `https://{rest}`"),
            Self::WebSocket(page) => {
                format!("write `{page}`: it is the page that has an origin, not its WebSocket")
            }
            Self::Path(origin) => {
                format!("write `{origin}`: an origin ends with its host or port, without a slash")
            }
            Self::Star => {
                "write `https://*.example.com` for every name below example.com, and `https://example.com` beside it for \
                 that one itself"
                    .to_owned()
            }
            Self::Port => "write a port from 1 to 65535, or none for the scheme's own".to_owned(),
            Self::Character(letter) if !letter.is_ascii() => {
                "write it as browsers send it, in punycode: `https://xn--…`".to_owned()
            }
            Self::NoHost | Self::Character(_) => {
                "write scheme and host, as in `https://chat.example.com`".to_owned()
            }
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("no origin is called so"),
            Self::NoScheme(_) => f.write_str("an origin without a scheme"),
            Self::WebSocket(_) => f.write_str("an origin with the scheme of a WebSocket"),
            Self::Path(_) => f.write_str("an origin with something behind its host"),
            Self::Star => f.write_str(
                "a star stands only at the beginning of an origin's host, with a dot behind it",
            ),
            Self::NoHost => f.write_str("an origin without a host"),
            Self::Port => f.write_str("an origin whose port is none"),
            Self::Character(letter) => write!(
                f,
                "an origin with a character that none has: `{}`",
                letter.escape_debug()
            ),
        }
    }
}

impl std::error::Error for OriginError {}

/// An origin cut into its parts, as it was written.
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    /// `None` if it is the scheme's own.
    port: Option<u16>,
}

/// Cuts what looks like an origin; the host is not looked at.
fn cut(text: &str) -> Result<Parts<'_>, OriginError> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| OriginError::NoScheme(host_of(text)))?;
    let of_scheme = |c: &char| c.is_ascii_alphanumeric() || "+-.".contains(*c);
    if let Some(odd) = scheme.chars().find(|c| !of_scheme(c)) {
        return Err(OriginError::Character(odd));
    }
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(OriginError::NoScheme(host_of(rest)));
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        let origin = &text[..text.len() - rest.len() + end];
        return Err(OriginError::Path(origin.to_owned()));
    }
    let port_from = rest.rfind(']').unwrap_or(0);
    let (host, port) = match rest[port_from..].find(':') {
        Some(colon) => (
            &rest[..port_from + colon],
            Some(&rest[port_from + colon + 1..]),
        ),
        None => (rest, None),
    };
    let port = match port {
        None => None,
        Some(digits) => {
            let number = digits.parse::<u16>().ok();
            let number = number.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            Some(number.filter(|port| *port > 0).ok_or(OriginError::Port)?)
        }
    };
    Ok(Parts {
        scheme,
        host,
        port: port.filter(|port| Some(*port) != own_port(scheme)),
    })
}

/// What may be meant as the host of a text without a scheme.
fn host_of(text: &str) -> String {
    let text = text.trim_start_matches('/');
    text.split('/').next().unwrap_or_default().to_owned()
}

fn own_port(scheme: &str) -> Option<u16> {
    let is = |known| scheme.eq_ignore_ascii_case(known);
    match () {
        () if is("http") => Some(80),
        () if is("https") => Some(443),
        () => None,
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        match text {
            "null" => return Ok(Self::Null),
            "" | "*" => return Err(OriginError::Any),
            _ => {}
        }
        let parts = cut(text)?;
        let scheme = parts.scheme.to_ascii_lowercase();
        if let "ws" | "wss" = scheme.as_str() {
            let page = if scheme == "ws" { "http" } else { "https" };
            return Err(OriginError::WebSocket(format!(
                "{page}{}",
                &text[scheme.len()..]
            )));
        }
        let (name, is_below) = match parts.host.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (parts.host, false),
        };
        let address = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        let host = match address {
            Some(address) if !is_below => OriginHost::Exact(format!("[{address}]")),
            Some(_) => return Err(OriginError::Star),
            None => {
                is_name(name, &scheme)?;
                let name = name.to_ascii_lowercase();
                match is_below {
                    true => OriginHost::Below(name),
                    false => OriginHost::Exact(name),
                }
            }
        };
        Ok(Self::Of {
            scheme,
            host,
            port: parts.port,
        })
    }
}

fn is_name(name: &str, scheme: &str) -> Result<(), OriginError> {
    if name.contains('*') {
        return Err(OriginError::Star);
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-._~".contains(*c);
    if let Some(odd) = name.chars().find(|c| !allowed(c)) {
        return Err(OriginError::Character(odd));
    }
    let is_file = name.is_empty() && scheme == "file";
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    if !is_file && labels.any(str::is_empty) {
        return Err(OriginError::NoHost);
    }
    Ok(())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Null => return f.write_str("null"),
            Self::Of { scheme, host, port } => (scheme, host, port),
        };
        match host {
            OriginHost::Exact(host) => write!(f, "{scheme}://{host}")?,
            OriginHost::Below(host) => write!(f, "{scheme}://*.{host}")?,
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Origin {
    /// Whether the page's origin is this, or one of these.
    fn covers(&self, page: &Parts<'_>) -> bool {
        let (scheme, host, port) = match self {
            Self::Null => return false,
            Self::Of { scheme, host, port } => (scheme, host, port),
        };
        let host_is = match host {
            OriginHost::Exact(host) => page.host.eq_ignore_ascii_case(host),
            OriginHost::Below(name) => page
                .host
                .len()
                .checked_sub(name.len() + 1)
                .filter(|before| *before > 0)
                .and_then(|before| page.host.get(before..))
                .and_then(|end| end.strip_prefix('.'))
                .is_some_and(|end| end.eq_ignore_ascii_case(name)),
        };
        host_is && page.scheme.eq_ignore_ascii_case(scheme) && page.port == *port
    }
}

/// What is made of an upgrade request that has no `Origin`, as mini programs and servers send it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MissingOrigin {
    /// It passes: no browser leaves it out, so no page can.
    #[default]
    Allow,
    /// It is refused.
    Deny,
}

/// Whose pages may open a WebSocket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origins {
    /// At least one.
    pub list: Vec<Origin>,
    /// See [`MissingOrigin`].
    pub missing: MissingOrigin,
}

impl Origins {
    /// Judges a request by the lines of `Origin` that it has.
    ///
    /// # Errors
    /// It may not.
    pub fn admit<'l>(&self, mut lines: impl Iterator<Item = &'l [u8]>) -> Result<(), Forbidden> {
        let Some(line) = lines.next() else {
            return match self.missing {
                MissingOrigin::Allow => Ok(()),
                MissingOrigin::Deny => Err(Forbidden::NoOrigin),
            };
        };
        if lines.next().is_some() {
            return Err(Forbidden::Origins);
        }
        let page = str::from_utf8(line).unwrap_or_default();
        let is_listed = match cut(page) {
            _ if page == "null" => self.list.contains(&Origin::Null),
            Ok(page) => self.list.iter().any(|origin| origin.covers(&page)),
            Err(_) => false,
        };
        if is_listed {
            Ok(())
        } else {
            Err(Forbidden::Origin(shown(line)))
        }
    }
}

/// The most that the log shows of an `Origin`; the longest name of a host has 253 letters.
const SHOWN: usize = 300;

fn shown(line: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned();
    if line.len() > SHOWN {
        text += "..";
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::access::Forbidden;
    use crate::access::origin::MissingOrigin;
    use crate::access::origin::Origin;
    use crate::access::origin::OriginError;
    use crate::access::origin::Origins;

    fn read(text: &str) -> Result<String, OriginError> {
        text.parse().map(|origin: Origin| origin.to_string())
    }

    fn admits(list: &[&str], page: &str) -> bool {
        let origins = Origins {
            list: list.iter().map(|text| text.parse().unwrap()).collect(),
            missing: MissingOrigin::Deny,
        };
        origins.admit([page.as_bytes()].into_iter()).is_ok()
    }

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, shown) in [
            ("https://chat.example.com", "https://chat.example.com"),
            ("HTTPS://Chat.Example.COM:443", "https://chat.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://a.test:80", "http://a.test"),
            ("http://a.test:443", "http://a.test:443"),
            ("https://*.Example.com:8443", "https://*.example.com:8443"),
            ("https://[2001:DB8::0:1]", "https://[2001:db8::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abc", "chrome-extension://abc"),
            ("file://", "file://"),
            ("https://a.test.", "https://a.test."),
            ("null", "null"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_for_its_reason() {
        let path = || OriginError::Path("https://a.test".to_owned());
        for (text, error) in [
            ("", OriginError::Any),
            ("*", OriginError::Any),
            ("a.test", OriginError::NoScheme("a.test".to_owned())),
            ("//a.test/x", OriginError::NoScheme("a.test".to_owned())),
            ("://a.test", OriginError::NoScheme("a.test".to_owned())),
            (
                "wss://a.test:1",
                OriginError::WebSocket("https://a.test:1".to_owned()),
            ),
            (
                "WS://a.test",
                OriginError::WebSocket("http://a.test".to_owned()),
            ),
            ("https://a.test/", path()),
            ("https://a.test/chat", path()),
            ("https://a.test?x", path()),
            ("https://*", OriginError::Star),
            ("https://a.*.test", OriginError::Star),
            ("https://*a.test", OriginError::Star),
            ("https://*.[::1]", OriginError::Star),
            ("https://", OriginError::NoHost),
            ("https://*.", OriginError::NoHost),
            ("https://a..test", OriginError::NoHost),
            ("https://.test", OriginError::NoHost),
            ("https://a.test:", OriginError::Port),
            ("https://a.test:0", OriginError::Port),
            ("https://a.test:+1", OriginError::Port),
            ("https://a.test:65536", OriginError::Port),
            ("https://u@a.test", OriginError::Character('@')),
            ("https://é.test", OriginError::Character('é')),
            ("https://a b", OriginError::Character(' ')),
            ("https://[::1", OriginError::Port),
            ("https://[a]", OriginError::Character('[')),
            ("ht_tp://a.test", OriginError::Character('_')),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn scheme_host_and_port_are_compared_without_case_and_default_port() {
        let list = ["https://chat.example.com", "http://a.test:8080", "file://"];
        for page in [
            "https://chat.example.com",
            "https://chat.example.com:443",
            "HTTPS://CHAT.example.com",
            "http://a.test:8080",
            "file://",
        ] {
            assert!(admits(&list, page), "{page}");
        }
        for page in [
            "http://chat.example.com",
            "https://chat.example.com:8443",
            "https://chat.example.com/",
            "https://chat.example.com.",
            "https://chat.example.com.evil.test",
            "https://evil.test#https://chat.example.com",
            "https://u@chat.example.com",
            "https://example.com",
            "https://x.chat.example.com",
            "http://a.test",
            "wss://chat.example.com",
            "https://chat.example.com https://chat.example.com",
            " https://chat.example.com",
            "https://chat.example.com:0443x",
            "chat.example.com",
            "null",
            "",
            "*",
        ] {
            assert!(!admits(&list, page), "{page}");
        }
        assert!(admits(&["null"], "null"));
        assert!(!admits(&["null"], "NULL"));
        assert!(admits(&["https://[::1]"], "https://[::1]"));
    }

    #[test]
    fn a_star_stands_for_names_below_and_not_for_the_name_itself() {
        let list = ["https://*.example.com"];
        for page in ["https://a.example.com", "https://a.b.EXAMPLE.com:443"] {
            assert!(admits(&list, page), "{page}");
        }
        for page in [
            "https://example.com",
            "https://.example.com",
            "https://evilexample.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://a.example.com.evil.test",
            "https://é.example.co",
        ] {
            assert!(!admits(&list, page), "{page}");
        }
    }

    #[test]
    fn none_is_a_setting_and_several_are_refused() {
        let mut origins = Origins {
            list: vec!["https://a.test".parse().unwrap()],
            missing: MissingOrigin::Allow,
        };
        let none = || std::iter::empty::<&[u8]>();
        assert_eq!(origins.admit(none()), Ok(()));
        origins.missing = MissingOrigin::Deny;
        assert_eq!(origins.admit(none()), Err(Forbidden::NoOrigin));
        let twice = [&b"https://a.test"[..]; 2];
        assert_eq!(origins.admit(twice.into_iter()), Err(Forbidden::Origins));
        let long = [b'x'; 1000];
        let Err(Forbidden::Origin(shown)) = origins.admit([&long[..]].into_iter()) else {
            panic!("it is refused");
        };
        assert_eq!(shown.len(), 302);
    }

    proptest! {
        #[test]
        fn an_origin_covers_what_it_is_shown_as(text in "(https?|app)://[a-z0-9.-]{1,12}(:[0-9]{1,5})?") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert!(admits(&[&text], &text.to_ascii_uppercase()));
                prop_assert_eq!(origin.to_string().parse::<Origin>(), Ok(origin));
            }
        }

        #[test]
        fn no_line_is_too_strange(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let origins = Origins {
                list: vec!["https://*.a".parse().unwrap(), Origin::Null],
                missing: MissingOrigin::Deny,
            };
            let _ = origins.admit([line.as_slice()].into_iter());
        }
    }
}
