//! How many sockets the process may have.

use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

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
