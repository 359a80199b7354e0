//! nginx's `return`: an answer that stands in the configuration and needs no upstream.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use http::StatusCode;

use crate::template::Template;
use crate::template::TemplateError;

/// The value of `return`: `404`, `200 ok`, `301 https://$host$request_uri`, or an address alone, which is a 302.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Return {
    status: StatusCode,
    content: ReturnContent,
}

/// What an answer by `return` has beside its status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReturnContent {
    /// Nothing is written behind the status; the body is a line of wsgate's own.
    Nothing,
    /// A text, which is the body.
    Text(Template),
    /// An address, which is the value of `Location`.
    Address(Template),
}

/// Why a text is no value of `return`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReturnError {
    /// The text is empty.
    Empty,
    /// The text begins with neither a status nor an address.
    Status(String),
    /// The status is 1xx, which is no final answer, 444, which nginx made up, or a number beyond 599.
    Unserved(u16),
    /// The status is a redirect's, and no address stands behind it.
    NoAddress(u16),
    /// A text stands behind a status whose answer has no body.
    NoBody(u16),
    /// The text has a variable that does not exist.
    Variable(TemplateError),
}

impl ReturnError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Empty | Self::Status(_) => {
                "write a status, a status and a text, or a redirect: `return: 404`, `return: 200 ok`, \
                 `return: 301 https://$host$request_uri`"
                    .to_owned()
            }
            Self::Unserved(444) => "wsgate answers every request; `return: 404` is the shortest".to_owned(),
            Self::Unserved(_) => "write a status from 200 to 599".to_owned(),
            Self::NoAddress(status) => format!("write `return: {status} https://$host$request_uri`"),
            Self::NoBody(status) => format!("write `return: {status}`"),
            Self::Variable(error) => error.help().to_owned(),
        }
    }
}

impl fmt::Display for ReturnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("`return` says nothing"),
            Self::Status(text) => write!(
                f,
                "`return` begins with neither a status nor an address: `{text}`"
            ),
            Self::Unserved(status) => write!(f, "status {status} cannot be returned"),
            Self::NoAddress(status) => write!(f, "a redirect needs an address: `{status}`"),
            Self::NoBody(status) => write!(f, "an answer {status} has no text"),
            Self::Variable(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReturnError {}

impl FromStr for Return {
    type Err = ReturnError;

    fn from_str(text: &str) -> Result<Self, ReturnError> {
        Self::read(text, &[])
    }
}

impl Return {
    /// Reads a text, in whose bytes `literal` no variable begins.
    ///
    /// # Errors
    /// It is no value of `return`.
    pub fn read(text: &str, literal: &[Range<usize>]) -> Result<Self, ReturnError> {
        let whole = text;
        let text = text.trim();
        let template = |part: &str| {
            // Each part is the end of the text, but for the space behind it.
            let start = whole.trim_end().len() - part.len();
            let moved = literal
                .iter()
                .map(|of| of.start.saturating_sub(start)..of.end.saturating_sub(start));
            let moved: Vec<_> = moved.collect();
            Template::read(part, &moved).map_err(ReturnError::Variable)
        };
        if ["http://", "https://", "$scheme://", "/"]
            .iter()
            .any(|begin| text.starts_with(begin))
        {
            return Ok(Self {
                status: StatusCode::FOUND,
                content: ReturnContent::Address(template(text)?),
            });
        }
        let (status, rest) = match text.split_once(char::is_whitespace) {
            Some((status, rest)) => (status, rest.trim()),
            None => (text, ""),
        };
        if status.is_empty() {
            return Err(ReturnError::Empty);
        }
        let number: u16 = match status.parse() {
            Ok(number) if status.len() == 3 => number,
            _ => return Err(ReturnError::Status(status.to_owned())),
        };
        let status = match StatusCode::from_u16(number) {
            Ok(status) if (200..600).contains(&number) && number != 444 => status,
            _ => return Err(ReturnError::Unserved(number)),
        };
        let content = match number {
            301 | 302 | 303 | 307 | 308 if rest.is_empty() => {
                return Err(ReturnError::NoAddress(number));
            }
            301 | 302 | 303 | 307 | 308 => ReturnContent::Address(template(rest)?),
            _ if rest.is_empty() => ReturnContent::Nothing,
            204 | 205 | 304 => return Err(ReturnError::NoBody(number)),
            _ => ReturnContent::Text(template(rest)?),
        };
        Ok(Self { status, content })
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the answer has beside the status.
    pub fn content(&self) -> &ReturnContent {
        &self.content
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::returns::Return;
    use crate::returns::ReturnContent;
    use crate::returns::ReturnError;

    #[test]
    fn the_forms_of_nginx_are_read() {
        let of = |text: &str| {
            let read: Return = text.parse().unwrap();
            let what = match read.content() {
                ReturnContent::Nothing => "nothing".to_owned(),
                ReturnContent::Text(text) => format!("text {}", text.constant().unwrap_or("..")),
                ReturnContent::Address(to) => format!("to {}", to.constant().unwrap_or("..")),
            };
            (read.status().as_u16(), what)
        };
        assert_eq!(of("404"), (404, "nothing".to_owned()));
        assert_eq!(
            of("200  all is well "),
            (200, "text all is well".to_owned())
        );
        assert_eq!(of("301 /new"), (301, "to /new".to_owned()));
        assert_eq!(of("308 https://$host"), (308, "to ..".to_owned()));
        assert_eq!(
            of("https://a.test/"),
            (302, "to https://a.test/".to_owned())
        );
        assert_eq!(of("204"), (204, "nothing".to_owned()));
    }

    #[test]
    fn what_cannot_be_returned_is_an_error() {
        for (text, error) in [
            ("", ReturnError::Empty),
            ("ok", ReturnError::Status("ok".to_owned())),
            ("0200", ReturnError::Status("0200".to_owned())),
            ("101", ReturnError::Unserved(101)),
            ("444", ReturnError::Unserved(444)),
            ("999", ReturnError::Unserved(999)),
            ("302", ReturnError::NoAddress(302)),
            ("204 text", ReturnError::NoBody(204)),
        ] {
            assert_eq!(text.parse::<Return>(), Err(error), "{text}");
        }
        assert_eq!(
            "200 $x".parse::<Return>().unwrap_err().to_string(),
            "unknown variable `$x`"
        );
    }
}
