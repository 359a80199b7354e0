//! What came of a soak over its time, as one SVG picture: latency, memory, descriptors.

use std::fmt::Write as _;

use crate::run::Outcome;
use crate::samples::Sample;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 54.0;
const TOP: f64 = 70.0;

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11px;fill:#495057}\
.title{font-size:18px;font-weight:600;fill:#212529}.heading{font-size:13px;font-weight:600;fill:#212529}\
.axis{text-anchor:end}.time{text-anchor:middle}.grid{stroke:#e3e6ea}\
.ours{stroke:#e8590c;stroke-width:1.6;fill:none}.other{stroke:#8ba3bd;stroke-width:1.4;fill:none}\
.half{stroke:#e8590c;stroke-width:1.2;stroke-dasharray:2 3;fill:none}";

/// How a value becomes a height.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scale {
    Linear,
    /// Each power of ten as high as the next.
    Logarithmic,
}

/// The class of a line, and its figure.
type Line<'a> = (&'a str, &'a dyn Fn(&Sample) -> Option<f64>);

/// One figure over time.
struct Panel<'a> {
    heading: &'a str,
    scale: Scale,
    lines: &'a [Line<'a>],
}

/// The whole chart.
pub(crate) fn svg(outcome: &Outcome) -> String {
    let panels = [
        Panel {
            heading: "From a message to its answer, ms: p99 and median (dotted) through wsgate, p99 past it (grey)",
            scale: Scale::Logarithmic,
            lines: &[
                ("other", &|it| Some(it.direct?.p99)),
                ("half", &|it| Some(it.through?.median)),
                ("ours", &|it| Some(it.through?.p99)),
            ],
        },
        Panel {
            heading: "Memory that belongs to wsgate alone, MiB",
            scale: Scale::Linear,
            lines: &[("ours", &|it| Some(it.kib / 1024.0))],
        },
        Panel {
            heading: "Descriptors of wsgate, and tunnels and sessions that are open (grey)",
            scale: Scale::Linear,
            lines: &[
                ("other", &|it| Some(it.open as f64)),
                ("ours", &|it| Some(it.descriptors as f64)),
            ],
        },
    ];
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let title = format!(
        "{} clients for {:.0} minutes, {} lost",
        outcome.sessions,
        outcome.lasted.as_secs_f64() / 60.0,
        outcome.ledger.lost
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, "title", LEFT, 34.0, &title);
    let minutes = outcome
        .samples
        .last()
        .map_or(1.0, |last| last.at.as_secs_f64() / 60.0);
    for (index, panel) in panels.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP);
        draw(&mut svg, panel, top, minutes, &outcome.samples);
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel<'_>, top: f64, minutes: f64, samples: &[Sample]) {
    text(svg, "heading", LEFT, top - 8.0, panel.heading);
    let values = || {
        panel
            .lines
            .iter()
            .flat_map(|(_, figure)| samples.iter().filter_map(figure))
    };
    let marks = match panel.scale {
        Scale::Linear => round_marks(values().fold(1.0, f64::max)),
        Scale::Logarithmic => powers(values()),
    };
    let (Some(low), Some(high)) = (marks.first(), marks.last()) else {
        return;
    };
    let share = |value: f64| match panel.scale {
        Scale::Linear => (value - low) / (high - low),
        Scale::Logarithmic => (value.max(*low) / low).ln() / (high / low).ln(),
    };
    let y = |value: f64| top + PANEL - PANEL * share(value);
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / minutes;
    for mark in &marks {
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{1}\"/>",
            y(*mark),
            WIDTH - RIGHT
        );
        text(svg, "axis", LEFT - 6.0, y(*mark) + 4.0, &mark.to_string());
    }
    for mark in round_marks(minutes)
        .into_iter()
        .filter(|mark| *mark <= minutes)
    {
        text(
            svg,
            "time",
            x(mark),
            top + PANEL + 16.0,
            &format!("{mark} min"),
        );
    }
    for (class, figure) in panel.lines {
        let mut path = String::new();
        for sample in samples {
            if let Some(value) = figure(sample) {
                let command = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(
                    path,
                    "{command}{:.1} {:.1}",
                    x(sample.at.as_secs_f64() / 60.0),
                    y(value)
                );
            }
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

/// Round numbers from nothing to at least `most`.
fn round_marks(most: f64) -> Vec<f64> {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let step = steps
        .into_iter()
        .find(|step| step * 5.0 >= most)
        .unwrap_or(most);
    (0..=(most / step).ceil() as u32)
        .map(|mark| f64::from(mark) * step)
        .collect()
}

/// Powers of ten around all of these.
fn powers(values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let (least, most) = values.fold((f64::MAX, 0.1), |(least, most): (f64, f64), value| {
        (least.min(value), most.max(value))
    });
    let (least, most) = (
        least.min(most).max(0.001).log10().floor() as i32,
        most.log10().ceil() as i32,
    );
    (least..=most.max(least + 1))
        .map(|power| 10_f64.powi(power))
        .collect()
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
    );
}
