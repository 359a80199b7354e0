//! What clients request when a person gives them a URL: `io(…)`, `new WebSocket(…)`, `wx.connectSocket`, an address bar.
//!
//! Values in, values out. Which requests these are is read in the clients' own sources and was seen on the wire; where
//! they lead is not known here.

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
