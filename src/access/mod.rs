//! Who may, as values: networks of addresses.
//!
//! Pure: an address in, an answer out. What becomes of a request that may not, and who of two addresses is the client, is
//! for `proxy` to say.

mod network;

pub use crate::access::network::Network;
pub use crate::access::network::NetworkError;
pub use crate::access::network::Networks;
