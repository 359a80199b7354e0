//! What a client was told, read strictly.

use httparse::Status;

use crate::connection::count;
use crate::connection::find;
use crate::connection::has;

/// Fields that concern one connection only. `Connection` itself may say that it closes.
const HOP_BY_HOP: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "proxy-authorization",
    "http2-settings",
];

/// Judges all that a client got for what it sent. `agreed` is what each upstream has said that agreed to a tunnel.
pub(crate) fn judge(sent: &[u8], got: &[u8], agreed: &[Vec<u8>]) {
    let mut rest = got;
    let mut answers = 0;
    while !rest.is_empty() {
        let Some(end) = find(rest, b"\r\n\r\n") else {
            // It broke off.
            assert!(rest.starts_with(b"H"), "no answer: {}", rest.escape_ascii());
            break;
        };
        let (head, behind) = rest.split_at(end + 4);
        let wrong = |what: &str| -> ! { panic!("{what}: {}", head.escape_ascii()) };
        let mut lines = [httparse::EMPTY_HEADER; 256];
        let mut parsed = httparse::Response::new(&mut lines);
        if parsed.parse(head) != Ok(Status::Complete(head.len())) {
            wrong("no clear head");
        }
        let status = parsed.code.unwrap_or_default();
        let values = |name: &str| {
            let lines = parsed.headers.iter();
            let lines = lines.filter(|line| line.name.eq_ignore_ascii_case(name));
            lines.map(|line| line.value).collect::<Vec<_>>()
        };
        if HOP_BY_HOP.iter().any(|name| !values(name).is_empty()) {
            wrong("a hop-by-hop field");
        }
        if status == 101 {
            let is_said = agreed
                .iter()
                .any(|said| (0..=said.len()).any(|at| said[at..].starts_with(behind)));
            if !is_said {
                wrong("a tunnel to which nobody agreed");
            }
            return;
        }
        if !values("upgrade").is_empty() && status != 426 {
            wrong("an Upgrade");
        }
        if (100..200).contains(&status) {
            rest = behind;
            continue;
        }
        answers += 1;
        if has(sent, b"HEAD") {
            // Whether it has a body nobody knows here.
            break;
        }
        let body = match (
            values("content-length").as_slice(),
            values("transfer-encoding").as_slice(),
        ) {
            _ if matches!(status, 204 | 304) => Some(0),
            ([], []) => None,
            ([length], []) => match str::from_utf8(length)
                .ok()
                .and_then(|length| length.parse().ok())
            {
                Some(length) => Some(length),
                None => wrong("a length that is none"),
            },
            ([], [b"chunked"]) => match chunks(behind) {
                Ok(length) => length,
                Err(why) => wrong(&why),
            },
            _ => wrong("framed in no clear way"),
        };
        match body {
            Some(length) if length <= behind.len() => rest = &behind[length..],
            // To the end, or it broke off.
            _ => break,
        }
    }
    let requests = count(sent, b"HTTP/1.");
    // What cannot be read is answered too.
    assert!(
        answers <= requests + 1,
        "{answers} answers to {requests} requests"
    );
}

/// How long a body in chunks is; `None` if it breaks off.
fn chunks(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(length) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let line = &bytes[at..at + length];
        let size = str::from_utf8(line)
            .ok()
            .and_then(|line| usize::from_str_radix(line, 16).ok())
            .ok_or_else(|| format!("no chunk size: {}", line.escape_ascii()))?;
        let end = (at + length + 2).saturating_add(size);
        match bytes.get(end..).and_then(|rest| rest.get(..2)) {
            None => return Ok(None),
            Some(b"\r\n") => at = end + 2,
            Some(other) => return Err(format!("behind a chunk: {}", other.escape_ascii())),
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
