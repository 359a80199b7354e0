//! The `wsgate` command: sets the allocator, and calls [`wsgate::cli::main`].

use std::process::ExitCode;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The options of jemalloc, which it reads from this symbol before `main`.
///
/// With them memory that a reconnect storm took goes back to the system within about a second, by a thread of the
/// allocator's own, and a thread keeps few freed pieces for itself.
#[cfg(not(target_env = "msvc"))]
#[allow(unsafe_code)] // the symbol's name is jemalloc's, and nothing else here defines it
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 104] =
    b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,tcache_max:16384,tcache_nslots_small_max:16\0";

fn main() -> ExitCode {
    wsgate::cli::main()
}
