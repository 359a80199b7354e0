//! What came of a soak, in words and tables.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::ledger::Ends;
use crate::run::Outcome;
use crate::samples::Sample;
use crate::samples::growth;

/// The whole report, in Markdown.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    let mut text = "# What came of it\n\n".to_owned();
    about(&mut text, outcome);
    messages(&mut text, outcome);
    resources(&mut text, outcome);
    happened(&mut text, outcome);
    text
}

fn about(text: &mut String, outcome: &Outcome) {
    let ledger = &outcome.ledger;
    let ends = || ledger.in_order.values().chain(ledger.abrupt.values());
    let messages: u64 = ends().map(|ends| ends.messages).sum();
    let mebibytes = ends().map(|ends| ends.bytes).sum::<u64>() >> 20;
    let _ = writeln!(
        text,
        "Seed {}, {} clients, {:.0} minutes: **{messages} messages ({mebibytes} MiB), {} lost, {} findings.**\n",
        outcome.seed,
        outcome.sessions,
        outcome.lasted.as_secs_f64() / 60.0,
        ledger.lost,
        ledger.found
    );
    for finding in &ledger.findings {
        let _ = writeln!(text, "- {finding}");
    }
    if ledger.found > 0 {
        text.push('\n');
    }
}

fn messages(text: &mut String, outcome: &Outcome) {
    let row = |text: &mut String, name: &str, ends: &Ends| {
        let Ends {
            count,
            messages,
            destroyed,
            ..
        } = ends;
        let _ = writeln!(text, "| {name} | {count} | {messages} | {destroyed} |");
    };
    *text += "## Tunnels and sessions, by how they ended\n\n| in order | how many | messages that arrived | lost |\n|---|---|---|---|\n";
    for (name, ends) in &outcome.ledger.in_order {
        row(text, name, ends);
    }
    *text += "\n| abruptly | how many | messages that arrived | under way at the end |\n|---|---|---|---|\n";
    for (name, ends) in &outcome.ledger.abrupt {
        row(text, name, ends);
    }
    text.push('\n');
}

fn resources(text: &mut String, outcome: &Outcome) {
    let all = &outcome.samples;
    // What is there until everyone has come is no growth.
    let warm = &all[all.len() / 10..];
    let (first, last) = (part(warm, 0), part(warm, 9));
    let kib = |samples: &[Sample]| mean(samples, |it| it.kib);
    let descriptors = |samples: &[Sample]| mean(samples, |it| it.descriptors as f64);
    *text += "## What wsgate took\n\n| | before the first client | first tenth | last tenth | growth an hour | behind the last client |\n|---|---|---|---|---|---|\n";
    let _ = writeln!(
        text,
        "| memory of its own, KiB | {:.0} | {:.0} | {:.0} | {:+.0} | {:.0} |",
        outcome.before.0,
        kib(first),
        kib(last),
        growth(warm, |it| it.kib),
        outcome.behind.0
    );
    let _ = writeln!(
        text,
        "| descriptors | {} | {:.0} | {:.0} | {:+.0} | {} |",
        outcome.before.1,
        descriptors(first),
        descriptors(last),
        growth(warm, |it| it.descriptors as f64),
        outcome.behind.1
    );
    let _ = writeln!(
        text,
        "\nTenths and growth leave out the first tenth of the time. Processor: {:.0} s, {:.1} % of one core.\n",
        outcome.cpu.as_secs_f64(),
        outcome.cpu.as_secs_f64() * 100.0 / outcome.lasted.as_secs_f64()
    );
    *text += "| from a message to its answer, ms | median | p99 | p99.9 | longest |\n|---|---|---|---|---|\n";
    for (name, latencies) in [
        ("through wsgate", &outcome.through),
        ("past it", &outcome.direct),
    ] {
        let at = |quantile| millis(latencies, quantile);
        let _ = writeln!(
            text,
            "| {name}, {} messages | {:.2} | {:.2} | {:.2} | {:.0} |",
            latencies.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    text.push('\n');
}

fn happened(text: &mut String, outcome: &Outcome) {
    *text += "## What happened\n\n| | how often |\n|---|---|\n";
    for (what, count) in &outcome.tally {
        let _ = writeln!(text, "| {what} | {count} |");
    }
    *text += "\n## Warnings and errors in wsgate's log\n\n| line, each number an N | how often |\n|---|---|\n";
    for (trouble, count) in &outcome.troubles {
        let _ = writeln!(text, "| {} | {count} |", trouble.replace('|', "\\|"));
    }
}

/// One tenth of the samples.
fn part(samples: &[Sample], tenth: usize) -> &[Sample] {
    let at = |tenth: usize| samples.len() * tenth / 10;
    &samples[at(tenth)..at(tenth + 1).max(at(tenth) + 1).min(samples.len())]
}

fn mean(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(figure).sum::<f64>() / samples.len().max(1) as f64
}

fn millis(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1000.0
}
