//! Which turn of a group's sequence is the next one.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// The next turn of a group, which all threads share. Each turn is taken once.
///
/// It has a cache line of its own (two, since processors fetch them in pairs): it is written with nearly every choice, and what is
/// beside it only read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(in crate::upstream) struct Cursor(AtomicUsize);

impl Cursor {
    /// Takes the next turn.
    pub(in crate::upstream) fn take(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the next turn that is wanted, and those before it, so that nobody is given them. `None` if none of the next `within`
    /// turns is wanted; none is taken then.
    ///
    /// This is the same as taking one turn after the other until a wanted one comes, but for the price of one.
    pub(super) fn take_first(
        &self,
        within: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut next = self.0.load(Ordering::Relaxed);
        loop {
            let mut turns = (0..within).map(|ahead| next.wrapping_add(ahead));
            let turn = turns.find(|turn| is_wanted(*turn))?;
            let after = turn.wrapping_add(1);
            let taken =
                self.0
                    .compare_exchange_weak(next, after, Ordering::Relaxed, Ordering::Relaxed);
            match taken {
                Ok(_) => return Some(turn),
                Err(moved) => next = moved,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::balance::cursor::Cursor;

    #[test]
    fn turns_that_nobody_wants_are_passed_over_once_and_for_all() {
        let cursor = Cursor::default();
        assert_eq!(cursor.take(), 0);
        assert_eq!(cursor.take_first(3, |turn| turn % 3 == 0), Some(3));
        assert_eq!(cursor.take(), 4);
        assert_eq!(cursor.take_first(9, |_| false), None);
        assert_eq!(cursor.take(), 5);
    }

    #[test]
    fn the_count_of_turns_may_run_over() {
        let cursor = Cursor(usize::MAX.into());
        assert_eq!(cursor.take_first(3, |turn| turn == 1), Some(1));
        assert_eq!(cursor.take(), 2);
    }
}
