//! Where an upstream sends clients, written so that clients get there: nginx's `proxy_redirect`.

use http::HeaderValue;

use crate::answer_fields::replacement::Replacement;
use crate::headers::host;
use crate::template::Variables;

/// One entry of `proxy_redirect`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RedirectRule {
    /// `default`.
    Default(DefaultRedirect),
    /// What is written.
    Written(Replacement),
}

/// `default`: what an upstream says of itself becomes what a client calls it.
///
/// nginx replaces the URL of `proxy_pass`, which is what an application says that was sent that URL's host. wsgate sends the client's
/// Host unless told otherwise, so that the same application names that host, or none: there the path of `proxy_pass` is replaced by
/// the location, and a host that only the upstream was sent goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DefaultRedirect {
    /// Scheme and authority of `proxy_pass`: `http://10.0.0.5:3000`; `None` for a Unix socket, which no URL can name.
    origin: Option<String>,
    /// The path of `proxy_pass`, if it has one.
    path: Option<String>,
    /// What takes the place of the path.
    location: String,
}

/// How the upstream was asked, as far as its answer may name it.
#[derive(Debug, Default)]
pub(super) struct AskedAs {
    /// The Host that the client sent.
    pub(super) client_host: Option<HeaderValue>,
    /// The Host that the upstream was sent.
    pub(super) host: Option<HeaderValue>,
    /// The scheme that the upstream was told: `X-Forwarded-Proto`.
    pub(super) scheme: Option<HeaderValue>,
}

/// Where a URL leads: `http://a.test/b` or `/b`, in two parts.
struct SplitUrl<'u> {
    /// Scheme and authority, with a colon and slashes; nothing for a path alone.
    origin: &'u str,
    path: &'u str,
}

impl RedirectRule {
    /// What is written; `None` for `default`.
    pub fn written(&self) -> Option<&Replacement> {
        match self {
            Self::Default(_) => None,
            Self::Written(replacement) => Some(replacement),
        }
    }
}

impl DefaultRedirect {
    /// For a route with this location, whose `proxy_pass` is `origin` with `path`, if it has one.
    pub fn new(location: &str, origin: Option<String>, path: Option<&str>) -> Self {
        Self {
            origin,
            path: path.map(str::to_owned),
            location: location.to_owned(),
        }
    }

    /// What is looked for, as a path or behind the upstream's host, and what takes its place.
    pub fn paths(&self) -> (&str, &str) {
        match &self.path {
            Some(path) => (path, &self.location),
            None => ("/", "/"),
        }
    }

    fn apply(&self, value: &str, asked: &AskedAs) -> Option<String> {
        let SplitUrl { origin, path } = SplitUrl::of(value)?;
        if self.is_own(origin) {
            let (inside, location) = self.paths();
            let rest = path.strip_prefix(inside)?;
            return Some(format!("{location}{rest}"));
        }
        let origin_kept = if origin.is_empty() {
            ""
        } else {
            self.origin_kept(origin, asked)?
        };
        let path_changed = self.path_changed(path);
        if path_changed.is_none() && origin_kept == origin {
            return None;
        }
        let path = path_changed.as_deref().unwrap_or(path);
        Some(format!("{origin_kept}{path}"))
    }

    /// Whether this is what `proxy_pass` says.
    fn is_own(&self, origin: &str) -> bool {
        let own = self.origin.as_deref().and_then(|own| own.split_once("://"));
        let said = origin.split_once("://");
        own.zip(said).is_some_and(|(own, said)| {
            own.0.eq_ignore_ascii_case(said.0) && host::same(own.1, said.1, own.0)
        })
    }

    /// What stays of an origin that an upstream says: all of it if it is the client's own, nothing if the upstream alone was sent it. `None`
    /// if it is another, or of another scheme than either side knows: then the upstream means what it says.
    fn origin_kept<'o>(&self, origin: &'o str, asked: &AskedAs) -> Option<&'o str> {
        let (scheme, authority) = origin.split_once("://")?;
        let is = |host: &Option<HeaderValue>| {
            let host = host.as_ref().and_then(|host| host.to_str().ok());
            host.is_some_and(|host| host::same(host, authority, scheme))
        };
        if is(&asked.client_host) {
            return Some(origin);
        }
        if !is(&asked.host) {
            return None;
        }
        let told = asked.scheme.as_ref().map(HeaderValue::as_bytes);
        let is_known = told.is_some_and(|told| told.eq_ignore_ascii_case(scheme.as_bytes()))
            || self.own_scheme().eq_ignore_ascii_case(scheme);
        is_known.then_some("")
    }

    /// The scheme in which the upstream is asked.
    fn own_scheme(&self) -> &str {
        let own = self.origin.as_deref().and_then(|own| own.split_once("://"));
        own.map_or("http", |(scheme, _)| scheme)
    }

    /// The path with the location in place of the path of `proxy_pass`. `None` if it does not begin with that; or if it lies below the
    /// location as it is, and that is the longer of the two: an application that knows its location says so.
    fn path_changed(&self, path: &str) -> Option<String> {
        let inside = self.path.as_deref()?;
        let rest = path.strip_prefix(inside)?;
        let is_outside = self.location.len() > inside.len() && is_below(path, &self.location);
        (!is_outside && self.location != inside).then(|| format!("{}{rest}", self.location))
    }
}

