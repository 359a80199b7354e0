//! Advice in words that the log and `wsgate explain` share.

/// What to do when a server does not answer as one of Socket.IO does.
pub const OTHER_PATH: &str = "the server's option `path` and the client's must be the same, and what `proxy_pass` \
     has as a path replaces the location";

/// What may be the reason when an upgrade request was not answered.
pub const CLOSED_UPGRADE: &str = "a Socket.IO server does so about a second after an upgrade request for a path \
     that is not its own";

/// What to do when an upgrade request was answered by a redirect.
pub const NOT_REDIRECTED: &str =
    "no WebSocket client follows a redirect: give it the address to which this one leads";

/// What to do when a request was for `path`, which is Socket.IO's without the last slash.
pub fn no_slash(path: &str) -> String {
    format!("no Socket.IO server answers at `{path}`: its clients ask for `{path}/`, with a slash")
}
