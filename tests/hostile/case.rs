//! Case files: what a client sends, what an upstream answers, and what must come of it.
//!
//! One case a line, its fields apart by ` :: `; a line that begins with two spaces goes on with the fields of the one above.
//!
//! ```text
//! let POST = POST / HTTP/1.1\r\nHost: chat.test\r\n     a piece: {POST}
//! frame {POST}@\r\n\r\nhello                             what stands around the bytes of the cases that follow
//! expect ! 400                                           their outcome, unless they name one
//! always = GET /                                         what the upstream sees, unless they name that
//! a length with a plus :: Content-Length: +5             a case: its name and its bytes
//! ```
//!
//! Fields behind the bytes:
//!
//! | field | means |
//! |---|---|
//! | `= GET / \| X: y \|\| body` | the upstream sees this request, with exactly these fields and those that tell who asked |
//! | `= one` | it sees one whole request, in whatever unambiguous form |
//! | `= cut POST / \| ...` | it sees the head of this one, and its connection ends before the body does |
//! | `= never` | it sees no whole request |
//! | `< bytes` | what it answers, the first to the first request; then `ok` to each |
//! | `<x`, `<r`, `<1`, `<+` | it closes behind that, or resets; it sends byte for byte, or again and again |
//! | `<0` | it answers as soon as the head is there |
//! | `> bytes` | the client sends this behind the first answer |
//! | `: 200 \| X: y \|\| body` | the client gets this; without lines or a body these may be any |
//! | `: cut 200` | what the client gets, if it gets anything, is visibly not whole |
//! | `: head 200` | it answers a HEAD |
//! | `: end` | behind the answers the client's connection ends, in order |
//! | `! 400` | both: an answer, and the end |
//! | `! drop` | the end without an answer |
//! | `~ bytes` | through the tunnel the upstream gets this first |
//! | `trickle` | the client sends byte for byte |
//! | `leaves` | the client ends its direction behind its bytes |
//! | `short`, `hyper` | the case is for one of the two ways only |
//!
//! Without an answer for the client, `ok` is expected for each request that the upstream sees. A connection that does not end must serve
//! another request.

use crate::hostile::text;
use crate::hostile::text::Names;
use crate::support::Way;

/// What parts fields of a case.
const BETWEEN: &str = " :: ";

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) place: String,
    pub(super) name: String,
    pub(super) sends: Vec<u8>,
    pub(super) sends_then: Vec<u8>,
    pub(super) trickles: bool,
    pub(super) leaves: bool,
    pub(super) script: Vec<Reply>,
    pub(super) asked: Vec<Asked>,
    pub(super) told: Vec<Told>,
    pub(super) ends: bool,
    pub(super) early: Vec<u8>,
    pub(super) ways: Vec<Way>,
}

/// What the upstream says to a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) closes: bool,
    pub(super) resets: bool,
    pub(super) trickles: bool,
    pub(super) endless: bool,
    /// It does not wait for the body.
    pub(super) at_head: bool,
}

/// A request that the upstream must see.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// In exactly this form.
    Exactly(Form),
    /// In any form that is clear.
    One,
    /// Begun, but never whole.
    Cut(Form),
    /// Nothing, or never whole.
    Never,
}

/// A message: its first line, its other lines in the order of the alphabet, its body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Form {
    pub(super) first: String,
    pub(super) lines: Vec<String>,
    pub(super) body: Vec<u8>,
}

/// An answer that the client must get.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) cut: bool,
    pub(super) head: bool,
    pub(super) lines: Option<Vec<String>>,
    pub(super) body: Option<Vec<u8>>,
}

/// Reads the cases of a file.
pub(super) fn read(file: &str, content: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut names = Names::new();
    let mut frame = "@".to_owned();
    let (mut usual, mut always) = (String::new(), String::new());
    let lines: Vec<&str> = content.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let place = format!("{file}:{}", at + 1);
        let mut line = lines[at].trim_end().to_owned();
        at += 1;
        while let Some(more) = lines.get(at).and_then(|line| line.strip_prefix("  ")) {
            line = format!("{line}{BETWEEN}{}", more.trim());
            at += 1;
        }
        if line.is_empty() || line.starts_with('#') {
        } else if let Some(named) = line.strip_prefix("let ") {
            let (name, text) = named.split_once(" = ").expect(&place);
            names.insert(name.to_owned(), text.to_owned());
        } else if let Some(text) = line.strip_prefix("frame ") {
            frame = text.to_owned();
        } else if let Some(text) = line.strip_prefix("expect ") {
            usual = text.to_owned();
        } else if line == "expect" {
            usual.clear();
        } else if let Some(text) = line.strip_prefix("always ") {
            always = text.to_owned();
        } else {
            if !always.is_empty() && !line.contains(" :: = ") {
                line = format!("{line}{BETWEEN}{always}");
            }
            let case = case(&line, &frame, &usual, &names);
            cases.push(Case {
                place: place.clone(),
                ..case.unwrap_or_else(|why| panic!("{place}: {why}"))
            });
        }
    }
    cases
}

