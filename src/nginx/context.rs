//! What a `server` block and its `location` blocks are translated with: facts about the whole file, and about the
//! server.

use crate::nginx::handed_on::Targets;
use crate::nginx::listen::Listen;
use crate::nginx::rewrite_phase::Step;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::upstreams::Groups;
use crate::nginx::variables::Constants;

/// The facts about the whole file with which a server is translated.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileContext<'a, 't> {
    /// The `upstream` blocks.
    pub(super) groups: &'a Groups<'t>,
    /// The variables of `map` blocks that have one value, without their dollar sign, and that value.
    pub(super) maps: &'a [(String, String)],
    /// The addresses of all servers, to which no upstream may lead back.
    pub(super) listens: &'a [Listen],
    /// The directory to which the paths of certificates are relative.
    pub(super) dir: &'a str,
}

/// The facts about a server with which its locations are translated.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerContext<'a, 't> {
    /// The `server` block.
    pub(super) server: &'t Directive,
    /// The directives that the server's locations inherit.
    pub(super) scope: &'a Scope<'t>,
    /// The variables that have one value in this server.
    pub(super) constants: &'a Constants,
    /// What the server does with every request before a location is chosen.
    pub(super) steps: &'a [Step<'t>],
    /// The locations of the server to which a `rewrite` may hand requests on.
    pub(super) targets: &'a Targets<'t>,
    /// The facts about the file that the server stands in.
    pub(super) file: FileContext<'a, 't>,
}
