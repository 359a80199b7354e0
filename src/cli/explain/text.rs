//! Prints the findings for a person: a few lines with labels, in the order in which things happen.

use std::fmt::Write as _;

use crate::cli::explain::Findings;
use crate::cli::explain::answers;
use crate::cli::explain::upstream_answer::ServerAnswer;
use crate::cli::explain::words;
use crate::cli::report::requests;
use crate::clients::Chosen;
use crate::clients::ClientRequests;
use crate::clients::Request;
use crate::clients::RequestKind;
use crate::config::Paint;
use crate::explain;
use crate::explain::Explanation;
use crate::explain::Outcome;
use crate::explain::Trace;
use crate::upstream::Group;

/// The columns that a label takes.
const LABEL: usize = 10;

/// The escape sequence for bold, which labels are.
const BOLD: &str = "\x1b[1m";
/// The escape sequence for green, for what is well.
const GREEN: &str = "\x1b[32m";
/// The escape sequence for yellow, for warnings.
const YELLOW: &str = "\x1b[33m";
/// The escape sequence for red, for what fails.
const RED: &str = "\x1b[31m";
/// The escape sequence for dim, for asides.
const DIM: &str = "\x1b[2m";
/// The escape sequence that ends a colour.
const RESET: &str = "\x1b[0m";

/// All findings as lines, in colours if `paint` says so.
pub(super) fn of(findings: &Findings<'_>, paint: Paint) -> String {
    let mut page = Page {
        paint,
        text: String::new(),
        label: "",
    };
    page.asked(findings);
    if page.listener(findings) {
        for group in groups(&findings.explanation.traces) {
            page.group(findings, &group);
        }
    }
    for warning in &findings.explanation.warnings {
        page.label = "mind";
        let words = words::warning(findings.config, warning);
        page.line(YELLOW, &words, "");
    }
    page.text
}

