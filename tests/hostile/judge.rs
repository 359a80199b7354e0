//! One case on one way, and whether what came of it is right.

use std::time::Duration;

use tokio::time::timeout;

use crate::hostile::case::Asked;
use crate::hostile::case::Case;
use crate::hostile::case::Form;
use crate::hostile::case::Told;
use crate::hostile::client::Client;
use crate::hostile::client::End;
use crate::hostile::client::Heard;
use crate::hostile::reader;
use crate::hostile::reader::Message;
use crate::hostile::reader::Next;
use crate::hostile::reader::shown;
use crate::hostile::upstream::Recorder;
use crate::hostile::upstream::Seen;
use crate::support::DEADLINE;
use crate::support::TestServer;
use crate::support::Way;

/// Asked behind a case whose connection goes on.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: chat.test\r\n\r\n";

/// Said by the client in a tunnel, before it ends its direction.
const THROUGH: &[u8] = b"through";

/// What came of a case on the client's side.
#[derive(Debug)]
struct Outcome {
    heard: Vec<Heard>,
    /// What came through the tunnel, if there is one.
    tunnel: Option<Vec<u8>>,
    after: After,
}

#[derive(Debug)]
enum After {
    /// The connection is over, with these bytes before.
    Ended(End, Vec<u8>),
    /// It was asked once more.
    Probed(Heard),
    /// The last answer's end was the connection's.
    WithIt,
}

/// Runs a case; `Err` says what is wrong with what came of it.
pub(super) async fn run(
    case: &Case,
    way: Way,
    gate: &TestServer,
    upstream: &Recorder,
) -> Result<(), String> {
    let running = async {
        upstream.begin(&case.script);
        let outcome = outcome(case, way, gate).await;
        let seen = timeout(Duration::from_secs(5), upstream.finish()).await;
        let seen = seen.map_err(|_| "a connection to the upstream stays open".to_owned())?;
        let told = match &outcome {
            Ok(outcome) => told(case, outcome, &seen),
            Err(why) => Err(why.clone()),
        };
        let saw = saw(case, &seen);
        let unsafe_ = never(&seen, &outcome);
        let wrong: Vec<String> = [told, saw, unsafe_]
            .into_iter()
            .filter_map(Result::err)
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let requests: Vec<String> = seen.connections.iter().map(|bytes| shown(bytes)).collect();
        Err(format!(
            "{}\n  the client was told: {outcome:?}\n  the upstream saw: {requests:#?} {:?}",
            wrong.join("\n  "),
            seen.rests
        ))
    };
    match timeout(DEADLINE, running).await {
        Ok(result) => result,
        Err(_) => Err(format!(
            "no outcome within {DEADLINE:?}; the upstream saw: {:#?}",
            upstream.so_far()
        )),
    }
}

async fn outcome(case: &Case, way: Way, gate: &TestServer) -> Result<Outcome, String> {
    let mut client = Client::connect(gate, way).await;
    let at_a_time = if case.trickles { 1 } else { usize::MAX };
    client.send(&case.sends, at_a_time).await;
    if case.leaves {
        client.leave().await;
    }
    let mut heard = Vec::new();
    for told in &case.told {
        let answer = client.answer(told.head).await?;
        let goes_on = matches!(answer, Heard::Whole(_));
        heard.push(answer);
        if !goes_on {
            break;
        }
        if heard.len() == 1 && !case.sends_then.is_empty() {
            client.send(&case.sends_then, usize::MAX).await;
        }
    }
    if let Some(Heard::Whole(answer)) = heard.last()
        && answer.status == 101
    {
        client.send(THROUGH, usize::MAX).await;
        client.leave().await;
        let end = client.rest().await;
        let tunnel = Some(client.unread());
        return Ok(Outcome {
            heard,
            tunnel,
            after: After::Ended(end, Vec::new()),
        });
    }
    let after = match heard.last() {
        Some(Heard::Cut(_) | Heard::Nothing) => After::WithIt,
        _ if case.ends => {
            let end = client.rest().await;
            After::Ended(end, client.unread())
        }
        _ => {
            client.send(PROBE, usize::MAX).await;
            let answer = client.answer(false).await?;
            let more = client.unread();
            if !more.is_empty() {
                return Err(format!("behind the last answer: {:?}", shown(&more)));
            }
            After::Probed(answer)
        }
    };
    Ok(Outcome {
        heard,
        tunnel: None,
        after,
    })
}

/// Whether the client was told what it should be.
fn told(case: &Case, outcome: &Outcome, seen: &Seen) -> Result<(), String> {
    for (told, heard) in case.told.iter().zip(&outcome.heard) {
        is_told(told, heard)?;
    }
    if outcome.heard.len() != case.told.len() {
        return Err(format!(
            "{} answers, not {}",
            outcome.heard.len(),
            case.told.len()
        ));
    }
    if let Some(tunnel) = &outcome.tunnel {
        let expected = case.told.last().and_then(|told| told.body.clone());
        if *tunnel != expected.unwrap_or_default() {
            return Err(format!("through the tunnel came {:?}", shown(tunnel)));
        }
        let expected = [&case.early, THROUGH].concat();
        if seen.tunnel != expected {
            return Err(format!("through the tunnel went {:?}", shown(&seen.tunnel)));
        }
        return Ok(());
    }
    match &outcome.after {
        After::WithIt => Ok(()),
        After::Ended(End::InOrder, rest) if rest.is_empty() => Ok(()),
        After::Ended(end, rest) => Err(format!("the end is {end:?} with {:?} before", shown(rest))),
        After::Probed(Heard::Whole(answer)) if answer.status == 200 && answer.body == b"ok" => {
            Ok(())
        }
        After::Probed(heard) => Err(format!("asked again: {heard:?}")),
    }
}

