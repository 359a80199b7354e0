//! A report as people see it: Markdown to read, and an SVG chart.

mod chart;
mod markdown;
mod svg;

use crate::figures::Report;

/// The contender that the others are compared with.
const REFERENCE: usize = 0;

impl Report {
    /// Who is compared with whom.
    fn title(&self) -> String {
        let names: Vec<_> = self.contenders.iter().map(|it| it.name).collect();
        match names.split_last() {
            Some((ours, others)) if !others.is_empty() => {
                format!("{ours} beside {}", others.join(" and "))
            }
            _ => names.concat(),
        }
    }

    /// The contender that the targets are for.
    fn ours(&self) -> usize {
        self.contenders.len().saturating_sub(1)
    }
}

/// With three significant digits.
fn three_digits(figure: f64) -> String {
    // Rounded first: 9.996 has a digit more before the point than it seems to.
    let rounded: f64 = format!("{figure:.2e}").parse().unwrap_or(figure);
    let decimals = match rounded.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    let plain = format!("{rounded:.decimals$}");
    if rounded.abs() < 1000.0 {
        return plain;
    }
    let mut grouped = String::new();
    for (index, digit) in plain.chars().enumerate() {
        let left = plain.len() - index;
        if left.is_multiple_of(3) && grouped.ends_with(|last: char| last.is_ascii_digit()) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::three_digits;

    #[test]
    fn figures_have_three_significant_digits() {
        for (figure, text) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (0.3336, "0.334"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (-12.34, "-12.3"),
            (99.96, "100"),
            (999.6, "1,000"),
            (1234.0, "1,230"),
            (-123_456.0, "-123,000"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(three_digits(figure), text);
        }
    }
}
