//! The requests that clients make for the URL that a person gives them: `io(…)`, `new WebSocket(…)`,
//! `wx.connectSocket`, an address bar.
//!
//! Values in, values out. What each client requests was read in its sources and seen on the wire. Where a request leads
//! is not known here.

mod kind;
mod request;
mod url;

pub use crate::clients::kind::ClientKind;
pub use crate::clients::kind::ClientKindError;
pub use crate::clients::request::Chosen;
pub use crate::clients::request::ClientRequests;
pub use crate::clients::request::Options;
pub use crate::clients::request::OptionsError;
pub use crate::clients::request::Request;
pub use crate::clients::request::RequestKind;
pub use crate::clients::url::Scheme;
pub use crate::clients::url::Url;
pub use crate::clients::url::UrlError;
