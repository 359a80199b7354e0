//! The report as one SVG picture: a group of bars for each figure, beside nginx's, shorter is better.

use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Report;
use crate::figures::Section;
use crate::figures::Target;
use crate::report::REFERENCE;
use crate::report::svg;
use crate::report::three_digits;

const MARGIN: f64 = 28.0;

/// Where bars begin; names stand left of it.
const ORIGIN: f64 = 272.0;

/// The length of the reference's bar.
const ONE: f64 = 188.0;

/// How many halves of the reference's bar there is room for; longer bars are cut.
const HALVES: u8 = 5;
const CAP: f64 = HALVES as f64 / 2.0;

/// From one bar to the next.
const PITCH: f64 = 13.0;

/// From one line of text to the next.
const LINE: f64 = 15.0;

/// Between two groups of bars.
const GAP: f64 = 9.0;

impl Report {
    /// The whole chart, with what it is about below.
    pub(crate) fn svg(&self) -> String {
        let mut chart = Chart {
            report: self,
            body: String::new(),
            y: MARGIN,
        };
        chart.head();
        for section in &self.sections {
            chart.section(section);
        }
        chart.foot();
        svg::picture(&self.title(), chart.y + MARGIN, &chart.body)
    }

    /// The contender whose bar is one long: the first that something can be a multiple of.
    fn one(&self, figure: &Figure) -> Option<usize> {
        (0..self.contenders.len()).find(|&it| figure.median(it).is_some_and(|it| it > 0.0))
    }
}

/// What is drawn so far, and how far down.
struct Chart<'a> {
    report: &'a Report,
    body: String,
    y: f64,
}