/// Groups of requests that end in the same way, so that they are explained once. Requests are named by their indices.
fn groups(traces: &[Trace]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let alike = |one: &Trace, other: &Trace| {
        let same_end = match (&one.outcome, &other.outcome) {
            (Outcome::Upstream { .. }, Outcome::Upstream { .. }) => true,
            (one, other) => one.status() == other.status() && one.status().is_some(),
        };
        one.verdicts == other.verdicts && one.outcome.route() == other.outcome.route() && same_end
    };
    for (at, trace) in traces.iter().enumerate() {
        match groups
            .iter_mut()
            .find(|group| alike(&traces[group[0]], trace))
        {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

/// The lines so far.
struct Page {
    paint: Paint,
    text: String,
    /// The label of the next line; empty where a line belongs to the label above.
    label: &'static str,
}

impl Page {
    /// Adds a line in a colour, with an aside behind it.
    fn line(&mut self, colour: &'static str, words: &str, aside: &str) {
        let (on, off) = (self.paint.escape(BOLD), self.paint.escape(RESET));
        let label = std::mem::take(&mut self.label);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{on}{label:LABEL$}{off} ");
        let (on, words) = (self.paint.escape(colour), words);
        let _ = write!(self.text, "{on}{words}");
        if !on.is_empty() {
            self.text += RESET;
        }
        if !aside.is_empty() {
            let (on, off) = (self.paint.escape(DIM), self.paint.escape(RESET));
            let _ = write!(self.text, "   {on}{aside}{off}");
        }
        self.text.push('\n');
    }

    /// Adds lines of columns; each column is as wide as its widest cell.
    fn table(&mut self, rows: &[(&'static str, Vec<String>)]) {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|(_, row)| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for (colour, row) in rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = if column + 1 < row.len() {
                    width(column)
                } else {
                    0
                };
                let _ = write!(line, "{cell:width$}   ");
            }
            self.line(colour, line.trim_end(), "");
        }
    }

    /// Adds the URL, the client, and its requests.
    fn asked(&mut self, findings: &Findings<'_>) {
        let explanation = &findings.explanation;
        let asks = &explanation.asks;
        self.label = "url";
        self.line("", &explanation.url.to_string(), "");
        self.label = "client";
        let guess = match asks.chosen {
            Chosen::Guessed => "a guess; --client names another",
            Chosen::Said => "",
        };
        self.line("", asks.kind.name(), guess);
        if let Some(namespace) = asks.namespace.as_deref().filter(|name| *name != "/") {
            let words = format!("`{namespace}` is a namespace inside the connection, and no path");
            self.line("", &words, "");
        }
        self.label = "requests";
        let rows: Vec<_> = asks.requests.iter().map(|one| ("", row(one))).collect();
        self.table(&rows);
        self.line("", &format!("Host: {}", explanation.url.authority()), "");
    }

    /// Adds the listener, and returns whether there is one.
    fn listener(&mut self, findings: &Findings<'_>) -> bool {
        let (config, explanation) = (findings.config, &findings.explanation);
        self.label = "listener";
        match &explanation.listener {
            Ok(at) => {
                let listener = &config.listeners[*at];
                let tls = if listener.tls.is_some() { ", TLS" } else { "" };
                let any = match listener.address.port() {
                    Some(0) => ", whatever port the system gives it",
                    None => ", behind a proxy that passes everything on",
                    _ => "",
                };
                let words = format!("{}{tls}{any}", listener.address);
                self.line("", &words, &words::listener_place(config, *at));
                true
            }
            Err(none) => {
                let words = format!("it {}", none.in_words(config, &explanation.url));
                self.line(RED, &words, "");
                self.line("", &explain::listeners(config), "");
                false
            }
        }
    }

    /// Adds what becomes of a group of requests.
    fn group(&mut self, findings: &Findings<'_>, group: &[usize]) {
        let (config, explanation) = (findings.config, &findings.explanation);
        let trace = &explanation.traces[group[0]];
        let asks = &explanation.asks;
        if group.len() < asks.requests.len() {
            self.text.push('\n');
            self.label = "of these";
            for at in group {
                self.line("", &asks.requests[*at].target, "");
            }
        }
        self.label = "routes";
        let routes = trace.verdicts.iter().enumerate().map(|(route, verdict)| {
            let colour = if verdict.answers() { GREEN } else { "" };
            let row = vec![
                requests(&config.routes[route]),
                words::place(config, route),
                words::verdict(config, route, verdict),
            ];
            (colour, row)
        });
        let routes: Vec<_> = routes.collect();
        self.table(&routes);
        match &trace.outcome {
            Outcome::Upstream { route, .. } => {
                self.label = "upstream";
                self.line(GREEN, &words::outcome(config, &trace.outcome), "");
                if let Some(group) = words::group(config, *route) {
                    self.servers(group);
                }
                self.asked_for(explanation, group);
            }
            own => {
                let bad = own.status().is_some_and(|status| status.as_u16() >= 400);
                self.label = "answer";
                self.line(
                    if bad { RED } else { GREEN },
                    &words::outcome(config, own),
                    "",
                );
            }
        }
        for line in answers::lines(config, &trace.outcome) {
            self.label = line.label;
            self.line("", &line.words, &line.aside);
        }
        for at in group {
            if let Some(answers) = findings.answers.get(*at) {
                self.answers(answers, asks, &asks.requests[*at]);
            }
        }
        if !findings.answers.is_empty() && !matches!(trace.outcome, Outcome::Upstream { .. }) {
            self.label = "says";
            self.line("", "there is no upstream to ask", "");
        }
    }

    /// Adds the servers of a group, and how requests find them.
    fn servers(&mut self, group: &Group) {
        let servers = group.written().iter();
        let servers: Vec<_> = servers
            .map(|one| {
                let row = vec![one.server.authority(), one.settings.to_string()];
                ("", row)
            })
            .collect();
        self.table(&servers);
        let settings = group.settings();
        if let Some(words) = words::stickiness(&settings.sticky) {
            self.line("", &words, "");
        }
        if let Some(check) = &settings.health_check {
            self.line("", &format!("health_check {check}"), "");
        }
    }

    /// Adds what an upstream is asked for by each request of a group.
    fn asked_for(&mut self, explanation: &Explanation, group: &[usize]) {
        self.label = "asked for";
        for at in group {
            if let Outcome::Upstream {
                target, rewrite, ..
            } = &explanation.traces[*at].outcome
            {
                let by = rewrite.as_ref();
                let by = by.map(|regex| format!("rewritten by `{regex}`"));
                let sent = sent(&explanation.asks.requests[*at], target);
                self.line("", &sent, &by.unwrap_or_default());
            }
        }
    }

    /// Adds what the upstream answered to a request, or each of its servers.
    fn answers(&mut self, answers: &[ServerAnswer], asks: &ClientRequests, request: &Request) {
        let when = if asks.requests.len() > 1 {
            request.when
        } else {
            ""
        };
        let aside = match when {
            "first" => "",
            when => when,
        };
        let mut helps: Vec<String> = Vec::new();
        for (at, ServerAnswer { server, answer }) in answers.iter().enumerate() {
            self.label = if at == 0 { "says" } else { "" };
            let colour = if answer.is_good() { GREEN } else { RED };
            let words = match server {
                Some(server) => format!("{server}: {answer}"),
                None => answer.to_string(),
            };
            self.line(colour, &words, aside);
            let help = answer.help(asks.kind, request);
            if let Some(help) = help.filter(|help| !helps.contains(help)) {
                self.line("", &format!("= help: {help}"), "");
                helps.push(help);
            }
        }
    }
}

/// A request as a line of the table of requests.
fn row(request: &Request) -> Vec<String> {
    let what = match request.what {
        RequestKind::Page => "",
        RequestKind::Polling => "polling",
        RequestKind::WebSocket | RequestKind::EngineIo => "an upgrade to WebSocket",
    };
    let words: Vec<&str> = [what, request.when]
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect();
    vec![format!("GET {}", request.target), words.join(", ")]
}

/// A request as the upstream gets it.
fn sent(request: &Request, target: &str) -> String {
    if request.is_upgrade() {
        format!("GET {target} with Upgrade: websocket")
    } else {
        format!("GET {target}")
    }
}
