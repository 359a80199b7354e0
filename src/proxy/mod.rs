//! One request on its way: sent to its upstream and answered, or turned into a tunnel.
//!
//! All requests go the same way: `prepare` checks and decides, by the rules of [`decision`](crate::decision), and chooses
//! the server; the request is sent, and the head of its answer is judged. There are two front ends. [`answer`] is for a request that
//! hyper has read, and whose answer hyper writes; [`pass_on`] and [`shake_hands`] are for one that was read whole, and whose answer
//! goes on as bytes where it can. What belongs to the client's connection is in [`ClientConnection`], and what belongs to one request
//! travels as values. Not here: sockets of clients, TLS, and what a tunnel does with its bytes.

mod answer;
mod answer_body;
mod connect;
mod connection;
mod current_proxy;
mod direct;
mod direct_ask;
mod direct_request;
mod error;
mod exchange;
mod first_bytes;
mod group_facts;
mod group_request;
mod lease;
mod prepare;
mod refusal;
mod report;
mod request_body;
mod route;
mod session;
mod switch;
mod through_hyper;
mod tunnel_log;
mod unreadable;
mod upstream_body;
mod upstream_request;

pub use crate::proxy::answer::Answered;
pub use crate::proxy::answer::ReadyAnswer;
pub use crate::proxy::answer_body::AnswerBody;
pub use crate::proxy::connection::ClientConnection;
pub use crate::proxy::current_proxy::CurrentProxy;
pub use crate::proxy::direct::Agreed;
pub use crate::proxy::direct::Delivery;
pub use crate::proxy::direct::DirectAnswer;
pub use crate::proxy::direct::DirectEnd;
pub use crate::proxy::direct::pass_on;
pub use crate::proxy::direct::shake_hands;
pub use crate::proxy::route::ExchangeTimeouts;
pub use crate::proxy::route::Proxy;
pub use crate::proxy::route::Route;
pub use crate::proxy::route::ServedRule;
pub use crate::proxy::switch::Switch;
pub use crate::proxy::through_hyper::answer;
pub use crate::proxy::through_hyper::answer_ready;
