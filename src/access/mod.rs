//! Who may, as values: origins of pages, networks of addresses.
//!
//! Pure: what a request has in, an answer out. Where the answer counts, and who of two addresses is the client, is for `proxy`
//! to say.

mod network;
mod origin;

use std::fmt;

pub use crate::access::network::Network;
pub use crate::access::network::NetworkError;
pub use crate::access::network::Networks;
pub use crate::access::origin::MissingOrigin;
pub use crate::access::origin::Origin;
pub use crate::access::origin::OriginError;
pub use crate::access::origin::OriginHost;
pub use crate::access::origin::Origins;

/// Who may ask a route. By default everybody.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// Whose pages may open a WebSocket; `None`: everybody's.
    pub origins: Option<Origins>,
}

impl Access {
    /// What is made of an upgrade request without `Origin`.
    pub fn missing_origin(&self) -> MissingOrigin {
        self.origins
            .as_ref()
            .map_or(MissingOrigin::Allow, |origins| origins.missing)
    }
}

/// Why somebody may not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Forbidden {
    /// The page that opens the WebSocket is of this origin; not more of it than can be shown.
    Origin(String),
    /// The request has several lines of `Origin`.
    Origins,
    /// It has none.
    NoOrigin,
}

impl Forbidden {
    /// The key that says so.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Origin(_) | Self::Origins => "allowed_origins",
            Self::NoOrigin => "missing_origin",
        }
    }

    /// What the client is told.
    pub fn told(&self) -> &'static str {
        match self {
            Self::Origin(_) => {
                "pages of this origin may not open a WebSocket here (allowed_origins)"
            }
            Self::Origins => {
                "a request with several Origin lines may not open a WebSocket here (allowed_origins)"
            }
            Self::NoOrigin => "without an Origin no WebSocket is opened here (missing_origin)",
        }
    }
}

/// With the key, so that whoever reads the log finds it in the file.
impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by `{}`: ", self.key())?;
        match self {
            Self::Origin(origin) => write!(f, "origin {origin} is not among them"),
            Self::Origins => f.write_str("several Origin lines"),
            Self::NoOrigin => f.write_str("no Origin"),
        }
    }
}

impl std::error::Error for Forbidden {}