fn case(line: &str, frame: &str, usual: &str, names: &Names) -> Result<Case, String> {
    let mut fields = line.split(BETWEEN).map(str::trim);
    let name = fields.next().unwrap_or_default().to_owned();
    let bytes = fields.next().ok_or("a case without bytes")?;
    let mut fields: Vec<&str> = fields.collect();
    let decides = |field: &&str| field.starts_with(['=', ':', '!']);
    if !usual.is_empty() && !fields.iter().any(decides) {
        fields.extend(usual.split(BETWEEN).map(str::trim));
    }
    let mut case = Case {
        place: String::new(),
        name,
        sends: text::bytes(&frame.replace('@', bytes), names)?,
        sends_then: Vec::new(),
        trickles: false,
        leaves: false,
        script: Vec::new(),
        asked: Vec::new(),
        told: Vec::new(),
        ends: false,
        early: Vec::new(),
        ways: Way::BOTH.to_vec(),
    };
    let mut is_told = false;
    for field in fields {
        let (sigil, rest) = field.split_once(' ').unwrap_or((field, ""));
        match sigil {
            "=" => case.asked.push(asked(rest, names)?),
            ":" if rest == "end" => (case.ends, is_told) = (true, true),
            ":" => {
                case.told.push(told(rest, names)?);
                is_told = true;
            }
            "!" => {
                if rest != "drop" {
                    case.told.push(told(rest, names)?);
                }
                (case.ends, is_told) = (true, true);
            }
            ">" => case.sends_then = text::bytes(rest, names)?,
            "~" => case.early = text::bytes(rest, names)?,
            "trickle" => case.trickles = true,
            "leaves" => case.leaves = true,
            "short" => case.ways = vec![Way::Short],
            "hyper" => case.ways = vec![Way::Hyper],
            flags if flags.starts_with('<') => case.script.push(Reply {
                bytes: text::bytes(rest, names)?,
                closes: flags.contains('x'),
                resets: flags.contains('r'),
                trickles: flags.contains('1'),
                endless: flags.contains('+'),
                at_head: flags.contains('0'),
            }),
            _ => return Err(format!("no field: {field}")),
        }
    }
    if !is_told {
        case.told = case.asked.iter().map(usual_answer).collect();
    }
    if case.asked.is_empty() && case.told.is_empty() && !case.ends {
        return Err("a case without an outcome".to_owned());
    }
    Ok(case)
}

/// `ok`, as the upstream says it without a script.
fn usual_answer(asked: &Asked) -> Told {
    let head = matches!(asked, Asked::Exactly(form) if form.first.starts_with("HEAD "));
    Told {
        status: 200,
        cut: false,
        head,
        lines: None,
        body: Some(if head { Vec::new() } else { b"ok".to_vec() }),
    }
}

fn asked(text: &str, names: &Names) -> Result<Asked, String> {
    match text {
        "one" => return Ok(Asked::One),
        "never" => return Ok(Asked::Never),
        _ => {}
    }
    let (is_cut, text) = match text.strip_prefix("cut ") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (first, lines, body) = parts(text, names)?;
    let mut form = Form {
        first: format!("{first} HTTP/1.1"),
        lines,
        body: body.unwrap_or_default(),
    };
    who_asked(&mut form.lines);
    Ok(if is_cut {
        Asked::Cut(form)
    } else {
        Asked::Exactly(form)
    })
}

/// Adds what wsgate tells every upstream, of the host that the lines name or of the usual one.
fn who_asked(lines: &mut Vec<String>) {
    let host = lines
        .iter()
        .find_map(|line| {
            line.split_once(": ")
                .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        })
        .map(|(_, value)| value.to_owned());
    if host.is_none() {
        lines.push("Host: chat.test".to_owned());
    }
    let host = host.unwrap_or_else(|| "chat.test".to_owned());
    for (name, value) in [
        ("X-Real-Ip", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", &host),
    ] {
        let is_written = lines.iter().any(|line| {
            line.split_once(':')
                .is_some_and(|(written, _)| written.eq_ignore_ascii_case(name))
        });
        if !is_written {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.sort_unstable();
}

fn told(text: &str, names: &Names) -> Result<Told, String> {
    let (cut, text) = match text.strip_prefix("cut ") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (head, text) = match text.strip_prefix("head ") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (status, mut lines, body) = parts(text, names)?;
    lines.sort_unstable();
    Ok(Told {
        status: status.parse().map_err(|_| format!("no status: {status}"))?,
        cut,
        head,
        lines: (!lines.is_empty()).then_some(lines),
        body,
    })
}

type Parts = (String, Vec<String>, Option<Vec<u8>>);

/// `first | line | line || body`.
fn parts(text: &str, names: &Names) -> Result<Parts, String> {
    let (head, body) = match text.split_once(" || ") {
        Some((head, body)) => (head, Some(text::bytes(body, names)?)),
        None => match text.strip_suffix(" ||") {
            Some(head) => (head, Some(Vec::new())),
            None => (text, None),
        },
    };
    let mut lines = Vec::new();
    for line in head.split(" | ") {
        let line = text::bytes(line.trim(), names)?;
        // Latin-1, so that no byte is lost or merged.
        let line: String = line.into_iter().map(char::from).collect();
        lines.extend(
            line.split("\r\n")
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    if lines.is_empty() {
        return Err(format!("nothing expected: {text}"));
    }
    let first = lines.remove(0);
    Ok((first, lines, body))
}
