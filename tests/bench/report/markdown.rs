//! The report as Markdown whose tables can also be read as they are.

use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Report;
use crate::figures::Section;
use crate::figures::Target;
use crate::figures::Verdict;
use crate::report::REFERENCE;
use crate::report::three_digits;

/// What stands for a figure that is missing.
const MISSING: &str = "–";

impl Report {
    /// All of it: what it is about, a table for each section, notes, and how the contenders were configured.
    pub(crate) fn markdown(&self) -> String {
        let mut blocks = vec![format!("# {}", self.title()), self.facts()];
        for section in &self.sections {
            blocks.push(format!("## {}", section.title));
            blocks.push(section.how.clone());
            blocks.push(table(&self.rows(section)));
        }
        if !self.notes.is_empty() {
            let notes: Vec<_> = self.notes.iter().map(|note| format!("- {note}")).collect();
            blocks.push("## Notes".to_owned());
            blocks.push(notes.join("\n"));
        }
        blocks.push("## Configurations".to_owned());
        for contender in &self.contenders {
            let fence = fence(&contender.configuration);
            blocks.push(format!(
                "<details>\n<summary>{} {}</summary>\n\n{fence}\n{}\n{fence}\n\n</details>",
                contender.name,
                contender.version,
                contender.configuration.trim_end()
            ));
        }
        blocks.retain(|block| !block.is_empty());
        blocks.join("\n\n") + "\n"
    }

    fn facts(&self) -> String {
        let versions: Vec<_> = self
            .contenders
            .iter()
            .map(|contender| format!("{} {}", contender.name, contender.version))
            .collect();
        let mut facts = vec![format!("- contenders: {}", versions.join(", "))];
        facts.extend(
            self.about
                .iter()
                .map(|(what, is)| format!("- {what}: {is}")),
        );
        facts.join("\n")
    }

    /// The cells of a section's table, the headings first.
    fn rows(&self, section: &Section) -> Vec<Vec<String>> {
        let name = |contender: usize| self.contenders.get(contender).map_or("", |it| it.name);
        let mut headings = vec!["measure".to_owned()];
        headings.extend(self.contenders.iter().map(|it| it.name.to_owned()));
        headings.push(format!("{} : {}", name(self.ours()), name(REFERENCE)));
        headings.extend(["best : best", "must", "goal", "reached"].map(str::to_owned));
        let mut rows = vec![headings];
        rows.extend(section.figures.iter().map(|figure| self.row(figure)));
        rows
    }

    fn row(&self, figure: &Figure) -> Vec<String> {
        let cell = |figure: Option<f64>| figure.map_or_else(|| MISSING.to_owned(), three_digits);
        let ours = self.ours();
        let mut row = vec![format!("{} ({})", figure.name, figure.unit)];
        row.extend((0..self.contenders.len()).map(|contender| cell(figure.median(contender))));
        row.push(cell(figure.ratio(ours, REFERENCE)));
        row.push(cell(figure.best_ratio(ours, REFERENCE)));
        row.extend(targets(figure));
        row.push(
            match figure.verdict(ours, REFERENCE) {
                Verdict::Goal => "goal",
                Verdict::Must => "must",
                Verdict::Missed => "missed",
                Verdict::Untold => "",
            }
            .to_owned(),
        );
        row
    }
}

/// What a figure must be, and what it should be; ratios have no unit.
fn targets(figure: &Figure) -> [String; 2] {
    let sign = match figure.better {
        Better::Less => '≤',
        Better::More => '≥',
    };
    match figure.target {
        Target::Ratio { must, goal } => [must, goal].map(|mark| format!("{sign} {mark}")),
        Target::Figure { must, goal } => {
            [must, goal].map(|mark| format!("{sign} {mark} {}", figure.unit))
        }
        Target::None => [String::new(), String::new()],
    }
}

/// A table with padded cells, its first row the headings; all but the first and the last column lean right.
fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect())
        .collect();
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let leans_right = |column: usize| column > 0 && column + 1 < columns;
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            line(cells.map(|(column, (cell, &width))| {
                if leans_right(column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            }))
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(column, &width)| {
        if leans_right(column) {
            format!("{:->1$}", ":", width)
        } else {
            "-".repeat(width)
        }
    });
    lines.insert(1, line(rule));
    lines.join("\n")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// More backticks than the text has in a row.
