//! What was measured: figures of every contender, round by round, and how they compare.
//!
//! Figures of the same round are compared with each other, since a machine's mood changes from round to round. How they
//! were taken is left to the measures, and how they look to `report`.

/// What was measured, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The reference, nginx, is the first; wsgate is the last.
    pub(crate) contenders: Vec<Contender>,
    /// Date, machine, kernel, command, rounds and the like: what it is, and its value.
    pub(crate) about: Vec<(String, String)>,
    /// In the order of the report.
    pub(crate) sections: Vec<Section>,
    /// What had to be scaled down, and why.
    pub(crate) notes: Vec<String>,
}

/// One of the proxies.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// As it is called in tables.
    pub(crate) name: &'static str,
    /// As it says itself.
    pub(crate) version: String,
    /// The text of its configuration file.
    pub(crate) configuration: String,
}

/// Figures that are measured alike.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// What is measured.
    pub(crate) title: String,
    /// How, in a sentence or two.
    pub(crate) how: String,
    /// In the order of the report.
    pub(crate) figures: Vec<Figure>,
}

/// One thing that was measured of every contender, several times.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What sets it apart from the others of its section.
    pub(crate) name: String,
    /// `µs`, `KiB`, `MiB/s` and the like.
    pub(crate) unit: &'static str,
    /// Which way is up.
    pub(crate) better: Better,
    /// What wsgate is to reach.
    pub(crate) target: Target,
    /// For each round the contenders in the report's order; `None` where it could not be measured.
    pub(crate) rounds: Vec<Vec<Option<f64>>>,
}

/// Whether a smaller or a larger figure is the better one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Better {
    /// Time, memory.
    Less,
    /// Throughput.
    More,
}

/// What wsgate is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// To nginx's figure of the same round.
    Ratio {
        /// Worse than that is not good enough.
        must: f64,
        /// That is what we are after.
        goal: f64,
    },
    /// In the figure's own unit.
    Figure {
        /// Worse than that is not good enough.
        must: f64,
        /// That is what we are after.
        goal: f64,
    },
    /// Nothing: measured to be known.
    None,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// What we are after, or better.
    Goal,
    /// Good enough.
    Must,
    /// Not good enough.
    Missed,
    /// There is no target or no figure.
    Untold,
}

impl Figure {
    /// The median over the rounds in which this contender was measured.
    pub(crate) fn median(&self, contender: usize) -> Option<f64> {
        median(self.of(contender).collect())
    }

    /// This contender's best round.
    pub(crate) fn best(&self, contender: usize) -> Option<f64> {
        self.of(contender).reduce(match self.better {
            Better::Less => f64::min,
            Better::More => f64::max,
        })
    }

    /// The median over the rounds of one contender's figure divided by another's of the same round.
    ///
    /// A round is left out in which one of them was not measured, and one in which the other's figure is not above zero:
    /// a difference of two measurements can be anything, and then nothing is a multiple of it.
    pub(crate) fn ratio(&self, of: usize, to: usize) -> Option<f64> {
        let pairs = self.rounds.iter().filter_map(|round| {
            let other = measured(round, to).filter(|other| *other > 0.0)?;
            Some(measured(round, of)? / other)
        });
        median(pairs.collect())
    }

    /// One contender's best round divided by another's best, if both are above zero.
    pub(crate) fn best_ratio(&self, of: usize, to: usize) -> Option<f64> {
        let above_zero = |contender| self.best(contender).filter(|best| *best > 0.0);
        Some(above_zero(of)? / above_zero(to)?)
    }

    /// What became of the target, by medians.
    pub(crate) fn verdict(&self, ours: usize, reference: usize) -> Verdict {
        let (figure, must, goal) = match self.target {
            Target::Ratio { must, goal } => (self.ratio(ours, reference), must, goal),
            Target::Figure { must, goal } => (self.median(ours), must, goal),
            Target::None => return Verdict::Untold,
        };
        match figure {
            None => Verdict::Untold,
            Some(figure) if self.reaches(figure, goal) => Verdict::Goal,
            Some(figure) if self.reaches(figure, must) => Verdict::Must,
            Some(_) => Verdict::Missed,
        }
    }

    fn reaches(&self, figure: f64, mark: f64) -> bool {
        match self.better {
            Better::Less => figure <= mark,
            Better::More => figure >= mark,
        }
    }

    fn of(&self, contender: usize) -> impl Iterator<Item = f64> {
        self.rounds
            .iter()
            .filter_map(move |round| measured(round, contender))
    }
}

