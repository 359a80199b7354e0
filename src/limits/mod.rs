//! How many: the connections of the whole process, and what one address may have of them.
//!
//! Only numbers, which all threads count together: what waits while there is no room, what a client is told and what is said
//! of it in the log is left to `listener` and `proxy`.

mod addresses;
mod connections;

pub use crate::limits::addresses::Addresses;
pub use crate::limits::addresses::Crowded;
pub use crate::limits::addresses::Exceeded;
pub use crate::limits::addresses::PerAddress;
pub use crate::limits::addresses::Share;
pub use crate::limits::connections::Connections;