impl Chart<'_> {
    fn head(&mut self) {
        self.y += 12.0;
        self.text("title", MARGIN, &self.report.title());
        self.y += 8.0;
        let reference = self.name(REFERENCE);
        self.paragraph(&format!(
            "Shorter is better. A bar is a proxy's figure as a multiple of {reference}'s, the median over pairs of the \
             same round; where more is better (MiB/s), it is the inverse. A bar longer than {CAP} is cut, and its \
             length stands behind the figure. The figures are medians."
        ));
        self.y += LINE + 8.0;
        let swatch = |index| svg::bar(self.class(index), 0.0, 14.0, -svg::BAR);
        let contenders = self.report.contenders.iter().enumerate();
        let mut items: Vec<(String, String)> = contenders
            .map(|(index, it)| (swatch(index), format!("{} {}", it.name, it.version)))
            .collect();
        let ours = self.name(self.report.ours());
        items.push((svg::must(7.0, -svg::BAR), format!("{ours} must")));
        items.push((svg::goal(7.0, -svg::BAR), format!("{ours}'s goal")));
        let mut x = MARGIN;
        for (symbol, words) in items {
            let width = 20.0 + svg::wide(&words, svg::TEXT) + 18.0;
            if x + width > svg::WIDTH - MARGIN {
                x = MARGIN;
                self.y += LINE + 4.0;
            }
            self.body += &format!("<g transform=\"translate({x:.1} {:.1})\">", self.y);
            self.body += &symbol;
            self.body += &svg::text("name", 20.0, 0.0, &words);
            self.body += "</g>\n";
            x += width;
        }
        self.y += 4.0;
    }

    fn section(&mut self, section: &Section) {
        let contenders = 0..self.report.contenders.len();
        let told = |figure: &&Figure| contenders.clone().any(|it| figure.median(it).is_some());
        let figures: Vec<&Figure> = section.figures.iter().filter(told).collect();
        if figures.is_empty() {
            return;
        }
        self.y += 30.0;
        self.text("heading", MARGIN, &section.title);
        self.y += 17.0;
        for half in 0..=HALVES {
            let words = match half {
                2 => format!("{} = 1", self.name(REFERENCE)),
                half => (f64::from(half) / 2.0).to_string(),
            };
            self.text("axis", at(f64::from(half) / 2.0), &words);
        }
        self.y += 5.0;
        let top = self.y;
        // Bands are below the lines, and bars above them.
        let before = std::mem::take(&mut self.body);
        let mut bands = String::new();
        for (index, figure) in figures.into_iter().enumerate() {
            let begin = self.y;
            self.figure(figure);
            if index % 2 == 0 {
                bands += &svg::band(MARGIN - 8.0, begin, self.y);
            }
        }
        let bars = std::mem::take(&mut self.body);
        let lines = (0..=HALVES).map(|half| {
            let class = if half == 2 { "one" } else { "grid" };
            svg::line(class, at(f64::from(half) / 2.0), top, self.y)
        });
        self.body = [before, bands, lines.collect(), bars].concat();
    }

    fn figure(&mut self, figure: &Figure) {
        let one = self.report.one(figure);
        let mut lines: Vec<(&str, String)> =
            svg::wrap(&figure.name, ORIGIN - MARGIN - 12.0, svg::TEXT)
                .into_iter()
                .map(|line| ("name", line))
                .collect();
        match one {
            Some(REFERENCE) => {}
            Some(other) => lines.push(("small", format!("{} = 1", self.name(other)))),
            None => lines.push(("small", "nothing to compare with".to_owned())),
        }
        let contenders = self.report.contenders.len();
        let (bars, words) = (contenders as f64 * PITCH, lines.len() as f64 * LINE);
        let (begin, height) = (self.y, bars.max(words) + GAP);
        self.y = begin + (height - words) / 2.0 - 3.5;
        for (class, line) in lines {
            self.y += LINE;
            self.text(class, MARGIN, &line);
        }
        self.y = begin + (height - bars) / 2.0;
        for contender in 0..contenders {
            let length = one.and_then(|one| length(figure, contender, one));
            self.bar(figure, contender, length);
            self.y += PITCH;
        }
        self.y = begin + height;
    }

    /// A bar, what it is to reach, and the figure behind both.
    fn bar(&mut self, figure: &Figure, contender: usize, length: Option<f64>) {
        let class = self.class(contender);
        let top = self.y + (PITCH - svg::BAR) / 2.0;
        let mut label = match figure.median(contender) {
            Some(median) => format!("{} {}", three_digits(median), figure.unit),
            None => "–".to_owned(),
        };
        let mut end = ORIGIN;
        if let Some(length) = length.filter(|length| *length > 0.0) {
            end = at(length.min(CAP));
            if length > CAP {
                label += &format!(" ({}×)", three_digits(length));
                self.body += &svg::cut_bar(class, ORIGIN, end, top);
            } else {
                self.body += &svg::bar(class, ORIGIN, end, top);
            }
        }
        let mut in_the_way = vec![at(1.0)];
        if contender == self.report.ours() && self.report.one(figure) == Some(REFERENCE) {
            for (mark, symbol) in marks(figure) {
                self.body += &symbol(at(mark), top);
                in_the_way.push(at(mark));
            }
        }
        in_the_way.sort_by(f64::total_cmp);
        let mut x = end + 7.0;
        for mark in in_the_way {
            if (x - 8.0..x + svg::label_wide(&label) + 4.0).contains(&mark) {
                x = x.max(mark + 7.0);
            }
        }
        self.body += &svg::text(&format!("label {class}"), x, self.y + 10.5, &label);
    }

    /// What it is about, in small print.
    fn foot(&mut self) {
        self.y += 14.0;
        let about = self.report.about.iter();
        let about: Vec<_> = about.map(|(what, is)| format!("{what}: {is}")).collect();
        self.paragraph(&about.join(" · ").replace('`', ""));
    }

    fn paragraph(&mut self, words: &str) {
        for line in svg::wrap(words, svg::WIDTH - 2.0 * MARGIN, svg::SMALL) {
            self.y += LINE;
            self.text("small", MARGIN, &line);
        }
    }

    fn text(&mut self, class: &str, x: f64, words: &str) {
        self.body += &svg::text(class, x, self.y, words);
    }

    fn name(&self, contender: usize) -> &'static str {
        self.report
            .contenders
            .get(contender)
            .map_or("", |it| it.name)
    }

    /// How a contender's bars and labels look.
    fn class(&self, contender: usize) -> &'static str {
        match contender {
            REFERENCE => "reference",
            _ if contender == self.report.ours() => "ours",
            _ => "other",
        }
    }
}

/// Where a bar of that length ends.
fn at(length: f64) -> f64 {
    ORIGIN + length * ONE
}

/// How many times the bar of `one` a contender's is; for what should be more, it is the inverse.
fn length(figure: &Figure, contender: usize, one: usize) -> Option<f64> {
    if contender == one {
        return Some(1.0);
    }
    shorter_is_better(figure, figure.ratio(contender, one)?)
}