/// A contender's figure of a round; what was divided by zero is none.
fn measured(round: &[Option<f64>], contender: usize) -> Option<f64> {
    let figure = round.get(contender).copied().flatten()?;
    figure.is_finite().then_some(figure)
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    if figures.len() % 2 == 1 {
        return Some(upper);
    }
    Some((figures[figures.len() / 2 - 1] + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::Better;
    use super::Figure;
    use super::Target;
    use super::Verdict;

    /// The figures of nginx and of wsgate, a pair a round.
    fn figure(better: Better, target: Target, rounds: &[[Option<f64>; 2]]) -> Figure {
        Figure {
            name: "ws".to_owned(),
            unit: "µs",
            better,
            target,
            rounds: rounds.iter().map(|round| round.to_vec()).collect(),
        }
    }

    fn less(rounds: &[[Option<f64>; 2]]) -> Figure {
        figure(Better::Less, Target::None, rounds)
    }

    #[test]
    fn the_median_of_an_odd_number_of_rounds_is_the_middle_one() {
        let figure = less(&[[Some(9.0), None], [Some(1.0), None], [Some(2.0), Some(7.0)]]);
        assert_eq!(figure.median(0), Some(2.0));
        assert_eq!(figure.median(1), Some(7.0));
    }

    #[test]
    fn the_median_of_an_even_number_of_rounds_is_between_the_middle_ones() {
        let figure = less(&[
            [Some(9.0), Some(4.0)],
            [Some(1.0), None],
            [Some(2.0), Some(f64::INFINITY)],
            [Some(3.0), Some(5.0)],
        ]);
        assert_eq!(figure.median(0), Some(2.5));
        assert_eq!(figure.median(1), Some(4.5));
    }

    #[test]
    fn what_was_never_measured_has_no_figure() {
        let figure = less(&[[Some(9.0), None], [Some(1.0), Some(f64::NAN)]]);
        assert_eq!(figure.median(1), None);
        assert_eq!(figure.best(1), None);
        assert_eq!(figure.ratio(1, 0), None);
        assert_eq!(figure.best_ratio(1, 0), None);
        assert_eq!(figure.median(2), None);
        assert_eq!(less(&[]).median(0), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let figure = less(&[
            [Some(10.0), Some(5.0)],
            [None, Some(100.0)],
            [Some(100.0), Some(40.0)],
            [Some(1.0), None],
            [Some(1000.0), Some(300.0)],
        ]);
        assert_eq!(figure.ratio(1, 0), Some(0.4));
        assert_eq!(figure.ratio(0, 1), Some(2.5));
    }

    #[test]
    fn nothing_is_a_multiple_of_zero_or_less() {
        let figure = less(&[
            [Some(0.0), Some(5.0)],
            [Some(-2.0), Some(4.0)],
            [Some(4.0), Some(-1.0)],
        ]);
        assert_eq!(figure.ratio(1, 0), Some(-0.25));
        assert_eq!(figure.best_ratio(1, 0), None);
        assert_eq!(less(&[[Some(0.0), Some(5.0)]]).ratio(1, 0), None);
    }

    #[test]
    fn the_best_is_the_smallest_or_the_largest() {
        let rounds = [[Some(4.0), Some(2.0)], [Some(8.0), Some(10.0)]];
        let less = figure(Better::Less, Target::None, &rounds);
        assert_eq!(less.best(1), Some(2.0));
        assert_eq!(less.best_ratio(1, 0), Some(0.5));
        let more = figure(Better::More, Target::None, &rounds);
        assert_eq!(more.best(1), Some(10.0));
        assert_eq!(more.best_ratio(1, 0), Some(1.25));
    }

    #[test]
    fn a_verdict_knows_which_way_is_up() {
        let verdict = |better, must, goal| {
            let target = Target::Ratio { must, goal };
            figure(better, target, &[[Some(2.0), Some(4.0)]]).verdict(1, 0)
        };
        assert_eq!(verdict(Better::More, 1.0, 2.0), Verdict::Goal);
        assert_eq!(verdict(Better::More, 2.0, 3.0), Verdict::Must);
        assert_eq!(verdict(Better::More, 2.5, 3.0), Verdict::Missed);
        assert_eq!(verdict(Better::Less, 3.0, 2.0), Verdict::Goal);
        assert_eq!(verdict(Better::Less, 2.0, 1.0), Verdict::Must);
        assert_eq!(verdict(Better::Less, 1.0, 0.5), Verdict::Missed);
    }

    #[test]
    fn a_target_in_the_figures_own_unit_needs_no_other_contender() {
        let target = Target::Figure {
            must: 3.0,
            goal: 2.0,
        };
        let verdict = |ours| figure(Better::Less, target, &[[None, ours]]).verdict(1, 0);
        assert_eq!(verdict(Some(2.0)), Verdict::Goal);
        assert_eq!(verdict(Some(3.0)), Verdict::Must);
        assert_eq!(verdict(Some(3.1)), Verdict::Missed);
        assert_eq!(verdict(None), Verdict::Untold);
    }

    #[test]
    fn there_is_no_verdict_without_target_or_figure() {
        let ratio = Target::Ratio {
            must: 1.0,
            goal: 1.0,
        };
        assert_eq!(
            less(&[[Some(1.0), Some(1.0)]]).verdict(1, 0),
            Verdict::Untold
        );
        let apart = figure(Better::Less, ratio, &[[Some(1.0), None], [None, Some(1.0)]]);
        assert_eq!(apart.verdict(1, 0), Verdict::Untold);
    }
}
