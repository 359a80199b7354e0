//! Choices that come again with the same seed: SplitMix64.

use std::time::Duration;

/// A source of choices.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The choices of one thing: each has its own, so that what others do in the meantime changes nothing.
    pub(crate) fn of(seed: u64, thing: u64) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.next() ^ thing.wrapping_mul(0xd605_1d4d_bd2d_3a2b);
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// A number from `least` up to and without `end`.
    pub(crate) fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.below(end - least)
    }

    /// The same for what sizes are counted in.
    pub(crate) fn size(&mut self, least: usize, end: usize) -> usize {
        least + self.below((end - least) as u64) as usize
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }

    /// One of these, each as often as the number beside it says.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let all = choices.iter().map(|(_, weight)| weight).sum();
        let mut at = self.below(all);
        for (choice, weight) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        unreachable!("less than all of them")
    }

    /// A time between nothing and twice the mean.
    pub(crate) fn pause(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.below(2000) as f64 / 1000.0)
    }
}
