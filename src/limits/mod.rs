//! Limits of how many connections the whole process may have, and how many connections and opening handshakes one
//! address.
//!
//! There are only numbers here, which all threads count together. What waits while there is no room, what a client is
//! told, and what the log says is left to `listener` and `proxy`.

mod addresses;
mod connections;

pub use crate::limits::addresses::AddressLimits;
pub use crate::limits::addresses::AddressPermit;
pub use crate::limits::addresses::ConnectionRefusal;
pub use crate::limits::addresses::Exceeded;
pub use crate::limits::addresses::PerAddress;
pub use crate::limits::connections::Connections;
