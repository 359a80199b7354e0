//! What checks in a row say of a server. Pure.

use crate::server::health::pace::Pace;

/// The checks of one server that had the same outcome without another one in between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    failed: u32,
    passed: u32,
}

/// What a check means after those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sentence {
    /// Nothing yet.
    Nothing,
    /// It has failed as often as makes it go down, just now or some time ago.
    Down,
    /// It has passed as often as makes it come up.
    Up,
}

impl Judge {
    /// Judges another check.
    pub(super) fn judge(&mut self, has_passed: bool, pace: &Pace) -> Sentence {
        if has_passed {
            self.failed = 0;
            self.passed = self.passed.saturating_add(1);
            return match self.passed >= pace.rise {
                true => Sentence::Up,
                false => Sentence::Nothing,
            };
        }
        self.passed = 0;
        self.failed = self.failed.saturating_add(1);
        match self.failed >= pace.fall {
            true => Sentence::Down,
            false => Sentence::Nothing,
        }
    }

    /// The server could not be reached by requests: what it has passed before counts no more.
    pub(super) fn forget_passed(&mut self) {
        self.passed = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::server::health::judge::Judge;
    use crate::server::health::judge::Sentence;
    use crate::server::health::pace::Pace;

    #[test]
    fn three_failures_in_a_row_are_a_fall_and_two_passes_a_rise() {
        let mut judge = Judge::default();
        for (outcomes, sentence) in [
            ("pff", Sentence::Nothing),
            ("p", Sentence::Nothing),
            ("p", Sentence::Up),
            ("ffpff", Sentence::Nothing),
            ("f", Sentence::Down),
            ("f", Sentence::Down),
            ("p", Sentence::Nothing),
            ("f", Sentence::Nothing),
            ("pp", Sentence::Up),
        ] {
            let all = outcomes.chars();
            let judged = all.map(|outcome| judge.judge(outcome == 'p', &Pace::USUAL));
            assert_eq!(judged.last(), Some(sentence), "{outcomes}");
        }
        judge.forget_passed();
        assert_eq!(judge.judge(true, &Pace::USUAL), Sentence::Nothing);
        assert_eq!(judge.judge(true, &Pace::USUAL), Sentence::Up);
    }
}
