//! How many sockets the process may have.

use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::config::Config;
use crate::server::StartError;

/// Descriptors that a client may need: its own, and the one to its upstream.
const A_CLIENT: usize = 2;

/// Descriptors that a thread needs beside its listeners: its poll, its alarm, and another attempt to connect.
const A_THREAD: usize = 8;

/// Descriptors for all else: the log, signals, the file and its certificates when they are read again.
const BESIDE: usize = 32;

/// How many connections of clients there may be: what the file says, or what there are descriptors for.
pub(super) fn most_connections(config: &Config, threads: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let beside = BESIDE + threads * (A_THREAD + config.listeners.len());
    let room = limit.saturating_sub(beside) / A_CLIENT;
    let Some(wanted) = config.max_connections else {
        return room.max(1);
    };
    if wanted.get() > room {
        tracing::warn!(
            max_connections = wanted.get(),
            room,
            descriptors = limit,
            "there are not descriptors enough for `max_connections`: raise the limit (`ulimit -n`, in systemd LimitNOFILE=)"
        );
    }
    wanted.get()
}

/// Descriptors that the runtime and the signals of the first thread take. Without them the runtime would panic.
const FIRST: usize = 12;

/// Raises the limit of descriptors, and tries whether there are enough to begin.
///
/// # Errors
/// There are not.
pub fn descriptors_for_a_start() -> Result<(), StartError> {
    raise_limit();
    let tried: io::Result<Vec<File>> = (0..FIRST).map(|_| File::open("/dev/null")).collect();
    match tried {
        Err(error) if is_about_descriptors(&error) => Err(StartError::Descriptors(error)),
        // There may be no such file.
        _ => Ok(()),
    }
}

/// Whether this process, or this machine, has no descriptor left.
pub(super) fn is_about_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Raises the soft limit of descriptors to the hard one: many shells and systemd give 1,024, which is 500 tunnels, and a
/// hard limit of half a million that any process may ask for. What the system refuses stays as it is.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Resource;
    use rustix::process::getrlimit;
    use rustix::process::setrlimit;

    use crate::server::descriptors::raise_limit;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let mut limit = getrlimit(Resource::Nofile);
        // One less, which no other test of this process misses.
        limit.current = limit.maximum.map(|most| most - 1);
        setrlimit(Resource::Nofile, limit).expect("it may be lowered");
        raise_limit();
        let raised = getrlimit(Resource::Nofile);
        assert_eq!(raised.current, raised.maximum);
    }
}