fn shorter_is_better(figure: &Figure, ratio: f64) -> Option<f64> {
    match figure.better {
        Better::Less => Some(ratio),
        Better::More => (ratio > 0.0).then(|| 1.0 / ratio),
    }
}

type Symbol = fn(f64, f64) -> String;

/// Where a bar is to end, and how that is drawn.
fn marks(figure: &Figure) -> impl Iterator<Item = (f64, Symbol)> {
    let marks = match figure.target {
        Target::Ratio { must, goal } => {
            vec![(must, svg::must as Symbol), (goal, svg::goal as Symbol)]
        }
        Target::Figure { .. } | Target::None => vec![],
    };
    marks.into_iter().filter_map(|(mark, symbol)| {
        let mark = shorter_is_better(figure, mark)?;
        (mark <= CAP).then_some((mark, symbol))
    })
}

#[cfg(test)]
mod tests {
    use super::length;
    use crate::figures::Better;
    use crate::figures::Contender;
    use crate::figures::Figure;
    use crate::figures::Report;
    use crate::figures::Section;
    use crate::figures::Target;

    fn figure(name: &str, target: Target, round: [Option<f64>; 2]) -> Figure {
        Figure {
            name: name.to_owned(),
            unit: "µs",
            better: Better::Less,
            target,
            rounds: vec![round.to_vec()],
        }
    }

    fn report(figures: Vec<Figure>) -> Report {
        let contender = |name| Contender {
            name,
            version: "<1> & 2".to_owned(),
            configuration: String::new(),
        };
        Report {
            contenders: vec![contender("nginx"), contender("wsgate")],
            about: vec![("machine".to_owned(), "<b>".to_owned())],
            sections: vec![Section {
                title: "a < b".to_owned(),
                how: String::new(),
                figures,
            }],
            notes: vec![],
        }
    }

    /// Panics unless every element ends where it should and every `&` is one of ours.
    fn balanced(svg: &str) {
        let mut open = Vec::new();
        for piece in svg.split('<').skip(1) {
            let (tag, _) = piece.split_once('>').expect("a closing bracket");
            let name = tag.trim_start_matches('/').split(' ').next();
            let name = name.expect("the name of an element");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
                continue;
            }
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        for piece in svg.split('&').skip(1) {
            let entity = piece.split(';').next();
            assert!(matches!(entity, Some("amp" | "lt" | "gt")), "{piece}");
        }
    }

    #[test]
    fn the_chart_is_well_formed() {
        let target = Target::Ratio {
            must: 1.0,
            goal: 0.5,
        };
        let svg = report(vec![
            figure("<b>a & b</b>", target, [Some(2.0), Some(1.0)]),
            figure("cut", target, [Some(2.0), Some(8.0)]),
        ])
        .svg();
        balanced(&svg);
        assert_eq!(svg.matches("class=\"bar ").count(), 6); // two in the legend
        assert!(svg.contains(">&lt;b&gt;a &amp; b&lt;/b&gt;</text>"));
        assert!(svg.contains(">nginx &lt;1&gt; &amp; 2</text>"));
        assert!(svg.contains(">a &lt; b</text>"));
        assert!(svg.contains(">machine: &lt;b&gt;</text>"));
        assert!(svg.contains(">1.00 µs</text>"));
        assert!(svg.contains(">8.00 µs (4.00×)</text>"));
    }

    #[test]
    fn another_contender_stands_in_for_the_reference() {
        let svg = report(vec![figure("ws", Target::None, [None, Some(1.0)])]).svg();
        assert!(svg.contains(">wsgate = 1</text>"));
        assert!(svg.contains(">–</text>"));
    }

    #[test]
    fn what_nobody_has_a_figure_of_is_left_out() {
        let svg = report(vec![figure("nothing", Target::None, [None, None])]).svg();
        assert!(!svg.contains("nothing"));
        assert!(!svg.contains("a &lt; b"));
    }

    #[test]
    fn what_should_be_more_is_drawn_as_its_inverse() {
        let mut figure = figure("ws", Target::None, [Some(2.0), Some(8.0)]);
        assert_eq!(length(&figure, 1, 0), Some(4.0));
        figure.better = Better::More;
        assert_eq!(length(&figure, 1, 0), Some(0.25));
    }

    #[test]
    fn a_report_of_nothing_is_a_picture_too() {
        let nothing = Report {
            contenders: vec![],
            about: vec![],
            sections: vec![],
            notes: vec![],
        };
        balanced(&nothing.svg());
    }
}
