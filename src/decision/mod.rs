//! What becomes of a request: checked, decided by the table of routes, and rewritten for the upstream. Values in, values out.
//!
//! [`check`] refuses what two readers could understand differently, [`decide`](decide()) finds the rule that takes a request and
//! what it says, [`admit`] asks whether this client may, and [`rewrite`] turns the client's head into the upstream's.
//! [`response`] checks and rewrites the upstream's answer. Serving and explaining ask the same functions, so that what is
//! explained is what is served. Nothing here reaches a socket, a clock or a count: what a route leads to is a type parameter.

mod client;
mod decide;
mod own_answer;
mod real_ip;
mod request;
pub mod response;
mod rule;

pub use crate::decision::client::Client;
pub use crate::decision::client::Redirect;
pub use crate::decision::decide::Becomes;
pub use crate::decision::decide::Decision;
pub use crate::decision::decide::Passing;
pub use crate::decision::decide::Refusal;
pub use crate::decision::decide::admit;
pub use crate::decision::decide::decide;
pub use crate::decision::decide::rewrite;
pub use crate::decision::real_ip::RealIp;
pub use crate::decision::request::Checked;
pub use crate::decision::request::Framing;
pub use crate::decision::request::RequestError;
pub use crate::decision::request::check;
pub use crate::decision::request::may_be_repeated;
pub use crate::decision::rule::Action;
pub use crate::decision::rule::Forward;
pub use crate::decision::rule::Rule;
