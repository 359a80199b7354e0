//! How the rows say what was seen.

use serde_json::Value;

use crate::support::Ending;
use crate::support::Peer;

/// What nobody sees anything of.
pub(super) const NOTHING: &str = "nothing";

/// In order.
pub(super) const THE_END: &str = "the end";

/// TLS that is truncated.
pub(super) const WITHOUT_CLOSE_NOTIFY: &str = "the end without close_notify";

/// More bytes than these are counted instead of shown.
const SHOWN: usize = 64;

/// A whole answer of wsgate's own.
pub(super) async fn answer(client: &mut Peer) -> String {
    let answer = client.answer().await;
    format!("{} `{}`", answer.status(), answer.text().trim_end())
}

/// What still comes from the other side, and how it ends.
pub(super) async fn rest(peer: &mut Peer) -> String {
    let (bytes, ending) = peer.rest().await;
    let end = match ending {
        Ending::Fin => THE_END,
        Ending::Reset => "a reset",
        Ending::Cut => WITHOUT_CLOSE_NOTIFY,
    };
    match bytes.len() {
        0 => end.to_owned(),
        1..=SHOWN => format!("`{}`, then {end}", bytes.escape_ascii()),
        count => format!("{count} bytes, then {end}"),
    }
}

/// A line of the log: its level and message, the status or who ended the tunnel, and the reason.
pub(super) fn line(line: &Value) -> String {
    let mut text = format!(
        "{} `{}`",
        line["level"].as_str().unwrap(),
        line["message"].as_str().unwrap()
    );
    if let Some(status) = line["status"].as_u64() {
        text += &format!(", {status}");
    }
    if let Some(by) = line["ended_by"].as_str() {
        text += &format!(", by {by}");
    }
    if let Some(reason) = line["reason"].as_str() {
        text += &format!(": {}", without_ports(reason));
    }
    text
}

/// Ports differ from run to run.
fn without_ports(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = ["127.0.0.1:", "localhost:"]
        .iter()
        .filter_map(|host| rest.find(host))
        .min()
    {
        shown += &rest[..at];
        shown += "ADDRESS";
        let behind = &rest[at + "127.0.0.1:".len()..];
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    shown + rest
}
