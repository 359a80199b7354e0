//! Whether a connection is one too many of its address.

use crate::limits::AddressPermit;
use crate::limits::ConnectionRefusal;
use crate::listener::Context;
use crate::observe::ConnectionFailure;
use crate::stream::ClientAddr;

/// What is counted of a client that has just come, if anything is.
///
/// # Errors
/// It is to be closed at once, and the observer has heard of it.
pub(super) fn admitted(
    address: ClientAddr,
    context: &Context,
) -> Result<Option<Box<AddressPermit>>, ConnectionRefusal> {
    let serving = context.current_proxy.load();
    // A trusted proxy has many clients, who are counted by their requests.
    if serving.trusted.contain(address.ip()) {
        return Ok(None);
    }
    let counted = serving.addresses.connect(address.ip());
    if let Err(ConnectionRefusal { exceeded, is_news }) = &counted {
        let failure = ConnectionFailure::PerIp {
            limit: exceeded.key(),
            reason: exceeded,
            is_news: *is_news,
        };
        context.observer.connection_failed(address, failure);
    }
    counted
}
