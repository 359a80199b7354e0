//! What requests have in common that `balance: { hash: .. }` sends to one server: a text with variables, of which more may stand here
//! than elsewhere, since only here the fields of the request are at hand.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use http::HeaderMap;
use http::HeaderName;

use crate::headers::cookies;
use crate::template::Template;
use crate::template::TemplatePiece;
use crate::template::Variables;
use crate::template::pieces;

/// A text in which the variables of a [`Template`], `$cookie_NAME` and `$http_NAME` stand for what a request has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashKey {
    parts: Vec<KeyPart>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum KeyPart {
    /// What needs no field of the request.
    Template(Template),
    /// The cookie of this name.
    Cookie(String),
    /// The field of this name.
    Field(HeaderName),
}

/// Why a text is no key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HashKeyError {
    /// There is no variable of this name.
    Unknown(String),
    /// There is no variable in it, so that all requests would go to one server.
    Constant,
}

impl fmt::Display for HashKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown variable `${name}`"),
            Self::Constant => f.write_str("`hash` has no variable in it"),
        }
    }
}

impl std::error::Error for HashKeyError {}

impl HashKeyError {
    /// The name of the variable that there is not.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Unknown(name) => Some(name),
            Self::Constant => None,
        }
    }

    /// What to write instead.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unknown(name) if !name.contains(|c: char| c.is_ascii_lowercase()) => {
                "a variable of the environment is written with braces, as in `${PORT}`"
            }
            Self::Unknown(_) | Self::Constant => {
                "the variables are `$arg_NAME`, `$cookie_NAME`, `$http_NAME`, `$remote_addr`, `$host`, `$request_uri` and `$scheme`"
            }
        }
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        Self::read(text, &[])
    }
}

impl HashKey {
    /// Reads a text, in whose bytes `literal` no variable begins.
    ///
    /// # Errors
    /// A variable is unknown, or there is none.
    pub fn read(text: &str, literal: &[Range<usize>]) -> Result<Self, HashKeyError> {
        let mut parts = Vec::new();
        let mut varies = false;
        for piece in pieces(text, literal) {
            parts.push(match piece {
                // What stands for itself has no variable that could be unknown.
                TemplatePiece::Text(text) => KeyPart::Template(Template::of_text(text)),
                TemplatePiece::Name(name) => {
                    varies = true;
                    variable(name).ok_or_else(|| HashKeyError::Unknown(name.to_owned()))?
                }
            });
        }
        if varies {
            Ok(Self { parts })
        } else {
            Err(HashKeyError::Constant)
        }
    }

    /// The text for one request, whose fields are `headers`. It is empty if none of the variables has a value and there is nothing
    /// else in it.
    pub fn fill(&self, variables: &Variables<'_>, headers: &HeaderMap) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                KeyPart::Template(template) => text += &template.fill(variables),
                KeyPart::Cookie(name) => {
                    if let Some(value) = cookies::named(headers, name) {
                        text += &String::from_utf8_lossy(value.as_bytes());
                    }
                }
                KeyPart::Field(name) => {
                    for (number, line) in headers.get_all(name).iter().enumerate() {
                        text += if number > 0 { ", " } else { "" };
                        text += &String::from_utf8_lossy(line.as_bytes());
                    }
                }
            }
        }
        text
    }
}

impl fmt::Display for HashKey {
    /// As it is written, but that every name stands in braces, and a field's in small letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                KeyPart::Template(template) => write!(f, "{template}")?,
                KeyPart::Cookie(name) => write!(f, "${{cookie_{name}}}")?,
                KeyPart::Field(name) => {
                    let name = name.as_str().replace('-', "_");
                    write!(f, "${{http_{name}}}")?;
                }
            }
        }
        Ok(())
    }
}

/// The variable of this name.
fn variable(name: &str) -> Option<KeyPart> {
    if let Some(name) = name.strip_prefix("cookie_") {
        return (!name.is_empty()).then(|| KeyPart::Cookie(name.to_owned()));
    }
    if let Some(name) = name.strip_prefix("http_") {
        let name = name.replace('_', "-").parse();
        return name.ok().map(KeyPart::Field);
    }
    Template::of_variable(name).map(KeyPart::Template)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::header;

    use crate::headers::forwarded::Scheme;
    use crate::stream::ClientAddr;
    use crate::template::Variables;
    use crate::upstream::hash_key::HashKey;
    use crate::upstream::hash_key::HashKeyError;

    fn filled(text: &str, headers: &HeaderMap) -> String {
        let key = HashKey::read(text, &[]).unwrap();
        key.fill(
            &Variables {
                host: "a.test",
                remote_addr: ClientAddr::Ip("127.0.0.1:9".parse().unwrap()),
                scheme: Scheme::Http,
                request_uri: "/x?Room=7",
            },
            headers,
        )
    }

    #[test]
    fn a_key_is_filled_from_the_request() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; Sid = x=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("sid=2;b"));
        headers.append("x-room", HeaderValue::from_static("one"));
        headers.append("x-room", HeaderValue::from_static("two"));
        for (text, wanted) in [
            ("$arg_room", "7"),
            ("$remote_addr$host", "127.0.0.1a.test"),
            ("$cookie_sid", "x=y"),
            ("$cookie_b", ""),
            ("${http_X_Room}!", "one, two!"),
            ("$http_absent", ""),
            ("$scheme$request_uri", "http/x?Room=7"),
        ] {
            assert_eq!(filled(text, &headers), wanted, "{text}");
        }
    }

    #[test]
    fn a_key_is_shown_as_it_is_written() {
        for text in ["${arg_Room}", "a${cookie_Sid}b", "${http_x_room}${host}"] {
            assert_eq!(HashKey::read(text, &[]).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        for (text, error) in [
            ("$uri", HashKeyError::Unknown("uri".to_owned())),
            ("$cookie_", HashKeyError::Unknown("cookie_".to_owned())),
            ("$http_", HashKeyError::Unknown("http_".to_owned())),
            ("room", HashKeyError::Constant),
            ("", HashKeyError::Constant),
        ] {
            assert_eq!(HashKey::read(text, &[]), Err(error), "{text}");
        }
        assert_eq!(
            HashKey::read("$host", std::slice::from_ref(&(0..1))),
            Err(HashKeyError::Constant),
            "the environment has it"
        );
    }
}
