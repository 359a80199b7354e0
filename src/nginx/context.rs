//! What a server and its locations are read with: the file around them, and what they inherit.

use crate::nginx::listen::Listen;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::upstreams::Groups;
use crate::nginx::variables::Constants;

/// What one server is read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileContext<'a, 't> {
    pub(super) groups: &'a Groups<'t>,
    pub(super) listens: &'a [Listen],
    /// What certificates are relative to.
    pub(super) dir: &'a str,
}

/// What a location stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerContext<'a, 't> {
    pub(super) server: &'t Directive,
    pub(super) scope: &'a Scope<'t>,
    pub(super) constants: &'a Constants,
    pub(super) file: FileContext<'a, 't>,
}
