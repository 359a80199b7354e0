//! The header fields that `set_headers` cannot set. The rules of `routes.yaml` and the import of an nginx.conf ask.

use http::HeaderName;
use http::header;

/// Fields that belong to a connection or to its framing, or that the answer to an upgrade is computed from.
pub(super) const NEVER_SET: [HeaderName; 10] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::PROXY_AUTHORIZATION,
];

/// Whether `name` is a field that `set_headers` cannot set: wsgate writes it for each connection and message.
pub(crate) fn is_never_set(name: &HeaderName) -> bool {
    NEVER_SET.contains(name)
}
