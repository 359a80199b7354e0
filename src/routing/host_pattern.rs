//! The value of `host`: which hosts a route is for.

use std::fmt;
use std::str::FromStr;

/// The value of `host`, in lower case: `chat.example.com`, `*.example.org` for every name below that, or `www.example.*` for every
/// name that goes on behind the dot.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// Every name that ends in a dot and this name, but not this name itself, as in nginx.
    Below(String),
    /// Every name that begins with this name and a dot, however many labels follow, but not this name itself, as in nginx.
    AnyEnding(String),
}

/// Why a text is no host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostError {
    /// The text is empty.
    Empty,
    /// The text is `*` alone.
    Any,
    /// A star stands elsewhere than in front of a dot at the beginning or behind one at the end, or in both places.
    Star,
    /// A scheme or a path stands around the host.
    Url,
    /// A port stands behind the host; a request's `Host` is compared without its port.
    Port,
    /// The text has a character that no host has; letters beyond ASCII are written in punycode.
    Character(char),
    /// Two dots stand beside each other, or one at the beginning.
    Dots,
}

impl HostError {
    /// What to write instead.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Empty | Self::Any => "leave `host` out, and the route answers for every host",
            Self::Star => {
                "write `*.example.com` for every name below example.com, or `example.*` for example.com, example.org \
                 and so on"
            }
            Self::Url => "write the name alone, as in `chat.example.com`",
            Self::Port => {
                "leave the port out: hosts are compared without; `when: { port: 8443 }` looks at the port"
            }
            Self::Character(letter) if !letter.is_ascii() => {
                "write it as clients send it, in punycode: `xn--…`"
            }
            Self::Character(_) | Self::Dots => "write a name such as `chat.example.com`",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("host is empty"),
            Self::Any => f.write_str("host is a star alone"),
            Self::Star => f.write_str(
                "a star stands only at the beginning of a host or at its end, with a dot beside it",
            ),
            Self::Url => f.write_str("host is a URL"),
            Self::Port => f.write_str("host has a port"),
            Self::Character(letter) => write!(
                f,
                "host has a character that no host has: `{}`",
                letter.escape_debug()
            ),
            Self::Dots => f.write_str("host has a dot with nothing before it"),
        }
    }
}

impl std::error::Error for HostError {}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text.contains("://") || text.contains('/') {
            return Err(HostError::Url);
        }
        let (name, make): (_, fn(String) -> Self) =
            match (text.strip_prefix("*."), text.strip_suffix(".*")) {
                (Some(_), Some(_)) => return Err(HostError::Star),
                (Some(name), None) => (name, Self::Below),
                (None, Some(name)) => (name, Self::AnyEnding),
                (None, None) => (text, Self::Exact),
            };
        let is_address = name.starts_with('[') && name.ends_with(']');
        if let Some(at) = name.rfind(':')
            && !is_address
        {
            let digits = name[at + 1..].bytes().all(|byte| byte.is_ascii_digit());
            return Err(if digits {
                HostError::Port
            } else {
                HostError::Character(':')
            });
        }
        match name {
            "" => return Err(HostError::Empty),
            "*" => return Err(HostError::Any),
            _ if is_address && text.ends_with(".*") => return Err(HostError::Star),
            _ if name.contains('*') => return Err(HostError::Star),
            _ => {}
        }
        let allowed = |c: &char| {
            c.is_ascii_alphanumeric() || "-._~".contains(*c) || (is_address && "[]:".contains(*c))
        };
        if let Some(odd) = name.chars().find(|c| !allowed(c)) {
            return Err(HostError::Character(odd));
        }
        // A dot at the end makes a name absolute, not another one; in front of `.*` it is one too many.
        let name = match text.ends_with(".*") {
            true => name,
            false => name.strip_suffix('.').unwrap_or(name),
        };
        let name = name.to_ascii_lowercase();
        if name.is_empty() || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
            return Err(HostError::Dots);
        }
        Ok(make(name))
    }
}

impl HostPattern {
    /// Whether the pattern is for `host`, which is in lower case and without port.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Exact(name) => host == name,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
            Self::AnyEnding(name) => host
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::AnyEnding(name) => write!(f, "{name}.*"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::routing::host_pattern::HostError;
    use crate::routing::host_pattern::HostPattern;

    #[test]
    fn what_is_no_host_is_said_to_be_none() {
        for (text, error) in [
            ("", HostError::Empty),
            ("*", HostError::Any),
            ("a.*.test", HostError::Star),
            ("www*", HostError::Star),
            ("*.www.*", HostError::Star),
            ("www.*.*", HostError::Star),
            ("*.*", HostError::Star),
            ("[::1].*", HostError::Star),
            ("www..*", HostError::Dots),
            (".*", HostError::Empty),
            ("www.*:80", HostError::Port),
            ("https://a.test", HostError::Url),
            ("a.test/x", HostError::Url),
            ("a.test:80", HostError::Port),
            ("a b", HostError::Character(' ')),
            ("münchen.test", HostError::Character('ü')),
            ("a..b", HostError::Dots),
            (".a", HostError::Dots),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
        assert_eq!("[::1]".parse(), Ok(HostPattern::Exact("[::1]".to_owned())));
        assert_eq!(
            "*.A.test.".parse(),
            Ok(HostPattern::Below("a.test".to_owned()))
        );
        assert_eq!(
            "WWW.Example.*".parse(),
            Ok(HostPattern::AnyEnding("www.example".to_owned()))
        );
    }

    #[test]
    fn a_star_stands_for_one_label_or_several_and_never_for_none() {
        let covers = |pattern: &str, host: &str| {
            let pattern: HostPattern = pattern.parse().unwrap();
            assert_eq!(pattern.to_string(), pattern.to_string().to_lowercase());
            pattern.covers(host)
        };
        assert!(covers("www.example.*", "www.example.com"));
        assert!(covers("www.example.*", "www.example.co.uk."));
        assert!(!covers("www.example.*", "www.example"));
        assert!(!covers("www.example.*", "www.example."));
        assert!(!covers("www.example.*", "www.examples.com"));
        assert!(!covers("www.example.*", "a.www.example.com"));
        assert!(covers("*.example.com", "a.b.example.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("example.com", "a.example.com"));
    }
}