fn fence(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    fence
}

#[cfg(test)]
mod tests {
    use super::fence;
    use crate::figures::Better;
    use crate::figures::Contender;
    use crate::figures::Figure;
    use crate::figures::Report;
    use crate::figures::Section;
    use crate::figures::Target;

    #[test]
    fn a_report_is_readable_as_it_is() {
        let contender = |name, version: &str, configuration: &str| Contender {
            name,
            version: version.to_owned(),
            configuration: configuration.to_owned(),
        };
        let figure = |name: &str, target, rounds| Figure {
            name: name.to_owned(),
            unit: "µs",
            better: Better::Less,
            target,
            rounds,
        };
        let report = Report {
            contenders: vec![
                contender("nginx", "1.26", "daemon off;\n"),
                contender("HAProxy", "3.0", "global\n"),
                contender("wsgate", "0.1", "routes:\n"),
            ],
            about: vec![("date".to_owned(), "2026-01-02".to_owned())],
            sections: vec![
                Section {
                    title: "CPU per message".to_owned(),
                    how: "Echoes.".to_owned(),
                    figures: vec![
                        figure(
                            "125 bytes",
                            Target::Ratio {
                                must: 1.05,
                                goal: 1.0,
                            },
                            vec![
                                vec![Some(10.0), Some(11.0), Some(10.2)],
                                vec![Some(12.0), None, Some(12.24)],
                            ],
                        ),
                        figure(
                            "storm|all",
                            Target::Figure {
                                must: 2000.0,
                                goal: 1000.0,
                            },
                            vec![vec![Some(6543.0), None, Some(2345.0)]],
                        ),
                    ],
                },
                Section {
                    title: "Bulk".to_owned(),
                    how: "Bytes.".to_owned(),
                    figures: vec![
                        Figure {
                            unit: "MiB/s",
                            better: Better::More,
                            ..figure(
                                "ws",
                                Target::Ratio {
                                    must: 2.0,
                                    goal: 3.0,
                                },
                                vec![vec![Some(1000.0), None, Some(3100.0)]],
                            )
                        },
                        figure("wss", Target::None, vec![]),
                    ],
                },
            ],
            notes: vec!["few descriptors".to_owned()],
        };
        let expected = "\
# wsgate beside nginx and HAProxy

- contenders: nginx 1.26, HAProxy 3.0, wsgate 0.1
- date: 2026-01-02

## CPU per message

Echoes.

| measure         | nginx | HAProxy | wsgate | wsgate : nginx | best : best |      must |      goal | reached |
| --------------- | ----: | ------: | -----: | -------------: | ----------: | --------: | --------: | ------- |
| 125 bytes (µs)  |  11.0 |    11.0 |   11.2 |           1.02 |        1.02 |    ≤ 1.05 |       ≤ 1 | must    |
| storm\\|all (µs) | 6,540 |       – |  2,340 |          0.358 |       0.358 | ≤ 2000 µs | ≤ 1000 µs | missed  |

## Bulk

Bytes.

| measure    | nginx | HAProxy | wsgate | wsgate : nginx | best : best | must | goal | reached |
| ---------- | ----: | ------: | -----: | -------------: | ----------: | ---: | ---: | ------- |
| ws (MiB/s) | 1,000 |       – |  3,100 |           3.10 |        3.10 |  ≥ 2 |  ≥ 3 | goal    |
| wss (µs)   |     – |       – |      – |              – |           – |      |      |         |

## Notes

- few descriptors

## Configurations

<details>
<summary>nginx 1.26</summary>

```
daemon off;
```

</details>

<details>
<summary>HAProxy 3.0</summary>

```
global
```

</details>

<details>
<summary>wsgate 0.1</summary>

```
routes:
```

</details>
";
        assert_eq!(report.markdown(), expected);
    }

    #[test]
    fn a_fence_is_longer_than_what_is_inside() {
        assert_eq!(fence("log ````"), "`````");
        assert_eq!(fence("log"), "```");
    }
}
