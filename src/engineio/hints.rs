//! What to do, in words that the log and `wsgate explain` share.

/// Behind a server that does not answer, or not as one of Socket.IO.
pub const OTHER_PATH: &str = "the server's option `path` and the client's must be the same, and what `proxy_pass` has as a path \
                              replaces the location";

/// Behind an upgrade request that was not answered.
pub const CLOSED_UPGRADE: &str = "a Socket.IO server does so about a second after an upgrade request for a path that is not its own";

/// Behind a redirect that an upgrade request got.
pub const NOT_REDIRECTED: &str =
    "no WebSocket client follows a redirect: give it the address to which this one leads";

/// Behind a request for `/socket.io`.
pub fn no_slash(path: &str) -> String {
    format!("no Socket.IO server answers at `{path}`: its clients ask for `{path}/`, with a slash")
}
