//! Names of fields as somebody wrote them. HTTP compares names without case (RFC 9110 §5.1), and not every program does.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderName;
use http::header::InvalidHeaderName;

/// The name of a field as it is written in `routes.yaml`, and as it goes out. Two names are equal if they are written alike;
/// whether they name one field is for [`name`](Self::name) to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrittenName {
    name: HeaderName,
    written: Box<str>,
}

impl WrittenName {
    /// The field that it names.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it is written as hyper writes a name that nobody spelled: `X-Api-Key`.
    pub fn is_title_case(&self) -> bool {
        let mut begins = true;
        self.written.bytes().all(|byte| {
            let is_right = if begins {
                !byte.is_ascii_lowercase()
            } else {
                !byte.is_ascii_uppercase()
            };
            begins = byte == b'-';
            is_right
        })
    }
}

impl FromStr for WrittenName {
    type Err = InvalidHeaderName;

    fn from_str(text: &str) -> Result<Self, InvalidHeaderName> {
        Ok(Self {
            name: HeaderName::from_bytes(text.as_bytes())?,
            written: text.into(),
        })
    }
}

impl fmt::Display for WrittenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// How names of fields are spelled in a head, whatever spelling the head has for them. A name that it has twice is for the last two
/// lines of that name: what wsgate writes stands behind what came from the other side.
#[derive(Clone, Debug, Default)]
pub struct Spelling(Option<Arc<[WrittenName]>>);

impl Spelling {
    /// The spelling of this name, if it has one.
    pub fn of(&self, name: &HeaderName) -> Option<&[u8]> {
        let names = self.0.as_deref()?;
        let found = names.iter().find(|known| known.name == *name)?;
        Some(found.written.as_bytes())
    }

    /// The names, as they are spelled.
    pub fn names(&self) -> &[WrittenName] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<WrittenName> for Spelling {
    fn from_iter<I: IntoIterator<Item = WrittenName>>(names: I) -> Self {
        let names: Vec<WrittenName> = names.into_iter().collect();
        Self((!names.is_empty()).then(|| names.into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::headers::spelling::Spelling;
    use crate::headers::spelling::WrittenName;

    #[test]
    fn a_name_is_kept_as_it_is_written() {
        let name: WrittenName = "X-API_key".parse().unwrap();
        assert_eq!(
            (name.as_str(), name.name().as_str()),
            ("X-API_key", "x-api_key")
        );
        assert!("X Y".parse::<WrittenName>().is_err());
        let spelling: Spelling = [name.clone()].into_iter().collect();
        assert_eq!(spelling.of(name.name()), Some(&b"X-API_key"[..]));
        assert_eq!(Spelling::default().of(name.name()), None);
    }

    #[test]
    fn title_case_is_what_hyper_writes() {
        for (text, is_title_case) in [
            ("X-Api-Key", true),
            ("Etag", true),
            ("X-2a", true),
            ("X_real", true),
            ("X-API-Key", false),
            ("x-api-key", false),
            ("ETag", false),
            ("X-_A", false),
        ] {
            let name: WrittenName = text.parse().unwrap();
            assert_eq!(name.is_title_case(), is_title_case, "{text}");
        }
    }
}
