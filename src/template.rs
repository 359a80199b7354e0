//! Texts with nginx's variables in them: `https://$host$request_uri`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::headers::forwarded::Scheme;
use crate::stream::ClientAddr;

/// A text in which `$host`, `$remote_addr`, `$scheme`, `$request_uri` and `$arg_NAME` stand for what a request has. `${host}` is
/// the same where letters follow. A dollar that begins no name is a dollar.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Host,
    RemoteAddr,
    Scheme,
    RequestUri,
    /// The argument of this name.
    Arg(String),
}

/// A piece of a text with variables in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TemplatePiece<'t> {
    /// What stands for itself.
    Text(String),
    /// The name of a variable, without the dollar.
    Name(&'t str),
}

/// What the variables stand for.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The request's host without port, as in nginx in lower case; empty for a request in HTTP/1.0 that names none.
    pub host: &'a str,
    /// The client's address, of which the port is not shown.
    pub remote_addr: ClientAddr,
    /// Over what the client came.
    pub scheme: Scheme,
    /// Path and query as the client wrote them.
    pub request_uri: &'a str,
}

impl Variables<'_> {
    /// The same, for what outlives the request's head.
    pub fn to_owned(self) -> OwnedVariables {
        OwnedVariables {
            host: self.host.to_owned(),
            remote_addr: self.remote_addr,
            scheme: self.scheme,
            request_uri: self.request_uri.to_owned(),
        }
    }
}

/// What the variables stand for, kept.
#[derive(Clone, Debug)]
pub struct OwnedVariables {
    host: String,
    remote_addr: ClientAddr,
    scheme: Scheme,
    request_uri: String,
}

impl OwnedVariables {
    /// For [`Template::fill`].
    pub fn borrowed(&self) -> Variables<'_> {
        Variables {
            host: &self.host,
            remote_addr: self.remote_addr,
            scheme: self.scheme,
            request_uri: &self.request_uri,
        }
    }
}

/// A variable that there is not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateError {
    /// Its name, without the dollar.
    pub name: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown variable `${}`", self.name)
    }
}

impl std::error::Error for TemplateError {}

impl TemplateError {
    /// What to write instead.
    pub fn help(&self) -> &'static str {
        match self.name.as_str() {
            "http_host" | "server_name" | "proxy_host" => {
                "`$host` is the request's host without port; Host itself goes on as the client sent it"
            }
            "uri" | "document_uri" => "`$request_uri` is path and query as the client wrote them",
            "proxy_add_x_forwarded_for" | "http_x_forwarded_for" => {
                "not needed: X-Forwarded-For is always set; `$remote_addr` is the client's address"
            }
            "http_upgrade" | "connection_upgrade" => "not needed: upgrades come by themselves",
            name if !name.contains(|c: char| c.is_ascii_lowercase()) => {
                "a variable of the environment is written with braces, as in `${PORT}`"
            }
            _ => {
                "the variables are `$host`, `$remote_addr`, `$scheme`, `$request_uri` and `$arg_NAME`"
            }
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, &[])
    }
}

impl Template {
    /// Reads a text, in whose bytes `literal` no variable begins.
    ///
    /// # Errors
    /// There is no such variable.
    pub fn read(text: &str, literal: &[Range<usize>]) -> Result<Self, TemplateError> {
        let parts = pieces(text, literal).into_iter().map(|piece| match piece {
            TemplatePiece::Text(text) => Ok(Part::Text(text)),
            TemplatePiece::Name(name) => variable(name).ok_or_else(|| TemplateError {
                name: name.to_owned(),
            }),
        });
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    /// The text that stands for itself, whatever is in it.
    pub fn of_text(text: String) -> Self {
        let parts = vec![Part::Text(text)];
        Self { parts }
    }

    /// The text that is this variable alone; `None` if there is no such variable.
    pub fn of_variable(name: &str) -> Option<Self> {
        let parts = vec![variable(name)?];
        Some(Self { parts })
    }
}

/// The variable of this name.
fn variable(name: &str) -> Option<Part> {
    Some(match name {
        "host" => Part::Host,
        "remote_addr" => Part::RemoteAddr,
        "scheme" => Part::Scheme,
        "request_uri" => Part::RequestUri,
        _ => {
            let name = name.strip_prefix("arg_").filter(|name| !name.is_empty())?;
            Part::Arg(name.to_owned())
        }
    })
}

/// The pieces of a text, in whose bytes `literal` no variable begins.
pub fn pieces<'t>(text: &'t str, literal: &[Range<usize>]) -> Vec<TemplatePiece<'t>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let place = text.len() - rest.len() + at;
        let behind = &rest[at + 1..];
        if literal.iter().any(|literal| literal.contains(&place)) {
            plain.push('$');
            rest = behind;
            continue;
        }
        let (name, after) = match behind
            .strip_prefix('{')
            .and_then(|braced| braced.split_once('}'))
        {
            Some(braced) => braced,
            None => {
                let end = behind
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            plain.push('$');
            rest = behind;
            continue;
        }
        if !plain.is_empty() {
            pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(TemplatePiece::Name(name));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(TemplatePiece::Text(plain));
    }
    pieces
}

