//! What single header fields mean, without any input or output.
//!
//! [`lists`] reads list-based fields, [`values`] compares the value of any field, [`hop_by_hop`] removes what concerns one
//! connection only, [`upgrade`] says what a request asks to become and whether an answer agrees, [`host`] reads `Host`,
//! [`transfer_coding`] `Transfer-Encoding`, [`forwarded`] says who asked, and [`spelling`] keeps names as they are written.

pub mod cookies;
pub mod forwarded;
pub mod hop_by_hop;
pub mod host;
pub mod lists;
pub mod spelling;
pub mod transfer_coding;
pub mod upgrade;
pub mod values;
