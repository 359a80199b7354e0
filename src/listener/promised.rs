//! A tunnel whose 101 is out.

use crate::proxy::Switch;
use crate::stream::Stream;
use crate::tunnel::End;

/// Both ends of a tunnel that is about to begin.
pub(super) struct PromisedTunnel {
    pub(super) client: End<Stream>,
    pub(super) switch: Box<Switch>,
}
