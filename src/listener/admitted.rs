//! Whether a connection is one too many of its address.

use std::net::SocketAddr;

use crate::limits::Crowded;
use crate::limits::Share;
use crate::listener::Context;

/// What is counted of a client that has just come, if anything is.
///
/// # Errors
/// It is to be closed at once; that is in the log, once a minute for each address.
pub(super) fn admitted(
    address: SocketAddr,
    context: &Context,
) -> Result<Option<Box<Share>>, Crowded> {
    let proxy = context.handle.load();
    // A proxy has many clients, who are counted by their requests.
    if proxy.trusted.contain(address.ip()) {
        return Ok(None);
    }
    let counted = proxy.addresses.connect(address.ip());
    if let Err(Crowded {
        exceeded,
        is_news: true,
    }) = counted
    {
        tracing::warn!(
            remote_addr = address.to_string().as_str(),
            limit = exceeded.key(),
            reason = exceeded.to_string().as_str(),
            "connections are closed without an answer while others of this address wait for one"
        );
    }
    counted
}