fn is_told(told: &Told, heard: &Heard) -> Result<(), String> {
    let answer = match heard {
        Heard::Whole(answer) if !told.cut => answer,
        Heard::Cut(answer) if told.cut => answer,
        // What breaks off at once may not even begin.
        Heard::Nothing if told.cut => return Ok(()),
        other => return Err(format!("expected {told:?}, but there is {other:?}")),
    };
    if answer.status != told.status {
        return Err(format!("status {}, not {}", answer.status, told.status));
    }
    if let Some(lines) = &told.lines
        && answer.lines != *lines
    {
        return Err(format!("lines {:?}, not {lines:?}", answer.lines));
    }
    // That of a 101 is what comes through the tunnel.
    if let Some(body) = &told.body
        && told.status != 101
        && answer.body != *body
    {
        return Err(format!(
            "body {:?}, not {:?}",
            shown(&answer.body),
            shown(body)
        ));
    }
    Ok(())
}

/// Whether the upstream saw what it should.
fn saw(case: &Case, seen: &Seen) -> Result<(), String> {
    // Before the rest of a body that its answer did not wait for, the next request may be there, over another connection.
    let (probes, others): (Vec<&Message>, Vec<&Message>) = seen
        .requests
        .iter()
        .partition(|request| request.first == b"GET /probe HTTP/1.1");
    let mut requests = others.into_iter();
    let mut rests = seen.rests.iter();
    for asked in &case.asked {
        match asked {
            Asked::One => {
                requests.next().ok_or("no request at the upstream")?;
            }
            Asked::Exactly(form) => {
                let request = requests.next().ok_or("no request at the upstream")?;
                is_form(form, &self::form(request))?;
            }
            Asked::Cut(form) => match rests.next() {
                Some(Next::Partial(Some(head))) => {
                    let head = Form {
                        body: Vec::new(),
                        ..self::form(head)
                    };
                    is_form(form, &head)?;
                }
                other => return Err(format!("no request that broke off, but {other:?}")),
            },
            Asked::Never => {
                rests.next();
            }
        }
    }
    let goes_on = !case.ends
        && case
            .told
            .last()
            .is_none_or(|told| !told.cut && told.status != 101);
    if probes.len() != usize::from(goes_on) || probes.iter().any(|probe| !probe.body.is_empty()) {
        return Err(format!("asked again {} times: {probes:?}", probes.len()));
    }
    if let Some(more) = requests.next() {
        return Err(format!("one request too many: {:?}", shown(&more.first)));
    }
    match rests.next() {
        None => Ok(()),
        Some(rest) => Err(format!("bytes that are no request: {rest:?}")),
    }
}

fn form(message: &Message) -> Form {
    let text = |bytes: &[u8]| -> String { bytes.iter().map(|byte| char::from(*byte)).collect() };
    let mut lines: Vec<String> = message
        .fields
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name), text(value)))
        .map(|line| line.trim_end_matches(' ').to_owned())
        .collect();
    lines.sort_unstable();
    Form {
        first: text(&message.first),
        lines,
        body: message.body.clone(),
    }
}

fn is_form(expected: &Form, found: &Form) -> Result<(), String> {
    if expected.first != found.first {
        return Err(format!("asked {:?}, not {:?}", found.first, expected.first));
    }
    if expected.lines != found.lines {
        let of = |one: &Form, other: &Form| -> Vec<String> {
            let lines = one.lines.iter().filter(|line| !other.lines.contains(line));
            lines.map(|line| shown(line.as_bytes())).collect()
        };
        return Err(format!(
            "lines that should not be there {:?}, and that should {:?}",
            of(found, expected),
            of(expected, found)
        ));
    }
    if expected.body != found.body {
        return Err(format!(
            "a body {:?}, not {:?}",
            shown(&found.body),
            shown(&expected.body)
        ));
    }
    Ok(())
}

/// What may never be, whatever the case expects.
fn never(seen: &Seen, outcome: &Result<Outcome, String>) -> Result<(), String> {
    for bytes in &seen.connections {
        reader::agree(bytes)?;
    }
    for rest in &seen.rests {
        if let Next::Garbage(why) = rest {
            return Err(format!("no clear request: {why}"));
        }
    }
    if !seen.too_early.is_empty() {
        return Err(format!("before a 101: {:?}", shown(&seen.too_early)));
    }
    if let Ok(outcome) = outcome {
        let switched = outcome
            .heard
            .iter()
            .any(|heard| matches!(heard, Heard::Whole(answer) if answer.status == 101));
        if switched && !seen.agreed {
            return Err("a tunnel to which nobody agreed".to_owned());
        }
    }
    Ok(())
}
