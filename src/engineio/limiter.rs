//! How often the same is said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Between two lines that say the same of the same route.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// What was said of which route, and when. There is one entry for each kind of finding and each route at most.
#[derive(Debug, Default)]
pub(super) struct Limiter(HashMap<(&'static str, Option<Arc<str>>), LastSaid>);

#[derive(Debug)]
struct LastSaid {
    at: Instant,
    left_out: u64,
}

impl Limiter {
    /// Whether this may be said now, and how often it was not since it was said last.
    pub(super) fn admit(
        &mut self,
        kind: &'static str,
        route: Option<&Arc<str>>,
        now: Instant,
    ) -> Option<u64> {
        let Some(said) = self.0.get_mut(&(kind, route.cloned())) else {
            let said = LastSaid {
                at: now,
                left_out: 0,
            };
            self.0.insert((kind, route.cloned()), said);
            return Some(0);
        };
        if now.saturating_duration_since(said.at) < INTERVAL {
            said.left_out += 1;
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;
    use std::time::Instant;

    use crate::engineio::limiter::INTERVAL;
    use crate::engineio::limiter::Limiter;

    #[test]
    fn the_same_of_the_same_route_is_said_once_an_interval_with_a_count() {
        let mut limiter = Limiter::default();
        let (here, there): (Arc<str>, Arc<str>) = ("routes.yaml:4".into(), "routes.yaml:6".into());
        let begin = Instant::now();
        assert_eq!(limiter.admit("a", Some(&here), begin), Some(0));
        assert_eq!(limiter.admit("a", Some(&there), begin), Some(0));
        assert_eq!(limiter.admit("b", Some(&here), begin), Some(0));
        assert_eq!(limiter.admit("a", None, begin), Some(0));
        let late = begin + INTERVAL - Duration::from_nanos(1);
        for _ in 0..1000 {
            assert_eq!(limiter.admit("a", Some(&here), late), None);
        }
        assert_eq!(limiter.admit("a", Some(&there), late), None);
        assert_eq!(
            limiter.admit("a", Some(&here), begin + INTERVAL),
            Some(1000)
        );
        assert_eq!(limiter.admit("a", Some(&here), begin + INTERVAL), None);
        assert_eq!(limiter.admit("a", Some(&there), begin + INTERVAL), Some(1));
        assert_eq!(
            limiter.admit("b", Some(&here), begin + 5 * INTERVAL),
            Some(0)
        );
        // A clock that goes back says nothing too often.
        assert_eq!(limiter.admit("b", Some(&here), begin), None);
        assert_eq!(limiter.0.len(), 4);
    }
}
