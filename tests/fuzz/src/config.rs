//! A `routes.yaml`: any bytes become a configuration or errors that can be printed.
//!
//! - Each error stands at a place in the file, or is about the file as a whole; what is printed has no control byte.
//! - One that is refused has an error, one that is accepted has only warnings.
//! - Read twice, it is the same.
//! - What is accepted has a table, its `tests` hold or are said to be broken at a place, and a URL can be explained by it.

use wsgate::clients::Options;
use wsgate::clients::Url;
use wsgate::config::Config;
use wsgate::config::Diagnostic;
use wsgate::config::Paint;
use wsgate::config::Severity;
use wsgate::explain;

use crate::file;

/// Holds the above.
pub fn run(data: &[u8]) {
    if file::leaves_the_directory(data) {
        return;
    }
    let first = file::read(data);
    let again = file::read(data);
    let lines = Lines::of(data);
    match (&first, &again) {
        (Ok((config, warnings)), Ok((same, same_warnings))) => {
            for warning in warnings {
                assert_eq!(warning.severity(), Severity::Warning, "{warning}");
                lines.have(warning);
            }
            assert_eq!(shown(warnings), shown(same_warnings));
            assert_eq!(said(config), said(same));
            use_it(config, &lines);
        }
        (Err(errors), Err(same)) => {
            let count = errors
                .iter()
                .inspect(|error| lines.have(error))
                .filter(|error| error.severity() == Severity::Error)
                .count();
            assert_ne!(count, 0, "refused without an error");
            assert_eq!(errors.to_string(), same.to_string());
            let coloured = errors.shown(Paint::Coloured).to_string();
            assert!(coloured.contains("\x1b[1m"));
        }
        (first, _) => panic!("accepted once of two times: {first:?}"),
    }
}

fn use_it(config: &Config, lines: &Lines) {
    if let Err(broken) = explain::promises(config) {
        for error in broken.iter() {
            lines.have(error);
        }
    }
    for url in [
        "ws://chat.example/socket.io",
        "https://a.b.chat.example:8443/x?y=z",
    ] {
        let url: Url = url.parse().expect("a URL");
        let explained = explain::explain(config, &url, &Options::default());
        let explained = explained.expect("no option contradicts another");
        for trace in &explained.traces {
            if let Some(route) = trace.outcome.route() {
                assert!(route < config.routes.len());
            }
        }
    }
    for route in &config.routes {
        assert!((1..=lines.0.len()).contains(&route.line));
    }
}

fn shown(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

/// All that a configuration says, but for what is made anew each time.
fn said(config: &Config) -> String {
    let routes = config.routes.iter().map(|route| {
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {}",
            route.location,
            route.hosts,
            route.when,
            route.access,
            route.set_headers,
            route.timeouts,
            route.line
        )
    });
    let listeners = config.listeners.iter().map(|listener| {
        format!(
            "{} {} {} {:?} {}",
            listener.address,
            listener.reuseport,
            listener.proxy_protocol,
            listener.redirect,
            listener.line
        )
    });
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        listeners.collect::<Vec<_>>(),
        routes.collect::<Vec<_>>(),
        config.trusted_proxies,
        config.access_log,
        config.threads,
        config.drain_timeout,
        config.max_connections,
        config.per_ip,
        config.limits,
    )
}

/// How many characters each line of a file has.
struct Lines(Vec<usize>);

impl Lines {
    fn of(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(data);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.split('\n').map(|line| line.chars().count());
        Self(lines.collect())
    }

    /// The place of this one is in the file, and it can be printed.
    fn have(&self, diagnostic: &Diagnostic) {
        let (place, ..) = diagnostic.in_parts();
        let mut numbers = place.rsplit(':');
        let column: Option<usize> = numbers.next().and_then(|text| text.parse().ok());
        let line: Option<usize> = numbers.next().and_then(|text| text.parse().ok());
        if let (Some(line), Some(column)) = (line, column) {
            let there = line.checked_sub(1).and_then(|line| self.0.get(line));
            let there = there.unwrap_or_else(|| panic!("no such line: {diagnostic}"));
            assert!(
                (1..=there + 1).contains(&column),
                "no such column: {diagnostic}"
            );
        } else {
            assert!(place.ends_with("routes.yaml"), "no place: {diagnostic}");
        }
        let printed = diagnostic.to_string();
        assert!(
            !printed.chars().any(|c| c.is_control() && c != '\n'),
            "a control byte: {printed:?}"
        );
    }
}