/// Whether a path begins with a location, or is that without its last slash.
fn is_below(path: &str, location: &str) -> bool {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    path.starts_with(location) || location.strip_suffix('/') == Some(&path[..end])
}

impl<'u> SplitUrl<'u> {
    /// `None` for what is neither an http or https URL nor a path from the root.
    fn of(value: &'u str) -> Option<Self> {
        if value.starts_with('/') {
            // `//a.test/b` is a URL without a scheme.
            return (!value.starts_with("//")).then_some(Self {
                origin: "",
                path: value,
            });
        }
        let (scheme, rest) = value.split_once("://")?;
        let is_http = ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        let path = rest.find('/')?;
        is_http.then(|| {
            let (origin, path) = value.split_at(scheme.len() + "://".len() + path);
            Self { origin, path }
        })
    }
}

/// What becomes of `Location`: the first rule that is found in it changes it. `None` if none is.
pub(super) fn location(
    rules: &[RedirectRule],
    value: &[u8],
    variables: &Variables<'_>,
    asked: &AskedAs,
) -> Option<Vec<u8>> {
    let (changed, is_meant) = rules.iter().find_map(|rule| match rule {
        RedirectRule::Default(default) => {
            let changed = default.apply(str::from_utf8(value).ok()?, asked)?;
            Some((changed.into_bytes(), false))
        }
        RedirectRule::Written(replacement) => {
            let changed = replacement.apply(value, variables)?;
            Some((changed, names_host(replacement.to().as_bytes())))
        }
    })?;
    if names_host(&changed) && !is_meant && !names_host(value) {
        // A path that begins with two slashes, of this very host: `/.//a.test` is no other host's.
        return Some([b"/.", &changed[..]].concat());
    }
    Some(changed)
}

/// Whether a browser takes this for the URL of a host without its scheme: it begins with two slashes, for which backslashes do too,
/// and between which a tab may stand (WHATWG's URL standard, "relative state").
fn names_host(value: &[u8]) -> bool {
    let mut bytes = value.iter().filter(|byte| **byte != b'\t');
    let mut is_slash = || matches!(bytes.next(), Some(b'/' | b'\\'));
    is_slash() && is_slash()
}

