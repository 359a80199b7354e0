//! Where requests go: which address, how a connection to it is made, and HTTP/1.1 over it.
//!
//! [`ProxyPass`] is what the configuration says, [`Server`] is that with what its TLS needs, an [`Upstream`] is one server or a
//! [`Group`] of them, of which a [`Choice`] is made for one request, [`connect`] opens a socket, [`Connection`] speaks HTTP over it through hyper, and
//! [`IdleConnection`] is one between two requests, over which hyper does not speak. [`answers`] and [`ask`] ask a server outside
//! of any client's request. A connection belongs to one client connection; nothing here is shared between clients, since a
//! shared pool breaks Engine.IO workers that keep sessions per connection.

mod balance;
mod choice;
mod choice_input;
mod connect;
mod connect_error;
mod connection;
mod group;
mod group_parts;
mod group_set;
mod group_settings;
mod group_words;
mod hash_key;
mod idle_connection;
mod lookup;
mod member;
mod member_state;
mod probe;
mod proxy_pass;
mod server;
mod sticky_cookie;
mod target;

use std::time::Duration;

pub use crate::upstream::choice::Choice;
pub use crate::upstream::choice::ChosenBy;
pub use crate::upstream::choice_input::ChoiceInput;
pub use crate::upstream::connect::Connected;
pub use crate::upstream::connect::connect;
pub use crate::upstream::connect_error::Blame;
pub use crate::upstream::connect_error::ConnectError;
pub use crate::upstream::connection::Connection;
pub use crate::upstream::connection::SendError;
pub use crate::upstream::connection::close;
pub use crate::upstream::group::Group;
pub use crate::upstream::group_parts::GroupState;
pub use crate::upstream::group_parts::WrittenServer;
pub use crate::upstream::group_set::EntryName;
pub use crate::upstream::group_settings::Balance;
pub use crate::upstream::group_settings::GroupSettings;
pub use crate::upstream::group_settings::HealthCheck;
pub use crate::upstream::group_settings::MOST_TURNS;
pub use crate::upstream::group_settings::Sticky;
pub use crate::upstream::group_settings::StickyCookie;
pub use crate::upstream::hash_key::HashKey;
pub use crate::upstream::hash_key::HashKeyError;
pub use crate::upstream::idle_connection::IdleConnection;
pub use crate::upstream::member::Member;
pub use crate::upstream::member::MemberSettings;
pub use crate::upstream::member_state::ConnectAttempt;
pub use crate::upstream::member_state::MemberState;
pub use crate::upstream::member_state::OpenGuard;
pub use crate::upstream::probe::AskTimeouts;
pub use crate::upstream::probe::ProbeAnswer;
pub use crate::upstream::probe::ProbeError;
pub use crate::upstream::probe::answers;
pub use crate::upstream::probe::ask;
pub use crate::upstream::proxy_pass::Address;
pub use crate::upstream::proxy_pass::GroupUrl;
pub use crate::upstream::proxy_pass::Host;
pub use crate::upstream::proxy_pass::ProxyPass;
pub use crate::upstream::proxy_pass::ProxyPassError;
pub use crate::upstream::proxy_pass::Scheme;
pub use crate::upstream::proxy_pass::WrittenProxyPass;
pub use crate::upstream::server::Server;
pub use crate::upstream::target::Servers;
pub use crate::upstream::target::Upstream;

/// Longest idleness after which a connection is used again. Node's servers close theirs after 5 s
/// (`server.keepAliveTimeout`), and a request that crosses that end is lost.
const REUSE_WITHIN: Duration = Duration::from_secs(4);