/// The first argument of this name in the query of a target, as the client wrote it: nginx's `$arg_NAME`. Case does not matter in
/// the name, and a name without an equals sign has no value.
fn argument<'t>(target: &'t str, name: &str) -> Option<&'t str> {
    let (_, query) = target.split_once('?')?;
    let mut arguments = query.split('&').filter_map(|one| one.split_once('='));
    arguments
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// As it is written, but that every name stands in braces.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(plain) => f.write_str(plain)?,
                Part::Host => f.write_str("${host}")?,
                Part::RemoteAddr => f.write_str("${remote_addr}")?,
                Part::Scheme => f.write_str("${scheme}")?,
                Part::RequestUri => f.write_str("${request_uri}")?,
                Part::Arg(name) => write!(f, "${{arg_{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Template {
    /// The text for one request.
    pub fn fill(&self, variables: &Variables<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Host => text.push_str(variables.host),
                Part::RemoteAddr => {
                    text.push_str(&variables.remote_addr.without_port().to_string())
                }
                Part::Scheme => text.push_str(variables.scheme.as_str()),
                Part::RequestUri => text.push_str(variables.request_uri),
                Part::Arg(name) => {
                    text.push_str(argument(variables.request_uri, name).unwrap_or_default());
                }
            }
        }
        text
    }

    /// Whether `$host` stands in it.
    pub fn has_host(&self) -> bool {
        self.parts.contains(&Part::Host)
    }

    /// The text, if it is the same for every request.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(plain)] => Some(plain),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::headers::forwarded::Scheme;
    use crate::stream::ClientAddr;
    use crate::template::Template;
    use crate::template::TemplateError;
    use crate::template::Variables;

    fn filled(text: &str) -> String {
        text.parse::<Template>().unwrap().fill(&Variables {
            host: "a.test",
            remote_addr: ClientAddr::Ip("127.0.0.1:0".parse().unwrap()),
            scheme: Scheme::Http,
            request_uri: "/x?y",
        })
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(filled("https://$host$request_uri"), "https://a.test/x?y");
        assert_eq!(
            filled("$scheme://${host}s from $remote_addr."),
            "http://a.tests from 127.0.0.1."
        );
        assert_eq!(filled("5$ or $1, $"), "5$ or $1, $");
        assert_eq!(filled("${ host"), "${ host");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn an_argument_is_the_first_of_its_name_as_it_is_written() {
        let argument = |target| crate::template::argument(target, "room");
        for (target, value) in [
            ("/x?room=a%20b&y=1", Some("a%20b")),
            ("/x?y=1&ROOM=a&room=b", Some("a")),
            ("/x?room&room=b", Some("b")),
            ("/x?room=", Some("")),
            ("/x?room==?&", Some("=?")),
            ("/x?bedroom=1&y=room=2", None),
            ("/room=1", None),
            ("/x", None),
        ] {
            assert_eq!(argument(target), value, "{target}");
        }
        assert_eq!(filled("[$arg_y]"), "[]");
        assert!("$arg_".parse::<Template>().is_err());
        let template: Template = "${arg_Room}s".parse().unwrap();
        assert_eq!(template.to_string(), "${arg_Room}s");
        assert_eq!(template.constant(), None);
    }

    #[test]
    fn an_unknown_variable_is_an_error() {
        let error = "x $http_upgrade".parse::<Template>().unwrap_err();
        assert_eq!(
            error,
            TemplateError {
                name: "http_upgrade".to_owned()
            }
        );
        assert_eq!(error.to_string(), "unknown variable `$http_upgrade`");
    }

    #[test]
    fn what_is_the_same_for_every_request_is_known_to_be() {
        assert_eq!("no $".parse::<Template>().unwrap().constant(), Some("no $"));
        assert_eq!("$host".parse::<Template>().unwrap().constant(), None);
    }
}