/// What becomes of `Refresh`: the same, behind the first `url=` in it.
pub(super) fn refresh(
    rules: &[RedirectRule],
    value: &[u8],
    variables: &Variables<'_>,
    asked: &AskedAs,
) -> Option<Vec<u8>> {
    const URL: &[u8] = b"url=";
    let mut windows = value.windows(URL.len());
    let at = windows.position(|four| four.eq_ignore_ascii_case(URL))? + URL.len();
    let changed = location(rules, &value[at..], variables, asked)?;
    Some([&value[..at], &changed].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use crate::answer_fields::redirect::AskedAs;
    use crate::answer_fields::redirect::DefaultRedirect;
    use crate::answer_fields::redirect::RedirectRule;
    use crate::answer_fields::redirect::location;
    use crate::answer_fields::replacement::Replacement;
    use crate::headers::forwarded::Scheme;
    use crate::stream::ClientAddr;
    use crate::template::Variables;

    fn asked(client_host: &'static str, host: &'static str, scheme: &'static str) -> AskedAs {
        AskedAs {
            client_host: Some(HeaderValue::from_static(client_host)),
            host: Some(HeaderValue::from_static(host)),
            scheme: Some(HeaderValue::from_static(scheme)),
        }
    }

    /// A route's location, its `proxy_pass` in two parts, and what becomes of what its upstream says, which is asked as its client asks.
    fn check(location: &str, path: Option<&str>, cases: &[(&str, Option<&str>)]) {
        let default = DefaultRedirect::new(location, Some("http://10.0.0.5:3000".to_owned()), path);
        let asked = asked("front.test", "front.test", "https");
        for (said, becomes) in cases {
            let applied = default.apply(said, &asked);
            assert_eq!(applied.as_deref(), *becomes, "{location} {path:?} {said}");
        }
    }

    #[test]
    fn an_application_below_a_path_of_its_own() {
        check(
            "/",
            Some("/app/"),
            &[
                ("http://10.0.0.5:3000/app/login", Some("/login")),
                ("/app/login?a=/app/", Some("/login?a=/app/")),
                (
                    "https://front.test/app/login",
                    Some("https://front.test/login"),
                ),
                ("http://front.test/app/", Some("http://front.test/")),
                ("HTTP://FRONT.TEST:80/app/x", Some("HTTP://FRONT.TEST:80/x")),
                ("https://front.test/other", None),
                ("https://front.test", None),
                ("https://front.test:8443/app/", None),
                ("https://other.test/app/login", None),
                ("//front.test/app/x", None),
                ("/appendix", None),
                ("login", None),
                ("", None),
                ("ftp://front.test/app/", None),
            ],
        );
    }

    #[test]
    fn a_location_that_is_stripped() {
        check(
            "/app/",
            Some("/"),
            &[
                ("http://10.0.0.5:3000/login", Some("/app/login")),
                ("/login", Some("/app/login")),
                (
                    "https://front.test/login",
                    Some("https://front.test/app/login"),
                ),
                // It knows its location.
                ("/app/login", None),
                ("https://front.test/app/login", None),
                ("/app", None),
                ("/app?a=/", None),
                ("/apple", Some("/app/apple")),
            ],
        );
    }

    #[test]
    fn other_pairs_of_paths() {
        check(
            "/a/",
            Some("/b/"),
            &[("/b/x", Some("/a/x")), ("/a/x", None), ("/x", None)],
        );
        check("/a/", Some("/a/"), &[("/a/x", None)]);
        check(
            "/a/",
            Some("/a/v2/"),
            &[("/a/v2/x", Some("/a/x")), ("/a/x", None)],
        );
        check(
            "/a/v2/",
            Some("/a/"),
            &[("/a/v2/x", None), ("/a/x", Some("/a/v2/x"))],
        );
    }

    #[test]
    fn what_an_upstream_says_of_its_own_path_leads_to_no_other_host() {
        let own = || Some("http://10.0.0.5:3000".to_owned());
        let stripped = || RedirectRule::Default(DefaultRedirect::new("/", own(), Some("/app/")));
        let whole = || RedirectRule::Default(DefaultRedirect::new("/", own(), None));
        let written = |from, to| RedirectRule::Written(Replacement::new(from, to).unwrap());
        let variables = Variables {
            host: "front.test",
            remote_addr: ClientAddr::Unix,
            scheme: Scheme::Http,
            request_uri: "/",
        };
        let asked = asked("front.test", "inner.test", "https");
        for (rule, said, becomes) in [
            (stripped(), "/app//evil.test/x", "/.//evil.test/x"),
            (stripped(), "/app/\\evil.test", "/./\\evil.test"),
            (stripped(), "/app/\t/evil.test", "/./\t/evil.test"),
            (stripped(), "/app/a//b", "/a//b"),
            (whole(), "http://10.0.0.5:3000//evil.test", "/.//evil.test"),
            (whole(), "http://inner.test//evil.test", "/.//evil.test"),
            (written("/app/", "/"), "/app//evil.test", "/.//evil.test"),
            (
                written("~^/app(.*)", "$1"),
                "/app//evil.test",
                "/.//evil.test",
            ),
            // Where it is written so, or was said so, it is meant.
            (written("/cdn/", "//cdn.test/"), "/cdn/x", "//cdn.test/x"),
            (written("~(.*)b", "$1c"), "//cdn.test/b", "//cdn.test/c"),
        ] {
            let changed = location(&[rule], said.as_bytes(), &variables, &asked);
            let changed = changed.map(|changed| String::from_utf8(changed).unwrap());
            assert_eq!(changed.as_deref(), Some(becomes), "{said}");
        }
    }

    #[test]
    fn without_a_path_only_hosts_change() {
        let own = Some("http://10.0.0.5:80".to_owned());
        let default = DefaultRedirect::new("/app/", own, None);
        let told = asked("front.test", "inner.test:81", "https");
        for (said, becomes) in [
            ("http://10.0.0.5:80/app/x", Some("/app/x")),
            ("http://10.0.0.5/app/x", Some("/app/x")),
            ("https://10.0.0.5/app/x", None),
            ("http://10.0.0.5", None),
            ("/app/x", None),
            ("https://front.test/x", None),
            ("http://front.test/x", None),
            ("https://inner.test:81/x", Some("/x")),
            ("http://inner.test:81/x", Some("/x")),
            ("http://inner.test/x", None),
        ] {
            assert_eq!(default.apply(said, &told).as_deref(), becomes, "{said}");
        }
        // To https, where neither side is: the upstream means it.
        let told = asked("front.test", "inner.test", "http");
        assert_eq!(default.apply("https://inner.test/x", &told), None);
        assert_eq!(
            default.apply("http://inner.test/x", &AskedAs::default()),
            None
        );
    }
}
